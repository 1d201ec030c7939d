//! Tests on real containers: runc and crun, on demand youki, real bridges, real packets. They need root.
//!
//! Every test makes a `Host` of its own, a network namespace with a bridge, so that all run side
//! by side and none can touch the machine's own rules. What a scenario needs is in `support`.

// A test fails by panicking; `expect` says what it had hoped for.
#![allow(clippy::expect_used, clippy::panic)]

mod across;
mod backends;
mod cast;
mod clients;
mod cluster;
mod compose;
mod config;
mod configure;
mod doctor;
mod documents;
mod early;
mod elsewhere;
mod events;
mod firewall;
mod golden;
mod graph;
mod harmless_values;
mod harness;
mod hazards;
mod isolation;
mod laws;
mod lifecycle;
mod links;
mod manual;
mod ports;
mod prepare;
mod properties;
mod regressions;
mod rootless;
mod state;
mod story;
mod support;
mod upgrade;
mod watch;
mod wrapper;
mod youki;
