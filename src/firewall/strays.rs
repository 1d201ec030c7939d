//! Rules of other programs in our own chains. The administrator's chain is not one of them.

/// Which of these rules a change removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strays {
    /// Those that end the way of every packet through the chain. With one of them, no link carries packets and
    /// nothing is isolated.
    Total,
    /// All.
    All,
}
