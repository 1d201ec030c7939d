//! What runtimes hand us: the state on stdin, config.json in the bundle, and the annotations in
//! both. Bytes come in, checked nouns go out.

pub mod annotations;
pub mod command_line;
pub mod edit;
pub mod hooks;
pub(crate) mod json;
pub mod runtime_state;
pub mod spec;
pub mod state;
