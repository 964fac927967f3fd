//! Pages that get no script. Each is reported once.

use std::collections::HashSet;

use portkeep_contract::development::Refusal;

/// Whoever asks by many names wants to fill the terminal.
const MOST: usize = 5;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Refused(HashSet<(&'static str, String)>);

impl Refused {
    /// Whether that is to be told.
    pub(super) fn is_news(&mut self, why: Refusal, whose: &str) -> bool {
        let one = (why.word(), whose.to_owned());
        self.0.len() < MOST && self.0.insert(one)
    }
}
