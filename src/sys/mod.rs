//! The only room for system calls and for unsafe code.
//!
//! What comes from a container's file system goes through [`rootfs`] and [`hosts_file`], what comes
//! from its process through [`netns`] and [`process`], other programs through [`child`].

pub mod alarm;
pub mod bridge;
mod capabilities;
pub mod child;
pub mod conntrack;
pub mod directory;
pub mod entry;
pub mod epoll;
pub mod exec;
pub mod file;
pub mod hosts_file;
mod in_place;
pub mod inotify;
pub mod lease;
pub mod lock;
pub mod netlink;
pub mod netns;
pub mod operator_path;
pub mod process;
pub mod rootfs;
pub mod sandbox;
pub mod service;
pub mod signals;
pub mod stdin;
