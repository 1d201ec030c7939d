//! What a host's containers have left behind: rules, set elements, files.

use super::host::Host;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// Files of the state directory that outlive every container: the locks, for which boot the static
/// rules were made, and that no record was lost.
pub(crate) const PERMANENT: [&str; 11] = [
    "lock",
    "watch.lock",
    "backend",
    "bridge-table",
    "iptables",
    "ip6tables",
    "ipset-shared",
    "isolation",
    "nftables-isolation",
    "repairs",
    "whole",
];

impl Host {
    /// Every filter rule, IPv4 first, as `iptables -S` prints them.
    pub(crate) fn rules(&self) -> Vec<String> {
        ["iptables", "ip6tables"]
            .into_iter()
            .flat_map(|iptables| lines(&self.run(Command::new(iptables).arg("-S")).ok()))
            .collect()
    }

    /// Every element of every ipset, and of every nftables set that is not iptables' own.
    pub(crate) fn set_elements(&self) -> Vec<String> {
        let ipsets = self.run(Command::new("ipset").arg("save")).ok();
        let added = lines(&ipsets).into_iter().filter(|line| line.starts_with("add "));

        let nft = self.run(Command::new("nft").args(["--json", "list", "ruleset"])).ok();
        let nft: Value = serde_json::from_str(&nft).expect("nft prints JSON");
        let objects = || nft["nftables"].as_array().into_iter().flatten();
        let elements = objects().filter_map(|object| object["set"]["elem"].as_array()).flatten();
        let of_ranges = |rule: &&Value| rule["table"] == "oci-link" && rule["chain"] == "ranges";
        let ranges = objects().map(|object| &object["rule"]).filter(of_ranges);

        added.chain(elements.chain(ranges).map(Value::to_string)).collect()
    }

    /// The files of the state directory that speak of a container, by path below it.
    pub(crate) fn state_files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.state_dir(), "", &mut files);
        files.retain(|file| !PERMANENT.contains(&file.as_str()));
        files.sort();
        files
    }

    /// All containers are gone, and so is every trace of them. The static part of our chain may
    /// stay: it names nobody.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let mut rules = self.rules();
        rules.retain(|rule| !self.baseline().contains(rule) && !is_static(rule));
        let left = [("rules", rules), ("sets", self.set_elements()), ("state", self.state_files())];
        for (place, remains) in left {
            assert!(remains.is_empty(), "left behind in {place}:\n{}", remains.join("\n"));
        }
    }
}

/// Whether `rule` is of our chain but of no container: it names no address and no chain with an
/// owner tag.
fn is_static(rule: &str) -> bool {
    let shared = ["OCI-LINK-ISOLATE", "OCI-LINK-USER"];
    let rest = shared.iter().fold(rule.to_owned(), |rule, chain| rule.replace(chain, ""));
    let of_an_owner = rest.contains("OCI-LINK-");
    rule.contains("OCI-LINK") && !of_an_owner && !rule.contains(" -s ") && !rule.contains(" -d ")
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("the state directory is there") {
        let entry = entry.expect("the state directory can be read");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), &format!("{path}/"), files);
        } else {
            files.push(path);
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(String::from).collect()
}
