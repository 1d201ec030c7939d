//! Edits config.json and leaves everything else in it unchanged.
//!
//! Only the text of `process.env` and of oci-link's hooks changes. Every other byte stays, so
//! unknown keys of future runtimes survive.

use super::hooks::{self, has_ours, hooks_of, with_ours};
use super::json::{self, Members, list, part, span};
use crate::error::{Context, Error, Kind, Result};
use crate::model::Variable;
use oci_spec::runtime::{Hook, Spec};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// A config.json that is being edited.
pub(crate) struct ConfigJson<'a> {
    text: &'a str,
    top: Members<'a>,
    process: &'a RawValue,
    env: Vec<&'a RawValue>,
    injected: Vec<String>,
    hooked: bool,
}

impl<'a> ConfigJson<'a> {
    /// Parses the parts that an edit may change. A config.json without `process` is an error.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let top: Members<'a> = json::parse("config.json", text.as_bytes())?;
        let process = top
            .get("process")
            .ok_or_else(|| Error::new(Kind::Input, "config.json has no process"))?;
        let members: Members<'a> = part("process", process)?;
        let env = members.get("env").map(|env| list("process.env", env)).transpose()?;
        let hooks = top.get("hooks");
        let hooked = hooks.map(has_ours).transpose()?.unwrap_or_default();
        let injected = hooks.map(hooks::injected).transpose()?.unwrap_or_default();
        Ok(Self { text, top, process, env: env.unwrap_or_default(), injected, hooked })
    }

    /// Whether config.json contains oci-link's hooks, from an earlier edit.
    pub(crate) fn has_hooks(&self) -> bool {
        self.hooked
    }

    /// Returns the container's own variables, without those that an earlier edit added.
    pub(crate) fn own_variables(&self) -> Result<Vec<Variable>> {
        let mut own = Vec::new();
        for raw in &self.env {
            let entry: json::Key<'_> = part("process.env", raw)?;
            own.extend(Variable::parse(&entry.0).filter(|v| !self.injected.contains(&v.key)));
        }
        Ok(own)
    }

    /// Returns the edited config.json.
    ///
    /// `variables` replace those of an earlier edit, and `hooks` (stage and hook) replace
    /// oci-link's hooks. It is an error if the result does not parse with `oci-spec`.
    pub(crate) fn edited(&self, variables: &[Variable], hooks: &[(&str, Hook)]) -> Result<String> {
        let mut edits = vec![self.edit_env(variables)?, self.edit_hooks(hooks)?];
        edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        let mut text = self.text.to_owned();
        for (range, new) in edits {
            text.replace_range(range, &new);
        }
        let parsed: std::result::Result<Spec, _> = serde_json::from_str(&text);
        parsed.context(Kind::Input, || "config.json is invalid")?;
        Ok(text)
    }

    fn edit_env(&self, variables: &[Variable]) -> Result<(Range<usize>, String)> {
        let mut entries = Vec::new();
        for raw in &self.env {
            let entry: json::Key<'_> = part("process.env", raw)?;
            let key = entry.0.split('=').next().unwrap_or_default();
            if !self.injected.iter().any(|name| name == key) {
                entries.push(raw.get().to_owned());
            }
        }
        for variable in variables {
            entries.push(to_json(&variable.to_string())?);
        }
        let members: Members<'_> = part("process", self.process)?;
        Ok(self.put(self.process, members.get("env"), "env", |old| array(old, &entries)))
    }

    fn edit_hooks(&self, hooks: &[(&str, Hook)]) -> Result<(Range<usize>, String)> {
        let old = self.top.get("hooks");
        let mut stages: Vec<(Cow<'_, str>, String)> = Vec::new();
        for (stage, there) in old.map(hooks_of).transpose()?.unwrap_or_default() {
            let all: Vec<&str> = there.iter().map(|raw| raw.get()).collect();
            stages.push((stage, format!("[{}]", all.join(", "))));
        }
        for (stage, hook) in hooks {
            let there = old.map(hooks_of).transpose()?.unwrap_or_default();
            let there = there.into_iter().find(|(name, _)| name == stage);
            let entries =
                with_ours(&there.map_or_else(Vec::new, |(_, list)| list), &to_json(hook)?);
            match stages.iter_mut().find(|(name, _)| name == stage) {
                Some((_, text)) => *text = entries,
                None => stages.push((Cow::Borrowed(stage), entries)),
            }
        }
        let stages: Vec<String> = stages
            .iter()
            .map(|(stage, entries)| Ok(format!("{}: {entries}", to_json(stage)?)))
            .collect::<Result<_>>()?;
        let object = format!("{{{}}}", stages.join(", "));
        Ok(match old {
            Some(raw) => (span(self.text, raw), object),
            None => {
                let at = self.text.find('{').map_or(0, |brace| brace + 1);
                (at..at, member(&self.text[at..], "hooks", &object))
            }
        })
    }

    /// Returns the edit that sets the member `key` of `object`.
    ///
    /// `old` is the present value. `value` maps its text to the new text; a missing member counts
    /// as `[]`.
    fn put(
        &self,
        object: &RawValue,
        old: Option<&RawValue>,
        key: &str,
        value: impl FnOnce(&str) -> String,
    ) -> (Range<usize>, String) {
        match old {
            Some(raw) => (span(self.text, raw), value(raw.get())),
            None => {
                let at = span(self.text, object).start + 1;
                (at..at, member(&self.text[at..], key, &value("[]")))
            }
        }
    }
}

/// Returns `"key": value,` for insertion before `inside`, the text after an opening brace.
///
/// The spacing is copied from `inside`. There is no comma if the object is empty.
fn member(inside: &str, key: &str, value: &str) -> String {
    let space = &inside[..inside.len() - inside.trim_start().len()];
    let comma = if inside.trim_start().starts_with('}') { "" } else { "," };
    format!("{space}\"{key}\": {value}{comma}")
}

