//! Exit codes: 0 done; 1 failed, nothing changed; 2 bad usage or bad spec; 3 fell back to the last good release;
//! 4 needs a person.

use std::fmt;
use std::process::ExitCode;

use portkeep_engine::Outcome;
use portkeep_spec::SpecError;

use crate::output::{self, Text};

/// The user asked for something impossible: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A usage error, for use with `?`.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Exit code 3: a release failed, and portkeep restored the last good one.
pub(crate) const FELL_BACK: u8 = 3;

/// Exit code 4: only a person can repair the state, for example if no release can serve.
pub(crate) const NEEDS_A_PERSON: u8 = 4;

/// The exit code of a handover that did not fail.
pub(crate) fn code_of(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Holding(_) | Outcome::InMaintenance(_) => NEEDS_A_PERSON,
        outcome if outcome.fell_back() => FELL_BACK,
        _ => 0,
    }
}

/// Prints an error with its causes, and returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let bold = anstyle::AnsiColor::Red.on_default().bold();
    output::print_error(Text::styled(bold, "error:") + format!(" {error}"));
    for cause in error.chain().skip(1) {
        output::errln!("  because: {cause}");
    }
    let is_usage = error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<portkeep_dev::Usage>()
            || cause.is::<SpecError>()
            || cause.is::<Box<SpecError>>()
    });
    ExitCode::from(if is_usage { 2 } else { 1 })
}
