//! The isolation in a stored record.

use crate::model::{BridgeName, BridgePort, Invalid, Isolate, Isolation};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredIsolation {
    /// The value of the annotation.
    directions: String,
    /// Index and bridge of each port.
    ports: Vec<(u32, String)>,
}

impl From<&Isolation> for StoredIsolation {
    fn from(isolation: &Isolation) -> Self {
        let ports = isolation.ports.iter().map(|port| (port.index, port.bridge.to_string()));
        Self { directions: isolation.directions.to_string(), ports: ports.collect() }
    }
}

impl TryFrom<&StoredIsolation> for Isolation {
    type Error = Invalid;

    fn try_from(stored: &StoredIsolation) -> Result<Self, Invalid> {
        let directions = Isolate::parse(&stored.directions)?;
        let refuse = || Invalid::new("isolate", &stored.directions, "want in, out or both");
        let port = |(index, bridge): &(u32, String)| -> Result<BridgePort, Invalid> {
            Ok(BridgePort { index: *index, bridge: BridgeName::new(bridge)? })
        };
        let ports = stored.ports.iter().map(port).collect::<Result<_, _>>()?;
        Ok(Self { directions: directions.ok_or_else(refuse)?, ports })
    }
}

#[cfg(test)]
mod tests {
    use crate::model::sample::record;
    use crate::model::{BridgeName, BridgePort, Isolate, Isolation};
    use crate::store::format::{decode, encode};

    #[test]
    fn an_isolation_is_read_as_it_was_written() {
        let plain = record("web", "", &["10.0.0.2/24"]);
        let bridge = BridgeName::new("br0").unwrap();
        for directions in [Isolate::In, Isolate::Out, Isolate::Both] {
            let ports = vec![BridgePort { index: 7, bridge }, BridgePort { index: 9, bridge }];
            let mut isolated = plain.clone();
            isolated.isolation = Some(Isolation { directions, ports });
            let text = encode(&isolated).unwrap();
            assert_eq!(decode(&text).unwrap(), isolated);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(r#""version":2"#), "an earlier version leaves it alone: {text}");
            let odd = text.replace(&format!("\"{directions}\""), "\"none\"");
            assert!(decode(odd.as_bytes()).is_err(), "{odd}");
        }
        let text = String::from_utf8(encode(&plain).unwrap()).unwrap();
        assert!(text.contains(r#""version":1"#) && !text.contains("isolation"), "{text}");
    }
}
