//! Callers that wait until the saved sources serve.

use crate::event::WaitId;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Their changes may not have been heard of.
    unmarked: Vec<WaitId>,
    /// All that was saved before they asked was heard of.
    marked: Vec<WaitId>,
}

impl Waiting {
    pub(super) fn add(&mut self, id: WaitId) {
        self.unmarked.push(id);
    }

    /// All was heard of that was saved before this one asked.
    pub(super) fn mark(&mut self, id: WaitId) {
        if let Some(at) = self.unmarked.iter().position(|one| *one == id) {
            self.marked.push(self.unmarked.remove(at));
        }
    }

    /// Whether somebody can be answered.
    pub(super) fn has_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Takes those who can be answered.
    pub(super) fn take_marked(&mut self) -> Vec<WaitId> {
        std::mem::take(&mut self.marked)
    }
}
