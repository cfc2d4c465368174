//! What this machine is called: the names and addresses that a certificate made here is for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses of documents (RFC 5737, RFC 3849): asking for the way there sends nothing.
const ELSEWHERE: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

/// Host names and addresses, each as text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Those given, those of the addresses listened on, and what every machine calls itself.
    pub(crate) fn new(given: &[String], listening: &[IpAddr]) -> Self {
        let mut names: BTreeSet<String> = given.iter().cloned().collect();
        names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
        for &address in listening {
            names.insert(reachable(address).to_string());
            if address.is_unspecified() {
                names.extend(outward().map(|own| own.to_string()));
                names.extend(host_name());
            }
        }
        Self(names)
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// An address at which others find what listens on `address`.
pub(crate) fn reachable(address: IpAddr) -> IpAddr {
    if !address.is_unspecified() {
        return address;
    }
    // What listens on every address of IPv6 is found over IPv4 too.
    let mut own: Vec<_> = outward().collect();
    own.sort();
    own.into_iter().next().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The addresses from which this machine would speak to others.
fn outward() -> impl Iterator<Item = IpAddr> {
    ELSEWHERE.into_iter().filter_map(|(from, to)| {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
        socket.connect(SocketAddr::new(to, 9)).ok()?;
        socket.local_addr().ok().map(|own| own.ip()).filter(|own| !own.is_unspecified())
    })
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!name.is_empty() && name.bytes().all(lawful)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_what_is_given_and_for_what_is_listened_on() {
        let names = Names::new(&["mq.example.com".into()], &[[192, 0, 2, 7].into()]);
        assert_eq!(names.all(), ["127.0.0.1", "192.0.2.7", "::1", "localhost", "mq.example.com"]);
    }

    #[test]
    fn every_address_stands_for_those_of_the_machine() {
        let names = Names::new(&[], &[Ipv4Addr::UNSPECIFIED.into()]);
        assert!(!names.all().contains(&"0.0.0.0".to_owned()), "{names:?}");
        assert!(names.all().contains(&reachable(Ipv4Addr::UNSPECIFIED.into()).to_string()), "{names:?}");
    }
}
