//! Containers without an engine: runc, crun or youki called by hand, umoci, `ctr`.
//!
//! Everything that is known about such a container is in config.json.

use super::{Clues, EngineFiles, Facts};
use crate::error::Result;

pub(super) struct Bare;

impl EngineFiles for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn made(&self, _: &Clues<'_>) -> bool {
        true
    }

    fn facts(&self, _: &Clues<'_>) -> Result<Facts> {
        Ok(Facts::default())
    }
}
