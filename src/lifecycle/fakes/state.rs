//! The state of a scene as text, and the rule that every record obeys.

use super::Scene;
use super::scene::HOSTS;
use crate::link::hosts::{BEGIN, without};
use crate::model::{Flow, HostsEdit, Record};
use std::fs;

impl Scene {
    /// Records, rules, connections and hosts files, without revisions and inodes. Hosts files
    /// without a change are left out.
    pub(crate) fn state(&self) -> String {
        let mut lines: Vec<String> = self.store.records().iter().map(shown).collect();
        let kernel = self.kernel.borrow();
        for ((backend, owner), flows) in &kernel.rules {
            let name = kernel.names.get(owner).map_or(owner.as_str(), String::as_str);
            lines.push(format!("rules of {name} in {backend}: {}", sorted(flows)));
        }
        lines.push(format!("connections: {}", sorted(&kernel.connections)));
        for (name, path) in self.journal.files() {
            let text = fs::read_to_string(path).ok();
            if text.as_deref() != Some(HOSTS) {
                lines.push(format!("hosts of {name}: {text:?}"));
            }
        }
        lines.join("\n")
    }

    /// Fails unless the records name every rule and every line of a hosts file.
    pub(crate) fn assert_named(&self, case: &str) {
        let records = self.store.records();
        for ((backend, owner), flows) in &self.kernel.borrow().rules {
            let named =
                records.iter().filter(|r| r.owner == *owner && r.backend.as_str() == *backend);
            let named: Vec<&Flow> = named.flat_map(|record| &record.flows).collect();
            let unnamed: Vec<_> = flows.iter().filter(|flow| !named.contains(flow)).collect();
            assert!(unnamed.is_empty(), "{case}: no record names {unnamed:?} of {owner}");
        }
        for (name, path) in self.journal.files() {
            let Ok(content) = fs::read(path) else { continue };
            let record = records.iter().find(|record| record.id.as_str() == name);
            let edit = record.and_then(|record| record.hosts.as_ref());
            let blocks: Vec<&str> = edit.into_iter().flat_map(HostsEdit::blocks).collect();
            let rest = String::from_utf8(without(&content, &blocks, &[])).unwrap();
            assert!(!rest.contains(BEGIN), "{case}: no record names a line of {name}: {rest}");
        }
    }
}

fn shown(record: &Record) -> String {
    let Record { id, phase, links, backend, flows, hosts, .. } = record;
    let links = links.iter().map(|link_state| {
        let source = link_state.source.as_ref().map_or("none", |id| id.as_str());
        format!("{} to {source}", link_state.link.alias)
    });
    let links = links.collect::<Vec<_>>().join(", ");
    let blocks: Vec<&str> = hosts.iter().flat_map(HostsEdit::blocks).collect();
    format!("{id}: {phase:?}, links [{links}], {backend} [{}], {blocks:?}", sorted(flows))
}

fn sorted(flows: &[Flow]) -> String {
    let mut flows: Vec<String> = flows.iter().map(ToString::to_string).collect();
    flows.sort();
    flows.join(", ")
}
