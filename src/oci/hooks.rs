//! The hooks of config.json: detects oci-link's hooks and reads the names recorded in them.

use super::json::{self, Members, list, part};
use crate::error::Result;
use crate::model::{EngineLink, MAX_LINKS, Variable};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::Path;

/// Option of oci-link's hooks that lists the variables added to the container's environment.
///
/// These variables describe the sources. Recipients of this container must not get them, and the
/// next edit replaces them.
pub(crate) const INJECTED: &str = "--injected";
/// Option of oci-link's hooks that are in config.json for one run only: the config.json that the first
/// hook puts back.
pub(crate) const RESTORES: &str = "--restores";
/// Option of oci-link's hooks that names one link of the engine's own which was taken over at `create`.
/// Containers cannot set it, as they can set annotations.
pub(crate) const ENGINE_LINK: &str = "--engine-link";
/// Separates the names in a list; no variable name can contain it.
const SEPARATOR: char = '=';
/// Length limit of one list of names, in bytes. Linux limits an argument to 128 KiB, so long lists
/// are split.
const MAX_ARGUMENT: usize = 64 << 10;

/// Returns the hooks of one stage, with `None` in the place of ours.
///
/// Ours replaces the first hook of oci-link, and further ones are removed. Otherwise it is appended,
/// after the hooks that set up the network.
pub(crate) fn with_ours<'a>(there: &[&'a RawValue]) -> Vec<Option<&'a RawValue>> {
    let mut entries = Vec::new();
    let mut placed = false;
    for raw in there {
        match is_ours(raw) {
            true if placed => {}
            true => {
                entries.push(None);
                placed = true;
            }
            false => entries.push(Some(*raw)),
        }
    }
    if !placed {
        entries.push(None);
    }
    entries
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

/// Whether a hook is oci-link's. The program may have the name of a wrapper.
pub(crate) fn is_ours(raw: &RawValue) -> bool {
    has_arguments(raw, &["hook"])
}

/// Whether a hook is oci-link's and in config.json for one run only.
pub(crate) fn is_for_one_run(raw: &RawValue) -> bool {
    has_arguments(raw, &["hook", RESTORES])
}

fn has_arguments(raw: &RawValue, wanted: &[&str]) -> bool {
    let hook: Option<RawHook<'_>> = serde_json::from_str(raw.get()).ok();
    hook.is_some_and(|hook| {
        let args = hook.args.unwrap_or_default();
        let is_named = Path::new(&*hook.path).file_name() == Some("oci-link".as_ref())
            || args.first().is_some_and(|arg| arg.0 == "oci-link");
        is_named && wanted.iter().all(|word| args.iter().skip(1).any(|arg| arg.0 == *word))
    })
}

/// Whether any hook in `hooks` is oci-link's.
pub(crate) fn has_ours(hooks: &RawValue) -> Result<bool> {
    Ok(hooks_of(hooks)?.iter().flat_map(|(_, hooks)| hooks).any(|raw| is_ours(raw)))
}

/// Returns the names of the variables that were added to the environment together with the hooks.
pub(crate) fn injected(hooks: &RawValue) -> Result<Vec<String>> {
    let stages = hooks_of(hooks)?;
    Ok(stages.iter().flat_map(|(_, hooks)| hooks).flat_map(|raw| injected_by(raw)).collect())
}

/// Returns the shortest timeout of oci-link's start hooks in config.json, in seconds.
///
/// `None` means that no such hook has a timeout. poststop hooks are not considered.
pub(crate) fn start_timeout(config: &[u8]) -> Result<Option<u64>> {
    let config = json::text(config);
    let top: Members<'_> = json::config(&config)?;
    let stages = top.get("hooks").map(hooks_of).transpose()?.unwrap_or_default();
    let starting = stages.iter().filter(|(stage, _)| stage != "poststop");
    let ours = starting.flat_map(|(_, hooks)| hooks).filter(|raw| is_ours(raw));
    let timeout = |raw: &&RawValue| serde_json::from_str::<RawHook<'_>>(raw.get()).ok()?.timeout;
    Ok(ours.filter_map(timeout).filter_map(|seconds| seconds.try_into().ok()).min())
}

