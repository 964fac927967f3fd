//! A program, a library and what that uses, whose answer tells which versions of their sources they were made of.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::session::{APP, Session};

pub(crate) const MAIN: &str = "hello/src/main.rs";
const EXTRA: &str = "hello/src/extra.rs";
pub(crate) const LIB: &str = "hello/lib/src/lib.rs";
pub(crate) const BASE: &str = "hello/base/src/lib.rs";
const TEXT: &str = "hello/base/src/text.txt";
const CONFIG: &str = "hello/.cargo/config.toml";

/// The program says `print` where it is asked to, and serves else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) main: u32,
    pub(crate) lib: u32,
    pub(crate) base: u32,
    pub(crate) text: u32,
    pub(crate) extra: Option<u32>,
    pub(crate) is_loud: bool,
    pub(crate) environment: u32,
}

impl Sources {
    pub(crate) fn files(&self) -> Vec<(&'static str, String)> {
        let package = |name: &str, more: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n{more}")
        };
        let default = if self.is_loud { "\"loud\"" } else { "" };
        let root = format!(
            "[workspace]\nmembers = [\"lib\", \"base\"]\n[dependencies]\nlib = {{ path = \"lib\" }}\n\
             [features]\ndefault = [{default}]\nloud = []\n\
             [package.metadata.portkeep]\nreadiness = \"notify\"\nmoveConnections = false\n"
        );
        let (module, extra) = match self.extra {
            Some(_) => ("mod extra;\n", "extra::extra()"),
            None => ("", "0"),
        };
        let version = format!(
            "fn version() -> String {{ format!(\"main {} {{}} extra {{}} loud {{}} env {{}}\", lib::lib(), {extra}, \
             cfg!(feature = \"loud\"), env!(\"DIRECT\")) }}",
            self.main
        );
        let main = APP
            .replace("const VERSION: &str = \"one\";", &version)
            .replace("{VERSION}", "{}")
            .replace("\\r\\n\\r\\n{}\"", "\\r\\n\\r\\n{}\", version()")
            .replace(
                "// start",
                "if std::env::args().any(|one| one == \"print\") { print!(\"{}\", version()); return; }",
            );
        let lib = format!(
            "pub fn lib() -> String {{ format!(\"lib {} {{}}\", base::base()) }}\n",
            self.lib
        );
        let base = format!(
            "#[inline]\npub fn base() -> String {{ format!(\"base {} text {{}}\", include_str!(\"text.txt\")) }}\n",
            self.base
        );
        let mut files = vec![
            ("hello/Cargo.toml", package("hello", &root)),
            (
                "hello/lib/Cargo.toml",
                package("lib", "[dependencies]\nbase = { path = \"../base\" }\n"),
            ),
            ("hello/base/Cargo.toml", package("base", "")),
            (MAIN, format!("{module}{main}")),
            (LIB, lib),
            (BASE, base),
            (TEXT, self.text.to_string()),
            (
                CONFIG,
                format!("[env]\nDIRECT = \"{}\"\n", self.environment),
            ),
        ];
        if let Some(extra) = self.extra {
            files.push((EXTRA, format!("pub fn extra() -> u32 {{ {extra} }}\n")));
        }
        files
    }

    pub(crate) fn answer(&self) -> String {
        format!(
            "main {} lib {} base {} text {} extra {} loud {} env {}",
            self.main,
            self.lib,
            self.base,
            self.text,
            self.extra.unwrap_or_default(),
            self.is_loud,
            self.environment
        )
    }

    pub(crate) fn start(&self) -> Session {
        let files = self.files();
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
        let session = Session::start(&files, &[]);
        session.expect_answer(&self.answer());
        session
    }

    /// Writes what is not there yet, and removes what is not to be there.
    pub(crate) fn write(&self, session: &Session) {
        if self.extra.is_none() {
            let _ = fs::remove_file(session.path(EXTRA));
        }
        for (name, text) in self.files() {
            if fs::read_to_string(session.path(name)).ok().as_deref() != Some(&text) {
                session.write(name, &text);
            }
        }
    }
}

/// What is made with the profile of the loop's, in `target`.
pub(crate) fn cargo_build(session: &Session, target: &Path) -> String {
    let profile = [
        "inherits=\"dev\"",
        "debug=\"line-tables-only\"",
        "package.\"*\".debug=false",
    ];
    let output = Command::new(env!("CARGO"))
        .args(["build", "--bin", "hello", "--profile", "portkeep-dev"])
        .args(profile.iter().flat_map(|setting| {
            [
                "--config".to_owned(),
                format!("profile.portkeep-dev.{setting}"),
            ]
        }))
        .current_dir(session.path("hello"))
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made = Command::new(target.join("portkeep-dev/hello"))
        .arg("print")
        .output();
    String::from_utf8(made.unwrap().stdout).unwrap()
}

/// Writes a file whose time is older than all that was built.
pub(crate) fn write_old(session: &Session, name: &str, text: &str) {
    let aside = session.write_aside(text);
    let old = SystemTime::now() - Duration::from_secs(86_400);
    let file = File::options().append(true).open(&aside).unwrap();
    file.set_times(FileTimes::new().set_modified(old)).unwrap();
    fs::rename(aside, session.path(name)).unwrap();
}
