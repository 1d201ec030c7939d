//! Other hosts: their records in the spool, and those of this host for them. Only with `[cluster]`.

use super::debounce::Debounce;
use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{self, SPOOL, VIEW};
use crate::cluster::view::{BootClock, Freshness};
use crate::config::ClusterConfig;
use crate::error::Result;
use crate::host::Host;
use crate::recovery::offers::publish;
use crate::recovery::peers::{Refreshed, Seen, refresh};
use crate::sys::daemon::inotify::{Notice, Notices, Watched};
use crate::sys::file::shown;
use crate::sys::spool::Spool;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A courier writes many files at once.
const RECORDS: Debounce = Debounce::new(Duration::from_millis(30), Duration::from_millis(150));
/// A starting container writes its record twice.
const OWN: Debounce = Debounce::new(Duration::from_millis(10), Duration::from_millis(100));
/// How soon a missing spool is looked for again, or a failed step is tried again.
const LATER: Duration = Duration::from_secs(5);
/// After a look, rest so many times its duration: whatever a courier writes, looks take at most 20 % of a processor.
const REST: u32 = 4;
/// Size limit of the view in bytes.
const MAX_VIEW: u64 = 64 << 10;

/// Follows the spool, and publishes the containers of this host.
pub(crate) struct Peers<'a> {
    host: &'a Host,
    cluster: &'a ClusterConfig,
    spool: PathBuf,
    notices: Notices,
    watched: Option<Watched>,
    records: Debounce,
    own: Debounce,
    view_is_new: bool,
    again: Option<Instant>,
    seen: Seen,
    freshness: Freshness,
    /// The problem that was logged last. An unchanged one is not logged again.
    said: String,
    /// The files that were put aside last, each with the reason.
    aside: Vec<(String, String)>,
}

impl<'a> Peers<'a> {
    /// Returns `None` without `[cluster]`: then there is no timer and no notification.
    pub(crate) fn of(host: &'a Host, now: Instant) -> Result<Option<Self>> {
        match &host.config.cluster {
            None => Ok(None),
            Some(cluster) => Self::at(host, cluster, Path::new(SPOOL), now).map(Some),
        }
    }

    fn at(host: &'a Host, cluster: &'a ClusterConfig, spool: &Path, now: Instant) -> Result<Self> {
        let mut freshness = Freshness::default();
        let known = Mirror::open(host.directory())?.view()?;
        if let Some(bytes) = known {
            // One of an earlier boot is no news.
            let _ = freshness.take(&bytes, host.boot, &BootClock);
        }
        let mut own = OWN;
        own.notify(now);
        Ok(Self {
            host,
            cluster,
            spool: spool.to_owned(),
            notices: Notices::new()?,
            watched: None,
            records: RECORDS,
            own,
            view_is_new: false,
            again: Some(now),
            seen: Seen::default(),
            freshness,
            said: String::new(),
            aside: Vec::new(),
        })
    }

    /// The age of what is known of other hosts. `None` if nothing was heard.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.freshness.age(&BootClock)
    }

    /// The subscription to changes of the spool.
    pub(crate) fn changes(&self) -> &Notices {
        &self.notices
    }

    /// Reads which files of the spool have changed.
    pub(crate) fn hear(&mut self, now: Instant) -> Result<()> {
        for notice in self.notices.take()? {
            match notice {
                Notice::Left(_, name) if name == VIEW => self.view_is_new = true,
                // A temporary name.
                Notice::Left(_, name) if name.as_bytes().starts_with(b".") => {}
                Notice::Left(..) => self.records.notify(now),
                Notice::Gone(_) => {
                    self.watched = None;
                    self.again = Some(now);
                }
                Notice::Overflow => {
                    self.view_is_new = true;
                    self.records.notify(now);
                }
            }
        }
        Ok(())
    }

    /// Notes that a record of this host may have changed.
    pub(crate) fn notify(&mut self, now: Instant) {
        self.own.notify(now);
    }

    /// When the next work is due, if any is.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let view = self.view_is_new.then_some(now);
        [view, self.records.due(), self.own.due(), self.again].into_iter().flatten().min()
    }

    /// Does what is due. A problem of one step does not keep the others from being done.
    pub(crate) fn act(&mut self, now: Instant) {
        let mut problems: Vec<String> = Vec::new();
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            problems.extend(self.begin(now).err());
            self.view_is_new = true;
        }
        if std::mem::take(&mut self.view_is_new) {
            problems.extend(self.take_view().err());
        }
        if self.records.is_over(now) {
            let begun = Instant::now();
            match refresh(self.host, self.cluster, &self.spool, &mut self.seen) {
                Ok(refreshed) => self.tell(refreshed.unwrap_or_default()),
                Err(error) => {
                    self.again = Some(now + LATER);
                    problems.push(error.to_string());
                }
            }
            self.records.rest(rested(begun));
        }
        if self.own.is_over(now) {
            let begun = Instant::now();
            match publish(self.host, self.cluster) {
                Ok(0) => {}
                Ok(count) => {
                    log::info!("other hosts: {count} records of this host written or removed");
                }
                Err(error) => {
                    self.own.notify(now + LATER);
                    problems.push(error.to_string());
                }
            }
            self.own.rest(rested(begun));
        }
        let problems = problems.join("; ");
        if problems.is_empty() && self.again.is_some() {
            return;
        }
        if !problems.is_empty() && problems != self.said {
            log::error!("other hosts: {problems}");
        }
        self.said = problems;
    }

    /// Looks for the spool, and follows it. A missing one is looked for again later.
    fn begin(&mut self, now: Instant) -> std::result::Result<(), String> {
        let begun = match spool::open(&self.spool) {
            Ok(Some(spool)) => self.follow(&spool).map_err(|error| error.to_string()),
            Ok(None) => Err(format!("{} is missing: no courier runs", shown(&self.spool))),
            Err(error) => Err(error.to_string()),
        };
        match &begun {
            Ok(()) => self.records.notify(now),
            Err(_) => self.again = Some(now + LATER),
        }
        begun
    }

    fn follow(&mut self, spool: &Spool) -> Result<()> {
        if self.watched.is_none() {
            self.watched = Some(self.notices.add_with_arrivals(spool)?);
        }
        Ok(())
    }

    /// Reads the view, and keeps it for other processes. One that is no news changes nothing.
    fn take_view(&mut self) -> std::result::Result<(), String> {
        let text = |error: crate::error::Error| error.to_string();
        let Some(spool) = spool::open(&self.spool).map_err(text)? else { return Ok(()) };
        let Some(bytes) = spool.read(OsStr::new(VIEW), MAX_VIEW)? else { return Ok(()) };
        let before = self.freshness.clone();
        self.freshness
            .take(&bytes, self.host.boot, &BootClock)
            .map_err(|why| format!("{VIEW}: {why}"))?;
        if self.freshness != before {
            Mirror::open(self.host.directory()).and_then(|it| it.put_view(&bytes)).map_err(text)?;
        }
        Ok(())
    }

    /// Logs what a look into the spool changed. A file that stays aside is named once.
    fn tell(&mut self, refreshed: Refreshed) {
        let Refreshed { written, removed, turns, aside } = refreshed;
        if written + removed > 0 {
            log::info!("other hosts: {written} records written, {removed} removed");
            log::debug!("other hosts: the lock was taken {turns} times");
        }
        for (name, why) in aside.named.iter().filter(|file| !self.aside.contains(file)) {
            log::warn!("other hosts: {name}: put aside: {why}");
        }
        self.aside = aside.named;
    }
}

