//! What `watch` needs as a daemon: events, signals and the service manager.

pub mod epoll;
pub mod inotify;
pub mod service;
pub mod signals;
