//! Enhanced authentication of 5.0 (section 4.12): the methods that there are, and the steps of the one that has several.
//!
//! `SCRAM-SHA-256` proves a credential without showing its secret; `token` is a temporary token in the place of the
//! authentication data, so that a client can bring the next one without a new connection.

use std::sync::Arc;

use contract::feed::{CredentialDocument, CredentialSecret, ScramKeys};
use contract::ids::InstanceId;
use contract::refusal::Refusal;

use crate::authenticate::{Proof, check_credential};
use crate::decoy::Decoy;
use crate::scram::{ClientFirst, Exchange, KEY_BYTES, NONCE_BYTES, ScramError};

/// A method of authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    /// A credential, by challenge and response.
    Scram,
    /// A temporary token.
    Token,
}

impl Method {
    /// The method of this name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        [Self::Scram, Self::Token].into_iter().find(|method| method.name() == name)
    }

    /// Its name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scram => "SCRAM-SHA-256",
            Self::Token => "token",
        }
    }
}

impl From<ScramError> for Refusal {
    fn from(error: ScramError) -> Self {
        match error {
            ScramError::Malformed | ScramError::Proof => Self::CredentialsWrong,
            ScramError::NotOffered => Self::AuthenticationMethodInvalid,
        }
    }
}

/// A client that is to prove a credential's secret.
pub(crate) struct Challenge {
    exchange: Exchange,
    /// None: there is no such user, or none with whom this can end well.
    document: Option<Arc<CredentialDocument>>,
    /// What is compared then, so that it takes as long.
    decoy: ScramKeys,
}

impl Challenge {
    /// Answers the client's first message about a credential, or about none.
    pub(crate) fn begin(
        first: ClientFirst,
        instance: InstanceId,
        document: Option<Arc<CredentialDocument>>,
        decoy: &Decoy,
    ) -> Result<Self, Refusal> {
        let mut chance = [0; NONCE_BYTES];
        aws_lc_rs::rand::fill(&mut chance).map_err(|_| Refusal::InternalError)?;
        let decoy = decoy.keys(instance, &first.username);
        let document = document.filter(|document| secrets(document).next().is_some());
        let offered = document.as_deref().and_then(|document| secrets(document).next());
        let exchange = Exchange::begin(first, offered.map_or(&decoy, |secret| &secret.scram), chance);
        Ok(Self { exchange, document, decoy })
    }

    /// What is sent to the client.
    pub(crate) fn data(&self) -> &[u8] {
        self.exchange.server_first().as_bytes()
    }

    /// Takes the client's last message: what it has proved, and what is sent to it for that.
    pub(crate) fn finish(self, message: &[u8], client_id: &str) -> Result<(Proof, Vec<u8>), Refusal> {
        let last = self.exchange.read_final(message)?;
        let Some(document) = self.document else {
            last.verify(&self.decoy)?;
            return Err(Refusal::CredentialsWrong);
        };
        let verified = secrets(&document)
            .find_map(|secret| Some((secret, last.verify(&secret.scram).ok()?)))
            .ok_or(Refusal::CredentialsWrong)?;
        let (secret, data) = (Box::new(verified.0.clone()), verified.1.into_bytes());
        check_credential(&document, client_id)?;
        Ok((Proof::Credential { document, secret }, data))
    }
}

/// The secrets that one exchange may prove: the salt is said before the client says which of them it has, so that it is
/// those with the salt of the first.
fn secrets(document: &CredentialDocument) -> impl Iterator<Item = &CredentialSecret> {
    let is_whole = |keys: &ScramKeys| {
        let lengths = [keys.stored_key.0.len(), keys.server_key.0.len()];
        !keys.salt.0.is_empty() && keys.iterations > 0 && lengths == [KEY_BYTES; 2]
    };
    let whole = document.secrets.iter().filter(move |secret| is_whole(&secret.scram));
    let first = document.secrets.iter().find(|secret| is_whole(&secret.scram)).map(|secret| &secret.scram);
    whole.filter(move |secret| {
        first.is_some_and(|first| {
            first.salt == secret.scram.salt && first.iterations == secret.scram.iterations
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scram::{self, answer};
    use crate::testing::{ALL, PASSWORD, credential, instance_id};

    const BARE: &str = "n=meter,r=abc";

    fn secret(secret: &str, salt: &[u8]) -> CredentialSecret {
        let mut kept = credential(1, "meter", ALL).secrets.remove(0);
        kept.scram = scram::keys(secret.as_bytes(), salt);
        kept
    }

    fn prove(document: Option<CredentialDocument>, secret: &str) -> Result<String, Refusal> {
        let first = ClientFirst::read(format!("n,,{BARE}").as_bytes()).expect("a first message");
        let decoy = Decoy::new(&[7; KEY_BYTES]);
        let challenge = Challenge::begin(first, instance_id(1), document.map(Arc::new), &decoy)?;
        let server_first = String::from_utf8(challenge.data().to_vec()).expect("text");
        let last = answer(BARE, "n,,", &server_first, secret.as_bytes());
        let (proof, data) = challenge.finish(last.as_bytes(), "meter-1")?;
        assert!(data.starts_with(b"v="));
        let Proof::Credential { document, secret } = proof else { panic!("a credential") };
        assert!(document.secrets.contains(&secret));
        Ok(document.username.clone())
    }

    #[test]
    fn either_secret_of_a_change_over_is_right() {
        let of = |secrets| Some(CredentialDocument { secrets, ..credential(1, "meter", ALL) });
        let both = || of(vec![secret("old", b"salt"), secret(PASSWORD, b"salt")]);
        assert_eq!(prove(both(), PASSWORD).as_deref(), Ok("meter"));
        assert_eq!(prove(both(), "old").as_deref(), Ok("meter"));
        assert_eq!(prove(both(), "older"), Err(Refusal::CredentialsWrong));
        let apart = || of(vec![secret("old", b"salt"), secret(PASSWORD, b"another")]);
        assert_eq!(prove(apart(), "old").as_deref(), Ok("meter"));
        assert_eq!(prove(apart(), PASSWORD), Err(Refusal::CredentialsWrong), "its salt was not said");
    }

    #[test]
    fn who_does_not_exist_or_may_not_be_is_told_after_the_proof_only() {
        let whole =
            CredentialDocument { secrets: vec![secret(PASSWORD, b"salt")], ..credential(1, "meter", ALL) };
        let disabled = CredentialDocument { enabled: false, ..whole.clone() };
        let bound = CredentialDocument { client_id: Some("meter-2".into()), ..whole };
        for (document, secret, refusal) in [
            (None, PASSWORD, Refusal::CredentialsWrong),
            (
                Some(CredentialDocument { secrets: Vec::new(), ..disabled.clone() }),
                PASSWORD,
                Refusal::CredentialsWrong,
            ),
            (Some(disabled.clone()), "wrong", Refusal::CredentialsWrong),
            (Some(disabled), PASSWORD, Refusal::CredentialDisabled),
            (Some(bound.clone()), "wrong", Refusal::CredentialsWrong),
            (Some(bound), PASSWORD, Refusal::ClientIdNotAllowed),
        ] {
            assert_eq!(prove(document, secret), Err(refusal));
        }
    }

    #[test]
    fn methods_are_found_by_their_names_alone() {
        for (name, method) in [
            ("SCRAM-SHA-256", Some(Method::Scram)),
            ("token", Some(Method::Token)),
            ("scram-sha-256", None),
            ("SCRAM-SHA-256-PLUS", None),
            ("SCRAM-SHA-1", None),
            ("", None),
        ] {
            assert_eq!(Method::find(name), method, "{name}");
        }
    }
}
