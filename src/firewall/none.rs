//! For hosts that do not filter between containers: links are names and variables only.

use super::{Firewall, Kept, Ruleset};
use crate::error::Result;
use crate::model::{BackendName, BridgeName, Flow, OwnerTag};
use std::collections::BTreeMap;

/// Makes no rules.
#[derive(Debug)]
pub struct NoFirewall;

impl Firewall for NoFirewall {
    fn name(&self) -> BackendName {
        BackendName::None
    }

    fn restore(&self) -> Result<()> {
        Ok(())
    }

    fn isolate(&self, _: &[BridgeName]) -> Result<()> {
        Ok(())
    }

    fn ensure(&self, _: Ruleset<'_>, _: &[Flow]) -> Result<()> {
        Ok(())
    }

    fn remove(&self, _: Ruleset<'_>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: Ruleset<'_>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn expected(&self, _: &OwnerTag, _: &[Flow]) -> Vec<String> {
        Vec::new()
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, Kept>> {
        Ok(BTreeMap::new())
    }

    fn purge(&self, _: &OwnerTag) -> Result<()> {
        Ok(())
    }

    fn dismantle(&self) -> Result<()> {
        Ok(())
    }

    fn stands(&self) -> Result<bool> {
        Ok(true)
    }

    fn isolated(&self) -> Result<Vec<BridgeName>> {
        Ok(Vec::new())
    }
}
