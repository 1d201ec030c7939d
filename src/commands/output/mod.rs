//! Output of commands: tables, and colors at a terminal.

pub(super) mod color;
pub(super) mod table;
