//! Pages that get no script. Each is reported once.

use std::collections::HashSet;

use portkeep_contract::development::Refusal;

/// Many names would fill the terminal.
const MOST: usize = 5;

/// The reported pages.
#[derive(Debug, Default)]
pub(super) struct Refused(HashSet<(&'static str, String)>);

impl Refused {
    /// Whether this has not been reported yet.
    pub(super) fn is_news(&mut self, why: Refusal, whose: &str) -> bool {
        let one = (why.word(), whose.to_owned());
        self.0.len() < MOST && self.0.insert(one)
    }
}
