//! Converts files of the first Compose format, which has services at the top level. Compose
//! versions that support annotations do not read that format.

use super::nodes::{What, refusal};
use super::yaml::ComposeFile;
use crate::error::Result;

/// Keys that mark a mapping as a service. Each service of the first format has at least one of
/// them.
const SIGNS: [&str; 3] = ["image", "build", "extends"];
/// Keys that have another name or place in later formats.
const RENAMED: [&str; 5] = ["net", "log_driver", "log_opt", "dockerfile", "volume_driver"];

/// Returns the text with its services moved below `services`, or `None` if the file already has
/// that key.
pub(crate) fn rewritten(document: &ComposeFile<'_>) -> Result<Option<String>> {
    let root = document.node(document.root);
    if document.entry(document.root, "services").is_some() {
        return Ok(None);
    }
    let services = document.entries(document.root);
    let is_service = |id| SIGNS.iter().any(|key| document.entry(id, key).is_some());
    let first = services.first().filter(|_| document.entry(document.root, "version").is_none());
    let is_old =
        services.iter().all(|(_, value)| document.merged(*value).into_iter().any(is_service));
    let Some((first, _)) = first.filter(|_| is_old) else {
        return Err(refusal(1, "no services: this is not a Compose file"));
    };
    for (name, service) in services {
        for key in RENAMED {
            if let Some((at, _)) = document.entry(document.target(*service), key) {
                let name = document.key(*name);
                let message =
                    format!("service {name:?}: {key} is a key of Compose version 1: rename it");
                return Err(refusal(document.line(at), message));
            }
        }
    }
    let text = document.text;
    if root.flow {
        let (before, after) = (&text[..root.range.start], &text[root.range.end..]);
        return Ok(Some(format!("{before}{{\"services\": {}}}{after}", &text[root.range.clone()])));
    }
    debug_assert!(matches!(root.what, What::Map(_)));
    let start = text[..document.node(*first).range.start].rfind('\n').map_or(0, |at| at + 1);
    let start =
        if text[start..].starts_with('\u{feff}') { start + '\u{feff}'.len_utf8() } else { start };
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = format!("{}services:{newline}", &text[..start]);
    for line in text[start..].split_inclusive('\n') {
        let ends = line.starts_with("...") || line.trim().is_empty();
        new.push_str(if ends { "" } else { "  " });
        new.push_str(line);
    }
    Ok(Some(new))
}
