//! Every range at its first and last address and just beside it, in every form in which it can be written.

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no address"))
}

#[track_caller]
fn forbidden(texts: &[&str]) {
    for text in texts {
        let verdict = judge(address(text), &[]);
        assert!(matches!(verdict, Verdict::Forbidden(_)), "{text}: {verdict:?}");
    }
}

#[track_caller]
fn public(texts: &[&str]) {
    for text in texts {
        assert_eq!(judge(address(text), &[]), Verdict::Public, "{text}");
    }
}

#[test]
fn ranges_of_version_4_at_their_edges() {
    forbidden(&[
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ]);
    public(&[
        "1.0.0.0",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
    ]);
}

#[test]
fn ranges_of_version_6() {
    forbidden(&[
        "::",
        "::1",
        "::2",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001:db8::1",
        "3fff:fff::1",
        "2001:2::1",
        "2001:10::1",
        "5f00::1",
        "4000::1",
        "1fff::1",
    ]);
    public(&[
        "2000::1",
        "2001:4860:4860::8888",
        "2400:cb00::1",
        "2606:4700::1111",
        "3ffe::1",
        "3fff:1000::1",
    ]);
}

#[test]
fn version_4_in_the_clothes_of_version_6_is_judged_as_what_it_is() {
    for (v4, is_public) in [
        ("127.0.0.1", false),
        ("10.0.0.1", false),
        ("169.254.169.254", false),
        ("100.100.100.200", false),
        ("224.0.0.1", false),
        ("0.0.0.0", false),
        ("8.8.8.8", true),
    ] {
        for form in [format!("::ffff:{v4}"), format!("64:ff9b::{v4}")] {
            assert_eq!(judge(address(&form), &[]) == Verdict::Public, is_public, "{form}");
        }
        let [a, b, c, d] = v4.parse::<Ipv4Addr>().expect("an address").octets();
        let hex = format!("{a:02x}{b:02x}:{c:02x}{d:02x}");
        assert_eq!(judge(address(&format!("::ffff:{hex}")), &[]) == Verdict::Public, is_public, "{hex}");
        // Forms that go through a tunnel of somebody's, or are no form at all: never, whatever is in them.
        forbidden(&[
            &format!("::{v4}"),
            &format!("::ffff:0:{v4}"),
            &format!("64:ff9b:1::{v4}"),
            &format!("2002:{hex}::1"),
            &format!("2001:0:{hex}::1"),
            &format!("2001:0:4136:e378:8000:63bf:{hex}"),
            &format!("2606:4700::5efe:{v4}"),
            &format!("2606:4700::200:5efe:{v4}"),
            &format!("fe80::5efe:{v4}"),
        ]);
    }
}

#[test]
fn what_the_operator_admits_is_called_and_nothing_beside_it() {
    let allowed: Vec<Network> = ["127.0.0.0/8", "10.1.0.0/16", "fd12::/16", "8.8.8.8/32"]
        .map(|it| it.parse().expect("a network"))
        .to_vec();
    for (text, admitted) in [
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("10.1.255.255", true),
        ("10.2.0.0", false),
        ("fd12:ffff::1", true),
        ("fd13::1", false),
        ("8.8.8.8", true),
        ("::1", false),
        ("64:ff9b::127.0.0.1", false),
        ("::127.0.0.1", false),
    ] {
        assert_eq!(judge(address(text), &allowed) == Verdict::Admitted, admitted, "{text}");
    }
    let all: Vec<Network> = ["0.0.0.0/0", "::/0"].map(|it| it.parse().expect("a network")).to_vec();
    for text in ["0.0.0.0", "255.255.255.255", "::", "ffff::ffff"] {
        assert_eq!(judge(address(text), &all), Verdict::Admitted, "{text}");
    }
}

#[test]
fn a_network_is_written_in_one_way() {
    for text in ["127.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "::/0", "fd00::/8", "2001:db8::1/128"] {
        let network: Network = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(network.to_string(), text);
    }
    for text in [
        "",
        "127.0.0.1",
        "127.0.0.0/",
        "127.0.0.0/08",
        "127.0.0.0/+8",
        "127/8",
        "x/8",
        "127.0.0.0/8/8",
        " 127.0.0.0/8",
        "::/-1",
    ] {
        assert!(matches!(text.parse::<Network>(), Err(ParseNetworkError::Form(_))), "{text}");
    }
    for text in ["127.0.0.0/33", "::/129", "::/999"] {
        assert!(matches!(text.parse::<Network>(), Err(ParseNetworkError::Prefix(_))), "{text}");
    }
    let bits = "127.0.0.1/8".parse::<Network>().expect_err("bits after the prefix");
    assert_eq!(bits.to_string(), "`127.0.0.1/8` has bits after its prefix: it begins at `127.0.0.0`");
    assert!(matches!("fd00::1/8".parse::<Network>(), Err(ParseNetworkError::HostBits(..))));
    assert!(matches!("::ffff:127.0.0.0/104".parse::<Network>(), Err(ParseNetworkError::Mapped(_))));
}
