//! Shell completions of the command line.

use std::any::TypeId;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use portkeep_spec::AppName;

use crate::cli::Cli;

/// A shell's script asks for completions by this variable.
const VARIABLE: &str = "PORTKEEP_COMPLETE";
/// Completed and called command. The shell looks for it in `PATH`.
const PROGRAM: &str = "portkeep";
/// Mark of portkeep's units, before the app's name.
const MARK: &str = "X-Portkeep-App=";

/// Answers a shell that asks for completions; false if no shell asked.
pub(crate) fn answer() -> Result<bool, clap::Error> {
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .bin(PROGRAM)
        .completer(PROGRAM)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref())
}

/// The script that makes a shell ask; none for an unknown shell.
pub(crate) fn script(shell: &str) -> Option<std::io::Result<Vec<u8>>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell)?;
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script);
    Some(written.map(|()| {
        if shell.name() == "zsh" {
            script.extend_from_slice(AUTOLOADED.as_bytes());
        }
        script
    }))
}

/// zsh reads the file of a function at its first call, and expects an answer to that call.
const AUTOLOADED: &str = r#"
if [[ "${funcstack[1]}" == _portkeep ]]; then
    _clap_dynamic_completer_portkeep "$@"
fi
"#;

/// The command line. Every argument that is an app's name completes to the names of apps.
fn command() -> Command {
    let mut command = Cli::command();
    let verbs: Vec<String> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_arguments().any(names_an_app))
        .map(|verb| verb.get_name().to_owned())
        .collect();
    for verb in verbs {
        command = command.mut_subcommand(verb, |verb| {
            // All arguments are visited, because clap moves an argument that is changed alone to the end.
            verb.mut_args(|argument| match names_an_app(&argument) {
                true => argument.add(ArgValueCandidates::new(candidates)),
                false => argument,
            })
        });
    }
    command
}

fn names_an_app(argument: &Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<AppName>()
}

fn candidates() -> Vec<CompletionCandidate> {
    let names = names(&directories());
    names
        .iter()
        .map(|name| CompletionCandidate::new(name.as_str()))
        .collect()
}

/// Directories of units that every user may read, and of apps that `portkeep dev` runs. The completion asks no manager,
/// because a busy manager would make the user wait.
fn directories() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["/etc", "/run", "/usr/local/lib", "/usr/lib"]
        .iter()
        .flat_map(|root| ["system", "user"].map(|kind| Path::new(root).join("systemd").join(kind)))
        .collect();
    let configuration = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    found.extend(configuration.map(|directory| directory.join("systemd/user")));
    if let Ok(runtime) = portkeep_engine::user_runtime_directory() {
        found.push(runtime.join("systemd/user"));
        found.push(runtime.join("portkeep-local"));
    }
    found
}

/// The names of the apps that have a target or a directory in `directories`, without duplicates.
fn names(directories: &[PathBuf]) -> Vec<AppName> {
    let entries = directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok());
    let mut names: Vec<AppName> = entries
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name();
            let file = file.to_str()?;
            match file.strip_suffix(".target") {
                Some(name) => name
                    .parse()
                    .ok()
                    .filter(|name| is_ours(&entry.path(), name)),
                // A directory of a running `portkeep dev`.
                None => file
                    .parse()
                    .ok()
                    .filter(|_| entry.path().join("control").exists()),
            }
        })
        .collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

fn is_ours(target: &Path, name: &AppName) -> bool {
    let mark = format!("{MARK}{name}");
    fs::read_to_string(target).is_ok_and(|text| text.lines().any(|line| line == mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_are_named_once_and_nothing_else_is() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = |directory: &Path, unit: &str, text: &str| {
            fs::write(directory.join(unit), text).unwrap();
        };
        target(one.path(), "shop.target", "[Unit]\nX-Portkeep-App=shop\n");
        target(other.path(), "shop.target", "[Unit]\nX-Portkeep-App=shop\n");
        target(one.path(), "hello.target", "[Unit]\nX-Portkeep-App=hello\n");
        target(one.path(), "shop.socket", "[Unit]\nX-Portkeep-App=shop\n");
        target(one.path(), "multi-user.target", "[Unit]\n");
        target(
            one.path(),
            "Not An App.target",
            "X-Portkeep-App=Not An App\n",
        );
        fs::create_dir_all(other.path().join("developed")).unwrap();
        fs::write(other.path().join("developed/control"), "").unwrap();
        fs::create_dir_all(other.path().join("gone")).unwrap();
        let missing = one.path().join("missing");
        let found = names(&[one.path().to_owned(), other.path().to_owned(), missing]);
        let found: Vec<_> = found.iter().map(|name| name.as_str()).collect();
        assert_eq!(found, ["developed", "hello", "shop"]);
    }

    #[test]
    fn every_shell_has_a_script() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = script(shell).unwrap().unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains(VARIABLE), "{shell}: {script}");
        }
        assert!(script("sh").is_none());
    }

    #[test]
    fn every_command_that_names_an_app_completes_it() {
        let command = command();
        command.clone().debug_assert();
        for verb in [
            "reload",
            "rollback",
            "uninstall",
            "status",
            "history",
            "logs",
            "doctor",
        ] {
            let verb = command.find_subcommand(verb).unwrap();
            let mut names = verb
                .get_arguments()
                .filter(|one| names_an_app(one))
                .peekable();
            assert!(names.peek().is_some(), "{}", verb.get_name());
            for name in names {
                assert!(name.get::<ArgValueCandidates>().is_some(), "{name}");
            }
        }
    }
}
