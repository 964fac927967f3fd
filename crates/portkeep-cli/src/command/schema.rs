use std::process::ExitCode;

use crate::output;

/// Print the JSON Schema of the spec (portkeep.json)
///
/// Editors complete and check a portkeep.json that names the schema.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portkeep schema > portkeep.schema.json")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        output::json(&portkeep_spec::json_schema())?;
        Ok(ExitCode::SUCCESS)
    }
}
