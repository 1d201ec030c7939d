//! What scenarios are made of, from the ground up: `Netns` and `Outcome`, a `Host` with a bridge,
//! `Bundle`s on it that become `Container`s under a `Runtime`, and packets between them.

mod bundle;
mod container;
mod forged;
pub(crate) mod frames;
mod host;
mod listener;
pub(crate) mod netns;
mod network;
mod outcome;
mod packets;
mod patience;
mod program;
pub(crate) mod remains;
mod runtime;
mod script;
mod sctp;
pub(crate) mod storm;
mod wires;

pub(crate) use bundle::Bundle;
pub(crate) use container::Container;
pub(crate) use forged::Forged;
pub(crate) use host::Host;
pub(crate) use listener::Listener;
pub(crate) use netns::Netns;
pub(crate) use outcome::{Outcome, wait};
pub(crate) use packets::{Flow, OPEN, Proto, Reach, SHUT};
pub(crate) use patience::{patiently, when_free};
pub(crate) use program::OCI_LINK;
pub(crate) use runtime::Runtime;
pub(crate) use script::{install, script};
pub(crate) use wires::{SECOND_BRIDGE, UPLINK};

/// Makes each scenario two tests, `name::runc` and `name::crun`: what one runtime forgives, the
/// other may not. A scenario `also youki` is a third one, which `make test-youki` runs.
macro_rules! each_runtime {
    ($($(#[$about:meta])* fn $name:ident($runtime:ident) $(also $youki:ident)? $story:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$about])*
            fn scenario($runtime: $crate::support::Runtime) $story

            #[test]
            fn runc() {
                scenario($crate::support::Runtime::Runc);
            }

            #[test]
            fn crun() {
                scenario($crate::support::Runtime::Crun);
            }

            $(
                #[test]
                #[ignore = "needs youki: make test-youki"]
                fn $youki() {
                    scenario($crate::support::Runtime::Youki);
                }
            )?
        }
    )*};
}
pub(crate) use each_runtime;
