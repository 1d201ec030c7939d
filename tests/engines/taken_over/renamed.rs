//! What Docker changes while containers run: names, aliases on networks, and sources without oci-link that
//! run again.

use super::{ALL, rig};
use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::{Engine, Rig};
use serde_json::Value;

impl Rig {
    /// The addresses that the rules of a container lead to.
    fn leads_to(&self, name: &str) -> Vec<String> {
        let shown = self.machine.sh(&format!("oci-link inspect {name} --format json")).ok();
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let flows = shown["flows"].as_array().expect("a list").iter();
        let mut to: Vec<String> =
            flows.map(|flow| flow["to"].as_str().expect("a text").to_owned()).collect();
        to.sort();
        to.dedup();
        to
    }

    fn address_on(&self, network: &str, name: &str) -> String {
        let format = format!("{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}");
        self.machine
            .sh(&format!("docker inspect --format '{format}' {name}"))
            .ok()
            .trim()
            .to_owned()
    }

    fn is_well(&self) {
        assert_eq!(self.machine.sh("oci-link sync --check").ok(), "");
    }

    fn remove_all(&self, names: &[&str]) {
        for name in names {
            self.machine.sh(&format!("docker rm --force {name}; true")).ok();
        }
        self.machine.sh("oci-link gc").ok();
        assert_eq!(self.remains(), Vec::<String>::new());
    }
}

each_engine! {
    fn a_source_that_was_renamed(engine) on [docker_20, docker_28] {
        let rig = rig(engine, ALL);
        rig.with("db", "");
        rig.with("web", "--link db:mysql");
        let old = rig.address("db").to_string();
        rig.machine.sh("docker rename db old").ok();
        rig.with("api", "--link old:x");
        assert_eq!((rig.links("api"), rig.links("web")), (vec!["x docker ready".to_owned()], vec!["mysql docker ready".to_owned()]));
        assert_eq!(rig.told("api", "X_").len(), 12);
        rig.assert_gets("api", "x", 3306);
        rig.assert_gets("web", "mysql", 3306);
        let listed = rig.machine.sh("oci-link ls").ok();
        assert!(listed.lines().any(|line| line.split_whitespace().nth(1) == Some("old")), "{listed}");
        assert!(rig.machine.sh("oci-link inspect old").is_ok() && !rig.machine.sh("oci-link inspect db").is_ok());
        rig.is_well();
        // Docker keeps the link of a recipient that starts again, whatever its source is called.
        rig.restart("web");
        assert_eq!((rig.links("web"), rig.leads_to("web")), (vec!["mysql docker ready".to_owned()], vec![old.clone()]));
        assert_eq!(rig.told("web", "MYSQL_").len(), 12);
        assert_eq!(rig.lines("web", "mysql").len(), 1, "{:?}", rig.lines("web", "mysql"));
        rig.assert_gets("web", "mysql", 3306);
        // Another container gets the name.
        rig.with("db", "");
        let new = rig.address("db").to_string();
        rig.with("last", "--link db:y");
        assert_eq!((rig.leads_to("last"), rig.leads_to("web")), (vec![new.clone()], vec![old.clone()]));
        rig.assert_gets("last", "y", 3306);
        assert!(!rig.gets("last", &old, 3306) && !rig.gets("api", &new, 3306));
        rig.is_well();
        // On a network of one's own.
        rig.with("ndb", "--network n1");
        rig.with("nweb", "--network n1 --link ndb:mysql");
        let there = rig.address_on("n1", "ndb");
        rig.machine.sh("docker rename ndb nold").ok();
        rig.with("napi", "--network n1 --link nold:x");
        assert_eq!((rig.leads_to("napi"), rig.leads_to("nweb")), (vec![there.clone()], vec![there.clone()]));
        rig.assert_reaches("napi", "x", 3306);
        rig.assert_gets("nweb", &there, 3306);
        rig.remove_all(&["web", "api", "last", "nweb", "napi", "db", "old", "nold"]);
    }

    fn a_source_with_a_network_alias(engine) on [docker_20, docker_28] {
        let rig = rig(engine, ALL);
        rig.with("early", "--network n1 --link sql:mysql");
        assert_eq!(rig.links("early"), ["mysql docker:n1 waiting"]);
        rig.with("shop-db-1", "--network n1 --network-alias sql");
        rig.with("elsewhere", "--network n2 --network-alias sql");
        rig.with("web", "--network n1 --link sql:mysql");
        let address = rig.address_on("n1", "shop-db-1");
        for name in ["early", "web"] {
            assert_eq!(rig.links(name), ["mysql docker:n1 ready"], "{name}");
            assert_eq!(rig.leads_to(name), std::slice::from_ref(&address), "{name}");
            rig.assert_gets(name, &address, 3306);
            rig.assert_reaches(name, "mysql", 3306);
        }
        rig.is_well();
        // Docker calls no runtime for an alias of a container that runs.
        rig.machine.sh("docker network connect --alias tardy n1 elsewhere").ok();
        rig.with("late", "--network n1 --link tardy:x");
        assert_eq!(rig.leads_to("late"), [rig.address_on("n1", "elsewhere")]);
        rig.assert_reaches("late", "x", 3306);
        // Of two containers with one alias none is chosen.
        let before = rig.warnings().len();
        rig.with("shop-db-2", "--network n1 --network-alias sql");
        rig.with("unsure", "--network n1 --link sql:mysql");
        assert_eq!(rig.links("unsure"), ["mysql docker:n1 waiting"]);
        assert_eq!(rig.warnings().len() - before, 1, "{:?}", rig.warnings());
        rig.remove("shop-db-1");
        let other = rig.address_on("n1", "shop-db-2");
        wait_until("link", || rig.leads_to("unsure") == [other.clone()]);
        assert_eq!(rig.leads_to("web"), [other]);
        rig.remove_all(&["early", "web", "late", "unsure", "shop-db-2", "elsewhere"]);
    }

    /// No hook tells that it runs again, and no recipient starts.
    fn a_source_without_oci_link_that_runs_again(engine) on [docker_20, docker_28] {
        let rig = rig(engine, "");
        rig.with("db", "--runtime runc");
        rig.with("web", "--link db:mysql");
        assert_eq!(rig.links("web"), ["mysql docker ready"]);
        rig.kill("db");
        rig.machine.sh("oci-link gc").ok();
        assert_eq!(rig.links("web"), ["mysql docker waiting"]);
        rig.is_well();
        rig.restart("db");
        let found = rig.machine.sh("oci-link sync --check");
        assert!(!found.is_ok(), "{found}");
        assert!(rig.machine.sh("oci-link sync").ok().contains("container db"));
        assert_eq!(rig.links("web"), ["mysql docker ready"]);
        rig.is_well();
        rig.machine.daemon("sh -c 'exec oci-link watch'", "/root/watch.log");
        wait_until("rules", || rig.leads_to("web") == [rig.address("db").to_string()]);
        rig.assert_gets("web", "mysql", 3306);
        rig.kill("db");
        wait_until("end of the link", || rig.links("web") == ["mysql docker waiting"]);
        rig.with("filler", "");
        rig.restart("db");
        wait_until("link", || rig.links("web") == ["mysql docker ready"]);
        assert_eq!(rig.leads_to("web"), [rig.address("db").to_string()]);
        rig.assert_gets("web", "mysql", 3306);
        rig.remove_all(&["web", "filler", "db"]);
    }
}
