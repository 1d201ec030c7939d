//! Support for the `watch` daemon: events, signals and the service manager.

pub(crate) mod boot_timer;
pub(crate) mod epoll;
pub(crate) mod inotify;
pub(crate) mod service;
pub(crate) mod signals;
