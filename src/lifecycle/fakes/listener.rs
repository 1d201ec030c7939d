//! Collects the log lines of one thread.

use log::{LevelFilter, Log, Metadata};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Once;

type Lines = Rc<RefCell<Vec<String>>>;

thread_local! {
    static LINES: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

struct ToThread;

impl Log for ToThread {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        LINES.with_borrow(Option::is_some)
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.with_borrow(|lines| {
            if let Some(lines) = lines {
                lines.borrow_mut().push(format!("{} {}", record.level(), record.args()));
            }
        });
    }

    fn flush(&self) {}
}

/// Keeps what this thread logs from now on, at every level.
pub(crate) struct Listener(Lines);

impl Listener {
    /// Begins to listen. A thread has one listener at a time.
    pub(crate) fn new() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            log::set_logger(&ToThread).unwrap();
            log::set_max_level(LevelFilter::Trace);
        });
        let lines = Lines::default();
        LINES.set(Some(Rc::clone(&lines)));
        Self(lines)
    }

    /// All lines so far, with their level.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Whether a line contains `text`.
    pub(crate) fn heard(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        LINES.set(None);
    }
}
