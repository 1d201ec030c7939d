//! Everything that a hook may change, comparable.

use crate::support::{Host, remains::PERMANENT};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub rules: Vec<String>,
    /// Hosts files, and what lies beside them.
    pub files: BTreeMap<String, String>,
    /// The state directory: links and files by path, records without what no two runs have in common.
    pub state: BTreeMap<String, String>,
}

impl Snapshot {
    pub(crate) fn take(host: &Host, backend: &str, files: BTreeMap<String, String>) -> Self {
        let mut state = BTreeMap::new();
        walk(&host.state_dir(), "", &mut state);
        state.retain(|path, _| !PERMANENT.contains(&path.as_str()));
        Self { rules: rules(host, backend), files, state }
    }

    /// Without the rules that name no container, which a first start makes for all later ones.
    pub(crate) fn named(mut self) -> Self {
        self.rules.retain(|rule| {
            rule.contains(" -s ")
                || rule.contains("OCI-LINK-") && !rule.contains("ISOLATE") && !rule.contains("USER")
                || rule.starts_with("add ")
                || rule.contains("elem ")
        });
        self
    }

    /// Whether this is `other` but for index entries that lead nowhere and files half written,
    /// which `gc` removes.
    pub(crate) fn is_but_for_leftovers(&self, other: &Self) -> bool {
        let mut without = self.clone();
        without.state.retain(|path, _| {
            other.state.contains_key(path)
                || path.starts_with("records/") && !path.ends_with("/new")
        });
        without.state.retain(|path, _| !path.ends_with('/') || other.state.contains_key(path));
        without == *other
    }
}

fn walk(dir: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).expect("the state directory is there") {
        let entry = entry.expect("the state directory can be read");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found);
            found.insert(path + "/", String::new());
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            found.insert(path, target.display().to_string());
        } else {
            let bytes = fs::read(entry.path()).expect("a file");
            found.insert(path, comparable(&bytes));
        }
    }
}

fn comparable(bytes: &[u8]) -> String {
    let Ok(mut record) = serde_json::from_slice::<Value>(bytes) else {
        return String::from_utf8_lossy(bytes).into_owned();
    };
    if let Some(fields) = record.as_object_mut() {
        for field in ["revision", "pid", "started"] {
            fields.remove(field);
        }
    }
    format!("{record:#}")
}

fn rules(host: &Host, backend: &str) -> Vec<String> {
    let run = |words: &[&str]| host.run(Command::new(words[0]).args(&words[1..])).ok();
    let mut all = Vec::new();
    assert!(
        ["none", "ipset", "iptables", "nftables"].contains(&backend),
        "where has {backend} rules?"
    );
    let text = run(&["nft", "--json", "list", "ruleset"]);
    let ruleset = serde_json::from_str(&text).expect("nft prints JSON");
    // All backends have the table that knows the ports of bridges.
    objects(&ruleset, backend == "nftables", &mut all);
    if backend != "nftables" {
        for save in ["iptables-save", "ip6tables-save"] {
            let text = run(&[save]);
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            all.extend(lines.map(|line| {
                // Packets are counted.
                let line = line.split(" [").next().unwrap_or_default();
                format!("{save} {line} ").replace("/32 ", " ").replace("/128 ", " ")
            }));
        }
    }
    if backend == "ipset" {
        let text = run(&["ipset", "save"]);
        all.extend(text.lines().filter(|line| line.starts_with("add ")).map(without_time));
    }
    let (mut forward, mut others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|line| line.contains("FORWARD"));
    // Which comes first matters there only.
    others.sort();
    forward.append(&mut others);
    forward
}

/// An element as `ipset save` prints it, without how long it lasts.
fn without_time(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if let Some(at) = words.iter().position(|word| *word == "timeout") {
        words.remove(at + 1);
    }
    words.join(" ")
}

/// Adds the objects of `nft`, of all families or of `bridge` alone.
fn objects(ruleset: &Value, of_all: bool, all: &mut Vec<String>) {
    for object in ruleset["nftables"].as_array().into_iter().flatten() {
        let Some((kind, fields)) = object.as_object().and_then(|object| object.iter().next())
        else {
            continue;
        };
        if kind == "metainfo" || !of_all && fields["family"] != "bridge" {
            continue;
        }
        let mut fields = fields.clone();
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("handle");
        }
        let name = fields["name"].clone();
        for element in fields["elem"].take().as_array().into_iter().flatten() {
            let mut element = element.clone();
            if let Some(fields) = element.get_mut("elem").and_then(Value::as_object_mut) {
                // It ends by itself: when differs from run to run.
                fields.remove("expires").into_iter().for_each(|_| fields["timeout"] = 0.into());
            }
            all.push(format!("{kind} {name} elem {element}"));
        }
        all.push(format!("{kind} {fields}"));
    }
}

#[track_caller]
pub(crate) fn same(found: &Snapshot, expected: &Snapshot, when: &str) {
    assert!(found == expected, "{when}: {}", difference(found, expected));
}

#[track_caller]
pub(crate) fn same_but_for_leftovers(found: &Snapshot, expected: &Snapshot, when: &str) {
    assert!(found.is_but_for_leftovers(expected), "{when}: {}", difference(found, expected));
}

/// What is in one and not in the other, line by line.
fn difference(found: &Snapshot, expected: &Snapshot) -> String {
    let lines = |snapshot: &Snapshot| -> Vec<String> {
        let files = snapshot.files.iter().chain(&snapshot.state);
        let files = files.flat_map(|(path, text)| {
            let lines = text.split_inclusive('\n').map(move |line| format!("{path}: {line:?}"));
            [format!("{path}: {} bytes", text.len())].into_iter().chain(lines)
        });
        snapshot.rules.iter().cloned().chain(files).collect()
    };
    let (found, expected) = (lines(found), lines(expected));
    let mut text = String::new();
    for (sign, these, those) in [("+", &found, &expected), ("-", &expected, &found)] {
        for line in these.iter().filter(|line| !those.contains(line)) {
            let _ = write!(text, "\n  {sign} {line}");
        }
    }
    text
}
