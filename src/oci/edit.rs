//! Edits config.json without touching what is not ours: only the text of `process.env` and of our
//! two hooks changes, every other byte stays, whatever keys a runtime of tomorrow puts there.

use super::json::{self, Members, span};
use crate::error::{Context, Error, Kind, Result};
use crate::model::Variable;
use oci_spec::runtime::{Hook, Spec};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

/// The option by which a hook of ours remembers the variables that were put into the container's
/// environment with it: they are the sources', so recipients of this container must not get them,
/// and the next edit replaces them.
pub const INJECTED: &str = "--injected";
/// What no name of a variable can hold.
const SEPARATOR: char = '=';
/// The longest argument of a program is 128 KiB; names are split over as many as they need.
const MAX_ARGUMENT: usize = 64 << 10;

/// A config.json being edited.
pub struct Document<'a> {
    text: &'a str,
    top: Members<'a>,
    process: &'a RawValue,
    env: Vec<&'a RawValue>,
    injected: Vec<String>,
    hooked: bool,
}

impl<'a> Document<'a> {
    /// Reads the parts that an edit may change.
    pub fn parse(text: &'a str) -> Result<Self> {
        let top: Members<'a> = json::parse("config.json", text.as_bytes())?;
        let process = top
            .get("process")
            .ok_or_else(|| Error::new(Kind::Input, "config.json has no process"))?;
        let members: Members<'a> = part("process", process)?;
        let env = members.get("env").map(|env| list("process.env", env)).transpose()?;
        let hooks = top.get("hooks");
        let hooked = hooks.map(has_ours).transpose()?.unwrap_or_default();
        let injected = hooks.map(self::injected).transpose()?.unwrap_or_default();
        Ok(Self { text, top, process, env: env.unwrap_or_default(), injected, hooked })
    }

    /// Whether hooks of ours are there, from an earlier edit.
    pub fn has_hooks(&self) -> bool {
        self.hooked
    }

    /// The container's own variables: all but those of an earlier edit.
    pub fn own_variables(&self) -> Result<Vec<Variable>> {
        let mut own = Vec::new();
        for raw in &self.env {
            let entry: json::Key<'_> = part("process.env", raw)?;
            own.extend(Variable::parse(&entry.0).filter(|v| !self.injected.contains(&v.key)));
        }
        Ok(own)
    }

