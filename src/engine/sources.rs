//! What an engine's files say about a source that has no record: whether it exists, whether it
//! runs, and whether the engine will start it by itself.

use crate::model::{ContainerId, ContainerName, Reference};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

/// Where an engine lists its containers. Reading the list is left for when it is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Listing {
    /// The engine has no list, or its place is unknown.
    #[default]
    None,
    /// Docker: the directory with one directory per container.
    Docker(PathBuf),
    /// podman: the directories with lists of containers, and those with process ids.
    Podman {
        /// `<graph>/<driver>-containers` and `<run root>/<driver>-containers`, as far as known.
        directories: Vec<PathBuf>,
    },
}

/// What the engine's files say about one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceState {
    /// Nothing: there are no such files, or they cannot be read.
    Unknown,
    /// The engine has no such container.
    Missing,
    /// It exists and does not run, and the engine leaves it so.
    Stopped(ContainerName),
    /// It does not run, and the engine will start it by itself.
    WillStart {
        /// The source's name.
        name: ContainerName,
        /// Whether the source, or a source of it that does not run either, links to the recipient.
        links_back: bool,
    },
    /// It exists, and whether the engine will start it is unknown. The engine starts one container
    /// after the other, so a wait can delay the source itself.
    MayStart(ContainerName),
    /// It runs. The caller knows that it has no record.
    RunsElsewhere,
}

/// What a container does, as far as its engine's files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    Running,
    Stopped,
    /// It does not run, and has a restart policy.
    Restarts,
    /// It does not run, and nothing else is known.
    Listed,
}

/// A container in an engine's files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sibling {
    pub(super) id: String,
    /// The engine's name for it comes first, then that of its annotation.
    pub(super) names: Vec<String>,
    pub(super) activity: Activity,
    /// The sources that its annotation names.
    pub(super) sources: Vec<Reference>,
}

/// The containers of one engine.
#[derive(Debug)]
pub(crate) struct Siblings {
    all: Vec<Sibling>,
    names: HashMap<String, Vec<usize>>,
    ids: BTreeMap<String, usize>,
    is_complete: bool,
}

impl Siblings {
    /// `is_complete` says whether the engine can have no other containers.
    pub(super) fn new(all: Vec<Sibling>, is_complete: bool) -> Self {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        let mut ids = BTreeMap::new();
        for (at, sibling) in all.iter().enumerate() {
            ids.insert(sibling.id.clone(), at);
            for name in &sibling.names {
                let known = names.entry(name.clone()).or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
            }
        }
        Self { all, names, ids, is_complete }
    }

    /// Returns the state of the source that the container `me` calls `source`.
    pub(crate) fn state(
        &self,
        me: &ContainerId,
        own_name: &ContainerName,
        source: &Reference,
    ) -> SourceState {
        let own = self.ids.get(me.as_str()).copied();
        let found: Vec<usize> =
            self.find(source).into_iter().filter(|at| Some(*at) != own).collect();
        let with = |activity| found.iter().copied().find(|at| self.activity(*at) == activity);
        // Several containers may have one annotated name.
        if let Some(at) = with(Activity::Restarts) {
            let links_back = self.leads_to(at, own, own_name);
            return SourceState::WillStart { name: self.name(at, source), links_back };
        }
        if with(Activity::Running).is_some() {
            return SourceState::RunsElsewhere;
        }
        if let Some(at) = with(Activity::Listed) {
            return SourceState::MayStart(self.name(at, source));
        }
        match found.first() {
            Some(at) => SourceState::Stopped(self.name(*at, source)),
            None if self.is_complete => SourceState::Missing,
            None => SourceState::Unknown,
        }
    }

    fn activity(&self, at: usize) -> Activity {
        self.all.get(at).map_or(Activity::Stopped, |sibling| sibling.activity)
    }

    /// The engine's name for a container; where it is not a valid one, the name in the link.
    fn name(&self, at: usize, source: &Reference) -> ContainerName {
        let first = self.all.get(at).and_then(|sibling| sibling.names.first());
        let valid = first.and_then(|name| ContainerName::new(name).ok());
        valid.unwrap_or_else(|| ContainerName::from(source))
    }

    /// The containers that `source` means: one by its id, else those of that name, else one by a
    /// prefix of its id.
    fn find(&self, source: &Reference) -> Vec<usize> {
        let text = source.as_str();
        if let Some(at) = self.ids.get(text) {
            return vec![*at];
        }
        if let Some(found) = self.names.get(text) {
            return found.clone();
        }
        if !source.is_prefix() {
            return Vec::new();
        }
        let from = self.ids.range(text.to_owned()..);
        let mut found = from.take_while(|(id, _)| id.starts_with(text)).map(|(_, at)| *at);
        match (found.next(), found.next()) {
            (Some(at), None) => vec![at],
            _ => Vec::new(),
        }
    }

    /// Whether links lead from `start` to the recipient through containers that do not run. A
    /// running one waits for no source. Each container is visited once.
    fn leads_to(&self, start: usize, own: Option<usize>, own_name: &ContainerName) -> bool {
        let (mut visited, mut next) = (HashSet::from([start]), vec![start]);
        while let Some(sibling) = next.pop().and_then(|at| self.all.get(at)) {
            for source in &sibling.sources {
                if source.as_str() == own_name.as_str() {
                    return true;
                }
                for at in self.find(source) {
                    if Some(at) == own {
                        return true;
                    }
                    if self.activity(at) != Activity::Running && visited.insert(at) {
                        next.push(at);
                    }
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
