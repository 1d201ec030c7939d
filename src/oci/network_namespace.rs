//! The network namespace that a config.json names.

use super::json::{self, Key, Members, lenient};
use serde_json::value::RawValue;
use std::path::PathBuf;

/// Returns the path of the network namespace that the container joins. `None` if it gets one of its own, or
/// none, or if config.json cannot be read.
pub(crate) fn joined(config_json: &[u8]) -> Option<PathBuf> {
    let text = json::text(config_json);
    let top: Members<'_> = json::config(&text).ok()?;
    let linux: Members<'_> = lenient(top.get("linux"));
    let namespaces: Vec<&RawValue> = lenient(linux.get("namespaces"));
    let string = |of: &Members<'_>, name: &str| -> Option<String> {
        let value: Option<Key<'_>> =
            of.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok());
        value.map(|value| value.0.into_owned())
    };
    namespaces.into_iter().find_map(|raw| {
        let namespace: Members<'_> = lenient(Some(raw));
        let is_network = string(&namespace, "type").is_some_and(|kind| kind == "network");
        let path = PathBuf::from(string(&namespace, "path").filter(|_| is_network)?);
        path.is_absolute().then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_path_of_a_network_counts() {
        let of = |namespaces: &str| {
            joined(format!(r#"{{"linux":{{"namespaces":{namespaces}}}}}"#).as_bytes())
        };
        let path = || Some(PathBuf::from("/run/netns/a"));
        let both = r#"[{"type":"pid","path":"/p"},{"type":"network","path":"/run/netns/a"}]"#;
        assert_eq!(of(both), path());
        for none in [
            r#"[{"type":"network"}]"#,
            r#"[{"type":"network","path":""}]"#,
            r#"[{"type":"network","path":"netns/a"}]"#,
            r#"[{"type":"network","path":7}, 7, null]"#,
            "[]",
            "null",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(joined(b"{}"), None);
        assert_eq!(joined(b"x"), None);
    }
}
