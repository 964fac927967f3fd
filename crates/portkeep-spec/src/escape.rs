//! Text that is escaped for one position of a unit file.
//!
//! [`Escaped`] is the only type that a template can be filled with, and only the functions here make one, each for the
//! positions it names. The rules are those of systemd's own parsers (systemd.syntax(7), `config_parse_exec` and the like),
//! which differ from directive to directive: a command line is unquoted and its variables are expanded, a path is not, the
//! files of `EnvironmentFile=` are glob patterns.
//!
//! No value begins with a quote, ends with a backslash or has a line break, because tools that read unit files as INI
//! (NixOS' switch) stumble over those.

use std::fmt::Write as _;
use std::path::{Component, Path};

use crate::{CpuQuota, MemorySize, Problem, SocketMode, SocketName, Span, TasksMax};

/// `PATH_MAX` and `NAME_MAX` of Linux, without the NUL.
const LONGEST_PATH: usize = 4095;
const LONGEST_COMPONENT: usize = 255;

/// Text that is safe in the positions that its maker names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Escaped(String);

impl Escaped {
    /// A fixed text of the renderer.
    pub(crate) const fn fixed(text: &'static str) -> Fixed {
        Fixed(text)
    }

    /// The name of a socket, whose type allows no character with a special meaning.
    pub(crate) fn socket_name(name: &SocketName) -> Self {
        Self(name.as_str().to_owned())
    }

