//! Dropping privileges: landlock rules and capabilities.

pub(crate) mod capabilities;
pub(crate) mod landlock;
