//! The documents are true: what they list is what there is, and what they show is what happens.

mod blocks;
mod checklists;
mod commands;
mod errors;
pub(crate) mod json;
mod messages;
mod references;