/// When a step that has begun at `begun` and ends now may be repeated.
fn rested(begun: Instant) -> Instant {
    let then = Instant::now();
    then + (then.duration_since(begun) * REST).min(LATER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::lifecycle::fakes::Scene;
    use std::cell::Cell;
    use std::fs;

    const OFFER: &str = r#"{"v":1,"host":"b","id":"db","run":"4be1c07d9a22e310","name":"mysql","addresses":["10.10.2.2"],"ports":["3306/tcp"],"to":"all"}"#;

    fn cluster() -> ClusterConfig {
        let text = "[cluster]\nname='a'\nnetworks={a=['10.10.1.0/24'],b=['10.10.2.0/24']}";
        Config::parse("c", text).unwrap().cluster.unwrap()
    }

    #[test]
    fn without_the_table_nothing_is_followed() {
        let scene = Scene::new();
        assert!(Peers::of(&scene.host, Instant::now()).unwrap().is_none());
        assert!(Mirror::existing(scene.host.directory()).unwrap().is_none(), "nothing is made");
    }

    #[test]
    fn what_is_copied_into_the_spool_gets_into_the_mirror() {
        let (scene, cluster) = (Scene::new(), cluster());
        let spool = scene.directory().join("spool");
        let now = Cell::new(Instant::now());
        let later = |seconds| {
            now.set(now.get() + Duration::from_secs(seconds));
            now.get()
        };
        let mut peers = Peers::at(&scene.host, &cluster, &spool, now.get()).unwrap();
        peers.act(now.get());
        assert!(peers.said.contains("is missing"), "{}", peers.said);
        fs::create_dir(&spool).unwrap();
        let put = |name: &str, text: &str| {
            fs::write(spool.join(".new"), text).unwrap();
            fs::rename(spool.join(".new"), spool.join(name)).unwrap();
        };
        let turn = |peers: &mut Peers<'_>, seconds: u64| {
            peers.hear(later(seconds)).unwrap();
            peers.act(later(1));
            let mirror = Mirror::open(scene.host.directory()).unwrap();
            mirror.named("mysql").unwrap().len()
        };
        turn(&mut peers, 6);
        turn(&mut peers, 1);
        assert_eq!((peers.said.as_str(), peers.watched.is_some()), ("", true));
        put("b~db.offer", OFFER);
        assert_eq!(turn(&mut peers, 1), 1);
        put(".half", "x");
        assert_eq!(peers.due(now.get()), None, "a temporary name");
        put("view", "junk");
        put("b~db.offer", &OFFER.replace("mysql", "maria"));
        assert_eq!(turn(&mut peers, 1), 0, "a bad view keeps no record from being read");
        assert!(peers.said.starts_with("view: "), "{}", peers.said);
        put("b~db.offer", OFFER);
        let view = format!(
            r#"{{"v":1,"boot":"{}","fresh_ms":1}}"#,
            fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim()
        );
        put("view", &view);
        turn(&mut peers, 1);
        assert!(peers.freshness.age(&BootClock).is_some(), "{}", peers.said);
        let again = Peers::at(&scene.host, &cluster, &spool, now.get()).unwrap();
        assert_eq!(again.freshness, peers.freshness, "a restart keeps it");
        fs::remove_file(spool.join("b~db.offer")).unwrap();
        assert_eq!(turn(&mut peers, 1), 0);
        put("b~db.offer", OFFER);
        turn(&mut peers, 1);
        fs::remove_dir_all(&spool).unwrap();
        assert_eq!(turn(&mut peers, 1), 1, "what is not seen is not dead");
    }
}
