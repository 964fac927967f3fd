//! Remedy: commands that can be copied, and what a person has to do first.

use serde::Serialize;

/// A remedy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What only a person can do or decide, before the commands; empty if the commands are enough.
    pub first: String,
    /// Commands for a shell, one after another.
    pub commands: Vec<String>,
}

impl Remedy {
    /// Commands alone.
    pub(crate) fn run(commands: impl IntoIterator<Item = String>) -> Self {
        Self {
            first: String::new(),
            commands: commands.into_iter().collect(),
        }
    }

    /// The commands, after something that a person does.
    pub(crate) fn after(mut self, first: &str) -> Self {
        first.clone_into(&mut self.first);
        self
    }
}
