//! Removes all chains of one family, also where rules of other programs lead to them.

use super::command::Tool;
use super::common_chain::{JUMP_TO_BASE, removal};
use super::strays::leads_to;
use crate::error::{Error, Result};
use crate::firewall::failed;

/// Removes all our chains of one family. Returns whether there was one, and why one stays: a chain to which a rule
/// of another program leads is emptied only.
pub(super) fn dismantle(tool: Tool) -> Result<(bool, Option<Error>)> {
    let there = tool.list()?;
    let text = removal(&there);
    if text.is_empty() {
        return Ok((false, None));
    }
    let Err(complaint) = tool.restore(&text)? else { return Ok((true, None)) };
    let there: Vec<String> = there.into_iter().filter(|line| *line != JUMP_TO_BASE).collect();
    let stays = |from: &str| !text.contains(&format!("-F {from}\n"));
    let chains = text.lines().filter_map(|line| line.strip_prefix("-X "));
    let kept: Vec<(&str, &String)> =
        chains.filter_map(|chain| Some((chain, leads_to(&there, chain, stays)?))).collect();
    let Some((chain, rule)) = kept.first() else { return Err(complaint) };
    let is_kept = |line: &&str| kept.iter().any(|(chain, _)| *line == format!("-X {chain}"));
    let rest: Vec<&str> = text.lines().filter(|line| !is_kept(line)).collect();
    tool.restore(&(rest.join("\n") + "\n"))??;
    Ok((true, Some(is_held(tool, chain, rule))))
}

/// The error that says why an empty chain of ours stays.
pub(crate) fn is_held(tool: Tool, chain: &str, rule: &str) -> Error {
    let name = tool.name();
    failed(format!("{name}: chain {chain} is empty and stays until this rule is deleted: {rule}"))
}
