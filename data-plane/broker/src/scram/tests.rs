//! The exchange of RFC 7677, and what is no such exchange.

use super::*;

/// RFC 7677 part 3: user `user`, secret `pencil`.
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn pencil() -> ScramKeys {
    keys(b"pencil", &STANDARD.decode(SALT).expect("base64"))
}

fn begun() -> Exchange {
    let first = ClientFirst::read(CLIENT_FIRST.as_bytes()).expect("the first message");
    Exchange::begin_with(first, &pencil(), SERVER_NONCE)
}

#[test]
fn the_exchange_of_the_rfc() {
    let first = ClientFirst::read(CLIENT_FIRST.as_bytes()).expect("the first message");
    assert_eq!(first.username, "user");
    let exchange = begun();
    assert_eq!(exchange.server_first(), SERVER_FIRST);
    let last = exchange.read_final(CLIENT_FINAL.as_bytes()).expect("the last message");
    assert_eq!(last.verify(&pencil()).as_deref(), Ok(SERVER_FINAL));
    assert_eq!(last.verify(&keys(b"pencils", &pencil().salt.0)), Err(ScramError::Proof));
    assert_eq!(last.verify(&keys(b"pencil", b"another salt")), Err(ScramError::Proof));
    let bare = CLIENT_FIRST.strip_prefix("n,,").expect("its header");
    assert_eq!(answer(bare, "n,,", SERVER_FIRST, b"pencil"), CLIENT_FINAL);
}

#[test]
fn a_first_message_is_read_strictly() {
    let name = |message: &str| ClientFirst::read(message.as_bytes()).map(|first| first.username);
    let long = |length| format!("n,,n=user,r={}", "x".repeat(length));
    for (message, read) in [
        ("n,,n=user,r=x", Ok("user")),
        ("y,,n=user,r=x", Ok("user")),
        ("n,,n=a=2Cb=3Dc=3D,r=x", Ok("a,b=c=")),
        ("n,,n=meter@label-1,r=x", Ok("meter@label-1")),
        ("n,,n=user,r=x,e=an extension", Ok("user")),
        (&long(NONCE_BYTES_MAX), Ok("user")),
        (&long(NONCE_BYTES_MAX + 1), Err(ScramError::Malformed)),
        ("p=tls-unique,,n=user,r=x", Err(ScramError::NotOffered)),
        ("n,a=somebody,n=user,r=x", Err(ScramError::NotOffered)),
        ("n,somebody,n=user,r=x", Err(ScramError::Malformed)),
        ("x,,n=user,r=x", Err(ScramError::Malformed)),
        ("n,,m=must,n=user,r=x", Err(ScramError::Malformed)),
        ("n,,n=us=er,r=x", Err(ScramError::Malformed)),
        ("n,,n=user=,r=x", Err(ScramError::Malformed)),
        ("n,,n=,r=x", Err(ScramError::Malformed)),
        ("n,,r=x,n=user", Err(ScramError::Malformed)),
        ("n,,n=user,r=", Err(ScramError::Malformed)),
        ("n,,n=user,r=a b", Err(ScramError::Malformed)),
        ("n,,n=user", Err(ScramError::Malformed)),
        ("n,", Err(ScramError::Malformed)),
        ("", Err(ScramError::Malformed)),
    ] {
        assert_eq!(name(message), read.map(str::to_owned), "{message}");
    }
    assert_eq!(ClientFirst::read(b"n,,n=\xFF,r=x"), Err(ScramError::Malformed));
    assert_eq!(ClientFirst::read(&[b'n'; MESSAGE_BYTES_MAX + 1]), Err(ScramError::Malformed));
}

#[test]
fn a_last_message_must_repeat_what_was_said() {
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    for (message, outcome) in [
        (format!("c=biws,r={nonce},{proof}"), None),
        // `y,,`, which was not said.
        (format!("c=eSws,r={nonce},{proof}"), Some(ScramError::Malformed)),
        (format!("c=biws,r={nonce}x,{proof}"), Some(ScramError::Malformed)),
        ("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=AAAA".into(), Some(ScramError::Malformed)),
        (format!("r={nonce},c=biws,{proof}"), Some(ScramError::Malformed)),
        (format!("c=biws,r={nonce}"), Some(ScramError::Malformed)),
        (format!("c=biws,r={nonce},p=dHzb"), Some(ScramError::Malformed)),
        (format!("c=biws,r={nonce},p=***"), Some(ScramError::Malformed)),
        (String::new(), Some(ScramError::Malformed)),
        // An extension is part of what is signed.
        (format!("c=biws,r={nonce},x=more,{proof}"), Some(ScramError::Proof)),
    ] {
        let verified = begun().read_final(message.as_bytes()).and_then(|last| last.verify(&pencil()));
        assert_eq!(verified.err(), outcome, "{message}");
    }
}

#[test]
fn keys_that_are_none_prove_nothing() {
    let nothing = ScramKeys {
        salt: pencil().salt,
        iterations: 4096,
        stored_key: contract::base64::Base64(Vec::new()),
        server_key: contract::base64::Base64(Vec::new()),
    };
    let last = begun().read_final(CLIENT_FINAL.as_bytes()).expect("the last message");
    assert_eq!(last.verify(&nothing), Err(ScramError::Proof));
}
