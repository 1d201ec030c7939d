//! Giving up privileges: landlock rules and capabilities.

pub mod capabilities;
pub mod landlock;
