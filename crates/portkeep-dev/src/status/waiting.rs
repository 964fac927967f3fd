//! Who waits until what is saved serves, and what they are told.

use super::Status;
use crate::effect::Effect;
use crate::event::WaitId;
use crate::failure::Failure;
use crate::verdict::Verdict;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Their changes may not have been heard of.
    unmarked: Vec<WaitId>,
    /// All that was saved before they asked was heard of.
    marked: Vec<WaitId>,
}

impl Status {
    /// Somebody waits. What was saved until now may be heard of later than this: a mark in the files is heard of after it.
    pub(super) fn wait(&mut self, id: WaitId, effects: &mut Vec<Effect>) {
        self.waiting.unmarked.push(id);
        effects.push(Effect::Mark(id));
    }

    /// All was heard of that was saved before this mark was made.
    pub(super) fn marked(&mut self, id: WaitId) {
        let waiting = &mut self.waiting;
        if let Some(at) = waiting.unmarked.iter().position(|one| *one == id) {
            waiting.marked.push(waiting.unmarked.remove(at));
        }
    }

    /// Answers whoever can be answered.
    pub(super) fn answer(&mut self, effects: &mut Vec<Effect>) {
        if self.waiting.marked.is_empty() {
            return;
        }
        if let Some(verdict) = self.verdict() {
            let ids = std::mem::take(&mut self.waiting.marked);
            effects.push(Effect::Answer(ids, verdict));
        }
    }

    /// Whether what is saved serves; nothing while that is decided.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if !self.is_idle() || self.is_stopped {
            return None;
        }
        let generation = self.page.generation;
        if let Some(failure) = self.page.failure() {
            return Some(Verdict::fails(generation, failure));
        }
        if let Some(other) = self.chosen_by_others {
            let title = format!(
                "generation {other} serves, which another command chose; `portkeep reload` or an edit brings the newest back"
            );
            return Some(Verdict::fails(generation, &Failure::new(title, Vec::new())));
        }
        Some(Verdict::serves(generation))
    }
}
