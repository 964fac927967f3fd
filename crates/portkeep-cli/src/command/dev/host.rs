//! Services that this program offers to the loop of `portkeep dev`: directories, and commands for its advice.

use std::path::Path;

use portkeep_dev::Host;
use portkeep_engine::{Outcome, Place, Store};
use portkeep_spec::{Address, AppName, Spec};

use crate::control::Answer;
use crate::output::outcome_line;
use crate::{exit, locate, port_owner};

/// This program.
#[derive(Debug)]
pub(super) struct Program;

impl Host for Program {
    fn read_spec(&self, path: &Path) -> anyhow::Result<Spec> {
        locate::read_spec(path)
    }

    fn store(&self, name: &AppName, place: Place) -> anyhow::Result<Store> {
        locate::store_for_releases(name, place)
    }

    fn port_owner(&self, address: &Address) -> Option<String> {
        let owner = port_owner::of(address)?;
        Some(format!("{owner}; {}", owner.remedy()))
    }

    fn answer(&self, name: &AppName, outcome: &Outcome) -> Answer {
        Answer::Done {
            line: outcome_line(name, outcome),
            code: exit::code_of(outcome),
        }
    }
}
