//! Names of hosts whose containers link to each other.

use super::Invalid;
use std::fmt;

/// Length limit of a host name.
const MAX: usize = 63;

/// The name of a host in `[cluster]`, in `name@host`, and in the records that hosts exchange.
///
/// It is safe in a file name, and contains neither `@` nor `~`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Accepts lower-case letters, digits, `.` and `-`, with a letter or a digit at both ends.
    pub fn new(value: &str) -> Result<Self, Invalid> {
        let refuse = |why| Err(Invalid::new("host", value, why));
        let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = |byte: u8| is_end(byte) || byte == b'.' || byte == b'-';
        match value.as_bytes() {
            [] => refuse("is empty"),
            bytes if bytes.len() > MAX => refuse("is too long"),
            bytes if !bytes.iter().all(|byte| fits(*byte)) => {
                refuse("want lower-case letters, digits, . and -")
            }
            [first, .., last] if !is_end(*first) || !is_end(*last) => {
                refuse("must begin and end with a letter or a digit")
            }
            [only] if !is_end(*only) => refuse("must begin and end with a letter or a digit"),
            _ => Ok(Self(value.to_owned())),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_safe_in_paths_and_references() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "b2", "node-1.example.org", "a--b", "a..b", &longest] {
            assert_eq!(HostName::new(good).map(|host| host.to_string()), Ok(good.to_owned()));
        }
        let long = "a".repeat(64);
        for bad in [
            "", ".", "-", "..", "a.", "a-", "-a", ".a", "A", "a_b", "a b", "a@b", "a~b", "a/b",
            "a\n", "a\0", "é", "a:b", &long,
        ] {
            assert!(HostName::new(bad).is_err(), "{bad:?}");
        }
    }
}
