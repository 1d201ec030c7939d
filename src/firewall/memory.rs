//! What was set up once, remembered in the state directory, so that a start need not look: notes
//! that are true in one boot and one network namespace only.

use crate::error::Result;
use crate::model::BridgeName;
use crate::sys::directory::Directory;
use crate::sys::netns;
use std::rc::Rc;

/// More than any list of bridges.
const MAX_NOTE: u64 = 4096;

/// The notes of this boot and namespace.
#[derive(Debug, Clone)]
pub struct Memory {
    state: Rc<Directory>,
    here: String,
}

impl Memory {
    /// Notes in `state`, made in `boot` and the namespace this process is in.
    pub fn new(state: Directory, boot: u128) -> Result<Self> {
        let state = Rc::new(state);
        Ok(Self { state, here: format!("{boot:032x} {}", netns::own_cookie()?) })
    }

    /// What the note says; nothing if it was written elsewhere or before.
    pub fn recall(&self, note: &str) -> Result<Option<String>> {
        let text = self.state.read(note, MAX_NOTE)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(text
            .split_once('\n')
            .filter(|(here, _)| *here == self.here)
            .map(|(_, what)| what.into()))
    }

    /// Writes the note.
    pub fn note(&self, note: &str, what: &str) -> Result<()> {
        self.state.write(note, format!("{}\n{what}", self.here).as_bytes())
    }

    /// The bridges whose containers were last isolated, by the note of whoever did it.
    pub fn isolated(&self, note: &str) -> Result<Vec<BridgeName>> {
        let text = self.recall(note)?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| BridgeName::new(line).ok()).collect())
    }

    /// Remembers them.
    pub fn note_isolated(&self, note: &str, bridges: &[BridgeName]) -> Result<()> {
        let lines: Vec<&str> = bridges.iter().map(BridgeName::as_str).collect();
        self.note(note, &lines.join("\n"))
    }
}
