//! The `none` backend, for hosts without filtering between containers.
//!
//! A link then consists of the hosts entry and the environment variables.

use super::across::stays_here;
use super::outside::Outside;
use super::walls::Walls;
use super::{Firewall, InstalledRules, OwnerScope};
use crate::error::Result;
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use std::collections::BTreeMap;

/// A backend that creates no rules.
#[derive(Debug)]
pub(crate) struct NoFirewall;

impl Firewall for NoFirewall {
    fn name(&self) -> BackendName {
        BackendName::None
    }

    fn ensure_base(&self) -> Result<()> {
        Ok(())
    }

    fn isolate(&self, _: &[BridgeName], _: &Outside) -> Result<()> {
        Ok(())
    }

    fn guard(&self, _: &[BridgeName]) -> Result<()> {
        Ok(())
    }

    fn release(&self) -> Result<()> {
        Ok(())
    }

    fn ensure(&self, _: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        stays_here(flows)
    }

    fn remove(&self, _: OwnerScope<'_>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: OwnerScope<'_>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn expected(&self, _: &OwnerTag, _: &[Flow]) -> Vec<String> {
        Vec::new()
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        Ok(BTreeMap::new())
    }

    fn remove_owner(&self, _: &OwnerTag) -> Result<()> {
        Ok(())
    }

    fn remove_all(&self) -> Result<bool> {
        Ok(false)
    }

    fn is_intact(&self, _: &[Family]) -> Result<bool> {
        Ok(true)
    }

    /// No rule of ours ever permitted a connection.
    fn drop_connections(&self, _: &[Flow]) -> Result<()> {
        Ok(())
    }

    fn runs_programs(&self, _: Family) -> Result<bool> {
        Ok(false)
    }

    fn walls(&self) -> Result<Walls> {
        Ok(Walls::default())
    }
}