/// Returns the names recorded in one hook. A hook that is not oci-link's has none.
fn injected_by(raw: &RawValue) -> Vec<String> {
    let lists = values_of(raw, INJECTED);
    lists.iter().flat_map(|list| injected_names(list)).map(str::to_owned).collect()
}

/// Returns the values of an option of one hook. A hook that is not oci-link's has none.
fn values_of(raw: &RawValue, option: &str) -> Vec<String> {
    let hook: Option<RawHook<'_>> = serde_json::from_str(raw.get()).ok().filter(|_| is_ours(raw));
    let args = hook.and_then(|hook| hook.args).unwrap_or_default();
    let pairs = args.windows(2).filter(|pair| pair[0].0 == option);
    pairs.map(|pair| pair[1].0.clone().into_owned()).collect()
}

/// Returns the links of the engine's own that were taken over when the container was created.
pub(crate) fn engine_links(hooks: &RawValue) -> Result<Vec<EngineLink>> {
    let stages = hooks_of(hooks)?;
    let ours = stages.iter().flat_map(|(_, hooks)| hooks);
    let texts = ours.flat_map(|raw| values_of(raw, ENGINE_LINK));
    let links = texts.map(|text| EngineLink::parse(&text)).take(MAX_LINKS);
    Ok(links.collect::<std::result::Result<_, _>>()?)
}

/// Returns the hook arguments that record `links`.
pub(crate) fn engine_link_arguments(links: &[EngineLink]) -> Vec<String> {
    links.iter().flat_map(|link| [ENGINE_LINK.to_owned(), link.to_string()]).collect()
}

/// Returns the hook arguments that record the names of `variables`.
pub(crate) fn injected_arguments(variables: &[Variable]) -> Vec<String> {
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

/// Returns the names in one argument of `--injected`.
pub(crate) fn injected_names(argument: &str) -> impl Iterator<Item = &str> {
    argument.split(SEPARATOR).filter(|name| !name.is_empty())
}

/// Returns the stages in `hooks` and the hooks of each stage.
pub(crate) fn hooks_of(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, Vec<&RawValue>)>> {
    let stages: Option<Members<'_>> = part("hooks", raw)?;
    let stages = stages.map_or_else(Vec::new, |members| members.0);
    stages.into_iter().map(|(stage, raw)| Ok((stage, list("hooks", raw)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn ours_stands_once_and_where_it_stood() {
        let (net, log) = (r#"{"path":"/net"}"#, r#"{"path":"/log","args":["log","hook"]}"#);
        let old = r#"{"path":"/old/oci-link","args":["oci-link","hook"]}"#;
        let with = |there: &[&str]| {
            let raws: Vec<Box<RawValue>> = there
                .iter()
                .map(|text| RawValue::from_string((*text).to_owned()).unwrap())
                .collect();
            let all = with_ours(&raws.iter().map(|raw| &**raw).collect::<Vec<_>>());
            all.iter().map(|raw| raw.map_or("ours", RawValue::get).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(with(&[net, old, log, old]), [net, "ours", log]);
        assert_eq!(with(&[net, log]), [net, log, "ours"]);
    }

    #[test]
    fn engine_links_are_read_from_our_hooks_only() {
        let links =
            ["db:mysql=docker", "x:y=docker:n1"].map(|text| EngineLink::parse(text).unwrap());
        let args = serde_json::to_string(&engine_link_arguments(&links)).unwrap();
        let args = &args[1..args.len() - 1];
        let read = |path: &str, args: &str| {
            let hook = format!(r#"{{"path":"{path}","args":["x","hook","poststop",{args}]}}"#);
            let hooks = RawValue::from_string(format!(r#"{{"poststop":[{hook}]}}"#)).unwrap();
            engine_links(&hooks)
        };
        assert_eq!(read("/b/oci-link", args).unwrap(), links);
        assert_eq!(read("/b/other", args).unwrap(), []);
        assert!(read("/b/oci-link", r#""--engine-link","db:x=annotation""#).is_err());
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
        for (length, arguments) in [(MAX_ARGUMENT - 2, 2), (MAX_ARGUMENT - 1, 4)] {
            let two = [Variable::new("x".repeat(length), ""), Variable::new("y", "")];
            assert_eq!(injected_arguments(&two).len(), arguments, "with what is between them");
        }
    }
}
