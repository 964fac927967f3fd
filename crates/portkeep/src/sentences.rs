//! Errors as people read them.

use std::fmt;

/// The sentence of an error and those of its causes. `fn main() -> Result<(), portkeep::Error>` shows an error by `Debug`,
/// and its reader needs sentences, not the fields of a type.
pub(crate) fn in_sentences(
    error: &dyn std::error::Error,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(one) = cause {
        write!(f, ": {one}")?;
        cause = one.source();
    }
    Ok(())
}
