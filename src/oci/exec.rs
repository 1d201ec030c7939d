//! Link variables for a process that is started in a running container. A file describes the process, as
//! `process` of config.json does.

use super::edit::{ConfigJson, array, key_of};
use super::json::{self, Key, Members, has_other_capitals, span};
use crate::error::{Context, Error, Kind, Result};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The file, in error messages.
const WHAT: &str = "process of exec";

/// Returns the file `process` with the link variables of `config` that it does not set itself, or `None`
/// if it sets all of them. `config` is the container's config.json.
///
/// Every other byte stays. A file whose variables runc and crun read differently is an error.
pub(crate) fn with_link_variables(process: &[u8], config: &[u8]) -> Result<Option<Vec<u8>>> {
    let config_text = json::text(config);
    let links = ConfigJson::parse(config, &config_text)?.link_entries()?;
    if links.is_empty() {
        return Ok(None);
    }
    let text = json::text(process);
    let own = Process::parse(&text)?;
    let keys: HashSet<&str> = own.entries.iter().map(|(_, entry)| key_of(&entry.0)).collect();
    let missing = links.iter().filter(|(key, _)| !keys.contains(key.as_str()));
    let missing: Vec<Vec<u8>> = missing.map(|(_, entry)| entry.to_vec()).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let there = own.entries.iter().filter_map(|(raw, _)| process.get(span(&text, raw)));
    let entries: Vec<Vec<u8>> = there.map(<[u8]>::to_vec).chain(missing).collect();
    let mut edited = process.to_vec();
    match own.env {
        Some(env) => edited.splice(span(&text, env), array(env.get(), &entries)),
        None => {
            let comma: &[u8] = if own.last.is_some() { b", " } else { b"" };
            let at = own.last.map(|last| span(&text, last).end);
            let at = at.or_else(|| text.find('{').map(|brace| brace + 1)).unwrap_or_default();
            edited.splice(at..at, [comma, b"\"env\": ", &array("[]", &entries)].concat())
        }
    };
    let again = json::text(&edited);
    if Process::parse(&again)?.entries.len() == entries.len() {
        return Ok(Some(edited));
    }
    Err(Error::new(Kind::Internal, "process of exec: the edit cannot be read back"))
}

/// The parts of the file that are used.
struct Process<'a> {
    /// Its member `env`.
    env: Option<&'a RawValue>,
    /// The variables.
    entries: Vec<(&'a RawValue, Key<'a>)>,
    /// The last member of any name.
    last: Option<&'a RawValue>,
}

