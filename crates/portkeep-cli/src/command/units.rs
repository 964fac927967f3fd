use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use portkeep_engine::units::{Readable, UnitFiles, write_spec};
use portkeep_spec::{Manager as Which, RenderOptions, Spec};

use crate::{locate, output};

/// Render the units of an app, and nothing else
///
/// Writes OUT/lib/systemd/{system,user}/… and OUT/share/portkeep/NAME.json. Nothing is installed or started.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portkeep units --spec portkeep.json --out ./result")]
pub(crate) struct Args {
    /// The spec [default: ./portkeep.json].
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// The output directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only for this manager [default: both].
    #[arg(long, value_name = "MANAGER")]
    manager: Option<ManagerName>,
    /// The helper that the units call [default: this executable].
    #[arg(long, value_name = "FILE")]
    helper: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ManagerName {
    System,
    User,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let spec = locate::load_spec(self.spec)?;
        let helper = match self.helper {
            Some(helper) => helper,
            None => std::env::current_exe()
                .context("cannot find the path of this executable; use --helper FILE")?,
        };
        // Absolute, because the units name it; it need not exist yet.
        let out = std::path::absolute(&self.out)
            .with_context(|| format!("bad --out {}", self.out.display()))?;
        let spec_path = out
            .join("share/portkeep")
            .join(format!("{}.json", spec.name));
        let managers = match self.manager {
            None => vec![Which::System, Which::User],
            Some(ManagerName::System) => vec![Which::System],
            Some(ManagerName::User) => vec![Which::User],
        };
        // All are rendered before any is written: a bad spec changes nothing.
        let rendered = managers
            .into_iter()
            .map(|which| {
                UnitFiles::render(&spec, &helper, &spec_path, which).map(|files| (which, files))
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (which, files) in rendered {
            let directory = out.join("lib/systemd").join(which.to_string());
            files.write(&directory)?;
            crate::output::outln!("{} units in {}", files.files().len(), directory.display());
            tell_left_out(&spec, &helper, &spec_path, which)?;
        }
        write_spec(&spec, &spec_path, Readable::ByAll)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Reports which locks of the sandbox a user's manager cannot apply.
pub(crate) fn tell_left_out(
    spec: &Spec,
    helper: &Path,
    spec_path: &Path,
    which: Which,
) -> anyhow::Result<()> {
    if which == Which::System {
        return Ok(());
    }
    let options = RenderOptions {
        helper: helper.to_owned(),
        spec_path: spec_path.to_owned(),
        manager: which,
    };
    // A spec for a user's manager need not be one for the system's.
    let Ok(left_out) = portkeep_spec::left_out(spec, &options) else {
        return Ok(());
    };
    if left_out.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = left_out.iter().map(|name| format!("{name}=")).collect();
    let text = format!(
        "A user's manager cannot apply these settings of the sandbox, so they are left out: {}",
        names.join(" ")
    );
    for line in output::wrapped(&text, 2) {
        crate::output::outln!("{line}");
    }
    Ok(())
}
