//! Environment file of a release: its variables, its `argv[0]` and its arguments.
//!
//! A unit's command line is `@… $PORTKEEP_ARGV0 $PORTKEEP_ARGS`, so that its text stays the same from release to release. Two levels
//! of quoting lie between the arguments and the process:
//!
//! 1. systemd reads `EnvironmentFile=`: `NAME="…"`, where `\` escapes `"`, `\`, `$` and `` ` ``;
//! 2. it splits an unbraced variable at white space: words may stand in double quotes, where `\` escapes any character.
//!
//! Neither level expands variables or specifiers in the text.

use std::collections::BTreeMap;

use portkeep_contract::{PORTKEEP_ARGS, PORTKEEP_ARGV0};

mod parse;

pub use parse::{ParseError, Parsed, parse};

/// The kernel takes no longer `NAME=VALUE` (`MAX_ARG_STRLEN`, without the NUL).
const LONGEST: usize = 131_071;

/// The longest environment file that is read, in bytes. A process is given at most 2 MiB in arguments and variables, unless
/// its stack may grow to more than 8 MiB.
pub const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Why no environment file can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A name that systemd would ignore.
    #[error(
        "{0:?} is not the name of an environment variable; allowed are letters, digits and _, and no digit at the beginning"
    )]
    Name(String),
    /// A variable that holds the arguments, or the name.
    #[error("{0} is portkeep's own and cannot be set as a variable")]
    Reserved(&'static str),
    /// A NUL character.
    #[error("{0} contains a NUL character, which no variable and no argument can have")]
    Nul(String),
    /// Longer than the kernel takes.
    #[error("{name} is {length} bytes long with its name; the kernel takes at most {LONGEST}")]
    TooLong {
        /// The variable; `PORTKEEP_ARGS` for the arguments together.
        name: String,
        /// Its length.
        length: usize,
    },
}

/// Writes the text for `EnvironmentFile=`: the variables, `argv[0]` as `PORTKEEP_ARGV0`, and the arguments behind it as
/// `PORTKEEP_ARGS`.
///
/// # Errors
/// When a name, value or argument cannot be passed to a process at all.
pub fn render(
    environment: &BTreeMap<String, String>,
    argv0: &str,
    args: &[String],
) -> Result<String, RenderError> {
    let mut text = String::new();
    for (name, value) in environment {
        if !is_variable_name(name) {
            return Err(RenderError::Name(name.clone()));
        }
        for reserved in [PORTKEEP_ARGS, PORTKEEP_ARGV0] {
            if name == reserved {
                return Err(RenderError::Reserved(reserved));
            }
        }
        push(&mut text, name, value)?;
    }
    push(&mut text, PORTKEEP_ARGV0, &join(&[argv0]))?;
    push(&mut text, PORTKEEP_ARGS, &join(args))?;
    Ok(text)
}

/// How long `NAME=VALUE` is, where that is more than a process can be given, and the limit.
pub(crate) fn too_long(name: &str, value: &str) -> Option<(usize, usize)> {
    let length = name.len() + 1 + value.len();
    (length > LONGEST).then_some((length, LONGEST))
}

/// The same of the arguments, which are given in one variable.
pub(crate) fn arguments_too_long(args: &[String]) -> Option<(usize, usize)> {
    too_long(PORTKEEP_ARGS, &join(args))
}

/// Whether systemd takes it as the name of a variable.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name
            .as_bytes()
            .first()
            .is_some_and(|first| !first.is_ascii_digit())
}

fn push(text: &mut String, name: &str, value: &str) -> Result<(), RenderError> {
    if value.contains('\0') {
        return Err(RenderError::Nul(name.to_owned()));
    }
    if let Some((length, _)) = too_long(name, value) {
        return Err(RenderError::TooLong {
            name: name.to_owned(),
            length,
        });
    }
    text.push_str(name);
    text.push_str("=\"");
    escape_into(text, value, |c| matches!(c, '"' | '\\' | '$' | '`'));
    text.push_str("\"\n");
    Ok(())
}

fn join(args: &[impl AsRef<str>]) -> String {
    let mut joined = String::new();
    for (index, arg) in args.iter().enumerate() {
        joined.push_str(if index == 0 { "\"" } else { " \"" });
        escape_into(&mut joined, arg.as_ref(), |c| matches!(c, '"' | '\\'));
        joined.push('"');
    }
    joined
}

fn escape_into(text: &mut String, value: &str, needs_escape: impl Fn(char) -> bool) {
    for c in value.chars() {
        if needs_escape(c) {
            text.push('\\');
        }
        text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(variables: &[(&str, &str)], args: &[&str]) -> Result<String, RenderError> {
        let environment = variables
            .iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect();
        render(
            &environment,
            "/run/a b",
            &args.iter().map(|&arg| arg.into()).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_text() {
        assert_eq!(
            rendered(
                &[("A", "1"), ("B", "a \"b\" \\ $c `d` 'e' %i\nf")],
                &["-x", "a b", "", "\"\\"]
            )
            .unwrap(),
            "A=\"1\"\n\
             B=\"a \\\"b\\\" \\\\ \\$c \\`d\\` 'e' %i\nf\"\n\
             PORTKEEP_ARGV0=\"\\\"/run/a b\\\"\"\n\
             PORTKEEP_ARGS=\"\\\"-x\\\" \\\"a b\\\" \\\"\\\" \\\"\\\\\\\"\\\\\\\\\\\"\"\n"
        );
        let empty = rendered(&[], &[]).unwrap();
        assert!(empty.ends_with("\nPORTKEEP_ARGS=\"\"\n"), "{empty}");
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        assert_eq!(
            rendered(&[("A B", "")], &[]),
            Err(RenderError::Name("A B".into()))
        );
        assert_eq!(
            rendered(&[("", "")], &[]),
            Err(RenderError::Name(String::new()))
        );
        assert_eq!(
            rendered(&[("1A", "")], &[]),
            Err(RenderError::Name("1A".into()))
        );
        for name in [PORTKEEP_ARGS, PORTKEEP_ARGV0] {
            assert_eq!(
                rendered(&[(name, "")], &[]),
                Err(RenderError::Reserved(name))
            );
        }
        assert_eq!(
            rendered(&[("A", "\0")], &[]),
            Err(RenderError::Nul("A".into()))
        );
        assert_eq!(
            rendered(&[], &["\0"]),
            Err(RenderError::Nul("PORTKEEP_ARGS".into()))
        );
        assert!(rendered(&[("A", &"x".repeat(LONGEST - 2))], &[]).is_ok());
        let too_long = RenderError::TooLong {
            name: "A".into(),
            length: LONGEST + 1,
        };
        assert_eq!(
            rendered(&[("A", &"x".repeat(LONGEST - 1))], &[]),
            Err(too_long)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            environment in proptest::collection::btree_map("[A-Z_][A-Z0-9_]{0,5}", "[^\0]{0,20}", 0..5),
            argv0 in "[^\0]{0,20}",
            args in proptest::collection::vec("[^\0]{0,20}", 0..5),
        ) {
            let text = render(&environment, &argv0, &args).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), Parsed { environment, argv0, args });
        }
    }
}