impl<'a> Process<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let members: Members<'a> = json::first(WHAT, text)?;
        if let Some((name, _)) = members.0.iter().find(|(name, _)| has_other_capitals(name, "env"))
        {
            let name = name.escape_debug();
            return Err(Error::new(Kind::Input, format!("{WHAT}: has \"{name}\" and not \"env\"")));
        }
        if members.all("env").count() > 1 {
            return Err(Error::new(Kind::Input, format!("{WHAT}: \"env\" occurs twice")));
        }
        let env = members.get("env");
        let list = env.map(|raw| serde_json::from_str::<Option<Vec<&'a RawValue>>>(raw.get()));
        let list = list.transpose().context(Kind::Input, || WHAT)?.flatten().unwrap_or_default();
        let entry = |raw: &'a RawValue| Ok((raw, serde_json::from_str(raw.get())?));
        let entries: serde_json::Result<Vec<_>> = list.into_iter().map(entry).collect();
        let entries = entries.context(Kind::Input, || WHAT)?;
        Ok(Self { env, entries, last: members.0.last().map(|(_, raw)| *raw) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"process": {"env": ["PATH=/bin", "DB_PORT=tcp://10.0.0.2:3306",
        "OWN=1", "DB_NAME=/web/db", "DB_ENV_X=a\"\u00e9"]}, "hooks": {"poststop": [{
        "path": "/usr/bin/oci-link", "args": ["oci-link", "hook", "poststop",
        "--injected", "DB_PORT=DB_NAME", "--injected", "DB_ENV_X=DB_GONE"]}]}}"#;
    const ALL: &str = r#""DB_PORT=tcp://10.0.0.2:3306", "DB_NAME=/web/db", "DB_ENV_X=a\"\u00e9""#;

    fn edited(process: &str) -> Result<Option<String>> {
        let edited = with_link_variables(process.as_bytes(), CONFIG.as_bytes())?;
        Ok(edited.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn what_the_process_lacks_is_added_and_every_other_byte_stays() {
        for (process, expected) in [
            (r#"{"env":["A=1"]}"#, format!(r#"{{"env":["A=1", {ALL}]}}"#)),
            (r#"{"env":[]}"#, format!(r#"{{"env":[{ALL}]}}"#)),
            (r#"{"env": null , "x": 1}"#, format!(r#"{{"env": [{ALL}] , "x": 1}}"#)),
            ("{}", format!(r#"{{"env": [{ALL}]}}"#)),
            (" { } \n", format!(" {{\"env\": [{ALL}] }} \n")),
            (
                r#"{"big": 18446744073709551616, "e": 1.50e2, "u": "\u00e9\/", "args":["env"]} tail"#,
                format!(
                    r#"{{"big": 18446744073709551616, "e": 1.50e2, "u": "\u00e9\/", "args":["env"], "env": [{ALL}]}} tail"#
                ),
            ),
        ] {
            assert_eq!(edited(process).unwrap().unwrap(), expected, "{process}");
        }
        let lines = "{\n\t\"env\": [\n\t\t\"A=1\"\n\t]\n}\n";
        let by_line = ALL.replace(", ", ",\n\t\t");
        let expected = format!("{{\n\t\"env\": [\n\t\t\"A=1\",\n\t\t{by_line}\n\t]\n}}\n");
        assert_eq!(edited(lines).unwrap().unwrap(), expected);
    }

    #[test]
    fn what_the_process_sets_itself_wins() {
        let process = r#"{"env":["DB_PORT=mine", "DB_NAME", "DB_ENV_X="]}"#;
        assert_eq!(edited(process).unwrap(), None);
        let process = r#"{"env":["\u0044B_PORT=mine", "DB_ENV_X=", "DB_NAMES=1"]}"#;
        let expected =
            r#"{"env":["\u0044B_PORT=mine", "DB_ENV_X=", "DB_NAMES=1", "DB_NAME=/web/db"]}"#;
        assert_eq!(edited(process).unwrap().unwrap(), expected);
    }

    #[test]
    fn bytes_that_are_not_utf8_stay() {
        let process = b"{\"env\":[\"A=\xff\"],\"cwd\":\"/\xfe\\ud800\"}";
        let edited = with_link_variables(process, CONFIG.as_bytes()).unwrap().unwrap();
        let start = b"{\"env\":[\"A=\xff\", \"DB_PORT=";
        assert!(edited.starts_with(start), "{edited:?}");
        assert!(edited.ends_with(b"],\"cwd\":\"/\xfe\\ud800\"}"), "{edited:?}");
    }

    #[test]
    fn a_file_that_runtimes_read_differently_or_refuse() {
        for process in [
            "",
            "x",
            "[]",
            "null",
            "{",
            r#"{"env":{}}"#,
            r#"{"env":"A=1"}"#,
            r#"{"env":[1]}"#,
            r#"{"env":[null]}"#,
            r#"{"env":[],"env":["A=1"]}"#,
            r#"{"env":["A=1"],"ENV":["B=1"]}"#,
            r#"{"Env":["B=1"]}"#,
        ] {
            assert!(edited(process).is_err(), "{process}");
        }
    }

    #[test]
    fn a_container_without_link_variables_changes_nothing() {
        for config in [
            "{}",
            r#"{"process":{"env":["DB_PORT=1"]}}"#,
            r#"{"process":{"env":["A=1"]},"hooks":{"poststop":[{"path":"/oci-link","args":["oci-link","hook","--injected","DB_PORT"]}]}}"#,
            r#"{"process":{"env":["A=1"]},"hooks":{"poststop":[{"path":"/x","args":["x","hook","--injected","A"]}]}}"#,
        ] {
            let edited = with_link_variables(b"not read", config.as_bytes()).unwrap();
            assert_eq!(edited, None, "{config}");
        }
        assert!(with_link_variables(b"{}", b"[").is_err());
    }
}
