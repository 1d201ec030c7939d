//! A cache, in the state directory, of what the backends have set up.
//!
//! It saves a container start from reading the kernel's state. An entry is valid only in the boot
//! and in the network namespace in which it was written.

use super::walls::Walls;
use crate::error::Result;
use crate::sys::net::netlink::namespace_cookie;
use crate::sys::private_dir::Directory;
use crate::sys::site::{Standing, standing};
use std::cell::OnceCell;
use std::rc::Rc;

/// Size limit of an entry in bytes. The networks of a cluster, which config.toml names, take less.
const MAX_NOTE: u64 = 128 << 10;

/// The cache entries of this boot and network namespace.
#[derive(Debug, Clone)]
pub struct SetupCache {
    state: Rc<Directory>,
    boot: u128,
    /// Cookie of the network namespace, read at the first use.
    netns: Rc<OnceCell<u64>>,
}

impl SetupCache {
    /// Opens the cache in the directory `state` for `boot` and the namespace of this process.
    pub fn new(state: Rc<Directory>, boot: u128) -> Self {
        Self { state, boot, netns: Rc::default() }
    }

    /// `SO_NETNS_COOKIE` of the network namespace of this process, or 0 if it is none that has bridges.
    pub(crate) fn cookie(&self) -> Result<u64> {
        if let Some(known) = self.netns.get() {
            return Ok(*known);
        }
        let is_nowhere = matches!(standing(), Standing::Nowhere { .. });
        let cookie = if is_nowhere { 0 } else { namespace_cookie()? };
        Ok(*self.netns.get_or_init(|| cookie))
    }

    /// The first line of a valid entry: boot id and namespace cookie.
    fn here(&self) -> Result<String> {
        Ok(format!("{:032x} {}", self.boot, self.cookie()?))
    }

    /// The text of an entry, or `None` if it was written in another boot or namespace.
    pub(crate) fn recall(&self, note: &str) -> Result<Option<String>> {
        let Some(text) = self.state.read(note, MAX_NOTE)? else { return Ok(None) };
        let (text, true_here) = (String::from_utf8_lossy(&text), self.here()?);
        Ok(text
            .split_once('\n')
            .filter(|(here, _)| *here == true_here)
            .map(|(_, what)| what.into()))
    }

    /// Writes an entry.
    pub(crate) fn note(&self, note: &str, what: &str) -> Result<()> {
        self.state.write(note, format!("{}\n{what}", self.here()?).as_bytes())
    }

    /// What is isolated according to the entry `note`.
    pub(crate) fn walls(&self, note: &str) -> Result<Walls> {
        Ok(Walls::parse(&self.recall(note)?.unwrap_or_default()))
    }

    /// Stores what is isolated in the entry `note`.
    pub(crate) fn note_walls(&self, note: &str, walls: &Walls) -> Result<()> {
        self.note(note, &walls.text())
    }
}
