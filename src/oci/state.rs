//! The container state that the runtime writes to a hook's standard input (OCI runtime spec,
//! "State").

use super::annotations::Annotations;
use super::json;
use crate::error::Result;
use crate::model::{ContainerId, Invalid};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

/// The state that a hook receives.
///
/// Runtimes differ: crun reports `created` where runc reports `creating`. The pid of a stopped
/// container is missing or 0, and runtimes add keys of their own.
#[derive(Debug)]
pub(crate) struct State {
    /// The container's id.
    pub(crate) id: ContainerId,
    /// Whether the status is `stopped`.
    pub(crate) stopped: bool,
    /// The container's first process; a stopped container has none.
    pub(crate) pid: Option<i32>,
    /// The bundle's directory, absolute.
    pub(crate) bundle: Option<PathBuf>,
    /// The annotations of config.json. Not every runtime repeats them in the state.
    pub(crate) annotations: Option<Annotations>,
}

/// What can be read of any state, however odd the rest of it is.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// The id, unchecked.
    pub(crate) id: Option<String>,
    /// The bundle, unchecked.
    pub(crate) bundle: Option<String>,
    /// Whether the status is `stopped`.
    pub(crate) stopped: bool,
    /// The annotations that are not empty.
    pub(crate) annotations: Annotations,
}

impl Summary {
    /// Reads what can be read. Never fails.
    pub(crate) fn of(text: &[u8]) -> Self {
        let members: HashMap<String, &RawValue> = serde_json::from_slice(text).unwrap_or_default();
        let text = |key: &str| -> Option<String> {
            members.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())
        };
        Self {
            id: text("id"),
            bundle: text("bundle"),
            stopped: text("status").as_deref() == Some("stopped"),
            annotations: Annotations::reported(members.get("annotations").copied()),
        }
    }
}

impl Summary {
    /// The id for a log line.
    pub(crate) fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| "unknown container".to_owned())
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(default)]
    pid: Option<i64>,
    #[serde(borrow, default)]
    bundle: Option<Cow<'a, str>>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

impl State {
    /// Parses the state. A bad id, a negative pid or a relative bundle path is an error.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let raw: Raw<'_> = json::parse("container state", text)?;
        let pid = match raw.pid {
            None | Some(0) => None,
            Some(pid) => Some(i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or_else(|| {
                Invalid::new(
                    "pid",
                    &pid.to_string(),
                    "not a process in the runtime's pid namespace",
                )
            })?),
        };
        let bundle = match raw.bundle {
            Some(path) if !path.starts_with('/') || path.contains('\0') => {
                return Err(Invalid::new("bundle", &path, "not an absolute path").into());
            }
            path => path.map(|path| PathBuf::from(path.into_owned())),
        };
        Ok(Self {
            id: ContainerId::new(&raw.id)?,
            stopped: raw.status.as_deref() == Some("stopped"),
            pid,
            bundle,
            annotations: raw.annotations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtimes_form() {
        let runc = br#"{"ociVersion":"1.0.2-dev","id":"web","status":"creating","pid":4242,
            "bundle":"/b","annotations":{"org.oci-link.links":"db"}}"#;
        let crun = br#"{"ociVersion":"1.0","id":"web","pid":0,"root":"/b/rootfs","bundle":"/b",
            "status":"stopped"}"#;
        let older = br#"{"ociVersion":"v1.0.2","id":"web","status":"stopped","pid":null,
            "bundle":"/b","annotations":null,"created":{"x":[1]},"systemd":false}"#;
        // The pid that it had.
        let youki = br#"{"ociVersion":"1.1.0","id":"web","status":"stopped","pid":4242,
            "bundle":"/b","annotations":{"org.oci-link.links":"db"}}"#;
        let state = State::parse(runc).unwrap();
        assert_eq!((state.pid, state.stopped), (Some(4242), false));
        for text in [&crun[..], older] {
            let state = State::parse(text).unwrap();
            assert_eq!((state.pid, state.stopped), (None, true));
        }
        let state = State::parse(youki).unwrap();
        assert_eq!((state.pid, state.stopped), (Some(4242), true));
    }

    #[test]
    fn what_is_not_a_state() {
        for bad in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"id":"a","id":"b"}"#,
            r#"{"id":"../x"}"#,
            r#"{"id":"a\u0000"}"#,
            r#"{"id":"a","pid":-1}"#,
            r#"{"id":"a","pid":99999999999}"#,
            r#"{"id":"a","bundle":"b"}"#,
            r#"{"id":"a","bundle":"/b\u0000"}"#,
            r#"{"id":"a"} trailing"#,
        ] {
            assert!(State::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        // Everything that a runtime repeats of config.json may be odd.
        let deep = format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(State::parse(deep.as_bytes()).is_ok());
        for id in ["a,b", "+x", ".x", "-x", "a b", "a@b", "a:b", "\u{e9}", &"x".repeat(255)] {
            let text = format!(r#"{{"id":"{id}","annotations":{{"a":"1","a":"2","b":null}}}}"#);
            assert_eq!(State::parse(text.as_bytes()).unwrap().id.as_str(), id);
        }
        for id in ["", ".", "..", "a/b", "a\\u0000", &"x".repeat(256)] {
            assert!(State::parse(format!(r#"{{"id":"{id}"}}"#).as_bytes()).is_err(), "{id}");
        }
    }
}
