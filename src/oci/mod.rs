//! Parses what runtimes provide: the state on stdin, config.json in the bundle, and the annotations
//! in both.
//!
//! The results are the checked types of `model`.

pub(crate) mod annotations;
pub(crate) mod command_line;
pub(crate) mod edit;
pub(crate) mod exec;
pub(crate) mod hooks;
pub(crate) mod json;
pub(crate) mod network_namespace;
pub(crate) mod one_run;
pub(crate) mod runtime_state;
pub(crate) mod spec;
pub(crate) mod spelling;
pub(crate) mod state;
