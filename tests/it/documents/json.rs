//! docs/json.md against the commands: each key that is printed is in its table, and each key of a table that is always
//! there is printed.

use crate::{
    cast::{end, source},
    lifecycle::{call, host_with},
};
use oci_link::testing::BackendName;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

const DOCUMENT: &str = include_str!("../../../docs/json.md");

/// The keys of the tables below a heading, and which of them may be absent. A second table follows the words
/// `Each link:`.
pub(crate) fn tables(heading: &str) -> Vec<Vec<(&'static str, bool)>> {
    let section = DOCUMENT.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.expect("a section");
    let keys = |part: &'static str| {
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
        let keys = rows.filter_map(|row| row.split_once('`'));
        keys.map(|(key, rest)| (key, rest.starts_with('?'))).collect()
    };
    section.split("\nEach link:\n").map(keys).collect()
}

#[track_caller]
pub(crate) fn assert_described(value: &Value, table: &[(&str, bool)]) {
    let printed: BTreeSet<&str> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = table.iter().map(|(key, _)| *key).collect();
    let always = table.iter().filter(|(_, may_be_absent)| !may_be_absent).map(|(key, _)| *key);
    assert!(printed.is_subset(&known), "docs/json.md lacks {:?}", printed.difference(&known));
    let always: BTreeSet<&str> = always.collect();
    assert!(always.is_subset(&printed), "not printed: {:?}", always.difference(&printed));
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().expect("an array")
}

#[test]
fn each_key_is_described_and_each_described_key_is_printed() {
    let host = host_with(BackendName::Ipset);
    let db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db, absent:other").annotate("isolate", "in");
    let web = web.annotate("missing", "defer").hooks().build();
    web.run().ok();
    let json = |words: &str, status| -> Value {
        let text = call(&host, &format!("{words} --json")).printed(status);
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{words}: {why}: {text}"))
    };

    let of_ls = tables("ls\n");
    let listed = json("ls", 0);
    assert_eq!(array(&listed).len(), 2);
    for container in array(&listed) {
        assert_described(container, &of_ls[0]);
        for link in array(&container["links"]) {
            assert_described(link, &of_ls[1]);
        }
    }
    assert_eq!(array(&listed[1]["links"]).len(), 2, "{listed}");

    let of_inspect: Vec<_> = [&of_ls[0][..], &tables("inspect")[0]].concat();
    let inspected = json("inspect web", 0);
    assert_described(&inspected, &of_inspect);
    let port = inspected["variables"]["DB_PORT_3306_TCP_PORT"].as_str();
    assert_eq!(port, Some("3306"), "{inspected}");

    let graph = json("graph", 0);
    assert_described(&graph, &tables("graph")[0]);
    assert_eq!(array(&graph["containers"]).len(), 3, "{graph}");
    assert_eq!(graph["links"][1]["state"], "waiting", "{graph}");

    let of_repairs = &tables("sync, gc")[0];
    assert_eq!(json("sync --check", 0), Value::Array(Vec::new()));
    fs::write(host.state_dir().join("records/new"), "half a rec").expect("written");
    for (words, status) in [("sync --check", 13), ("gc --dry-run", 13), ("gc", 0)] {
        let found = json(words, status);
        assert_eq!(array(&found).len(), 1, "{words}: {found}");
        assert_described(&found[0], of_repairs);
        assert_eq!(found[0].get("outcome").is_some(), words == "gc", "{words}: {found}");
    }

    for setting in array(&json("config show", 0)) {
        assert_described(setting, &tables("config show")[0]);
    }
    let doctor: Value = serde_json::from_str(&call(&host, "doctor --json").said()).expect("JSON");
    assert_described(&doctor, &tables("doctor")[0]);
    [&web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}
