//! Tells whether a network namespace still has what it had when it was examined.

use super::Invalid;
use super::digest::sha256;
use std::fmt;
use std::net::IpAddr;

/// The number of addresses up to which a namespace has a fingerprint.
const MOST: usize = 256;

/// A digest of the addresses in a network namespace and of the interfaces that have them.
///
/// While it is the same, the addresses are, and their interfaces are those that were examined. An index of
/// an interface is not given again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// The fingerprint of `all`: index of the interface, address, prefix length. `None` if there are too
    /// many: a container may have any number.
    pub(crate) fn of(all: &[(u32, IpAddr, u8)]) -> Option<Self> {
        if all.len() > MOST {
            return None;
        }
        let mut bytes = Vec::with_capacity(all.len() * 22);
        for (interface, ip, prefix) in all {
            bytes.extend(interface.to_be_bytes());
            match ip {
                IpAddr::V4(ip) => bytes.extend(ip.octets()),
                IpAddr::V6(ip) => bytes.extend(ip.octets()),
            }
            // The family says how long the address is, so no two lists have the same bytes.
            bytes.extend([*prefix, u8::from(ip.is_ipv6())]);
        }
        let digest = sha256(&bytes);
        Self::parse(digest.get(..32)?).ok()
    }

    /// Parses 32 hexadecimal digits.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let is_plain = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(value, 16).ok().filter(|_| is_plain);
        number
            .map(Self)
            .ok_or_else(|| Invalid::new("fingerprint", value, "not 32 hexadecimal digits"))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(u32, &str, u8)]) -> Option<Fingerprint> {
        let all: Vec<_> = all.iter().map(|(at, ip, n)| (*at, ip.parse().unwrap(), *n)).collect();
        Fingerprint::of(&all)
    }

    #[test]
    fn every_part_counts() {
        let lists: [&[(u32, &str, u8)]; 8] = [
            &[],
            &[(2, "10.0.0.2", 24)],
            &[(3, "10.0.0.2", 24)],
            &[(2, "10.0.0.3", 24)],
            &[(2, "10.0.0.2", 16)],
            &[(2, "::a00:2", 24)],
            &[(2, "10.0.0.2", 24), (2, "10.0.0.3", 24)],
            &[(2, "10.0.0.3", 24), (2, "10.0.0.2", 24)],
        ];
        for (at, one) in lists.iter().enumerate() {
            for (other_at, other) in lists.iter().enumerate() {
                assert_eq!(of(one) == of(other), at == other_at, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn it_is_written_and_read_again() {
        let fingerprint = of(&[(2, "10.0.0.2", 24)]).unwrap();
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()).unwrap(), fingerprint);
        for wrong in ["", "1", "+0000000000000000000000000000001", &"f".repeat(33)] {
            assert!(Fingerprint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_long_list_has_none() {
        let many = vec![(2, "10.0.0.2", 24); MOST];
        assert!(of(&many).is_some());
        assert!(of(&[many, vec![(2, "10.0.0.2", 24)]].concat()).is_none());
    }
}
