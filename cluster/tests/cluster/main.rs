//! The courier against a real etcd 3.5: three members, mutual TLS, authentication, hosts in network
//! namespaces. They need root; `make test-cluster` brings etcd.
//!
//! Each test has a cluster of its own, so that all run side by side. Nothing outlives a test.

// A test fails by panicking; `expect` says what it had hoped for.
#![allow(clippy::expect_used, clippy::panic)]

mod bulk;
mod cluster;
mod courier;
mod cuts;
mod documented;
mod identity;
mod machine;
mod members;
mod pki;
mod program;
mod records;
mod wait;
