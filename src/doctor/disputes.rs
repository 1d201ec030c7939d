//! Names and aliases that two running containers claim.

use super::HostContext;
use super::check::{Check, advice};
use crate::lifecycle::disputes::{AliasDispute, NameDispute, about_aliases, about_names};

/// Containers that links do not find by their name, and aliases that lead to another link's source.
/// No check if there are none.
pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    let Some(host) = &context.host else { return Vec::new() };
    let running = &context.running;
    let mut checks = match about_names(host.store.as_ref(), running) {
        Ok(disputes) => disputes.iter().map(of_name).collect(),
        Err(error) => vec![Check::fault("names", error.to_string(), context.call("sync"))],
    };
    checks.extend(about_aliases(running).iter().map(of_alias));
    checks
}

fn of_name(dispute: &NameDispute<'_>) -> Check {
    let NameDispute { name, owner, claimant } = dispute;
    let claimant = claimant.id.short();
    match owner {
        Some(owner) => {
            let owner = owner.id.short();
            let cause = format!(
                "{owner} and {claimant} have the name {name}: links to {name} mean {owner}, which \
                 was first"
            );
            let fix = advice(format!("create {claimant} again with another org.oci-link.name"));
            Check::warning("names", cause, fix)
        }
        None => {
            let cause = format!(
                "{claimant} has the name {name}, whose first owner ended: no link by this name \
                 finds it"
            );
            Check::warning("names", cause, advice(format!("restart {claimant}")))
        }
    }
}

fn of_alias(dispute: &AliasDispute<'_>) -> Check {
    let AliasDispute { alias, recipients: [first, second] } = dispute;
    let (first, second) = (&first.name, &second.name);
    let cause = format!(
        "{first} and {second} share a hosts file, and {alias} is another source in each: both \
         resolve the first one's"
    );
    let fix = advice(format!("create {second} again with another alias than {alias}"));
    Check::warning("hosts files", cause, fix)
}
