//! Our section of config.toml, between two marker lines. It records the default runtime that it
//! replaced.

use super::{V2, with_cgroups};
use crate::configure::toml_text::{TomlText, line_of};
use crate::configure::{Registering, template};
use crate::error::{Error, Kind, Result};

pub(crate) const CRI_V2: &str = "io.containerd.grpc.v1.cri";
pub(crate) const CRI_V3: &str = "io.containerd.cri.v1.runtime";

const BEGIN: &str = "\n# BEGIN oci-link\n";
const END: &str = "# END oci-link\n";
const WAS: &str = "# default_runtime_name was ";
const KEY: &str = "default_runtime_name";

/// The TOML path of the runtimes of a CRI plugin.
pub(crate) fn runtimes(cri: &str) -> [&str; 4] {
    ["plugins", cri, "containerd", "runtimes"]
}

/// Appends our section to the text. A runtime of the same name outside of our section is an error.
pub(crate) fn with(document: &TomlText<'_>, request: &Registering) -> Result<String> {
    let name = request.name.as_str();
    let there = document.keys(&runtimes(CRI_V2));
    if there.iter().any(|runtime| runtime == name) {
        let message = format!("config.toml: runtime {name} exists and is not oci-link");
        return Err(Error::new(Kind::Unsafe, message));
    }
    let mut text = document.text.to_owned();
    let mut settings = request.clone();
    let mut memory = String::new();
    if request.default {
        let table = &runtimes(CRI_V2)[..3];
        if let Some((_, span)) = document.get(&[table, &[KEY]].concat()) {
            memory = format!("{WAS}{}\n", &text[span.clone()]);
            text.replace_range(span, &format!("\"{name}\""));
            settings.default = false;
        } else if let Some(at) = document.end_of_header(table) {
            memory = format!("{WAS}not set\n");
            text.insert_str(at, &line(name));
            settings.default = false;
        }
    }
    let part = sections(&template::runtime(V2, &settings)?, document, &there);
    let begin = if text.is_empty() { BEGIN.trim_start() } else { BEGIN };
    Ok(text + begin + &memory + &with_cgroups(part, document, CRI_V2) + END)
}

/// The parts of the template that config.toml lacks. The version is added to an empty file only.
/// runc is added if no runtime is configured.
fn sections(template: &str, document: &TomlText<'_>, there: &[String]) -> String {
    let sections = template.split_inclusive("\n\n").enumerate().filter(|(place, section)| {
        let version = *place == 0;
        let runc = section.contains("runtimes.runc]");
        (document.is_empty() || !version) && (there.is_empty() || !runc)
    });
    sections.map(|(_, section)| section).collect()
}

/// Returns the text without our section, and restores the previous default runtime.
pub(crate) fn without(text: &str) -> Result<String> {
    let alone = text.strip_prefix(BEGIN.trim_start()).map(|ours| ("", ours));
    let Some((before, ours)) = alone.or_else(|| text.split_once(BEGIN)) else {
        return Ok(text.to_owned());
    };
    let Some((ours, after)) = ours.split_once(END) else {
        let message = "config.toml: # BEGIN oci-link without # END oci-link";
        return Err(Error::new(Kind::Input, message));
    };
    let text = before.to_owned() + after;
    let was = ours.lines().find_map(|line| line.strip_prefix(WAS));
    match (was, our_name(ours)) {
        (Some(was), Some(name)) => restored(text, was, name),
        _ => Ok(text),
    }
}

/// The name of the runtime in our section.
fn our_name(part: &str) -> Option<&str> {
    let header = format!("[plugins.\"{CRI_V2}\".containerd.runtimes.");
    let mut names = part.lines().filter_map(|line| line.strip_prefix(&header)?.strip_suffix(']'));
    names.rfind(|name| *name != "runc" && !name.contains('.'))
}

/// Restores the default runtime that our section replaced.
fn restored(text: String, was: &str, name: &str) -> Result<String> {
    let path = [&runtimes(CRI_V2)[..3], &[KEY]].concat();
    let document = TomlText::parse(std::path::Path::new("config.toml"), &text)?;
    let found = document.get(&path).map(|(value, span)| (value.as_str() == Some(name), span));
    // The default may have been changed to another runtime since; then it stays.
    let Some((true, span)) = found else { return Ok(text) };
    let mut text = text;
    if was == "not set" {
        let whole = line_of(&text, span.start);
        if text[whole.clone()] == line(name) {
            text.replace_range(whole, "");
        }
    } else {
        text.replace_range(span, was);
    }
    Ok(text)
}

fn line(name: &str) -> String {
    format!("{KEY} = \"{name}\"\n")
}
