//! Everything that acts on one container: its start, its end, and the links of running containers.
//!
//! All of it runs under the host lock, so that what was planned is still true when it is applied.

pub mod alive;
pub mod apply;
pub mod connect;
pub mod debug_log;
pub mod inject;
pub mod lookup;
pub mod orphans;
pub mod planning;
pub mod privileges;
pub mod replan;
pub mod snapshot;
pub mod start;
pub mod starting;
pub mod stop;
pub mod wait;

pub use start::start;
pub use stop::{remove, stop, stop_if_dead};
