//! A home of its own for each test, where no systemd user manager can be found.
#![allow(dead_code, missing_docs, reason = "each test uses its part")]

pub(crate) mod session;
pub(crate) mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("runtime")).expect("a runtime directory");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a parent")).expect("its directory");
        fs::write(&path, text).expect("the file");
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portkeep"));
        command.args(arguments).current_dir(self.path());
        command
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path().join("runtime"));
        command
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("MANAGERPID");
        command
    }

    #[track_caller]
    pub(crate) fn portkeep(&self, arguments: &[&str]) -> Run {
        Run(self.command(arguments).output().expect("portkeep runs"))
    }

    /// No state, no units, no files at run time.
    #[track_caller]
    pub(crate) fn expect_untouched(&self) {
        for left in [
            ".local",
            ".config",
            "runtime/portkeep",
            "runtime/portkeep-local",
            "runtime/systemd",
        ] {
            assert!(!self.path().join(left).exists(), "{left} was left behind");
        }
    }
}

pub(crate) struct Run(Output);

impl Run {
    /// Exit code, and words that what was said must contain.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, said: &[&str]) {
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&self.0.stdout),
            String::from_utf8_lossy(&self.0.stderr)
        );
        assert_eq!(self.0.status.code(), Some(code), "{text}");
        for words in said {
            assert!(text.contains(words), "`{words}` is missing in:\n{text}");
        }
    }
}
