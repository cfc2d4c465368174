//! Which addresses may be called: public ones, and those that the operator admits. Pure.
//!
//! An address of version 6 may stand for one of version 4 (mapped, NAT64) and is judged as that one; forms
//! that tunnel to an address of version 4 through somebody else (6to4, Teredo, ISATAP) are never called.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// A range of addresses, as `192.0.2.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseNetworkError {
    /// There is no `/`, or what stands before it is no address, or after it no number.
    #[error("`{0}` is no range of addresses such as `192.0.2.0/24`")]
    Form(String),
    /// The prefix is longer than the address.
    #[error("the prefix of `{0}` is longer than the address")]
    Prefix(String),
    /// Bits after the prefix are set: the text may mean one address or its range.
    #[error("`{0}` has bits after its prefix: it begins at `{1}`")]
    HostBits(String, IpAddr),
    /// An address of version 4 in the clothes of version 6.
    #[error("write `{0}` as a range of version 4")]
    Mapped(String),
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The bits before the prefix; of an address that has `width` bits.
fn masked(bits: u128, width: u8, prefix: u8) -> u128 {
    let rest = u32::from(width - prefix);
    bits.checked_shr(rest).and_then(|bits| bits.checked_shl(rest)).unwrap_or(0)
}

impl Network {
    /// Whether the address lies in the range; a mapped address of version 4 is one of version 4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((first, width), (address, other)) = (bits(self.first), bits(address.to_canonical()));
        width == other && masked(address, width, self.prefix) == first
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let form = || ParseNetworkError::Form(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let is_number = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|c| c.is_ascii_digit());
        let is_plain = prefix == "0" || !prefix.starts_with('0');
        let prefix: u16 =
            if is_number && is_plain { prefix.parse().map_err(|_| form())? } else { return Err(form()) };
        if address.to_canonical() != address {
            return Err(ParseNetworkError::Mapped(text.to_owned()));
        }
        let (all, width) = bits(address);
        let prefix = u8::try_from(prefix).ok().filter(|prefix| *prefix <= width);
        let prefix = prefix.ok_or_else(|| ParseNetworkError::Prefix(text.to_owned()))?;
        let first = masked(all, width, prefix);
        if first != all {
            let first = match address {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(first).unwrap_or(0))),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(first)),
            };
            return Err(ParseNetworkError::HostBits(text.to_owned(), first));
        }
        Ok(Self { first: address, prefix })
    }
}

impl TryFrom<String> for Network {
    type Error = ParseNetworkError;

    fn try_from(text: String) -> Result<Self, ParseNetworkError> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Ranges of version 4 that are not public, and what they are.
const NOT_PUBLIC_V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::UNSPECIFIED, 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // The virtual machine agent of one large cloud, beside the metadata services that are link-local or shared.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a metadata service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for measurements"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Ranges of version 6 within the global ones (`2000::/3`) that are not public, and what they are.
const NOT_PUBLIC_V6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "a tunnel"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "a tunnel"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

/// Other ranges of version 6 that deserve a name; everything outside `2000::/3` is refused anyway.
const NAMED_V6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// The prefix under which a NAT64 reaches an address of version 4 [RFC 6052].
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

fn in_v4(address: Ipv4Addr, (first, prefix): (Ipv4Addr, u8)) -> bool {
    masked(u128::from(address.to_bits()), 32, prefix) == u128::from(first.to_bits())
}

fn in_v6(address: Ipv6Addr, (first, prefix): (Ipv6Addr, u8)) -> bool {
    masked(address.to_bits(), 128, prefix) == first.to_bits()
}

/// Why an address is not called, unless it is public.
fn not_public(address: IpAddr) -> Option<&'static str> {
    let v6 = match address.to_canonical() {
        IpAddr::V4(v4) => return not_public_v4(v4),
        IpAddr::V6(v6) => v6,
    };
    let [.., high, low] = v6.segments();
    let embedded = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    if in_v6(v6, NAT64) {
        return not_public_v4(embedded);
    }
    let is_isatap = matches!(v6.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]);
    if is_isatap {
        return Some("a tunnel");
    }
    let find = |ranges: &[(Ipv6Addr, u8, &'static str)]| {
        ranges.iter().find(|(first, prefix, _)| in_v6(v6, (*first, *prefix))).map(|(_, _, what)| *what)
    };
    if in_v6(v6, (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)) {
        find(NOT_PUBLIC_V6)
    } else {
        find(NAMED_V6).or(Some("reserved"))
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let mut ranges = NOT_PUBLIC_V4.iter();
    ranges.find(|(first, prefix, _)| in_v4(address, (*first, *prefix))).map(|(_, _, what)| *what)
}

/// How an address may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is public: over TLS.
    Public,
    /// The operator admits it: over plain HTTP too.
    Admitted,
    /// It is not called; it is this.
    Forbidden(&'static str),
}

/// How this address may be called, where the operator admits these networks.
#[must_use]
pub fn judge(address: IpAddr, allowed: &[Network]) -> Verdict {
    if allowed.iter().any(|network| network.contains(address)) {
        return Verdict::Admitted;
    }
    not_public(address).map_or(Verdict::Public, Verdict::Forbidden)
}

#[cfg(test)]
mod tests;
