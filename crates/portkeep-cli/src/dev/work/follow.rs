//! Follows a handover to its end, or until newer sources overtake it.

use portkeep_engine::GiveUp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Round, Start, Then, Why, Work};
use crate::dev::build;
use crate::dev::session::{Event, HandingOver};

/// A handover that was overtaken by newer sources. It goes on, since what it starts may be READY before those are built;
/// it ends at the latest with this.
pub(super) struct Overtaken {
    task: JoinHandle<()>,
    give_up: GiveUp,
}

impl Overtaken {
    fn new(handover: HandingOver, give_up: GiveUp, events: mpsc::UnboundedSender<Event>) -> Self {
        let is_given_up = give_up.clone();
        let task = tokio::spawn(async move {
            let result = handover.await;
            let event = if result.is_err() && is_given_up.is_asked() {
                Event::Note("the start that was overtaken is given up".to_owned())
            } else {
                Event::Ended(result)
            };
            // Nobody listens any more: we are ending.
            let _ = events.send(event);
        });
        Self { task, give_up }
    }
}

impl Drop for Overtaken {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work<'_> {
    /// Follows a handover, while the app's lines go on being shown. Sources that change meanwhile are built at once.
    pub(super) async fn follow(
        &mut self,
        mut handover: HandingOver,
        give_up: GiveUp,
        start: Start,
    ) -> Round {
        self.meanwhile = Some(Vec::new());
        let mut is_asked_to_build = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut handover => break result,
                wake = self.inputs.next(&mut self.sources) => match self.on(wake) {
                    Then::Stop => return Round::Stopped,
                    // There is nothing new in it: afterwards will do.
                    Then::Build(Why::First | Why::Asked) => is_asked_to_build = true,
                    Then::Build(why) => {
                        self.overtake(handover, give_up);
                        return Round::Again(why);
                    }
                    // It is started anew anyhow.
                    Then::GoOn | Then::Restart => {}
                },
            }
        };
        let work = match start {
            Start::New(work) => work,
            Start::Again => build::Work::Something,
        };
        let serves = self.report.handed_over(&result, work);
        self.tell(&result, start);
        match start {
            _ if !serves => self.is_failing(),
            Start::New(_) => self.failing = false,
            // The newest sources may be others.
            Start::Again => {}
        }
        if is_asked_to_build {
            return Round::Again(Why::Asked);
        }
        if !serves {
            return Round::Fails;
        }
        if std::mem::take(&mut self.open) {
            self.open_page();
        }
        Round::Serves
    }

    fn overtake(&mut self, handover: HandingOver, give_up: GiveUp) {
        self.report.overtaken(self.session.serves());
        self.tell_meanwhile();
        let events = self.inputs.to_session.clone();
        self.overtaken
            .push(Overtaken::new(handover, give_up, events));
    }

    /// What is published now is to be started. Starts of another release are not waited for.
    pub(super) fn give_up_overtaken(&mut self, work: build::Work) {
        self.overtaken.retain(|one| !one.task.is_finished());
        if work == build::Work::Something && self.session.has_other_release() {
            for overtaken in &self.overtaken {
                overtaken.give_up.ask();
            }
        }
    }

    fn tell_meanwhile(&mut self) {
        for outcome in self.meanwhile.take().unwrap_or_default() {
            self.tell_others(&outcome);
        }
    }
}
