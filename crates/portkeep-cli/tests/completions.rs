//! Names of apps are completed by the shells themselves.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::Home;

/// What `shell` completes for `portkeep reload s`, where `shop`, `staging` and `hello` are apps of a user.
fn completed(shell: &str, file: &str, command: &str) -> Vec<String> {
    let home = Home::new();
    for name in ["shop", "staging", "hello"] {
        let target = format!(".config/systemd/user/{name}.target");
        home.write(&target, &format!("[Unit]\nX-Portkeep-App={name}\n"));
    }
    home.write(".config/systemd/user/sockets-of-mine.target", "[Unit]\n");
    let script = home.command(&["completions", shell]).output().unwrap();
    home.write(file, std::str::from_utf8(&script.stdout).unwrap());
    let program = Path::new(env!("CARGO_BIN_EXE_portkeep"));
    let path = std::env::join_paths(
        [program.parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new(shell)
        .args(["-c", command])
        .current_dir(home.path())
        .env("PATH", path.unwrap())
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path().join("runtime"))
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(complaints, "", "{shell} said {said}");
    // Behind a name there may be a description.
    let names = said
        .lines()
        .filter_map(|line| line.split([':', '\t', ' ']).next());
    names.map(str::to_owned).collect()
}

#[track_caller]
fn expect_apps(completed: &[String]) {
    assert_eq!(completed, ["shop", "staging"]);
}

#[test]
fn bash_completes_apps() {
    expect_apps(&completed(
        "bash",
        "script",
        r#"source ./script
        COMP_WORDS=(portkeep reload s) COMP_CWORD=2 COMP_TYPE=9
        _clap_complete_portkeep portkeep s reload
        printf '%s\n' "${COMPREPLY[@]}""#,
    ));
}

#[test]
fn bash_completes_commands_and_options() {
    let commands = completed(
        "bash",
        "script",
        r#"source ./script
        COMP_WORDS=(portkeep ro) COMP_CWORD=1 COMP_TYPE=9
        _clap_complete_portkeep portkeep ro portkeep
        printf '%s\n' "${COMPREPLY[@]}"
        COMP_WORDS=(portkeep reload --f) COMP_CWORD=2
        _clap_complete_portkeep portkeep --f reload
        printf '%s\n' "${COMPREPLY[@]}""#,
    );
    assert_eq!(commands, ["rollback", "--force"]);
}

#[test]
#[ignore = "needs zsh, which `tests/run unit` installs"]
fn zsh_completes_apps_at_the_first_call_of_the_autoloaded_function() {
    expect_apps(&completed(
        "zsh",
        "_portkeep",
        // A completion widget has these; the words are those of `compadd`'s front end.
        r#"function compdef { }
        function _describe { print -l "${(@P)3}" }
        fpath=($PWD $fpath); autoload -Uz _portkeep
        words=(portkeep reload s) CURRENT=3
        _portkeep"#,
    ));
}

#[test]
#[ignore = "needs fish, which `tests/run unit` installs"]
fn fish_completes_apps() {
    expect_apps(&completed(
        "fish",
        "script",
        r#"source ./script; complete --do-complete "portkeep reload s""#,
    ));
}