    /// A unit's name or an IP address: letters, digits and `@._:-[]`, which have no special meaning in any directive.
    pub(crate) fn token(text: &str) -> Result<Self, Problem> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._:-[]".contains(c);
        match text.chars().find(|&c| !is_plain(c)) {
            Some(character) => Err(Problem::Inexpressible {
                text: text.to_owned(),
                character,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// A number, anywhere.
    pub(crate) fn number(number: u32) -> Self {
        Self(number.to_string())
    }

    /// `SocketMode=`: octal digits.
    pub(crate) fn mode(mode: SocketMode) -> Self {
        Self(mode.to_string())
    }

    /// A time span, in the largest unit that holds it exactly.
    pub(crate) fn span(span: Span) -> Self {
        let micros = span.as_micros();
        Self(match (micros % 1_000_000, micros % 1000) {
            (0, _) => format!("{}s", micros / 1_000_000),
            (_, 0) => format!("{}ms", micros / 1000),
            _ => format!("{micros}us"),
        })
    }

    /// `MemoryMax=` and the like, which do not expand `%`.
    pub(crate) fn memory(size: MemorySize) -> Self {
        Self(size.to_string())
    }

    /// `CPUQuota=`, which does not expand `%`.
    pub(crate) fn cpu(quota: CpuQuota) -> Self {
        Self(quota.to_string())
    }

    /// `TasksMax=`, which does not expand `%`.
    pub(crate) fn tasks(tasks: TasksMax) -> Self {
        Self(tasks.to_string())
    }

    /// A whole value that is a path, as in `ListenStream=`, `WorkingDirectory=` and `PathChanged=`: specifiers are
    /// expanded, nothing is unquoted.
    pub(crate) fn path(path: &Path) -> Result<Self, Problem> {
        absolute(path).map(|text| Self(text.replace('%', "%%")))
    }

    /// A path in a list, as in `ReadWritePaths=` and `DeviceAllow=`: specifiers are expanded, and white space, quotes and
    /// backslashes are taken for themselves behind a backslash.
    pub(crate) fn listed_path(path: &Path) -> Result<Self, Problem> {
        let mut escaped = String::new();
        for c in absolute(path)?.chars() {
            match c {
                '%' => escaped.push('%'),
                '"' | '\'' | '\\' | ' ' => escaped.push('\\'),
                _ => {}
            }
            escaped.push(c);
        }
        Ok(Self(escaped))
    }

    /// A word of systemd's own: letters, digits and `@_-`, which have no special meaning in any directive.
    pub(crate) fn keyword(text: &str) -> Result<Self, Problem> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@_-".contains(c);
        match text.chars().find(|&c| !is_plain(c)) {
            Some(character) => Err(Problem::Inexpressible {
                text: text.to_owned(),
                character,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The path of `EnvironmentFile=`: specifiers are expanded, then it is a glob pattern.
    pub(crate) fn glob_path(path: &Path) -> Result<Self, Problem> {
        let mut escaped = String::new();
        for c in absolute(path)?.chars() {
            match c {
                '%' => escaped.push('%'),
                '*' | '?' | '[' | ']' | '{' | '}' | '\\' => escaped.push('\\'),
                _ => {}
            }
            escaped.push(c);
        }
        Ok(Self(escaped))
    }

    /// The value of `LoadCredential=`: an identifier, a colon, and a path whose specifiers are expanded.
    pub(crate) fn credential(id: &str, path: &Path) -> Result<Self, Problem> {
        if !is_credential_id(id) {
            return Err(Problem::CredentialId);
        }
        let text = check_credential_path(path)?;
        Self::path(Path::new(text)).map(|path| Self(format!("{id}:{}", path.0)))
    }

    /// The program of a command line, which begins it (or follows `+`, `-`). White space is written as an escape, since
    /// a value that begins with a quote is not plain INI. systemd refuses quotes and backslashes here, and would
    /// replace `$` in the program's own name for itself.
    pub(crate) fn program(path: &Path) -> Result<Self, Problem> {
        let text = absolute(path)?;
        let mut escaped = String::new();
        for character in text.chars() {
            match character {
                '"' | '\'' | '\\' | '$' => {
                    return Err(Problem::Inexpressible { text, character });
                }
                '%' => escaped.push_str("%%"),
                ' ' => escaped.push_str(r"\x20"),
                c => escaped.push(c),
            }
        }
        Ok(Self(escaped))
    }

    /// An argument of a command line: exactly this text, whatever it contains.
    pub(crate) fn word(text: &str) -> Result<Self, Problem> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._:=@,+-".contains(c);
        if !text.is_empty() && text.chars().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        let mut escaped = String::from('"');
        for c in text.chars() {
            match c {
                '\0' => return Err(Problem::Nul),
                '"' | '\\' => escaped.extend(['\\', c]),
                '%' | '$' => escaped.extend([c, c]),
                '\n' => escaped.push_str(r"\n"),
                '\t' => escaped.push_str(r"\t"),
                c if c.is_ascii_control() => {
                    // Writing to a string cannot fail.
                    let _ = write!(escaped, r"\x{:02x}", u32::from(c));
                }
                // Some tools take U+0085 and the like for line breaks.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    let _ = write!(escaped, r"\u{:04x}", u32::from(c));
                }
                c => escaped.push(c),
            }
        }
        escaped.push('"');
        Ok(Self(escaped))
    }

    /// The text, for the template engine.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Several texts for the same position, with spaces between them, as in `Sockets=`.
    pub(crate) fn list(items: &[Self]) -> Self {
        Self(
            items
                .iter()
                .map(|item| item.0.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        )
    }
}

/// A fixed text of the renderer; becomes [`Escaped`] without a check, which only a literal can.
pub(crate) struct Fixed(&'static str);

impl From<Fixed> for Escaped {
    fn from(fixed: Fixed) -> Self {
        Self(fixed.0.to_owned())
    }
}

/// Whether systemd accepts it as the identifier of a credential; only the part that needs no escaping is allowed.
pub(crate) fn is_credential_id(id: &str) -> bool {
    let plain = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    plain && !id.is_empty() && id.len() <= LONGEST_COMPONENT && !matches!(id, "." | "..")
}

/// Whether a unit file can contain this path, even while it is relative.
pub(crate) fn check_path(path: &Path) -> Result<&str, Problem> {
    let text = path
        .to_str()
        .ok_or_else(|| Problem::NotUtf8(path.to_owned()))?;
    if let Some(character) = text
        .chars()
        .find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        return Err(Problem::Inexpressible {
            text: text.to_owned(),
            character,
        });
    }
    if text.ends_with(|c: char| c.is_whitespace() || c == '\\') {
        return Err(Problem::InexpressibleEnd(text.to_owned()));
    }
    if text.len() > LONGEST_PATH {
        return Err(Problem::TooLong {
            length: text.len(),
            limit: LONGEST_PATH,
        });
    }
    match text
        .split('/')
        .map(str::len)
        .find(|&length| length > LONGEST_COMPONENT)
    {
        Some(length) => Err(Problem::TooLong {
            length,
            limit: LONGEST_COMPONENT,
        }),
        None => Ok(text),
    }
}

/// Whether systemd can load a credential from this path, be it relative still. It reads unit files with any path here,
/// but 257 passes the path on to the process that it starts unquoted, and with white space or a backslash in it no
/// command of the unit can be started ("Failed to deserialize: Invalid argument").
pub(crate) fn check_credential_path(path: &Path) -> Result<&str, Problem> {
    let text = check_path(path)?;
    match text.chars().find(|&c| c.is_whitespace() || c == '\\') {
        Some(character) => Err(Problem::Inexpressible {
            text: text.to_owned(),
            character,
        }),
        None => Ok(text),
    }
}

/// The path as systemd itself would simplify it.
fn absolute(path: &Path) -> Result<String, Problem> {
    let text = check_path(path)?;
    if !path.is_absolute() {
        return Err(Problem::NotAbsolute(text.to_owned()));
    }
    let mut simple = String::new();
    for component in path.components() {
        match component {
            Component::ParentDir => return Err(Problem::ParentDirectory(text.to_owned())),
            Component::Normal(part) => {
                simple.push('/');
                simple.push_str(
                    part.to_str()
                        .ok_or_else(|| Problem::NotUtf8(path.to_owned()))?,
                );
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    // The last component may end with white space only now, behind "/" or "/.".
    if simple.ends_with(|c: char| c.is_whitespace() || c == '\\') {
        return Err(Problem::InexpressibleEnd(text.to_owned()));
    }
    Ok(if simple.is_empty() {
        "/".to_owned()
    } else {
        simple
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> String {
        Escaped::word(text).unwrap().0
    }

    #[test]
    fn words_of_a_command_line() {
        for (text, escaped) in [
            ("plain-1.0/x=y", "plain-1.0/x=y"),
            ("", r#""""#),
            (";", r#"";""#),
            ("a b", r#""a b""#),
            ("100%", r#""100%%""#),
            ("$HOME", r#""$$HOME""#),
            ("\"q\\", r#""\"q\\""#),
            ("it's", r#""it's""#),
            ("a\nb\tc\x01\x7f", r#""a\nb\tc\x01\x7f""#),
            ("\u{85}", r#""\u0085""#),
            ("@x", "@x"),
            ("é", r#""é""#),
        ] {
            assert_eq!(word(text), escaped);
        }
        assert_eq!(Escaped::word("a\0"), Err(Problem::Nul));
    }

    #[test]
    fn paths() {
        let path = |text: &str| Escaped::path(Path::new(text)).map(|escaped| escaped.0);
        assert_eq!(path("/a//b/./c/").unwrap(), "/a/b/c");
        assert_eq!(path("/").unwrap(), "/");
        assert_eq!(path("/50% of $x; \"y\"").unwrap(), "/50%% of $x; \"y\"");
        assert!(matches!(path("a"), Err(Problem::NotAbsolute(_))));
        assert!(matches!(path("/a/../b"), Err(Problem::ParentDirectory(_))));
        assert!(matches!(
            path("/a\nExecStart=/bin/sh"),
            Err(Problem::Inexpressible {
                character: '\n',
                ..
            })
        ));
        for end in ["/a ", "/a\\", "/a\u{a0}", "/a /", "/a\\/."] {
            assert!(
                matches!(path(end), Err(Problem::InexpressibleEnd(_))),
                "{end:?}"
            );
        }
        assert!(matches!(
            path(&format!("/{}", "x".repeat(256))),
            Err(Problem::TooLong { limit: 255, .. })
        ));
        assert!(matches!(
            path(&"/xxxxxxx".repeat(600)),
            Err(Problem::TooLong { limit: 4095, .. })
        ));
    }

    #[test]
    fn environment_files_are_no_patterns() {
        assert_eq!(
            Escaped::glob_path(Path::new(r"/a*[1]?\x%")).unwrap().0,
            r"/a\*\[1\]\?\\x%%"
        );
    }

    #[test]
    fn paths_in_a_list() {
        let listed = |text: &str| Escaped::listed_path(Path::new(text)).map(|escaped| escaped.0);
        assert_eq!(
            listed(r#"/a b/50%/"q"/x\y'"#).unwrap(),
            r#"/a\ b/50%%/\"q\"/x\\y\'"#
        );
        assert!(matches!(
            listed("/a\tb"),
            Err(Problem::Inexpressible { .. })
        ));
        assert!(matches!(
            Escaped::keyword("a b"),
            Err(Problem::Inexpressible { .. })
        ));
    }

    #[test]
    fn programs() {
        let program = |text: &str| Escaped::program(Path::new(text)).map(|escaped| escaped.0);
        assert_eq!(program("/opt/my app/50%").unwrap(), r"/opt/my\x20app/50%%");
        for bad in ["/a\"b", "/a'b", "/a\\b", "/a$b"] {
            assert!(
                matches!(program(bad), Err(Problem::Inexpressible { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn credentials() {
        assert_eq!(
            Escaped::credential("db.password", Path::new("/a:b%"))
                .unwrap()
                .0,
            "db.password:/a:b%%"
        );
        for id in ["", ".", "..", "a:b", "a/b", "a b", "%i", "é"] {
            assert_eq!(
                Escaped::credential(id, Path::new("/a")),
                Err(Problem::CredentialId)
            );
        }
        for path in ["/a b", "/a\\b"] {
            let refused = Escaped::credential("x", Path::new(path));
            assert!(
                matches!(refused, Err(Problem::Inexpressible { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn spans_are_exact() {
        for (span, text) in [
            (Span::from_secs(90), "90s"),
            (Span::from_millis(1500), "1500ms"),
            (Span(std::time::Duration::from_micros(1)), "1us"),
            (Span::default(), "0s"),
        ] {
            assert_eq!(Escaped::span(span).0, text);
        }
    }
}
