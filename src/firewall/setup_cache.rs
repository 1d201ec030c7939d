//! What was set up once, remembered in the state directory, so that a start need not look: notes
//! that are true in one boot and one network namespace only.

use crate::error::Result;
use crate::model::BridgeName;
use crate::sys::net::netlink::namespace_cookie;
use crate::sys::private_dir::Directory;
use std::cell::OnceCell;
use std::rc::Rc;

/// More than any list of bridges.
const MAX_NOTE: u64 = 4096;

/// The notes of this boot and namespace.
#[derive(Debug, Clone)]
pub struct SetupCache {
    state: Rc<Directory>,
    boot: u128,
    /// Asked for when the first note is read or written.
    netns: Rc<OnceCell<u64>>,
}

impl SetupCache {
    /// Notes in `state`, made in `boot` and the namespace this process is in.
    pub fn new(state: Rc<Directory>, boot: u128) -> Self {
        Self { state, boot, netns: Rc::default() }
    }

    /// The first line of a note that is true.
    fn here(&self) -> Result<String> {
        let netns = match self.netns.get() {
            Some(known) => *known,
            None => *self.netns.get_or_init({
                let cookie = namespace_cookie()?;
                move || cookie
            }),
        };
        Ok(format!("{:032x} {netns}", self.boot))
    }

    /// What the note says; nothing if it was written elsewhere or before.
    pub(crate) fn recall(&self, note: &str) -> Result<Option<String>> {
        let Some(text) = self.state.read(note, MAX_NOTE)? else { return Ok(None) };
        let (text, true_here) = (String::from_utf8_lossy(&text), self.here()?);
        Ok(text
            .split_once('\n')
            .filter(|(here, _)| *here == true_here)
            .map(|(_, what)| what.into()))
    }

    /// Writes the note.
    pub(crate) fn note(&self, note: &str, what: &str) -> Result<()> {
        self.state.write(note, format!("{}\n{what}", self.here()?).as_bytes())
    }

    /// The bridges whose containers were last isolated, by the note of whoever did it.
    pub(crate) fn isolated(&self, note: &str) -> Result<Vec<BridgeName>> {
        let text = self.recall(note)?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| BridgeName::new(line).ok()).collect())
    }

    /// Remembers them.
    pub(crate) fn note_isolated(&self, note: &str, bridges: &[BridgeName]) -> Result<()> {
        let lines: Vec<&str> = bridges.iter().map(BridgeName::as_str).collect();
        self.note(note, &lines.join("\n"))
    }
}
