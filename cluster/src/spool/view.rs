//! `view`, which says how fresh the spool is, and `.status`, which `oci-link-cluster status` shows.

use serde::{Deserialize, Serialize};
use std::io;

/// Version of the format.
const VERSION: u32 = 1;

/// The file `view`: an interface (docs/cluster.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct View {
    v: u32,
    /// The boot that `fresh_ms` is of.
    pub(crate) boot: String,
    /// `CLOCK_BOOTTIME` in ms at which it was proved that the spool was complete; `None`: never yet.
    pub(crate) fresh_ms: Option<u64>,
    /// The store that the proof comes from, for people.
    pub(crate) by: String,
    /// Whether this host's own records are out.
    pub(crate) published: bool,
    /// One line, if something is wrong.
    pub(crate) problem: Option<String>,
    /// When the certificate of this host ends, in seconds since 1970. Another courier may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_ends: Option<i64>,
}

/// The file `.status`. Not an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    v: u32,
    /// The name of this host.
    pub(crate) host: String,
    /// The process that wrote it.
    pub(crate) pid: u32,
    /// The member of etcd that is spoken to, or was last.
    pub(crate) endpoint: Option<String>,
    /// Its version.
    pub(crate) version: Option<String>,
    /// The id of the cluster, hexadecimal.
    pub(crate) cluster: Option<String>,
    /// The lease that own records hang on, hexadecimal.
    pub(crate) lease: Option<String>,
    /// The revision that the spool is of.
    pub(crate) revision: i64,
    /// Own records that are out, the host's presence not counted.
    pub(crate) own: usize,
    /// Records of other hosts in the spool.
    pub(crate) records: usize,
    /// Keys and values that are not in the spool: no record's key, too large, or too many.
    pub(crate) dropped: u64,
    /// How often everything was read again.
    pub(crate) resyncs: u64,
    /// The value of `patience`, in ms.
    pub(crate) patience_ms: u64,
}

impl View {
    /// A view of this version.
    pub(crate) fn new(boot: String, fresh_ms: Option<u64>) -> Self {
        let (by, published, problem) = ("etcd".to_owned(), false, None);
        let certificate_ends = None;
        Self { v: VERSION, boot, fresh_ms, by, published, problem, certificate_ends }
    }

    /// Reads a view; `None` for other bytes.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|view: &Self| view.v == VERSION)
    }

    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }
}

impl Report {
    /// An empty report of this process.
    pub(crate) fn new(host: &str, patience_ms: u64) -> Self {
        Self {
            v: VERSION,
            host: host.to_owned(),
            pid: std::process::id(),
            endpoint: None,
            version: None,
            cluster: None,
            lease: None,
            revision: 0,
            own: 0,
            records: 0,
            dropped: 0,
            resyncs: 0,
            patience_ms,
        }
    }

    /// Reads a report; `None` for other bytes.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|report: &Self| report.v == VERSION)
    }

    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_is_the_documented_object() {
        let mut view = View::new("2f0c".to_owned(), Some(81_234_567));
        view.by = "etcd 3.5.30 rev 1841".to_owned();
        view.published = true;
        let text = r#"{"v":1,"boot":"2f0c","fresh_ms":81234567,"by":"etcd 3.5.30 rev 1841","published":true,"problem":null}"#;
        assert_eq!(view.to_bytes().unwrap(), text.as_bytes());
        assert_eq!(View::parse(text.as_bytes()), Some(view));
        assert_eq!(View::parse(&text.replace("\"v\":1", "\"v\":2").into_bytes()), None);
        assert_eq!(View::parse(b"junk"), None);
        let dated = View { certificate_ends: Some(7), ..View::new("2f0c".to_owned(), None) };
        let bytes = dated.to_bytes().unwrap();
        assert!(bytes.ends_with(br#","certificate_ends":7}"#));
        assert_eq!(View::parse(&bytes), Some(dated));
    }
}
