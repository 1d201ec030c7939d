//! `offers`: the directory with the records that this host wants to publish, and news of it.

mod events;

use crate::names::Place;
use crate::spool::read;
use bytes::Bytes;
use events::{Event, Events};
use nix::fcntl::OFlag;
use nix::sys::inotify::AddWatchFlags;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

/// How often a directory that is missing is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// The directory.
pub(crate) struct Offers {
    host: String,
    path: PathBuf,
    events: Option<Events>,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// These records were written or removed.
    Some(BTreeSet<Place>),
    /// Not known: everything must be looked at.
    All,
}

impl Offers {
    /// The directory `path` of the host `host`. It need not be there yet.
    pub(crate) fn new(host: &str, path: &Path) -> Self {
        Self { host: host.to_owned(), path: path.to_owned(), events: None }
    }

    /// Returns the records that there are. A missing directory has none.
    ///
    /// From here on [`Offers::changed`] tells what changes.
    pub(crate) fn list(&mut self) -> io::Result<BTreeSet<Place>> {
        let mask = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        self.events = Events::of(&self.path, mask)?;
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries?,
        };
        let mut places = BTreeSet::new();
        for entry in entries {
            let name = entry?.file_name();
            places.extend(name.to_str().and_then(|name| Place::of_offers(&self.host, name)));
        }
        Ok(places)
    }

    /// Reads a record. `None`: it is not there, or is no file of at most 64 KiB.
    pub(crate) fn read(&self, place: &Place) -> io::Result<Option<Bytes>> {
        let Some(name) = place.offers_name() else { return Ok(None) };
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory =
            fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(&self.path);
        let bytes = directory.and_then(|directory: File| read(&directory, &name));
        match bytes {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Waits until something changes. Dropping the future loses nothing.
    pub(crate) async fn changed(&mut self) -> Changed {
        let Some(events) = &self.events else {
            loop {
                sleep(LOOK).await;
                if self.path.exists() {
                    return Changed::All;
                }
            }
        };
        events.next().await.map_or(Changed::All, |events| what_changed(&self.host, &events))
    }
}

fn what_changed(host: &str, events: &[Event]) -> Changed {
    // The queue was too long, or the directory is another one now.
    let lost = AddWatchFlags::IN_Q_OVERFLOW
        | AddWatchFlags::IN_IGNORED
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_UNMOUNT;
    if events.iter().any(|event| event.mask.intersects(lost)) {
        return Changed::All;
    }
    let names = events.iter().filter_map(|event| std::str::from_utf8(&event.name).ok());
    Changed::Some(names.filter_map(|name| Place::of_offers(host, name)).collect())
}

/// Fuzz target for the notices of the kernel.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::events::parse;
    use super::what_changed;

    /// No byte counts twice.
    pub(crate) fn events(bytes: &[u8]) {
        let events = parse(bytes);
        assert!(events.iter().map(|event| event.name.len() + 16).sum::<usize>() <= bytes.len());
        let _ = what_changed("b", &events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;
    use tokio::time::timeout;

    fn ids(changed: &Changed) -> Vec<&str> {
        match changed {
            Changed::Some(places) => places.iter().map(|place| place.id.as_str()).collect(),
            Changed::All => vec!["all"],
        }
    }

    #[test]
    fn news_of_the_directory() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let path = std::env::temp_dir().join(format!("oci-link-offers-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            let mut offers = Offers::new("b", &path);
            assert!(offers.list().unwrap().is_empty());
            fs::create_dir(&path).unwrap();
            assert_eq!(offers.changed().await, Changed::All, "it is there now");
            fs::write(path.join("1.offer"), "one").unwrap();
            fs::write(path.join(".2.offer"), "").unwrap();
            let listed = offers.list().unwrap();
            assert_eq!(listed.len(), 1);
            let first = listed.first().unwrap();
            assert_eq!(offers.read(first).unwrap().as_deref(), Some(&b"one"[..]));

            fs::write(path.join(".new"), "two").unwrap();
            fs::rename(path.join(".new"), path.join("2.want")).unwrap();
            fs::remove_file(path.join("1.offer")).unwrap();
            assert_eq!(ids(&offers.changed().await), ["1", "2"]);
            assert_eq!(offers.read(first).unwrap(), None);
            let none = timeout(Duration::from_millis(50), offers.changed()).await;
            assert!(none.is_err(), "{none:?}");

            fs::remove_dir_all(&path).unwrap();
            while offers.changed().await != Changed::All {}
            assert!(offers.list().unwrap().is_empty());
        });
    }
}
