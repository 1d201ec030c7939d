//! What becomes of a start whose sources do not run: it waits, or it goes on without them, or it is
//! refused. The engine's files decide where `org.oci-link.missing` is `auto`, and give the reason
//! of a refusal. The host lock is not held meanwhile.

use crate::engine::{Listing, SourceState};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lifecycle::lookup::{Requester, candidates};
use crate::lifecycle::wait::{Caller, Patience};
use crate::link::Candidate;
use crate::model::{LinkState, Missing, Record, Reference};
use std::time::{Duration, Instant};

/// How long a container waits for a source that its engine may start after it. podman starts one
/// container after the other: until this one has started, the source cannot.
const ONE_BY_ONE: Duration = Duration::from_secs(5);
/// The first pause between two readings of the engine's files. Each pause is twice the last.
const REREAD: Duration = Duration::from_secs(1);

/// The recipient whose sources are looked for.
pub(crate) struct Search<'a> {
    pub(crate) host: &'a Host,
    /// The recipient. Without its id the engine's files are not asked.
    pub(crate) me: Requester<'a>,
    pub(crate) links: &'a [LinkState],
    pub(crate) missing: Missing,
    pub(crate) listing: &'a Listing,
    /// What this moment of the container's life permits.
    pub(crate) moment: Moment,
    /// Takes the host lock for a moment and makes records of notes.
    pub(crate) refresh: &'a dyn Fn(),
    /// Whether a running source cannot carry yet, as far as this moment knows. A wait is for it too.
    pub(crate) lacks: &'a dyn Fn(&Record) -> bool,
}

/// Which step of a container's life looks for its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// config.json is edited for a later start, which will wait.
    Prepare,
    /// The container is created: its variables are decided now.
    Create,
    /// The container starts: its variables are decided already.
    Start,
}

/// What was found out about sources that do not run. It takes the place of their candidates.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    known: Vec<(Reference, Candidate)>,
    patience: Option<Patience>,
    /// Whether time has passed since the first look.
    pub(crate) waited: bool,
}

/// What is done about one source that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The start is refused. The candidate gives the reason.
    Refuse(Candidate),
    /// The start waits, and is refused at the end of the wait.
    Await(Candidate),
    /// The start waits, and goes on without the source at the end of the wait.
    AwaitOrDefer,
    /// The start goes on without the source.
    Defer,
}

/// What was decided about sources.
#[derive(Default)]
struct Verdicts(Vec<(Reference, Verdict)>);

/// When the engine's files are read again during a wait.
struct Reread {
    last: Instant,
    period: Duration,
}

