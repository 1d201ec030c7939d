//! How much the spool holds. It is in memory, and another host chooses how much it publishes.

use std::collections::HashMap;

/// Most records.
const FILES: usize = 65_536;
/// Most records of one host.
const FILES_OF_HOST: usize = 16_384;
/// Most bytes.
const BYTES: usize = 64 << 20;

/// The size of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) usize);

/// What is in the spool.
#[derive(Debug, Default)]
pub(super) struct Limits {
    files: usize,
    bytes: usize,
    of_host: HashMap<Box<str>, usize>,
}

impl Limits {
    /// Whether a record of `host` may have the size `after`. `before` is that of the record in its place.
    pub(super) fn allow(&self, host: &str, before: Option<Size>, after: Size) -> bool {
        let of_host = self.of_host.get(host).copied().unwrap_or(0);
        let more = usize::from(before.is_none());
        let bytes = self.bytes + after.0 - before.map_or(0, |size| size.0.min(self.bytes));
        self.files + more <= FILES && of_host + more <= FILES_OF_HOST && bytes <= BYTES
    }

    /// Counts that a record of `host` is replaced, made or removed.
    pub(super) fn replace(&mut self, host: &str, before: Option<Size>, after: Option<Size>) {
        let of_host = self.of_host.entry(host.into()).or_default();
        if let Some(Size(bytes)) = before {
            self.files = self.files.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
            *of_host = of_host.saturating_sub(1);
        }
        if let Some(Size(bytes)) = after {
            self.files += 1;
            self.bytes += bytes;
            *of_host += 1;
        }
        if *of_host == 0 {
            self.of_host.remove(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_all_hosts_together_are_bounded() {
        let mut limits = Limits::default();
        for _ in 0..FILES_OF_HOST {
            assert!(limits.allow("a", None, Size(1)));
            limits.replace("a", None, Some(Size(1)));
        }
        assert!(!limits.allow("a", None, Size(1)));
        assert!(limits.allow("a", Some(Size(1)), Size(2)), "one that is there may change");
        assert!(limits.allow("b", None, Size(1)));
        for host in ["b", "c", "d"] {
            (0..FILES_OF_HOST).for_each(|_| limits.replace(host, None, Some(Size(1))));
        }
        assert!(!limits.allow("e", None, Size(1)));
        limits.replace("a", Some(Size(1)), None);
        assert!(limits.allow("e", None, Size(1)) && limits.allow("a", None, Size(1)));
    }

    #[test]
    fn bytes_are_bounded() {
        let mut limits = Limits::default();
        limits.replace("a", None, Some(Size(BYTES - 10)));
        assert!(limits.allow("b", None, Size(10)) && !limits.allow("b", None, Size(11)));
        assert!(limits.allow("a", Some(Size(BYTES - 10)), Size(BYTES)));
    }
}
