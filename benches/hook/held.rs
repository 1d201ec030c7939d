//! How long the host lock is held, as another process sees it in /proc/locks.
//!
//! Nothing is added to what is measured. A hold that is shorter than two looks, some twenty microseconds,
//! is not seen.

use crate::rig::Rig;
use std::{
    fs::{self, File},
    io::{Read, Seek},
    os::unix::fs::MetadataExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Looks at the lock of one host until it is told to end.
pub(crate) struct Watched {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Watched {
    /// Begins to look. There must be a state directory with a lock.
    pub(crate) fn begin(rig: &Rig) -> Self {
        let lock = fs::metadata(rig.lock()).expect("the host lock").ino();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || watch(lock, &told));
        Self { is_over, thread }
    }

    /// The time that the lock was held, all holds together.
    pub(crate) fn end(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("looks do not fail")
    }
}

fn watch(lock: u64, is_over: &AtomicBool) -> Duration {
    let mut file = File::open("/proc/locks").expect("/proc is mounted");
    let (inode, mut text) = (format!(":{lock} "), String::new());
    let (mut held, mut since) = (Duration::ZERO, None);
    loop {
        let ends = is_over.load(Ordering::Relaxed);
        text.clear();
        file.rewind().expect("a file of /proc");
        file.read_to_string(&mut text).expect("a file of /proc");
        // A line with an arrow is one that waits.
        let is_held = text.lines().any(|line| line.contains(&inode) && !line.contains("->"));
        match (is_held && !ends, since) {
            (true, None) => since = Some(Instant::now()),
            (false, Some(begun)) => {
                held += begun.elapsed();
                since = None;
            }
            _ => {}
        }
        if ends {
            return held;
        }
    }
}
