//! The annotations that declare links.

mod pods;

use super::json::{self, Key, Members};
use super::spelling::nearest;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Admitted, ContainerName, EnvFilter, Invalid, Isolate, Link, Missing, PortSet, Share,
};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Prefix of all annotations of oci-link.
pub(crate) const PREFIX: &str = "org.oci-link.";
/// The keys of all annotations of oci-link, without the prefix. [`Declared`] has their values.
const KEYS: [&str; 8] = ["links", "name", "ports", "env", "missing", "from", "isolate", "share"];
/// The annotation in which image tools (umoci) store an image's EXPOSE.
const IMAGE_PORTS: &str = "org.opencontainers.image.exposedPorts";
/// Prefixes of the annotations that oci-link or an engine's reader uses. Others are not stored.
const READ: [&str; 4] = [PREFIX, "org.opencontainers.image.", "io.", "nerdctl/"];
/// Size limit of one oci-link annotation, in bytes.
const MAX_VALUE: usize = 64 * 1024;

/// The annotations of one container that oci-link reads.
///
/// A key has several values if config.json has it several times with different values: runc takes
/// the last one and crun the first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations(BTreeMap<String, Vec<String>>);

/// The values of oci-link's annotations; defaults where an annotation is missing.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// `org.oci-link.links`.
    pub(crate) links: Vec<Link>,
    /// `org.oci-link.name`.
    pub(crate) name: Option<ContainerName>,
    /// `org.oci-link.ports`, or else the image's ports.
    pub(crate) ports: Option<PortSet>,
    /// `org.oci-link.env`.
    pub(crate) env: EnvFilter,
    /// `org.oci-link.missing`.
    pub(crate) missing: Missing,
    /// `org.oci-link.from`.
    pub(crate) admitted: Admitted,
    /// `org.oci-link.isolate`.
    pub(crate) isolate: Option<Isolate>,
    /// `org.oci-link.share`.
    pub(crate) share: Share,
}

/// Whether the container of a config.json asks for links or for isolation, so that it must not start
/// without them.
///
/// This is true for every value of `org.oci-link.links` except `none`, also for one that is refused,
/// and for `org.oci-link.isolate` with the value `in`, `out` or `both`. If a key occurs several
/// times, one such value is enough. Never fails: bytes that are not a JSON object declare no links,
/// so the result is false.
pub(crate) fn declares_links(config_json: &[u8]) -> bool {
    let text = json::text(config_json);
    let top: Members<'_> = json::config(&text).unwrap_or_default();
    Annotations::of(&top).declare_links()
}

/// Whether an annotation asks for links or isolation.
pub(crate) fn asks_for_links(key: &str, value: &str) -> bool {
    match key.strip_prefix(PREFIX) {
        Some("links") => value.trim() != "none",
        Some("isolate") => Isolate::is_asked_by(value),
        _ => false,
    }
}

/// The known key that an unknown key of ours resembles; empty if there is none. `None` if the key is
/// known, is for one container of a pod, or is not ours.
pub(crate) fn misspelt(key: &str) -> Option<String> {
    let name = key.strip_prefix(PREFIX)?;
    if name.contains('/') || KEYS.contains(&name) {
        return None;
    }
    Some(nearest(name, &KEYS).map_or_else(String::new, |near| format!("{PREFIX}{near}")))
}

impl Annotations {
    /// Reads the annotations of a config.json. Values that are not strings are skipped.
    pub(crate) fn of(config: &Members<'_>) -> Self {
        let mut all = Self::default();
        for raw in config.all("annotations") {
            let more: Self = json::lenient(Some(raw));
            for (key, values) in more.0 {
                for value in values {
                    all.add(key.clone(), value);
                }
            }
        }
        all
    }

    /// Reads the annotations of a container state, without empty ones: runc reports an annotation that
    /// is null as an empty one.
    pub(crate) fn reported(state: Option<&RawValue>) -> Self {
        let mut all: Self = json::lenient(state);
        all.0.retain(|_, values| values.iter().any(|value| !value.is_empty()));
        all
    }

    fn add(&mut self, key: String, value: String) {
        let values = self.0.entry(key).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// Whether the container asks for links or isolation, see [`declares_links`].
    pub(crate) fn declare_links(&self) -> bool {
        let isolates = |value: &String| Isolate::is_asked_by(value);
        !self.is_sandbox()
            && (self.values("links").iter().any(|value| self.asks_for(value))
                || self.values("isolate").iter().any(isolates))
    }

    /// Whether the container has the annotation `links`, with whatever value.
    pub(crate) fn name_links(&self) -> bool {
        !self.values("links").is_empty()
    }

    /// Parses oci-link's annotations.
    ///
    /// A value that is not valid, or an unknown key, is an error if the container declares links.
    /// Otherwise it is logged: then no ports and no variables are published in place of bad values
    /// of `ports` and `env`.
    pub(crate) fn declared(&self) -> Result<Declared> {
        let strict = self.declare_links();
        self.check_keys(strict)?;
        let value = |name: &str| self.value(name);
        let name = usable(strict, value("name"), ContainerName::new)?;
        let ports = usable(strict, value("ports"), PortSet::parse)?;
        let env = usable(strict, value("env"), EnvFilter::parse)?;
        let missing = usable(strict, value("missing"), Missing::parse)?;
        let isolate = usable(strict, value("isolate"), Isolate::parse)?;
        let share = usable(strict, value("share"), Share::parse)?;
        let name = name.good();
        let links = value("links")?.map(|links| self.links_of(links, name.as_ref())).transpose()?;
        Ok(Declared {
            links: links.unwrap_or_default(),
            name,
            // A value that is not valid admits none, and stops no container.
            admitted: usable(false, value("from"), Admitted::parse)?.good().unwrap_or_default(),
            ports: match ports {
                Value::Good(ports) => Some(ports),
                Value::Missing => self.image_ports(),
                Value::Bad => Some(PortSet::default()),
            },
            env: match env {
                Value::Bad => EnvFilter::parse("none")?,
                env => env.good().unwrap_or_default(),
            },
            missing: missing.good().unwrap_or_default(),
            isolate: isolate.good().flatten(),
            share: share.good().unwrap_or_default(),
        })
    }

    /// Returns the value of any annotation, by its full key. Of several values it is the last.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|values| values.last()).map(String::as_str)
    }

