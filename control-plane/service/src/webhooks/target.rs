//! What a webhook may call: a URL all of whose host's addresses may be called. Pure; who resolves is elsewhere.

use std::net::IpAddr;

use reqwest::Url;

use super::address::{Network, Verdict, judge};

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// Why a URL is not called.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// It is no URL of a webhook.
    #[error("{0}")]
    Form(&'static str),
    /// It is plain HTTP to an address where the operator does not admit that.
    #[error("`{0}` is called over `https` only")]
    Plain(String),
    /// The host is an address that is not called.
    #[error("`{host}` is `{address}`, which is {what}")]
    Forbidden {
        /// The host as the URL has it.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// An address that the host's name means is not called. Which one is not said: it would tell who asks what names
    /// mean inside the platform's own network.
    #[error("`{0}` leads to an address that is not called")]
    Internal(String),
    /// The host has no address.
    #[error("`{0}` has no address")]
    Unknown(String),
}

/// The URL of a webhook, well formed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    url: Url,
    host: String,
    literal: Option<IpAddr>,
    is_plain: bool,
}

impl Target {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > URL_BYTES_MAX {
            return Err(TargetError::Form("a URL has at most 2048 bytes"));
        }
        let url: Url = text.parse().map_err(|_| TargetError::Form("it is no absolute URL"))?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(TargetError::Form("a webhook's URL begins with `https://`")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Form("a webhook's URL has no user name and no password"));
        }
        if url.fragment().is_some() {
            return Err(TargetError::Form("a webhook's URL has no fragment"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(TargetError::Form("a webhook's URL has a host"))?;
        // The host of the URL is as the parser has normalised it: `0x7f.1` is `127.0.0.1` here.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let literal = host.parse().ok();
        Ok(Self { url, host, literal, is_plain })
    }

    /// The URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The host's name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, where it is an address.
    #[must_use]
    pub const fn literal(&self) -> Option<IpAddr> {
        self.literal
    }

    /// Whether it is called without TLS.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.is_plain
    }
}

/// Whether all of these addresses of a host may be called; those that are the platform's own are not, unless they are
/// admitted.
pub fn check_addresses(
    host: &str,
    addresses: &[IpAddr],
    is_plain: bool,
    allowed: &[Network],
    is_own: impl Fn(IpAddr) -> bool,
) -> Result<(), TargetError> {
    if addresses.is_empty() {
        return Err(TargetError::Unknown(host.to_owned()));
    }
    for address in addresses {
        let forbidden = |what| match host.parse::<IpAddr>() {
            Ok(_) => TargetError::Forbidden { host: host.to_owned(), address: *address, what },
            Err(_) => TargetError::Internal(host.to_owned()),
        };
        match judge(*address, allowed) {
            Verdict::Forbidden(what) => return Err(forbidden(what)),
            Verdict::Public if is_own(*address) => return Err(forbidden("the platform's own")),
            Verdict::Public if is_plain => return Err(TargetError::Plain(host.to_owned())),
            Verdict::Admitted | Verdict::Public => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_a_client_would_read_it() {
        for (text, host, literal) in [
            ("https://hooks.example.com/a?b=c", "hooks.example.com", None),
            ("https://hooks.example.com:8443/", "hooks.example.com", None),
            ("https://8.8.8.8/", "8.8.8.8", Some("8.8.8.8")),
            // What a browser would call 127.0.0.1 is 127.0.0.1.
            ("https://0x7f.1/", "127.0.0.1", Some("127.0.0.1")),
            ("https://2130706433/", "127.0.0.1", Some("127.0.0.1")),
            ("https://0177.0.0.1/", "127.0.0.1", Some("127.0.0.1")),
            ("https://127.1/", "127.0.0.1", Some("127.0.0.1")),
            ("https://[::1]:1/", "::1", Some("::1")),
            ("https://[::ffff:7f00:1]/", "::ffff:127.0.0.1", Some("::ffff:127.0.0.1")),
            ("https://①②⑦.⓪.⓪.①/", "127.0.0.1", Some("127.0.0.1")),
            ("https://钩子.example/", "xn--46q41t.example", None),
        ] {
            let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let literal: Option<IpAddr> = literal.map(|it| it.parse().expect("an address"));
            assert_eq!(target.literal(), literal, "{text}");
            if literal.is_none() {
                assert!(
                    target.host() == host || target.host().starts_with("xn--"),
                    "{text}: {}",
                    target.host()
                );
            }
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX - 20));
        assert!(Target::parse(&long).is_ok());
        for text in [
            "",
            "example.com",
            "/hook",
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#a",
            &format!("{long}a"),
        ] {
            assert!(matches!(Target::parse(text), Err(TargetError::Form(_))), "{text}");
        }
    }

    #[test]
    fn one_bad_address_spoils_a_host() {
        let own: IpAddr = "9.9.9.9".parse().expect("an address");
        let allowed: Vec<Network> = vec!["127.0.0.0/8".parse().expect("a network")];
        let check_host = |host: &str, addresses: &[&str], is_plain| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|it| it.parse().expect("an address")).collect();
            check_addresses(host, &addresses, is_plain, &allowed, |address| address == own)
        };
        let check = |addresses: &[&str], is_plain| check_host("h", addresses, is_plain);
        assert_eq!(check(&["8.8.8.8", "2606:4700::1111"], false), Ok(()));
        assert_eq!(check(&["127.0.0.1"], true), Ok(()), "admitted, over plain HTTP too");
        assert_eq!(check(&["8.8.8.8"], true), Err(TargetError::Plain("h".to_owned())));
        assert_eq!(check(&["127.0.0.1", "8.8.8.8"], true), Err(TargetError::Plain("h".to_owned())));
        assert_eq!(check(&[], false), Err(TargetError::Unknown("h".to_owned())));
        let told = |host: &str, addresses: &[&str]| {
            check_host(host, addresses, false).expect_err("not to be called").to_string()
        };
        // What a name means inside is nobody's business; who writes an address knows it.
        for addresses in [&["8.8.8.8", "10.0.0.1"][..], &["9.9.9.9"], &["127.0.0.1", "::1"]] {
            assert_eq!(told("h", addresses), "`h` leads to an address that is not called");
        }
        assert_eq!(told("10.0.0.1", &["10.0.0.1"]), "`10.0.0.1` is `10.0.0.1`, which is private");
        assert_eq!(told("9.9.9.9", &["9.9.9.9"]), "`9.9.9.9` is `9.9.9.9`, which is the platform's own");
    }
}
