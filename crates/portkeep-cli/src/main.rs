//! The command `portkeep`.

mod caller;
mod cli;
mod command;
mod complete;
#[cfg(test)]
mod docs;
mod exit;
mod facts;
mod locate;
mod man;
mod output;
mod port_owner;
mod prove;

use std::process::ExitCode;

use clap::Parser;
use portkeep_dev::control;

fn main() -> ExitCode {
    if let Some(failed) = portkeep_dev::wrap_rustc() {
        output::errln!("portkeep: {failed}");
        return ExitCode::FAILURE;
    }
    match complete::answer() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return exit::report(&anyhow::Error::new(error)),
    }
    let cli = cli::Cli::parse();
    show_warnings();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return exit::report(
                &anyhow::Error::new(error).context("cannot start the async runtime"),
            );
        }
    };
    let result = runtime.block_on(cli.run());
    // A waiting task (a follower of the journal) must not delay the end.
    runtime.shutdown_background();
    match result {
        Ok(code) => match output::lost() {
            None => code,
            Some(error) => exit::report(&anyhow::anyhow!("cannot write the output: {error}")),
        },
        Err(error) => exit::report(&error),
    }
}

/// Shows warnings of the engine about failures that did not stop it. The journal and the terminal add the time.
fn show_warnings() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(|| output::Warnings)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}
