//! What is shown and kept in mind when the newest sources do not serve.

use super::{Round, Work};
use crate::dev::browser::Failure;

impl Work<'_> {
    /// A round that could not come to its end.
    pub(super) fn could_not(&mut self, error: &anyhow::Error) -> Round {
        self.report.could_not(error, self.session.serves());
        let why: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
        self.fails(Failure::of_output(error.to_string(), why.join(": ")))
    }

    pub(super) fn fails(&mut self, failure: Failure) -> Round {
        self.browser.tell(|state| state.failed(failure));
        self.is_failing();
        Round::Fails
    }

    pub(super) fn is_failing(&mut self) {
        self.failing = true;
        // To save a file once more is to ask for another try.
        self.sources.take_all_as_new();
    }
}