impl Search<'_> {
    /// Finds out about absent sources, and waits for them if the annotation or the engine says so.
    ///
    /// `timeout` returns the timeout of the hook in seconds; `pause` waits for [`PAUSE`] and fails if
    /// the container has ended. Nothing is read if all sources run.
    ///
    /// Nor is anything read where no answer would make a difference: the container does not ask for a
    /// wait, and its engine has no files.
    ///
    /// [`PAUSE`]: crate::lifecycle::wait::PAUSE
    pub(crate) fn settle(
        &self,
        timeout: impl Fn() -> Result<Option<u64>>,
        pause: impl Fn() -> Result<()>,
    ) -> Result<Absences> {
        let mut found = Absences::default();
        // A source whose start found the lock held left a note instead of a record.
        if !self.links.is_empty() && self.has_notes() && !self.absent()?.is_empty() {
            (self.refresh)();
        }
        let waits = matches!(self.missing, Missing::Wait(_));
        let later = self.moment == Moment::Prepare && waits;
        let unknown = *self.listing == Listing::None && !waits;
        if self.links.is_empty() || self.missing == Missing::Defer || later || unknown {
            return Ok(found);
        }
        let mut absent = self.absent()?;
        let (mut verdicts, mut reread) = (Verdicts::default(), Reread::new());
        let (caller, mut looked_again) = (Caller::of_this_process(), false);
        // The source may run meanwhile: by Docker's files, without oci-link or under its new name, or by a note.
        let looks = || waits && self.listing.of_docker().is_some() || self.has_notes();
        while !absent.is_empty() {
            if reread.is_due() && looks() {
                (self.refresh)();
                absent = self.absent()?;
                reread.done();
                continue;
            }
            if !verdicts.cover(&absent) || reread.is_due() {
                verdicts.add(self.judge(&absent, found.patience.as_ref()));
                reread.done();
            }
            if verdicts.any(&absent, Verdict::is_unmanaged) && !looked_again {
                // A source that started while the lock was held left a note instead of a record.
                looked_again = true;
                (self.refresh)();
                absent = self.absent()?;
                continue;
            }
            let refused = verdicts.any(&absent, |verdict| matches!(verdict, Verdict::Refuse(_)));
            if refused || !verdicts.any(&absent, Verdict::waits) {
                break;
            }
            let patience = match found.patience {
                Some(patience) => patience,
                None => {
                    log::debug!("{}: waits for its sources: {}", self.me.name, listed(&absent));
                    *found.patience.insert(Patience::of(self.time(&verdicts), timeout()?))
                }
            };
            if !patience.lasts() {
                if looks() {
                    (self.refresh)();
                    absent = self.absent()?;
                }
                verdicts.add(self.judge(&absent, Some(&patience)));
                break;
            }
            found.waited = true;
            caller.must_live(self.me.name)?;
            pause()?;
            absent = self.absent()?;
        }
        found.known =
            verdicts.0.into_iter().map(|(known, verdict)| (known, verdict.end())).collect();
        Ok(found)
    }

    /// Whether a container has left a note. It may be a source.
    fn has_notes(&self) -> bool {
        self.host.notes().names(1).is_ok_and(|names| !names.is_empty())
    }

    /// How long this container waits at most.
    fn time(&self, verdicts: &Verdicts) -> Duration {
        let is_podman = verdicts.0.iter().any(|(_, verdict)| *verdict == Verdict::AwaitOrDefer);
        match self.missing {
            Missing::Wait(Some(time)) => time,
            Missing::Auto if is_podman => ONE_BY_ONE.min(self.host.config.wait),
            _ => self.host.config.wait,
        }
    }

    /// The sources that do not run, each once, and with `wait` those that cannot carry yet.
    fn absent(&self) -> Result<Vec<Reference>> {
        let candidates = candidates(self.host, self.me, self.links)?;
        let mut absent: Vec<Reference> = Vec::new();
        for (link_state, candidate) in self.links.iter().zip(&candidates) {
            let source = &link_state.link.source;
            let lacks =
                |record: &Record| matches!(self.missing, Missing::Wait(_)) && (self.lacks)(record);
            let is_absent = candidate.is_absence()
                || matches!(candidate, Candidate::Running(record) if lacks(record));
            if is_absent && !absent.contains(source) {
                absent.push(source.clone());
            }
        }
        Ok(absent)
    }

    /// Decides about each source. `patience` is that of the present wait.
    fn judge(
        &self,
        absent: &[Reference],
        patience: Option<&Patience>,
    ) -> Vec<(Reference, Verdict)> {
        let is_over = patience.is_some_and(|patience| !patience.lasts());
        let waits = matches!(self.missing, Missing::Wait(_)) && !is_over;
        // With `wait`, the files only give the reason of a refusal.
        let siblings = if waits { None } else { self.listing.read() };
        let verdict = |source: &Reference| {
            let state = match (&siblings, self.me.id) {
                (Some(siblings), Some(id)) => siblings.state(id, self.me.name, source),
                _ => SourceState::Unknown,
            };
            log::debug!("{}: its engine's files say of {source}: {state:?}", self.me.name);
            match self.missing {
                Missing::Wait(_) if waits => Verdict::Await(Candidate::Missing),
                Missing::Auto => self.automatic(state),
                _ => Verdict::Refuse(reason(state)),
            }
        };
        absent.iter().map(|source| (source.clone(), verdict(source))).collect()
    }

    fn automatic(&self, state: SourceState) -> Verdict {
        match (state, self.moment) {
            // At its start the container has waited already: its variables are decided.
            (SourceState::WillStart { links_back: true, .. }, _)
            | (SourceState::WillStart { .. }, Moment::Prepare)
            | (SourceState::MayStart(_), Moment::Prepare | Moment::Start) => Verdict::Defer,
            (SourceState::MayStart(_), Moment::Create) => Verdict::AwaitOrDefer,
            (state @ SourceState::WillStart { .. }, _) => Verdict::Await(reason(state)),
            (state, _) => Verdict::Refuse(reason(state)),
        }
    }
}