    /// The new text: `variables` in place of an earlier edit's, and `hooks` (stage and hook) in
    /// place of ours. The result is what `oci-spec` accepts as a config.json.
    pub fn edited(&self, variables: &[Variable], hooks: &[(&str, Hook)]) -> Result<String> {
        let mut edits = vec![self.edit_env(variables)?, self.edit_hooks(hooks)?];
        edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        let mut text = self.text.to_owned();
        for (range, new) in edits {
            text.replace_range(range, &new);
        }
        let parsed: std::result::Result<Spec, _> = serde_json::from_str(&text);
        parsed.context(Kind::Input, || "config.json is not what a runtime accepts")?;
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

    /// The edit that makes the member `key` of `object` say what `value` makes of its old text.
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

/// `"key": value,` to stand right before `inside`, which follows an opening brace; spaced as what
/// follows, and without the comma where nothing does.
fn member(inside: &str, key: &str, value: &str) -> String {
    let space = &inside[..inside.len() - inside.trim_start().len()];
    let comma = if inside.trim_start().starts_with('}') { "" } else { "," };
    format!("{space}\"{key}\": {value}{comma}")
}

/// `entries` as an array, spaced as the array `old` was.
fn array(old: &str, entries: &[String]) -> String {
    let inside = old.trim_start_matches('[').trim_end_matches(']');
    let before = &inside[..inside.len() - inside.trim_start().len()];
    let after = &inside[inside.trim_end().len()..];
    let multiline = before.contains('\n') && !inside.trim().is_empty();
    let (before, after) = if multiline { (before, after) } else { ("", "") };
    let separator = if multiline { format!(",{before}") } else { ", ".to_owned() };
    format!("[{before}{}{after}]", entries.join(&separator))
}

/// The hooks of one stage with `ours`: in the place of the one that was ours, else last, behind
/// those that set up the network.
fn with_ours(there: &[&RawValue], ours: &str) -> String {
    let mut entries: Vec<&str> = Vec::new();
    let mut placed = false;
    for raw in there {
        match is_ours(raw) {
            true if placed => {}
            true => {
                entries.push(ours);
                placed = true;
            }
            false => entries.push(raw.get()),
        }
    }
    if !placed {
        entries.push(ours);
    }
    format!("[{}]", entries.join(", "))
}

#[derive(Deserialize)]
struct RawHook<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<Vec<json::Key<'a>>>,
    #[serde(default)]
    timeout: Option<i64>,
}

fn is_ours(raw: &RawValue) -> bool {
    let hook: Option<RawHook<'_>> = serde_json::from_str(raw.get()).ok();
    hook.is_some_and(|hook| {
        let args = hook.args.unwrap_or_default();
        Path::new(&*hook.path).file_name() == Some("oci-link".as_ref())
            && args.iter().skip(1).any(|arg| arg.0 == "hook")
    })
}

/// Whether any hook in `hooks` is ours.
fn has_ours(hooks: &RawValue) -> Result<bool> {
    Ok(hooks_of(hooks)?.iter().flat_map(|(_, hooks)| hooks).any(|raw| is_ours(raw)))
}

/// The variables that came into the environment together with our hooks in `hooks`.
pub fn injected(hooks: &RawValue) -> Result<Vec<String>> {
    let stages = hooks_of(hooks)?;
    Ok(stages.iter().flat_map(|(_, hooks)| hooks).flat_map(|raw| injected_by(raw)).collect())
}

/// The shortest time that config.json gives a hook of ours to make links, in seconds.
pub fn start_timeout(config: &[u8]) -> Result<Option<u64>> {
    let top: Members<'_> = json::parse("config.json", config)?;
    let stages = top.get("hooks").map(hooks_of).transpose()?.unwrap_or_default();
    let starting = stages.iter().filter(|(stage, _)| stage != "poststop");
    let ours = starting.flat_map(|(_, hooks)| hooks).filter(|raw| is_ours(raw));
    let timeout = |raw: &&RawValue| serde_json::from_str::<RawHook<'_>>(raw.get()).ok()?.timeout;
    Ok(ours.filter_map(timeout).filter_map(|seconds| seconds.try_into().ok()).min())
}

/// The variables that came into the environment together with this hook, if it is ours.
fn injected_by(raw: &RawValue) -> Vec<String> {
    let hook: Option<RawHook<'_>> = serde_json::from_str(raw.get()).ok().filter(|_| is_ours(raw));
    let args = hook.and_then(|hook| hook.args).unwrap_or_default();
    args.windows(2)
        .filter(|pair| pair[0].0 == INJECTED)
        .flat_map(|pair| injected_names(&pair[1].0).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The arguments that make a hook remember `variables`.
pub fn injected_arguments(variables: &[Variable]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for variable in variables {
        match lists.last_mut() {
            Some(list) if list.len() + variable.key.len() < MAX_ARGUMENT => {
                list.push(SEPARATOR);
                list.push_str(&variable.key);
            }
            _ => lists.push(variable.key.clone()),
        }
    }
    lists.into_iter().flat_map(|list| [INJECTED.to_owned(), list]).collect()
}

/// The names in one such argument.
pub fn injected_names(argument: &str) -> impl Iterator<Item = &str> {
    argument.split(SEPARATOR).filter(|name| !name.is_empty())
}

/// The stages of `hooks` and the hooks of each.
fn hooks_of(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, Vec<&RawValue>)>> {
    let stages: Option<Members<'_>> = part("hooks", raw)?;
    let stages = stages.map_or_else(Vec::new, |members| members.0);
    stages.into_iter().map(|(stage, raw)| Ok((stage, list("hooks", raw)?))).collect()
}

/// An array, or null.
fn list<'a>(what: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
    Ok(part::<Option<Vec<&'a RawValue>>>(what, raw)?.unwrap_or_default())
}

fn part<'a, T: Deserialize<'a>>(what: &str, raw: &'a RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).context(Kind::Input, || format!("config.json, {what}"))
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).context(Kind::Internal, || "cannot write JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
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
        Document::parse(text).unwrap().edited(variables, &hooks).unwrap()
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
        assert_eq!(edited(&first, &old), first);
        let own = Document::parse(&first).unwrap().own_variables().unwrap();
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
    fn the_shortest_time_of_a_hook_of_ours_that_starts_counts() {
        let hook = |time: &str| format!(r#"{{"path":"/b/oci-link","args":["x","hook"]{time}}}"#);
        let text = format!(
            r#"{{"hooks":{{"prestart":[{},{}],"createRuntime":[{}],"poststop":[{}],"poststart":[
               {{"path":"/other","timeout":1}}]}}}}"#,
            hook(""),
            hook(r#","timeout":7"#),
            hook(r#","timeout":5"#),
            hook(r#","timeout":2"#),
        );
        assert_eq!(start_timeout(text.as_bytes()).unwrap(), Some(5));
        assert_eq!(start_timeout(br#"{"hooks":null}"#).unwrap(), None);
        assert_eq!(start_timeout(b"{}").unwrap(), None);
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
        let document = Document::parse(text).unwrap();
        assert!(document.edited(&[], &[]).is_err());
        for bad in ["{}", r#"{"process":{"env":[1]}}"#, r#"{"process":1}"#, "[]"] {
            let outcome = Document::parse(bad).and_then(|document| document.edited(&[], &[]));
            assert!(outcome.is_err(), "{bad}");
        }
    }

    #[test]
    fn many_names_are_split_over_arguments() {
        let many: Vec<_> =
            (0..5000).map(|n| Variable::new(format!("SOURCE_PORT_{n}_TCP"), "")).collect();
        let arguments = injected_arguments(&many);
        assert!(
            arguments.len() > 2 && arguments.iter().all(|argument| argument.len() <= MAX_ARGUMENT)
        );
        let names: Vec<_> =
            arguments.iter().filter(|a| *a != INJECTED).flat_map(|a| injected_names(a)).collect();
        assert_eq!(names.len(), many.len());
    }
}
