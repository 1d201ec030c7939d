//! The files in which runtimes store the state of a container.
//!
//! They are read directly, because running the runtime's `state` command would delay every start.

use super::json;
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use std::path::PathBuf;

/// File names of the state below `<root>/<id>/`: runc and youki, then crun.
pub(crate) const FILES: [&str; 2] = ["state.json", "status"];

/// What a runtime has stored about a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RuntimeState {
    /// The container's first process.
    pub(crate) pid: i32,
    /// The bundle's directory, absolute.
    pub(crate) bundle: PathBuf,
}

/// The stored fields. runc calls the pid `init_process_pid` and stores the bundle as a label; crun
/// and youki have `pid` and `bundle`.
#[derive(Deserialize)]
struct Raw {
    #[serde(alias = "init_process_pid")]
    pid: Option<i32>,
    bundle: Option<PathBuf>,
    config: Option<RawConfig>,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default, alias = "Labels")]
    labels: Option<Vec<String>>,
}

impl RuntimeState {
    /// Parses a state file. A file without a valid pid or an absolute bundle is an error.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let raw: Raw = json::parse("the runtime's state", text)?;
        let labels = raw.config.and_then(|config| config.labels).unwrap_or_default();
        let label =
            labels.iter().find_map(|label| label.strip_prefix("bundle=")).map(PathBuf::from);
        let bundle = raw.bundle.or(label).filter(|bundle| bundle.is_absolute());
        match (raw.pid.filter(|pid| *pid > 0), bundle) {
            (Some(pid), Some(bundle)) => Ok(Self { pid, bundle }),
            _ => Err(Error::new(Kind::Input, "the runtime's state: has no pid or no bundle")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtimes_form() {
        let expected = RuntimeState { pid: 42, bundle: "/b".into() };
        for text in [
            r#"{"id":"c","init_process_pid":42,"config":{"labels":["x=y","bundle=/b"],"rootfs":"/r"}}"#,
            r#"{"pid":42,"process-start-time":1,"rootfs":"rootfs","bundle":"/b","owner":"root"}"#,
            r#"{"ociVersion":"1.1.0","id":"c","status":"created","pid":42,"bundle":"/b","annotations":{},
               "created":"2026-01-01T00:00:00Z","creator":0,"useSystemd":false,"intelRdtDir":null}"#,
        ] {
            assert_eq!(RuntimeState::parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn nothing_to_act_on() {
        for text in ["{}", r#"{"pid":0,"bundle":"/b"}"#, r#"{"pid":1,"bundle":"b"}"#, "[]", ""] {
            assert!(RuntimeState::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
