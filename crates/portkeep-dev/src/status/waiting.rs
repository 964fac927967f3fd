//! Callers that wait until the saved sources serve.

use crate::event::WaitId;

/// Commands that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Their mark has not been seen: changes before it may be unreported.
    unmarked: Vec<WaitId>,
    /// All saves before their question have been seen.
    marked: Vec<WaitId>,
}

impl Waiting {
    pub(super) fn add(&mut self, id: WaitId) {
        self.unmarked.push(id);
    }

    /// All saves before this question have been seen.
    pub(super) fn mark(&mut self, id: WaitId) {
        if let Some(at) = self.unmarked.iter().position(|one| *one == id) {
            self.marked.push(self.unmarked.remove(at));
        }
    }

    /// Whether a command can be answered.
    pub(super) fn has_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Takes those that can be answered.
    pub(super) fn take_marked(&mut self) -> Vec<WaitId> {
        std::mem::take(&mut self.marked)
    }
}
