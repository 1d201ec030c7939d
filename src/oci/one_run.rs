//! Hooks that are in config.json for one run of a container without links, until a hook puts the original
//! back.

use super::annotations::declares_links;
use super::edit::{ConfigJson, array, to_json};
use super::hooks::{RESTORES, hooks_of, is_for_one_run};
use super::json::{self, Members, part, span};
use crate::error::Result;
use oci_spec::runtime::Hook;

/// Whether config.json may have hooks for one run.
pub(crate) fn may_be_left(config: &[u8]) -> bool {
    json::text(config).contains(RESTORES)
}

/// Whether the hooks of a container with this config.json are for one run: it has no links, and no variables
/// of links that it had.
pub(crate) fn is_wanted(config: &[u8]) -> bool {
    let text = json::text(config);
    let has_variables =
        || ConfigJson::parse(config, &text).is_ok_and(|document| document.has_link_variables());
    !declares_links(config) && !has_variables()
}

/// Whether `edited` is `original` with oci-link's hooks for one run, and nothing else.
pub(crate) fn adds_hooks(original: &[u8], edited: &[u8]) -> bool {
    let (before, after) = (json::text(original), json::text(edited));
    let repeated = || -> Result<Option<Vec<u8>>> {
        let top: Members<'_> = json::config(&after)?;
        let stages = top.get("hooks").map(hooks_of).transpose()?.unwrap_or_default();
        let mut ours: Vec<(&str, Hook)> = Vec::new();
        for (stage, list) in &stages {
            for raw in list.iter().filter(|raw| is_for_one_run(raw)) {
                ours.push((stage, part("hooks", raw)?));
            }
        }
        let document = ConfigJson::parse(original, &before)?;
        if ours.is_empty() { Ok(None) } else { document.edited(&[], &ours).map(Some) }
    };
    repeated().is_ok_and(|repeated| repeated.as_deref() == Some(edited))
}

/// Returns config.json without the hooks for one run. `None` if it has none.
pub(crate) fn without_hooks(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let text = json::text(bytes);
    let top: Members<'_> = json::config(&text)?;
    let Some(at) = top.0.iter().rposition(|(key, _)| key == "hooks") else { return Ok(None) };
    let (mut kept, mut has_any) = (Vec::new(), false);
    let (_, hooks) = top.0[at];
    for (stage, list) in hooks_of(hooks)? {
        let others: Vec<Vec<u8>> = list
            .iter()
            .filter(|raw| !is_for_one_run(raw))
            .map(|raw| bytes.get(span(&text, raw)).unwrap_or_default().to_vec())
            .collect();
        let had = others.len() < list.len();
        has_any |= had;
        if !had || !others.is_empty() {
            let list = array("[]", &others);
            kept.push([to_json(&*stage)?.as_bytes(), b": ", &list].concat());
        }
    }
    let place = span(&text, hooks);
    let mut cleaned = bytes.to_vec();
    if kept.is_empty() {
        // The member goes with the comma in front of it. Edits add it at the end.
        let before = at.checked_sub(1).map(|before| span(&text, top.0[before].1).end);
        let start = before.unwrap_or_else(|| text.find('{').map_or(0, |brace| brace + 1));
        let rest = text.get(place.end..).unwrap_or_default();
        let comma = usize::from(before.is_none() && rest.trim_start().starts_with(','));
        let spaces = if comma == 1 { rest.len() - rest.trim_start().len() } else { 0 };
        cleaned.drain(start..place.end + spaces + comma);
    } else {
        cleaned.splice(place, [b"{", kept.join(&b", "[..]).as_slice(), b"}"].concat());
    }
    Ok(has_any.then_some(cleaned))
}

#[cfg(test)]
mod tests;
