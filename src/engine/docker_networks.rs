//! Docker's files about the networks of two containers: `NetworkSettings.Networks` in config.v2.json.
//!
//! Docker writes the names of a container's networks before it calls the runtime, and the addresses of a
//! running one, after `docker network connect` too.

use super::docker_links::Networks;
use super::sources::Listing;
use crate::model::ContainerId;
use std::net::IpAddr;

impl Listing {
    /// Returns the addresses of the running container `source` on networks that the starting container
    /// `me` will be on too, by the engine's files. Empty if they do not say.
    pub(crate) fn shared_addresses(&self, me: &ContainerId, source: &ContainerId) -> Vec<IpAddr> {
        let Self::Docker(containers) = self else { return Vec::new() };
        let networks = |id: &ContainerId| Networks::of(containers, id.as_str());
        let both = networks(me).and_then(|ours| Ok((ours, networks(source)?)));
        match both {
            Ok((ours, theirs)) => theirs.shared_with(&ours),
            Err(error) => {
                log::debug!("{me}: its networks are unknown: {error}");
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::docker_links::addresses_in;
    use super::*;

    /// Of a container on two networks, as docker 28.5 writes it.
    const RUNNING: &str = r#"{"ID":"a","NetworkSettings":{"Bridge":"","Networks":{
        "far":{"IPAMConfig":null,"Links":null,"NetworkID":"348d","IPAddress":"172.18.0.2",
            "IPPrefixLen":16,"GlobalIPv6Address":""},
        "bridge":{"IPAMConfig":null,"Links":null,"NetworkID":"349e","IPAddress":"172.17.0.2",
            "IPPrefixLen":16,"GlobalIPv6Address":"fd00:77::2"}},"Service":null}}"#;

    #[test]
    fn addresses_on_networks_of_both_are_found() {
        let of = |text: &str| addresses_in(text.as_bytes()).unwrap();
        let created = |names: &str| of(&format!(r#"{{"NetworkSettings":{{"Networks":{names}}}}}"#));
        let found = |names: &str| -> Vec<String> {
            let ips = of(RUNNING).shared_with(&created(names));
            ips.iter().map(ToString::to_string).collect()
        };
        assert_eq!(found(r#"{"far":null}"#), ["172.18.0.2"]);
        let empty = r#"{"bridge":{"IPAddress":"","GlobalIPv6Address":"","Links":["db:x"]}}"#;
        assert_eq!(found(empty), ["172.17.0.2", "fd00:77::2"]);
        assert_eq!(found(r#"{"bridge":null,"far":{}}"#).len(), 3);
        assert_eq!(found(r#"{"none":null,"other":{}}"#), [""; 0]);
        assert_eq!(found("null"), [""; 0]);
        for other in ["{}", r#"{"NetworkSettings":null}"#] {
            assert_eq!(of(RUNNING).shared_with(&of(other)), Vec::<IpAddr>::new(), "{other}");
        }
        for bad in ["", "7", r#"{"NetworkSettings":{"Networks":[]}}"#] {
            assert!(addresses_in(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recorded_container_has_its_address() {
        let text = include_bytes!("../../test-bundles/recorded/docker-28.5/config.v2.json");
        let address: IpAddr = [172, 17, 0, 2].into();
        assert_eq!(addresses_in(text).unwrap().on("bridge"), Some([address].as_slice()));
    }
}
