//! Reads units the way systemd does, written from systemd.syntax(7) and its source, not from the renderer.
//!
//! It is stricter than systemd where other tools are: no line continuation, no value that begins with a quote, no line
//! without `=` (NixOS reads units as INI).

use std::path::{Path, PathBuf};

/// One `Key=Value` line, still escaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Directive {
    pub section: String,
    pub key: String,
    pub value: String,
}

/// A command line as systemd would run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub flags: String,
    pub program: String,
    pub args: Vec<String>,
}

pub fn directives(text: &str) -> Vec<Directive> {
    assert!(text.ends_with('\n'), "no line break at the end");
    assert!(
        !text.contains([
            '\r', '\0', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'
        ]),
        "a hidden line break"
    );
    let mut section = None;
    let mut directives = Vec::new();
    for line in text.split_terminator('\n') {
        assert!(!line.ends_with('\\'), "line continuation: {line}");
        assert_eq!(line, line.trim(), "white space that a parser would strip");
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = Some(name.strip_suffix(']').unwrap().to_owned());
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("a line without '=': {line}"));
        assert!(
            key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "an odd key: {line}"
        );
        assert!(
            !value.starts_with(['"', '\'', ' ', '\t']),
            "a value that tools would unquote: {line}"
        );
        let section = section.clone().expect("a directive before any section");
        directives.push(Directive {
            section,
            key: key.to_owned(),
            value: value.to_owned(),
        });
    }
    directives
}

/// Expands `%`: `%%` is `%`; the three specifiers that our templates use become `<t>`, `<i>` and `<j>`.
pub fn specifiers(value: &str) -> String {
    let mut expanded = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match chars.next() {
                Some('%') => expanded.push('%'),
                Some('t') => expanded.push_str("<t>"),
                Some('i') => expanded.push_str("<i>"),
                Some('f') => expanded.push_str("<f>"),
                Some('j') => expanded.push_str("<j>"),
                other => panic!("a specifier nobody meant, %{other:?}, in {value}"),
            },
            c => expanded.push(c),
        }
    }
    expanded
}

/// The file that the glob pattern of `EnvironmentFile=` stands for; it must match one only.
pub fn glob(pattern: &str) -> String {
    let mut file = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => file.push(chars.next().expect("a backslash at the end of a pattern")),
            '*' | '?' | '[' => panic!("a pattern, not a file: {pattern}"),
            c => file.push(c),
        }
    }
    file
}

/// Splits a command line, as `config_parse_exec` does.
pub fn command(line: &str) -> Command {
    let words = words(line);
    let (first, rest) = words.split_first().expect("a command without a program");
    let program = first.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let flags = first[..first.len() - program.len()].to_owned();
    let program = specifiers(program);
    assert!(
        program.starts_with('/') || program.starts_with("<t>/"),
        "not absolute: {program}"
    );
    assert!(
        !program.contains(['"', '\'', '\\']) && !program.contains(char::is_control),
        "systemd refuses {program}"
    );
    assert!(
        !program.contains('$'),
        "would be replaced in the program's name: {program}"
    );
    let args = rest
        .iter()
        .map(|word| variables(&specifiers(word)))
        .collect();
    Command {
        flags,
        program,
        args,
    }
}

/// Replaces variables: `$$` is `$`; the release's arguments become `<args>`, its name `<argv0>`, and systemd's own variable stays.
fn variables(word: &str) -> String {
    if word == "$MAINPID" {
        return word.to_owned();
    }
    if word == "$PORTKEEP_ARGS" {
        return "<args>".to_owned();
    }
    if word == "$PORTKEEP_ARGV0" {
        return "<argv0>".to_owned();
    }
    let mut replaced = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c == '$' {
            assert_eq!(chars.next(), Some('$'), "a variable nobody meant in {word}");
        }
        replaced.push(c);
    }
    replaced
}

/// `extract_first_word` with `EXTRACT_UNQUOTE|EXTRACT_CUNESCAPE`, until the end.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return words;
        }
        let start: String = chars
            .clone()
            .take_while(|c| !c.is_ascii_whitespace())
            .collect();
        assert!(start != ";" && start != "\\;", "a second command in {line}");
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_ascii_whitespace()) {
            match c {
                '\\' => word.push(unescape(&mut chars)),
                c if quote == Some(c) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(c),
                c => word.push(c),
            }
        }
        assert_eq!(quote, None, "an open quote in {line}");
        words.push(word);
    }
}

fn unescape(chars: &mut impl Iterator<Item = char>) -> char {
    let digits = match chars.next().expect("a backslash at the end") {
        'n' => return '\n',
        't' => return '\t',
        c @ ('"' | '\'' | '\\') => return c,
        'x' => 2,
        'u' => 4,
        other => panic!("an escape that the renderer should not need: \\{other}"),
    };
    let digits: String = chars.take(digits).collect();
    let code = u32::from_str_radix(&digits, 16).unwrap();
    // \x is a byte: beyond ASCII it would be half a character.
    assert!(code != 0 && (digits.len() == 4 || code < 0x80), "{digits}");
    char::from_u32(code).unwrap()
}

/// Section, key and decoded value of each directive.
pub type Read = Vec<(String, String, String)>;

/// As `path_simplify` leaves it.
pub fn simplified(path: &str) -> String {
    assert!(
        !path.split('/').any(|part| part == ".."),
        "systemd refuses {path}"
    );
    Path::new(path)
        .components()
        .collect::<PathBuf>()
        .to_str()
        .unwrap()
        .to_owned()
}
