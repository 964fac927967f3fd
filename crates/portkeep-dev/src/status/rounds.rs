//! Rounds: the steps from sources to a serving generation.

use super::{Activity, BuildResult, RoundEnd, Start, Status, Trigger};
use crate::change::names;
use crate::effect::{Effect, Ending, Notice, Step};
use crate::event::{Built, Checked, Now, Work};
use crate::failure::Failure;

impl Status {
    /// Begins a build. It includes all changes so far.
    pub(super) fn begin_round(&mut self, trigger: Trigger, now: &Now, effects: &mut Vec<Effect>) {
        self.rewritten_files.begin();
        self.late.clear();
        self.round_ended = None;
        // A build teaches nothing about sources that an earlier build may have compiled before it was cancelled or failed,
        // nor while a failure is shown.
        let learns = !self.is_failing && std::mem::take(&mut self.is_built);
        let (what, changed) = match &trigger {
            Trigger::Changed(changes) => (
                Some(names(changes, &self.settings.here)),
                Some(changes.iter().map(|change| change.path.clone()).collect()),
            ),
            Trigger::First | Trigger::Asked => (None, None),
        };
        self.step = Step::Making;
        self.page
            .building(what.as_deref().unwrap_or_default(), now.milliseconds);
        self.activity = Activity::Building { trigger, learns };
        if !self.settings.builds_nothing {
            effects.push(Effect::Tell(Notice::Building(what)));
        }
        effects.push(Effect::Build(changed));
    }

    /// Builds because of `trigger`, whatever is in progress.
    pub(super) fn interrupt(&mut self, trigger: Trigger, now: &Now, effects: &mut Vec<Effect>) {
        match (&mut self.activity, &trigger) {
            (Activity::Idle, _) => {}
            (Activity::Building { .. } | Activity::Checking { .. }, _) => {
                effects.push(Effect::Cancel);
                self.note_late(now);
            }
            // There is nothing new in it: afterwards will do.
            (Activity::Starting { builds_next, .. }, Trigger::First | Trigger::Asked) => {
                *builds_next = true;
                return;
            }
            (Activity::Starting { start, .. }, Trigger::Changed(_)) => {
                let is_round = *start != Start::Again;
                effects.push(Effect::Tell(Notice::Superseded(now.serves)));
                effects.push(Effect::Supersede);
                if is_round {
                    self.note_late(now);
                }
            }
        }
        self.begin_round(trigger, now, effects);
    }

    pub(super) fn build_ended(&mut self, built: Built, now: &Now, effects: &mut Vec<Effect>) {
        let Activity::Building { trigger, learns } =
            std::mem::replace(&mut self.activity, Activity::Idle)
        else {
            return;
        };
        match built {
            Built::Good {
                executable,
                took,
                work,
                inputs,
            } => {
                if !self.settings.builds_nothing {
                    effects.push(Effect::Tell(Notice::Built(took)));
                }
                self.is_built = true;
                if executable.is_some() {
                    self.relevance.built(inputs.clone());
                    effects.push(Effect::Watch(inputs));
                }
                if let (true, Work::Nothing, Trigger::Changed(changes)) = (learns, work, &trigger) {
                    self.relevance.not_built(changes);
                }
                self.check_or_start(0, BuildResult { executable, work }, now, effects);
            }
            Built::Bad { took, parts } => {
                self.step = Step::NotMade;
                effects.push(Effect::Tell(Notice::BuildFailed(took, now.serves)));
                self.fail_with(Failure::new("the build failed", parts), effects);
                self.end_round(RoundEnd::Fails, now, effects);
            }
        }
    }

    pub(super) fn check_ended(&mut self, checked: Checked, now: &Now, effects: &mut Vec<Effect>) {
        let Activity::Checking { index, made } =
            std::mem::replace(&mut self.activity, Activity::Idle)
        else {
            return;
        };
        let check = self.settings.checks[index].clone();
        match checked {
            Checked::Passed(took) => {
                effects.push(Effect::Tell(Notice::CheckPassed(check, took)));
                self.check_or_start(index + 1, made, now, effects);
            }
            Checked::Failed(took, text) => {
                self.step = Step::NotMade;
                let title = format!("the check `{check}` failed");
                effects.push(Effect::Tell(Notice::CheckFailed(check, took, now.serves)));
                self.fail_with(Failure::of_check(title, &text), effects);
                self.end_round(RoundEnd::Fails, now, effects);
            }
        }
    }

    /// A problem that the sources did not cause. The port stays open, whatever it is: the next change tries again.
    pub(super) fn could_not(
        &mut self,
        error: &anyhow::Error,
        now: &Now,
        effects: &mut Vec<Effect>,
    ) {
        self.step = Step::NotMade;
        let told = Notice::CouldNot(format!("{error:#}"), now.serves);
        effects.push(Effect::Tell(told));
        let why: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
        self.fail_with(
            Failure::of_output(error.to_string(), why.join(": ")),
            effects,
        );
        match std::mem::replace(&mut self.activity, Activity::Idle) {
            Activity::Building { .. } | Activity::Checking { .. } => {
                effects.push(Effect::Cancel);
                self.end_round(RoundEnd::Fails, now, effects);
            }
            Activity::Starting { start, .. } if start != Start::Again => {
                self.end_round(RoundEnd::Fails, now, effects);
            }
            Activity::Starting { .. } | Activity::Idle => {}
        }
    }

    /// Runs the checks, and starts the built version when all have passed.
    fn check_or_start(
        &mut self,
        index: usize,
        made: BuildResult,
        now: &Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(check) = self.settings.checks.get(index) {
            self.page.checking(check, now.milliseconds);
            effects.push(Effect::Tell(Notice::Checking(check.clone())));
            effects.push(Effect::Check(index));
            self.activity = Activity::Checking { index, made };
            return;
        }
        self.step = Step::Started;
        self.page.starting(now.milliseconds);
        let BuildResult { executable, work } = made;
        self.activity = Activity::Starting {
            start: Start::New(work),
            id: None,
            builds_next: false,
        };
        effects.push(Effect::HandOver { executable, work });
    }

    fn fail_with(&mut self, failure: Failure, effects: &mut Vec<Effect>) {
        self.page.failed(failure);
        self.fail(effects);
    }

    /// Ends a round. Changes during it that turned out to matter begin the next.
    pub(super) fn end_round(&mut self, end: RoundEnd, now: &Now, effects: &mut Vec<Effect>) {
        self.activity = Activity::Idle;
        let late = self.note_late(now);
        let (waits, goes_on) = match self.settings.builds_on_key {
            true => (late, Vec::new()),
            false => (Vec::new(), late),
        };
        if !waits.is_empty() {
            self.put_aside(waits, effects);
        }
        if goes_on.is_empty()
            && let Some(verdict) = self.verdict()
        {
            effects.push(Effect::EndRound(verdict));
        }
        match end {
            RoundEnd::Serves if self.settings.detaches => {
                return effects.push(Effect::End(Ending::Detached));
            }
            RoundEnd::Fails if self.settings.detaches => {
                return effects.push(Effect::End(Ending::Failed));
            }
            RoundEnd::Serves => effects.push(Effect::BuildBehind),
            RoundEnd::Fails => {}
        }
        if !goes_on.is_empty() {
            self.begin_round(Trigger::Changed(goes_on), now, effects);
        }
    }
}