/// Formats `entries` as an array, with the spacing of the array `old`.
fn array(old: &str, entries: &[String]) -> String {
    let inside = old.trim_start_matches('[').trim_end_matches(']');
    let before = &inside[..inside.len() - inside.trim_start().len()];
    let after = &inside[inside.trim_end().len()..];
    let multiline = before.contains('\n') && !inside.trim().is_empty();
    let (before, after) = if multiline { (before, after) } else { ("", "") };
    let separator = if multiline { format!(",{before}") } else { ", ".to_owned() };
    format!("[{before}{}{after}]", entries.join(&separator))
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).context(Kind::Internal, || "cannot write JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::hooks::injected_arguments;
    use oci_spec::runtime::HookBuilder;
    use serde_json::{Value, json};

    const CONFIG: &str = r#"{
	"ociVersion": "1.0.2",
	"x-unknown": {"big": 18446744073709551615, "float": 1.50e2, "text": "\u00e9\/"},
	"process": {
		"cwd": "/",
		"user": {"uid": 0, "gid": 0},
		"args": ["sh"],
		"env": [
			"PATH=/bin",
			"DB_NAME=mine"
		]
	},
	"root": {"path": "rootfs"},
	"hooks": {
		"prestart": [{"path": "/other"}],
		"createRuntime": [ {"path": "/net", "args": ["net", "hook"]} ]
	}
}
"#;

    fn hook(variables: &[Variable]) -> Hook {
        let mut args = vec!["oci-link".to_owned(), "hook".to_owned(), "createRuntime".to_owned()];
        args.extend(injected_arguments(variables));
        HookBuilder::default().path("/usr/bin/oci-link").args(args).build().unwrap()
    }

    fn edited(text: &str, variables: &[Variable]) -> String {
        let hooks = [("createRuntime", hook(variables)), ("poststop", hook(&[]))];
        ConfigJson::parse(text).unwrap().edited(variables, &hooks).unwrap()
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn nothing_else_changes() {
        let new = edited(CONFIG, &[Variable::new("DB_PORT", "tcp://10.0.0.2:80")]);
        let (start, end) = (CONFIG.find("\"env\"").unwrap(), CONFIG.find("\"root\"").unwrap());
        assert!(new.starts_with(&CONFIG[..start]));
        assert!(new.contains(&CONFIG[end - 3..CONFIG.find("\"hooks\"").unwrap()]));
        assert!(
            new.contains("\t\t\t\"DB_NAME=mine\",\n\t\t\t\"DB_PORT=tcp://10.0.0.2:80\"\n\t\t]")
        );
        let hooks = &parsed(&new)["hooks"];
        assert_eq!(hooks["prestart"], json!([{"path": "/other"}]));
        assert_eq!(hooks["createRuntime"][0], json!({"path": "/net", "args": ["net", "hook"]}));
        assert_eq!(hooks["createRuntime"][1]["path"], "/usr/bin/oci-link");
        assert_eq!(hooks["poststop"][0]["path"], "/usr/bin/oci-link");
    }

    #[test]
    fn twice_is_once_and_new_values_replace_old_ones() {
        let old = [Variable::new("DB_PORT", "old"), Variable::new("DB_ENV_a,b", "x")];
        let first = edited(CONFIG, &old);
        let hooked = |text: &str| ConfigJson::parse(text).unwrap().has_hooks();
        assert_eq!((hooked(CONFIG), hooked(&first)), (false, true));
        assert_eq!(edited(&first, &old), first);
        let own = ConfigJson::parse(&first).unwrap().own_variables().unwrap();
        assert_eq!(own, [Variable::new("PATH", "/bin"), Variable::new("DB_NAME", "mine")]);
        let second = edited(&first, &[Variable::new("DB_PORT", "new")]);
        assert_eq!(
            parsed(&second)["process"]["env"],
            json!(["PATH=/bin", "DB_NAME=mine", "DB_PORT=new"])
        );
        let none = edited(&second, &[]);
        assert_eq!(parsed(&none)["process"], parsed(CONFIG)["process"]);
    }

    #[test]
    fn what_is_missing_is_made() {
        for env in ["", r#""env":null,"#, r#""env":[],"#] {
            for hooks in ["", r#","hooks":null"#, r#","hooks":{}"#, r#","hooks":{"poststop":null}"#]
            {
                let rest = r#""cwd":"/","user":{"uid":0,"gid":0}"#;
                let text = format!(r#"{{"ociVersion":"1.0.2","process":{{{env}{rest}}}{hooks}}}"#);
                let new = parsed(&edited(&text, &[Variable::new("A", "1")]));
                assert_eq!(new["process"]["env"], json!(["A=1"]), "{text}");
                assert_eq!(new["hooks"]["createRuntime"].as_array().map(Vec::len), Some(1));
                assert_eq!(new["hooks"]["poststop"].as_array().map(Vec::len), Some(1));
            }
        }
    }

    #[test]
    fn only_what_a_runtime_accepts_is_written() {
        let text = r#"{"ociVersion":"1.0.2","process":{"cwd":"/","env":[],"args":"x"}}"#;
        let document = ConfigJson::parse(text).unwrap();
        assert!(document.edited(&[], &[]).is_err());
        for bad in ["{}", r#"{"process":{"env":[1]}}"#, r#"{"process":1}"#, "[]"] {
            let outcome = ConfigJson::parse(bad).and_then(|document| document.edited(&[], &[]));
            assert!(outcome.is_err(), "{bad}");
        }
    }
}
