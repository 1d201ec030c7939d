//! Converts files of the first Compose format, which has services at the top level. Compose
//! versions that support annotations do not read that format.

mod renamed;
mod volumes;

use super::nodes::{What, refusal};
use super::yaml::ComposeFile;
use crate::error::Result;

/// Keys that mark a mapping as a service. Each service of the first format has at least one of
/// them.
const SIGNS: [&str; 3] = ["image", "build", "extends"];

/// Returns the text with its services moved below `services` and its keys renamed, or `None` if the file already has
/// that key.
pub(crate) fn rewritten(document: &ComposeFile<'_>) -> Result<Option<String>> {
    if document.entry(document.root, "services").is_some() {
        return Ok(None);
    }
    let services = document.entries(document.root);
    let is_service = |id| SIGNS.iter().any(|key| document.entry(id, key).is_some());
    let first = services.first().filter(|_| document.entry(document.root, "version").is_none());
    let is_old =
        services.iter().all(|(_, value)| document.merged(*value).into_iter().any(is_service));
    if !is_old || first.is_none() {
        return Err(refusal(1, "no services: this is not a Compose file"));
    }
    let (text, volumes) = renamed::renamed(document)?;
    let document = ComposeFile::parse(&text)?;
    Ok(Some(below_services(&document, &volumes.lines())))
}

/// Moves everything from the first service on below a key `services`, behind a key `volumes` if there are any.
fn below_services(document: &ComposeFile<'_>, volumes: &[String]) -> String {
    let (root, text) = (document.node(document.root), document.text);
    if root.flow {
        let (before, after) = (&text[..root.range.start], &text[root.range.end..]);
        let volumes = match volumes {
            [] => String::new(),
            all => format!("\"volumes\": {{{}}}, ", all.join(", ")),
        };
        return format!("{before}{{{volumes}\"services\": {}}}{after}", &text[root.range.clone()]);
    }
    debug_assert!(matches!(root.what, What::Map(_)));
    let first = document.entries(document.root).first();
    let first = first.map_or(0, |(key, _)| document.node(*key).range.start);
    let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let start =
        if text[start..].starts_with('\u{feff}') { start + '\u{feff}'.len_utf8() } else { start };
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = text[..start].to_owned();
    if !volumes.is_empty() {
        new.extend(["volumes:", newline]);
        new.extend(volumes.iter().flat_map(|line| ["  ", line, newline]));
    }
    new.extend(["services:", newline]);
    for line in text[start..].split_inclusive('\n') {
        let ends = line.starts_with("...") || line.trim().is_empty();
        new.push_str(if ends { "" } else { "  " });
        new.push_str(line);
    }
    new
}