    /// Returns the value of any annotation, by its full key, if it has one value only.
    fn only(&self, key: &str) -> Option<&str> {
        match self.0.get(key).map(Vec::as_slice) {
            Some([value]) => Some(value),
            _ => None,
        }
    }

    /// Returns the only value of an annotation of ours.
    fn value(&self, name: &str) -> std::result::Result<Option<&str>, Invalid> {
        match self.values(name) {
            [] => Ok(None),
            [value] if value.len() > MAX_VALUE => {
                Err(Invalid::new("annotation", value, "longer than 64 KiB"))
            }
            [value] => Ok(Some(value)),
            _ => {
                let key = format!("{PREFIX}{name}");
                Err(Invalid::new("annotation", &key, "occurs twice with different values"))
            }
        }
    }

    /// Reports keys of ours that are unknown. A key with a slash is for one container of a pod.
    fn check_keys(&self, strict: bool) -> Result<()> {
        let ours = self.0.keys().filter_map(|key| key.strip_prefix(PREFIX));
        for name in ours.filter(|name| !name.contains('/')) {
            let key = format!("{PREFIX}{name}");
            let Some(meant) = misspelt(&key) else { continue };
            let error = Invalid::new("annotation", &key, "unknown key");
            let message = match meant.as_str() {
                "" => error.to_string(),
                near => format!("{error}: did you mean {near}?"),
            };
            tolerate(strict, Err(Error::new(Kind::Input, message)))?;
        }
        Ok(())
    }

    /// Returns the image's exposed ports.
    ///
    /// The format belongs to other tools, so a value that cannot be parsed is logged and ignored.
    fn image_ports(&self) -> Option<PortSet> {
        let value = self.get(IMAGE_PORTS)?;
        PortSet::parse(value).inspect_err(|error| log::warn!("{IMAGE_PORTS} ignored: {error}")).ok()
    }

    /// Checks that the state and config.json have the same oci-link annotations and image ports.
    ///
    /// A difference means that one of them changed after the runtime read the other, or that the
    /// runtime reads a doubled key in another way. Acting on it would link a container that was
    /// never started that way, so it is refused as unsafe if one of the two declares links.
    pub(crate) fn must_agree(&self, state: &Self) -> Result<()> {
        let ours = |all: &Self| -> Vec<(String, Vec<String>)> {
            let counts = |key: &str| key.starts_with(PREFIX) || key == IMAGE_PORTS;
            // runc reports an annotation that is null as an empty one.
            let is_set = |values: &[String]| values.iter().any(|value| !value.is_empty());
            all.0
                .iter()
                .filter(|(key, values)| counts(key) && is_set(values))
                .map(|(key, values)| (key.clone(), values.clone()))
                .collect()
        };
        let (here, there) = (ours(self), ours(state));
        let Some((key, _)) = here
            .iter()
            .find(|pair| !there.contains(pair))
            .or(there.iter().find(|pair| !here.contains(pair)))
        else {
            return Ok(());
        };
        let error = Invalid::new("annotation", key, "differs between the state and config.json");
        let strict = self.declare_links() || state.declare_links();
        tolerate(strict, Err(Error::new(Kind::Unsafe, error.to_string())))
    }
}

/// Returns an error of a container with links, and logs that of another one.
fn tolerate(strict: bool, result: Result<()>) -> Result<()> {
    match result {
        Err(error) if !strict => {
            log::warn!("ignored: {error}");
            Ok(())
        }
        result => result,
    }
}

/// What became of a value.
enum Value<T> {
    /// It is valid.
    Good(T),
    /// There is none.
    Missing,
    /// It is not valid, and the container declares no links.
    Bad,
}

impl<T> Value<T> {
    fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Missing | Self::Bad => None,
        }
    }
}

/// Parses a value. A bad one is an error if the container declares links.
fn usable<T>(
    strict: bool,
    value: std::result::Result<Option<&str>, Invalid>,
    parse: impl FnOnce(&str) -> std::result::Result<T, Invalid>,
) -> Result<Value<T>> {
    match value.and_then(|value| value.map(parse).transpose()) {
        Ok(Some(value)) => Ok(Value::Good(value)),
        Ok(None) => Ok(Value::Missing),
        Err(error) => tolerate(strict, Err(error.into())).map(|()| Value::Bad),
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
                Ok(Annotations::default())
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> std::result::Result<Self::Value, M::Error> {
                let mut all = Annotations::default();
                while let Some(Key(key)) = map.next_key()? {
                    if !READ.iter().any(|prefix| key.starts_with(prefix)) {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let raw: &RawValue = map.next_value()?;
                    let text: Option<Key<'_>> = serde_json::from_str(raw.get()).ok();
                    if let Some(Key(value)) = text {
                        all.add(key.into_owned(), value.into_owned());
                    }
                }
                Ok(all)
            }
        }
        input.deserialize_any(Collect)
    }
}

#[cfg(test)]
mod tests;
