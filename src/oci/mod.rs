//! What runtimes hand us: the state on stdin, config.json in the bundle, and the annotations in
//! both. Bytes come in, checked nouns go out.

pub(crate) mod annotations;
pub(crate) mod command_line;
pub(crate) mod edit;
pub(crate) mod hooks;
pub(crate) mod json;
pub(crate) mod runtime_state;
pub(crate) mod spec;
pub(crate) mod state;
