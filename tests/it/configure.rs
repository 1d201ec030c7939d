//! `configure`: what engines' configuration files say afterwards, and that nothing else of them
//! changes. That engines understand it, `tests/engines` shows.

mod containerd;
mod docker;
mod docker_advice;
mod drop_ins;
mod podman;
mod runtimes;
pub(crate) mod site;
mod user;
