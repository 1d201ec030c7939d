//! The calls of the store and the firewall in their order, and the call that fails.

use crate::error::{Error, Kind, Result};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails without an effect.
    Refused,
    /// The call fails after its effect, like a program that is killed too late.
    Late,
    /// The call and all later calls fail without an effect, like those of a killed process.
    Killed,
}

impl Fault {
    /// Every way to fail.
    pub(crate) const ALL: [Self; 3] = [Self::Refused, Self::Late, Self::Killed];
}

/// The shared log of all calls. Clones refer to the same log.
#[derive(Clone, Default)]
pub(crate) struct Journal(Rc<Inner>);

#[derive(Default)]
struct Inner {
    calls: RefCell<Vec<String>>,
    effects: RefCell<Vec<String>>,
    fault: Cell<Option<(Fault, usize)>>,
    refused: RefCell<Option<String>>,
    files: RefCell<Vec<Watched>>,
    interludes: RefCell<Vec<Interlude>>,
}

/// A hosts file whose changes count as effects.
struct Watched {
    name: String,
    path: PathBuf,
    content: Option<Vec<u8>>,
}

/// Runs before every call of this text.
struct Interlude {
    before: String,
    act: Box<dyn FnMut()>,
}

impl Journal {
    /// Logs a call, and calls `act` unless the call must fail.
    ///
    /// `act` reports a change by [`Journal::changed`].
    pub(crate) fn call<T>(
        &self,
        kind: Kind,
        text: &str,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.look_at_files();
        self.0.calls.borrow_mut().push(text.to_owned());
        self.run_interludes(text);
        let number = self.count();
        let refused = || Err(Error::new(kind, format!("{text}: fails as call {number}")));
        if self.0.refused.borrow().as_deref() == Some(text) {
            return refused();
        }
        match self.0.fault.get() {
            Some((Fault::Refused, at)) if at == number => refused(),
            Some((Fault::Killed, at)) if at <= number => refused(),
            Some((Fault::Late, at)) if at == number => act().and_then(|_| refused()),
            _ => act(),
        }
    }

    /// Logs a change of records, rules or connections.
    pub(crate) fn changed(&self, effect: String) {
        self.0.effects.borrow_mut().push(effect);
    }

    /// The number of calls since the last [`Journal::restart`].
    pub(crate) fn count(&self) -> usize {
        self.0.calls.borrow().len()
    }

    /// How many calls have this text.
    pub(crate) fn count_of(&self, text: &str) -> usize {
        self.0.calls.borrow().iter().filter(|call| *call == text).count()
    }

    /// The text of the call `number`, which begins at 1.
    pub(crate) fn text_of(&self, number: usize) -> String {
        self.0.calls.borrow().get(number - 1).cloned().unwrap_or_default()
    }

    /// All changes since the last [`Journal::restart`], in their order.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.look_at_files();
        self.0.effects.borrow().clone()
    }

    /// Forgets all calls and faults.
    pub(crate) fn restart(&self) {
        self.look_at_files();
        self.0.calls.take();
        self.0.effects.take();
        self.0.fault.take();
        self.0.refused.take();
        self.0.interludes.take();
    }

    /// Makes the call `number` fail, counted from 1 after the last [`Journal::restart`].
    pub(crate) fn fail(&self, fault: Fault, number: usize) {
        self.0.fault.set(Some((fault, number)));
    }

    /// Makes every call of this text fail.
    pub(crate) fn refuse(&self, text: &str) {
        self.0.refused.replace(Some(text.to_owned()));
    }

    /// Runs `act` before every call of this text. `act` must not change the journal's interludes.
    pub(crate) fn before(&self, text: &str, act: impl FnMut() + 'static) {
        let interlude = Interlude { before: text.to_owned(), act: Box::new(act) };
        self.0.interludes.borrow_mut().push(interlude);
    }

    /// Logs changes of the hosts file `path` as `hosts of NAME`.
    pub(crate) fn watch(&self, name: &str, path: &Path) {
        let mut files = self.0.files.borrow_mut();
        if files.iter().all(|file| file.path != path) {
            let (name, path) = (name.to_owned(), path.to_owned());
            files.push(Watched { name, content: std::fs::read(&path).ok(), path });
        }
    }

    /// The watched files: the container's name and the path.
    pub(crate) fn files(&self) -> Vec<(String, PathBuf)> {
        let files = self.0.files.borrow();
        files.iter().map(|file| (file.name.clone(), file.path.clone())).collect()
    }

    fn look_at_files(&self) {
        for file in self.0.files.borrow_mut().iter_mut() {
            let now = std::fs::read(&file.path).ok();
            if now != file.content {
                file.content = now;
                self.changed(format!("hosts of {}", file.name));
            }
        }
    }

    fn run_interludes(&self, text: &str) {
        // An interlude may call the store, and so the journal again.
        let mut interludes = self.0.interludes.take();
        for interlude in interludes.iter_mut().filter(|interlude| interlude.before == text) {
            (interlude.act)();
        }
        self.0.interludes.replace(interludes);
    }
}
