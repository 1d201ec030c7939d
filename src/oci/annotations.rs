//! The annotations that declare links.

use crate::error::{Error, Kind, Result};
use crate::model::{ContainerName, EnvFilter, Invalid, Link, Missing, PortSet, parse_links};
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Prefix of all annotations of oci-link.
pub(crate) const PREFIX: &str = "org.oci-link.";
/// The keys of all annotations of oci-link, without the prefix. [`Declared`] has their values.
#[cfg(test)]
const KEYS: [&str; 5] = ["links", "name", "ports", "env", "missing"];
/// The annotation in which image tools (umoci) store an image's EXPOSE.
const IMAGE_PORTS: &str = "org.opencontainers.image.exposedPorts";
/// Limit of annotations per container. Kubernetes allows 256 KiB of annotations per object.
const MAX_COUNT: usize = 4096;
/// Size limit of one oci-link annotation, in bytes.
const MAX_VALUE: usize = 64 * 1024;

/// Whether the text of a config.json asks for links or isolation. Never fails; what is no config.json
/// asks for nothing.
pub(crate) fn declares_links(config: &[u8]) -> bool {
    /// Keeps our two values of any number of annotations.
    #[derive(Default, Deserialize)]
    struct Ours {
        #[serde(default, rename = "org.oci-link.links")]
        links: Option<String>,
        #[serde(default, rename = "org.oci-link.isolate")]
        isolate: Option<String>,
    }
    #[derive(Deserialize)]
    struct Spec<T> {
        annotations: Option<T>,
    }
    let asks = |value: &str| value.trim() != "none";
    match serde_json::from_slice::<Spec<Ours>>(config) {
        Ok(spec) => {
            let Ours { links, isolate } = spec.annotations.unwrap_or_default();
            links.as_deref().is_some_and(asks) || isolate.as_deref().is_some_and(asks)
        }
        // A doubled key, or a value that is no string: every value counts.
        Err(_) => {
            let spec = serde_json::from_slice::<Spec<BTreeMap<String, serde_json::Value>>>(config);
            let all = spec.ok().and_then(|spec| spec.annotations).unwrap_or_default();
            let value = |key: &str| all.get(&format!("{PREFIX}{key}"));
            let given = |key| value(key).is_some_and(|value| value.as_str().is_none_or(asks));
            given("links") || given("isolate")
        }
    }
}

/// All annotations of one container.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations(BTreeMap<String, String>);

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
}

impl Annotations {
    /// Parses oci-link's annotations. A value that is not valid is an error.
    pub(crate) fn declared(&self) -> Result<Declared> {
        let ours = |name: &str| self.ours(name);
        Ok(Declared {
            links: ours("links")?.map(parse_links).transpose()?.unwrap_or_default(),
            name: ours("name")?.map(ContainerName::new).transpose()?,
            ports: match ours("ports")? {
                Some(value) => Some(PortSet::parse(value)?),
                None => self.image_ports(),
            },
            env: ours("env")?.map(EnvFilter::parse).transpose()?.unwrap_or_default(),
            missing: ours("missing")?.map(Missing::parse).transpose()?.unwrap_or_default(),
        })
    }

