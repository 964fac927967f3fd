//! Cargo subcommand: `cargo portkeep …` runs `portkeep …`. Cargo finds this binary by its name, and passes the word `portkeep`
//! along.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

#[expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "it says one thing, about its own path"
)]
fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|word| word == "portkeep") {
        arguments.next();
    }
    let portkeep = env::current_exe()
        .map(|path| path.with_file_name("portkeep"))
        .unwrap_or_else(|_| "portkeep".into());
    let error = Command::new(&portkeep).args(arguments).exec();
    anstream::eprintln!(
        "error: cannot run {}: {error}; install it with `cargo install portkeep-cli`",
        portkeep.display()
    );
    ExitCode::FAILURE
}
