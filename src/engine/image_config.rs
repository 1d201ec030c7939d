//! The part of an image's configuration that links need (OCI image spec, config.md).
//!
//! Docker stores a container's own configuration, merged from image and command line, in the same
//! form.

use super::known;
use crate::model::{PortSet, Variable};
use crate::oci::json::Key;
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Limit of exposed ports; no real image has more.
const MAX_PORTS: usize = 4096;

/// `Config` in Docker's config.v2.json, or `config` of an image.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config<'a> {
    /// Not set in images.
    #[serde(borrow, default)]
    pub(crate) hostname: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    exposed_ports: Option<Exposed<'a>>,
    #[serde(borrow, default)]
    env: Option<Vec<Key<'a>>>,
}

impl Config<'_> {
    /// Returns the exposed ports; entries that a link cannot use, such as other protocols, are left
    /// out.
    pub(crate) fn ports(&self) -> PortSet {
        self.exposed_ports.as_ref().map(Exposed::ports).unwrap_or_default()
    }

    pub(crate) fn environment(&self) -> Vec<Variable> {
        let entries = self.env.iter().flatten();
        entries.filter_map(|entry| Variable::parse(&entry.0)).collect()
    }
}

/// The keys of an object such as `{"80/tcp": {}, "7000-7010/udp": {}}`.
pub(super) struct Exposed<'a>(Vec<Cow<'a, str>>);

impl Exposed<'_> {
    pub(crate) fn ports(&self) -> PortSet {
        let understood: Vec<&str> = self
            .0
            .iter()
            .map(|item| &**item)
            .filter(|item| known(PortSet::parse(item)).is_some())
            .collect();
        known(PortSet::parse(&understood.join(","))).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Exposed<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Exposed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with ports for keys")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut all = Vec::new();
                while let Some((Key(port), IgnoredAny)) = map.next_entry()? {
                    if all.len() == MAX_PORTS {
                        return Err(M::Error::custom("more than 4096 exposed ports"));
                    }
                    all.push(port);
                }
                Ok(Exposed(all))
            }
        }
        input.deserialize_map(Keys)
    }
}