    /// Returns the value of any annotation, by its full key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn ours(&self, name: &str) -> Result<Option<&str>> {
        match self.0.get(&format!("{PREFIX}{name}")) {
            Some(value) if value.len() > MAX_VALUE => {
                Err(Invalid::new("annotation", value, "longer than 64 KiB").into())
            }
            value => Ok(value.map(String::as_str)),
        }
    }

    /// Returns the image's exposed ports.
    ///
    /// The format belongs to other tools, so a value that cannot be parsed is logged and ignored.
    fn image_ports(&self) -> Option<PortSet> {
        let value = self.0.get(IMAGE_PORTS)?;
        PortSet::parse(value).inspect_err(|error| log::warn!("{IMAGE_PORTS} ignored: {error}")).ok()
    }

    /// Checks that the state and config.json have the same oci-link annotations and image ports.
    ///
    /// A difference means that one of them changed after the runtime read the other. Acting on it
    /// would link a container that was never started that way, so it is refused as unsafe.
    pub(crate) fn must_agree(&self, state: &Self) -> Result<()> {
        let ours = |all: &'_ Self| -> Vec<(String, String)> {
            let counts = |key: &str| key.starts_with(PREFIX) || key == IMAGE_PORTS;
            all.0
                .iter()
                .filter(|(key, _)| counts(key))
                .map(|(k, v)| (k.clone(), v.clone()))
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
        Err(Error::new(Kind::Unsafe, error.to_string()))
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
                let mut all = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<Cow<'de, str>, Cow<'de, str>>()? {
                    if all.len() == MAX_COUNT {
                        return Err(M::Error::custom("more than 4096 annotations"));
                    }
                    if all.insert(key.clone().into_owned(), value.into_owned()).is_some() {
                        return Err(M::Error::custom(format_args!("duplicate annotation {key:?}")));
                    }
                }
                Ok(Annotations(all))
            }
        }
        input.deserialize_any(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_are_read() {
        let source = include_str!("annotations.rs");
        let declared = source.split("pub(crate) fn declared").nth(1).unwrap();
        let declared = declared.split("/// Returns the value of any").next().unwrap();
        let read: Vec<&str> =
            declared.split("ours(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(read, KEYS, "Annotations::declared and KEYS differ");
        for key in KEYS {
            let documented = source.contains(&format!("/// `{PREFIX}{key}`"));
            assert!(documented, "Declared has no field for {PREFIX}{key}");
            for (name, text) in [
                ("README.md", include_str!("../../README.md")),
                ("annotations.7", include_str!("../commands/man/oci-link-annotations.7")),
            ] {
                assert!(text.replace('\\', "").contains(key), "{name} lacks {key}");
            }
        }
    }

    fn annotations(pairs: &[(&str, &str)]) -> Annotations {
        Annotations(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn our_ports_win_over_the_images() {
        let both = [(IMAGE_PORTS, "80/tcp"), ("org.oci-link.ports", "none")];
        let ports =
            |pairs: &[_]| annotations(pairs).declared().unwrap().ports.map(|p| p.is_empty());
        assert_eq!(ports(&both), Some(true));
        assert_eq!(ports(&both[..1]), Some(false));
        assert_eq!(ports(&[(IMAGE_PORTS, "what?")]), None);
        assert_eq!(ports(&[]), None);
    }

    #[test]
    fn a_bad_value_of_ours_is_an_error() {
        for (key, value) in
            [("links", ""), ("links", "a:b:c"), ("name", "a b"), ("ports", "x"), ("missing", "x")]
        {
            let key = format!("{PREFIX}{key}");
            assert!(annotations(&[(&key, value)]).declared().is_err(), "{key}={value}");
        }
        for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
            let value = format!("db{}", " ".repeat(length - 2));
            let outcome = annotations(&[("org.oci-link.links", &value)]).declared();
            assert_eq!(outcome.is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn state_and_config_must_agree_on_ours() {
        let config = annotations(&[("org.oci-link.links", "db"), ("other", "1")]);
        assert!(config.must_agree(&annotations(&[("org.oci-link.links", "db")])).is_ok());
        assert!(config.must_agree(&annotations(&[("org.oci-link.links", "dc")])).is_err());
        assert!(config.must_agree(&annotations(&[])).is_err());
        assert!(annotations(&[]).must_agree(&config).is_err());
        let image = annotations(&[(IMAGE_PORTS, "80/tcp")]);
        assert!(image.must_agree(&annotations(&[(IMAGE_PORTS, "81/tcp")])).is_err());
    }

    #[test]
    fn bounded_and_unique() {
        let many = |count| {
            let members: Vec<_> = (0..count).map(|n| format!("\"k{n}\":\"v\"")).collect();
            serde_json::from_str::<Annotations>(&format!("{{{}}}", members.join(",")))
        };
        assert!(many(MAX_COUNT).is_ok());
        assert!(many(MAX_COUNT + 1).is_err());
        assert!(serde_json::from_str::<Annotations>(r#"{"a":"1","a":"1"}"#).is_err());
        assert!(serde_json::from_str::<Annotations>("null").is_ok());
    }
}
