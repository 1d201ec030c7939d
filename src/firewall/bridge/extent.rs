//! Which rules the bridge table has, and how the cache says so.

/// Which rules the table has, or must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Those that links need.
    Links,
    /// Those that isolated containers need, too. They are made for the first one, because each bridged packet pays for
    /// them.
    Isolation,
}

impl Extent {
    /// The content of a cache entry of this version of the rules.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Links => "4",
            Self::Isolation => "4 isolation",
        }
    }

    /// What a cache entry says. `None` for one of another version.
    pub(super) fn noted(entry: &str) -> Option<Self> {
        [Self::Links, Self::Isolation].into_iter().find(|extent| extent.note() == entry)
    }
}
