//! How long the host lock is held, as another process sees it.
//!
//! It tries to take the lock for reading every twenty microseconds. A hold that is shorter is not seen. A hook
//! that comes while it has the lock, for about a microsecond, waits for that.

use crate::rig::Rig;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const PERIOD: Duration = Duration::from_micros(20);

/// Tries the lock of one host again and again, until [`Watched::end`].
pub(crate) struct Watched {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Held>,
}

/// How long the lock was held.
#[derive(Default)]
pub(crate) struct Held {
    /// All holds together.
    pub(crate) all: Duration,
    /// The longest one.
    pub(crate) longest: Duration,
}

impl Watched {
    /// Begins to look. There must be a state directory with a lock.
    pub(crate) fn begin(rig: &Rig) -> Self {
        let (lock, is_over): (PathBuf, _) = (rig.lock(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || watch(&lock, &told));
        Self { is_over, thread }
    }

    /// Ends the looks, and returns how long the lock was held.
    pub(crate) fn end(self) -> Held {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("looks do not fail")
    }
}

fn watch(lock: &Path, is_over: &AtomicBool) -> Held {
    let mut file = File::open(lock).expect("the host lock");
    let (mut held, mut since) = (Held::default(), None);
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        let is_held;
        (file, is_held) = match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(taken) => (taken.unlock().expect("our lock"), false),
            Err((file, Errno::EWOULDBLOCK)) => (file, true),
            Err((_, error)) => panic!("host lock: {error}"),
        };
        match (is_held && !is_last, since) {
            (true, None) => since = Some(Instant::now()),
            (false, Some(begun)) => {
                let hold = Instant::now().duration_since(begun);
                held.all += hold;
                held.longest = held.longest.max(hold);
                since = None;
            }
            _ => {}
        }
        if is_last {
            return held;
        }
        let next = Instant::now() + PERIOD;
        while Instant::now() < next {
            std::hint::spin_loop();
        }
    }
}
