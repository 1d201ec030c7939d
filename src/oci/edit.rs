//! Edits config.json and leaves everything else in it unchanged.
//!
//! Only the text of `process.env` and of oci-link's hooks changes. Every other byte stays, so
//! unknown keys of future runtimes survive.

use super::hooks::{self, has_ours, hooks_of, is_ours, with_ours};
use super::json::{self, Key, Members, list, part, span};
use crate::error::{Context, Error, Kind, Result};
use crate::model::Variable;
use oci_spec::runtime::Hook;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// A config.json that is being edited.
pub(crate) struct ConfigJson<'a> {
    /// The file as it is.
    bytes: &'a [u8],
    /// The file as text of the same length, see [`json::text`].
    text: &'a str,
    top: Members<'a>,
    env: Vec<&'a RawValue>,
    injected: Vec<String>,
    hooked: bool,
}

/// A part of the file and what replaces it.
type Edit = (Range<usize>, Vec<u8>);

impl<'a> ConfigJson<'a> {
    /// Parses the parts that an edit may change. `text` is [`json::text`] of `bytes`.
    pub(crate) fn parse(bytes: &'a [u8], text: &'a str) -> Result<Self> {
        let top: Members<'a> = json::config(text)?;
        let process =
            top.get("process").map(|raw| part::<Members<'a>>("process", raw)).transpose()?;
        let env = process.as_ref().and_then(|process| process.get("env"));
        let env = env.map(|env| list("process.env", env)).transpose()?.unwrap_or_default();
        let hooks = top.get("hooks");
        let hooked = hooks.map(has_ours).transpose()?.unwrap_or_default();
        let injected = hooks.map(hooks::injected).transpose()?.unwrap_or_default();
        Ok(Self { bytes, text, top, env, injected, hooked })
    }

    /// Whether config.json contains oci-link's hooks, from an earlier edit.
    pub(crate) fn has_hooks(&self) -> bool {
        self.hooked
    }

    /// Whether config.json contains link variables, from an earlier edit.
    pub(crate) fn has_link_variables(&self) -> bool {
        !self.injected.is_empty()
    }

    /// Returns the container's own variables, without those that an earlier edit added.
    pub(crate) fn own_variables(&self) -> Result<Vec<Variable>> {
        let own = self.entries()?;
        let own = own.iter().filter_map(|entry| Variable::parse(entry));
        Ok(own.filter(|variable| !self.injected.contains(&variable.key)).collect())
    }

    /// Returns the entries of the link variables that an earlier edit added: key, and JSON as it is.
    pub(crate) fn link_entries(&self) -> Result<Vec<(String, &'a [u8])>> {
        let mut links = Vec::new();
        for (raw, entry) in self.env.iter().zip(self.entries()?) {
            if self.is_injected(&entry) {
                links.push((key_of(&entry).to_owned(), self.original(raw)));
            }
        }
        Ok(links)
    }

    fn entries(&self) -> Result<Vec<Cow<'a, str>>> {
        let entry = |raw: &&'a RawValue| Ok(part::<Key<'a>>("process.env", raw)?.0);
        self.env.iter().map(entry).collect()
    }

    /// Returns the edited config.json.
    ///
    /// `variables` replace those of an earlier edit, and `hooks` (stage and hook) replace
    /// oci-link's hooks. Every other byte is that of the file. The runtime judges the rest of it;
    /// only the edit is checked, by reading it back.
    pub(crate) fn edited(&self, variables: &[Variable], hooks: &[(&str, Hook)]) -> Result<Vec<u8>> {
        let mut edits = vec![self.edit_env(variables)?, self.edit_hooks(hooks)?];
        edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        let mut edited = self.bytes.to_vec();
        for (range, new) in edits {
            edited.splice(range, new);
        }
        self.check(&edited, variables, hooks)?;
        Ok(edited)
    }

    /// Checks that `edited` has the variables and hooks that it is meant to have.
    fn check(&self, edited: &[u8], variables: &[Variable], hooks: &[(&str, Hook)]) -> Result<()> {
        let text = json::text(edited);
        let again = ConfigJson::parse(edited, &text)?;
        let mut meant: Vec<String> = Vec::new();
        for entry in self.entries()? {
            meant.extend((!self.is_injected(&entry)).then(|| entry.into_owned()));
        }
        meant.extend(variables.iter().map(ToString::to_string));
        let stages = again.top.get("hooks").map(hooks_of).transpose()?.unwrap_or_default();
        let mut holds = again.entries()? == meant;
        for (stage, hook) in hooks {
            let there = stages.iter().filter(|(name, _)| name == stage).flat_map(|(_, list)| list);
            let new = to_json(hook)?;
            // The program may have another name than the one that `is_ours` knows.
            let ours = there.filter(|raw| is_ours(raw) || raw.get() == new);
            holds &= ours.map(|raw| raw.get()).collect::<Vec<_>>() == [new];
        }
        if holds {
            return Ok(());
        }
        Err(Error::new(Kind::Internal, "config.json: the edit cannot be read back"))
    }

    fn is_injected(&self, entry: &str) -> bool {
        self.injected.iter().any(|name| name == key_of(entry))
    }

    /// The bytes of the file from which `raw` was parsed.
    fn original(&self, raw: &RawValue) -> &'a [u8] {
        self.bytes.get(span(self.text, raw)).unwrap_or_default()
    }

    fn edit_env(&self, variables: &[Variable]) -> Result<Edit> {
        let process = only(&self.top, "process", "process")?
            .ok_or_else(|| Error::new(Kind::Input, "config.json has no process"))?;
        let members: Members<'a> = part("process", process)?;
        let env = only(&members, "env", "process.env")?;
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for (raw, entry) in self.env.iter().zip(self.entries()?) {
            if !self.is_injected(&entry) {
                entries.push(self.original(raw).to_vec());
            }
        }
        for variable in variables {
            entries.push(to_json(&variable.to_string())?.into_bytes());
        }
        Ok(match env {
            Some(raw) => (span(self.text, raw), array(raw.get(), &entries)),
            None => {
                let brace = span(self.text, process).start;
                self.added(brace, &members, "env", &array("[]", &entries))
            }
        })
    }

    fn edit_hooks(&self, hooks: &[(&str, Hook)]) -> Result<Edit> {
        let old = only(&self.top, "hooks", "hooks")?;
        let there = old.map(hooks_of).transpose()?.unwrap_or_default();
        let mut stages: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
        for (stage, list) in &there {
            if stages.iter().any(|(known, _)| known == stage) {
                return Err(twice(&format!("hooks.{}", stage.escape_default())));
            }
            stages.push((stage, list.iter().map(|raw| self.original(raw).to_vec()).collect()));
        }
        for (stage, hook) in hooks {
            there.iter().try_for_each(|(name, _)| spelled(name, stage))?;
            let list = there.iter().find(|(name, _)| name == stage);
            let list = with_ours(list.map_or(&[], |(_, list)| list.as_slice()));
            let ours = to_json(hook)?;
            let original = |raw: Option<&RawValue>| match raw {
                Some(raw) => self.original(raw).to_vec(),
                None => ours.clone().into_bytes(),
            };
            let entries = list.into_iter().map(original).collect();
            match stages.iter_mut().find(|(name, _)| name == stage) {
                Some((_, old)) => *old = entries,
                None => stages.push((stage, entries)),
            }
        }
        let mut all: Vec<Vec<u8>> = Vec::new();
        for (stage, entries) in stages {
            all.push([to_json(stage)?.as_bytes(), b": ", &array("[]", &entries)].concat());
        }
        let object = [b"{", all.join(&b", "[..]).as_slice(), b"}"].concat();
        Ok(match old {
            Some(raw) => (span(self.text, raw), object),
            None => {
                let brace = self.text.find('{').unwrap_or_default();
                self.added(brace, &self.top, "hooks", &object)
            }
        })
    }

    /// Adds a member at the end of the object with `members` whose opening brace is at `brace`. A
    /// runtime then finds a fault of the file where it is without the edit.
    fn added(&self, brace: usize, members: &Members<'a>, key: &str, value: &[u8]) -> Edit {
        let last = members.0.last().map(|(_, raw)| span(self.text, raw).end);
        let at = last.unwrap_or(brace + 1);
        // The spacing of the first member.
        let inside = &self.text[brace + 1..];
        let space = &inside[..inside.len() - inside.trim_start().len()];
        let (comma, space) = if last.is_some() { (",", space) } else { ("", "") };
        let key = format!("{comma}{space}\"{key}\": ");
        (at..at, [key.as_bytes(), value].concat())
    }
}

