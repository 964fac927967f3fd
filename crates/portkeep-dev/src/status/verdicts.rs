//! Verdicts: whether the saved sources serve, and who is told.

use super::Status;
use crate::change::names;
use crate::effect::Effect;
use crate::event::WaitId;
use crate::failure::Failure;
use crate::verdict::Verdict;

impl Status {
    /// A command waits. Saves before now may be reported later than this: its mark in the stream of file events comes after
    /// them.
    pub(super) fn wait(&mut self, id: WaitId, effects: &mut Vec<Effect>) {
        self.waiting.add(id);
        effects.push(Effect::Mark(id));
    }

    /// Answers those who can be answered.
    pub(super) fn answer(&mut self, effects: &mut Vec<Effect>) {
        if !self.waiting.has_marked() {
            return;
        }
        if let Some(verdict) = self.verdict() {
            let ids = self.waiting.take_marked();
            effects.push(Effect::Answer(ids, verdict));
        }
    }

    /// Whether the saved sources serve; nothing while that is undecided.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if !self.is_idle() || self.is_stopped {
            return None;
        }
        let generation = self.page.generation;
        if let Some(failure) = self.page.failure() {
            return Some(Verdict::fails(generation, failure));
        }
        if let Some(change) = self.unbuilt.as_slice().first() {
            let title = format!(
                "{} changed and is not built: `portkeep dev --build-on-key` waits for the key b in its terminal",
                names(std::slice::from_ref(change), &self.settings.here)
            );
            return Some(Verdict::fails(generation, &Failure::new(title, Vec::new())));
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
