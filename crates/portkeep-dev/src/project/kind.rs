//! Kinds of cargo targets.

/// A program that a package can be built to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Binary,
    Example,
}
