//! The part of an image's configuration that links need (OCI image spec, config.md).
//!
//! Docker stores a container's own configuration, merged from image and command line, in the same
//! form.

use super::{fitting, known};
use crate::model::{PortRange, PortSet, Variable};
use crate::oci::json::Key;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Limit of the ignored ports that the log names.
const MAX_NAMED: usize = 8;

/// `Config` in Docker's config.v2.json, or `config` of an image.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config<'a> {
    /// Not set in images.
    #[serde(borrow, default)]
    pub(crate) hostname: Option<Cow<'a, str>>,
    #[serde(default)]
    exposed_ports: Option<Exposed>,
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

/// The keys of an object such as `{"80/tcp": {}, "7000-7010/udp": {}}`, as far as a link can use them.
///
/// Engines list the ports of a range one by one, so there may be many.
pub(super) struct Exposed(Vec<PortRange>);

impl Exposed {
    pub(crate) fn ports(&self) -> PortSet {
        fitting(self.0.iter().copied())
    }
}

impl<'de> Deserialize<'de> for Exposed {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Exposed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with ports for keys")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let (mut all, mut ignored) = (Vec::new(), 0_usize);
                while let Some((Key(port), IgnoredAny)) = map.next_entry()? {
                    let range = PortRange::parse(&port);
                    if range.is_err() {
                        ignored += 1;
                    }
                    let named = ignored <= MAX_NAMED;
                    all.extend(if named { known(range) } else { range.ok() });
                }
                if ignored > MAX_NAMED {
                    log::warn!("ignored: {} more exposed ports", ignored - MAX_NAMED);
                }
                Ok(Exposed(all))
            }
        }
        input.deserialize_map(Keys)
    }
}