/// Returns the value of `key`, which an edit is about to change. It must not occur twice: runtimes
/// disagree on which of the two values counts. Nor may it occur with other capitals, which only runc reads.
fn only<'a>(members: &Members<'a>, key: &str, what: &str) -> Result<Option<&'a RawValue>> {
    members.0.iter().try_for_each(|(name, _)| spelled(name, key))?;
    let mut all = members.all(key);
    let first = all.next();
    if all.next().is_some() { Err(twice(what)) } else { Ok(first) }
}

/// Refuses a key that is `key` but for its capitals.
fn spelled(name: &str, key: &str) -> Result<()> {
    if json::has_other_capitals(name, key) {
        let message = format!("config.json has \"{name}\": write \"{key}\"");
        return Err(Error::new(Kind::Input, message));
    }
    Ok(())
}

fn twice(what: &str) -> Error {
    Error::new(Kind::Input, format!("config.json, {what}: occurs twice"))
}

/// The key of a variable, `KEY=value`.
pub(super) fn key_of(entry: &str) -> &str {
    entry.split('=').next().unwrap_or_default()
}

/// Formats `entries` as an array, with the spacing of the array `old`.
pub(super) fn array(old: &str, entries: &[Vec<u8>]) -> Vec<u8> {
    let inside = old.trim_start_matches('[').trim_end_matches(']');
    let before = &inside[..inside.len() - inside.trim_start().len()];
    let after = &inside[inside.trim_end().len()..];
    let multiline = before.contains('\n') && !inside.trim().is_empty();
    let (before, after) = if multiline { (before, after) } else { ("", "") };
    let separator = if multiline { format!(",{before}") } else { ", ".to_owned() };
    let entries = entries.join(separator.as_bytes());
    [b"[", before.as_bytes(), &entries, after.as_bytes(), b"]"].concat()
}

pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).context(Kind::Internal, || "cannot write JSON")
}

#[cfg(test)]
mod tests;