/// The reason why a source cannot be linked to, if its start is not awaited. Where the files say
/// nothing, that is the record's: the source is missing, or a dead container of that name.
fn reason(state: SourceState) -> Candidate {
    match state {
        SourceState::Unknown | SourceState::Missing => Candidate::Missing,
        SourceState::RunsElsewhere => Candidate::Unmanaged,
        SourceState::Stopped(name)
        | SourceState::WillStart { name, .. }
        | SourceState::MayStart(name) => Candidate::Stopped(name),
    }
}

impl Verdict {
    fn is_unmanaged(&self) -> bool {
        *self == Self::Refuse(Candidate::Unmanaged)
    }

    fn waits(&self) -> bool {
        matches!(self, Self::Await(_) | Self::AwaitOrDefer)
    }

    /// What the source counts as when nothing more is waited for.
    fn end(self) -> Candidate {
        match self {
            Self::Refuse(candidate) | Self::Await(candidate) => candidate,
            Self::AwaitOrDefer | Self::Defer => Candidate::Deferred,
        }
    }
}

impl Verdicts {
    fn cover(&self, absent: &[Reference]) -> bool {
        absent.iter().all(|source| self.0.iter().any(|(known, _)| known == source))
    }

    fn any(&self, absent: &[Reference], is: impl Fn(&Verdict) -> bool) -> bool {
        self.0.iter().any(|(source, verdict)| absent.contains(source) && is(verdict))
    }

    /// Adds new verdicts, which replace earlier ones about the same sources.
    fn add(&mut self, new: Vec<(Reference, Verdict)>) {
        self.0.retain(|(source, _)| !new.iter().any(|(known, _)| known == source));
        self.0.extend(new);
    }
}

impl Reread {
    fn new() -> Self {
        Self { last: Instant::now(), period: REREAD }
    }

    fn is_due(&self) -> bool {
        self.last.elapsed() >= self.period
    }

    fn done(&mut self) {
        *self = Self { last: Instant::now(), period: 2 * self.period };
    }
}

impl Absences {
    /// Puts what was found out in the place of the candidates that do not run.
    pub(crate) fn refine(
        &self,
        links: &[LinkState],
        mut candidates: Vec<Candidate>,
    ) -> Vec<Candidate> {
        for (link_state, candidate) in links.iter().zip(&mut candidates) {
            let source = &link_state.link.source;
            let known = self.known.iter().find(|(reference, _)| reference == source);
            match known {
                // A record of a dead container knows more than nothing.
                Some((_, Candidate::Missing)) | None => {}
                Some((_, known)) if candidate.is_absence() => *candidate = known.clone(),
                Some(_) => {}
            }
        }
        candidates
    }

    /// Whether every absent source among the candidates was judged.
    pub(crate) fn covers(&self, links: &[LinkState], candidates: &[Candidate]) -> bool {
        links.iter().zip(candidates).all(|(link_state, candidate)| {
            let source = &link_state.link.source;
            !candidate.is_absence() || self.known.iter().any(|(known, _)| known == source)
        })
    }

    /// Adds to a refusal how long the container waited.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match &self.patience {
            Some(patience) => patience.explain(error),
            None => error,
        }
    }
}

fn listed(sources: &[Reference]) -> String {
    sources.iter().map(Reference::as_str).collect::<Vec<_>>().join(", ")
}
