//! The value of the annotation `org.oci-link.links` that stands for the links of a call.

use crate::model::{Alias, Invalid, Link};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The annotation, as an option's value begins.
pub(crate) const KEY: &[u8] = b"org.oci-link.links=";

/// Links in order, each alias once.
#[derive(Debug, Default)]
pub(crate) struct Links {
    items: Vec<Vec<u8>>,
    aliases: Vec<Alias>,
}

impl Links {
    /// The links of an annotation's value, as they are; `none` stands for no links.
    pub(crate) fn of_annotation(value: &[u8]) -> Self {
        let mut links = Self::default();
        for item in items(value).filter(|_| value.trim_ascii() != b"none") {
            let link = std::str::from_utf8(item).ok().and_then(|item| Link::parse(item).ok());
            links.aliases.extend(link.map(|link| link.alias));
            links.items.push(item.to_owned());
        }
        links
    }

    /// Adds the link of one `--link`, unless its alias is there already: Docker takes the first.
    ///
    /// An error is a link that the annotation cannot express.
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<(), Invalid> {
        let (item, link) = normalised(value)?;
        if !self.aliases.iter().any(|alias| alias.same_host(link.alias.as_str())) {
            self.items.push(item.into_bytes());
            self.aliases.push(link.alias);
        }
        Ok(())
    }

    /// The value of an option `--annotation`. Links are separated by blanks, because podman 4 splits
    /// the value at commas.
    pub(crate) fn annotation(&self) -> OsString {
        OsString::from_vec([KEY, &self.items.join(&b' ')].concat())
    }

    /// Whether an annotation's value can be the links alone. podman 4 reads several annotations from
    /// one value, separated by commas, and podman 5 reads one.
    pub(crate) fn is_only_links(value: &[u8]) -> bool {
        !items(value).any(|item| item.contains(&b'=') || item.contains(&b'"'))
    }
}

fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| b", \t\n".contains(byte)).filter(|item| !item.is_empty())
}

/// A link as the annotation expresses it: `/a:/b/c`, which `docker inspect` prints, is `a:c`.
fn normalised(value: &[u8]) -> Result<(String, Link), Invalid> {
    let text = String::from_utf8_lossy(value);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        return Err(Invalid::new("link", &text, "not UTF-8"));
    }
    let source = text.strip_prefix('/').unwrap_or(&text);
    let item = match source.split_once(':') {
        Some((source, alias)) if alias.starts_with('/') => {
            format!("{source}:{}", alias.rsplit('/').next().unwrap_or_default())
        }
        // As an annotation, this word alone means that there are no links.
        None if source == "none" => "none:none".to_owned(),
        _ => source.to_owned(),
    };
    let link = Link::parse(&item)?;
    Ok((item, link))
}
