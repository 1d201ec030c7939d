//! The records that a picture or a list is about, found by id and by name.

use super::{ContainerId, Guest, LinkState, Meaning, Offer, PeerRun, Record};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Records with their indexes. A look-up does not pass all of them. Those of sources on other hosts are found by links
/// that are connected to them, and by nothing else.
#[derive(Debug)]
pub(crate) struct KnownRecords<'a> {
    records: &'a [Record],
    places: HashMap<&'a ContainerId, usize>,
    there: HashMap<PeerRun, usize>,
    /// The recipients for which sources on other hosts are ready.
    receipts: HashSet<(&'a PeerRun, &'a Guest)>,
    ids: BTreeMap<&'a str, Vec<usize>>,
    names: HashMap<&'a str, Vec<usize>>,
}

impl<'a> KnownRecords<'a> {
    /// The indexes of `records`.
    pub(crate) fn of(records: &'a [Record]) -> Self {
        let mut known = Self {
            records,
            places: HashMap::new(),
            there: HashMap::new(),
            receipts: HashSet::new(),
            ids: BTreeMap::new(),
            names: HashMap::new(),
        };
        for (at, record) in records.iter().enumerate() {
            if let Some(run) = record.run() {
                known.there.insert(run, at);
                continue;
            }
            known.places.insert(&record.id, at);
            known.ids.entry(record.id.as_str()).or_default().push(at);
            for name in record.names() {
                known.names.entry(name.as_str()).or_default().push(at);
            }
        }
        known
    }

    /// The same records, with the receipts of `offers`.
    #[must_use]
    pub(crate) fn with_receipts(mut self, offers: &'a [Offer]) -> Self {
        let receipts =
            offers.iter().flat_map(|offer| offer.guests.iter().map(|guest| (&offer.source, guest)));
        self.receipts = receipts.collect();
        self
    }

    /// Whether the other host has said that the source `run` is ready for `guest`.
    pub(crate) fn is_ready(&self, run: &PeerRun, guest: &Guest) -> bool {
        self.receipts.contains(&(run, guest))
    }

    /// The source that the link is connected to.
    pub(crate) fn source(&self, link_state: &LinkState) -> Option<&'a Record> {
        self.source_place(link_state).and_then(|at| self.records.get(at))
    }

    /// The place of that source.
    pub(crate) fn source_place(&self, link_state: &LinkState) -> Option<usize> {
        match (&link_state.source, &link_state.there) {
            (Some(id), _) => self.place(id),
            (None, Some(run)) => self.there.get(run).copied(),
            (None, None) => None,
        }
    }

    /// The record of the container `id`.
    pub(crate) fn get(&self, id: &ContainerId) -> Option<&'a Record> {
        self.place(id).and_then(|at| self.records.get(at))
    }

    /// The place of the container `id` among the records.
    pub(crate) fn place(&self, id: &ContainerId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// The record that a link of `recipient` without a source would connect to: by id, then by name, then
    /// by the beginning of an id if it is unique.
    pub(crate) fn meant(&self, recipient: &Record, link_state: &LinkState) -> Option<&'a Record> {
        self.meant_place(recipient, link_state).and_then(|at| self.records.get(at))
    }

    /// The place of that record.
    pub(crate) fn meant_place(&self, recipient: &Record, link_state: &LinkState) -> Option<usize> {
        let name = &link_state.link.source;
        let others: Vec<(usize, &Record)> = self.others(recipient, link_state).collect();
        let by_id = others.iter().find(|(_, record)| record.id.as_str() == name.as_str());
        let by_name = others.iter().find(|(_, record)| record.is_named(name));
        let prefixed = others.first().filter(|_| others.len() == 1);
        by_id.or(by_name).or(prefixed).map(|(at, _)| *at)
    }

    /// The other records that a link of `recipient` may mean, with their places, in order.
    pub(crate) fn others(
        &self,
        recipient: &Record,
        link_state: &LinkState,
    ) -> impl Iterator<Item = (usize, &'a Record)> {
        let records = self.records;
        let all = self.candidates(link_state).into_iter();
        all.filter_map(move |at| Some((at, records.get(at)?)))
            .filter(move |(_, record)| record.id != recipient.id && link_state.means(record))
    }

    /// The places of all records that the link may mean, in order.
    fn candidates(&self, link_state: &LinkState) -> Vec<usize> {
        let name = link_state.link.source.as_str();
        let mut all: Vec<usize> = self.names.get(name).into_iter().flatten().copied().collect();
        match &link_state.meaning {
            Some(Meaning::Name) => {}
            Some(Meaning::Id(id)) => all.extend(self.ids.get(id.as_str()).into_iter().flatten()),
            None => {
                let begin = self.ids.range(name..).take_while(|(id, _)| id.starts_with(name));
                all.extend(begin.flat_map(|(_, places)| places));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;

    /// Ten thousand containers, half of them with a link that waits: each link is compared with the
    /// containers of that name only.
    #[test]
    fn a_link_is_compared_with_few_containers() {
        let name = |number: usize| format!("db{number:05}");
        let source = |number| record(&name(number), "80", &[]);
        let waits = |number| {
            let link = format!("{}:db", name(number));
            record(&format!("web{number:05}"), "", &[]).linked(&[link.as_str()])
        };
        let records: Vec<Record> = (0..5000).map(source).chain((0..5000).map(waits)).collect();
        let known = KnownRecords::of(&records);
        let mut compared = 0;
        for (number, record) in records[5000..].iter().enumerate() {
            let link = &record.links[0];
            compared += known.candidates(link).len();
            assert_eq!(
                known.meant(record, link).map(|source| source.name.as_str()),
                Some(&*name(number))
            );
            assert_eq!(known.get(&record.id).map(|found| &found.id), Some(&record.id));
        }
        assert!(compared <= 5000, "{compared}");
    }
}
