//! The protocol between an app on the server library and `portkeep dev`, over a Unix socket: one question a connection.
//!
//! A question is a line, `portkeep-dev/VERSION GENERATION WHAT`. An answer is a line, `STATUS CONTENT-TYPE`, and then a
//! body until the connection ends; it may never end. These two lines, and that the library puts [`SCRIPT`] into pages, are
//! the same in every version, so that every version can be told that it is not understood. Everything else depends on the
//! version.

use std::fmt::{self, Display, Formatter};

/// Version of the protocol that this crate describes. It grows with each change that the other side has to know of.
pub const VERSION: u32 = 2;

/// The version of libraries whose questions do not name one: they begin with the number of the generation.
pub const UNNAMED_VERSION: u32 = 1;

/// Path prefix of requests that the app passes on to `portkeep dev`.
pub const PREFIX: &str = "/.portkeep/";

/// The script of pages, below [`PREFIX`].
pub const SCRIPT: &str = "dev.js";

/// Longest question, in bytes.
pub const LONGEST_QUESTION: u64 = 1024;

/// Longest first line of an answer, in bytes.
pub const LONGEST_HEAD: usize = 256;

const NAME: &str = "portkeep-dev/";

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The version of the protocol.
    pub version: u32,
    /// The generation that asks; 0 if no generation does.
    pub generation: u64,
    /// The request. Pages cannot ask one that contains a space.
    pub what: &'a str,
}

impl<'a> Question<'a> {
    /// A question in this version.
    #[must_use]
    pub fn new(generation: u64, what: &'a str) -> Self {
        Self {
            version: VERSION,
            generation,
            what,
        }
    }

    /// Parses a line without its end, of any version. `None` if it is no question.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let (version, rest) = match line.strip_prefix(NAME) {
            Some(named) => {
                let (version, rest) = named.split_once(' ')?;
                (number(version)?, rest)
            }
            None => (UNNAMED_VERSION, line),
        };
        let (generation, what) = rest.split_once(' ')?;
        Some(Self {
            version,
            generation: number(generation)?,
            what,
        })
    }
}

/// The line, without its end.
impl Display for Question<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            generation,
            what,
        } = self;
        write!(f, "{NAME}{version} {generation} {what}")
    }
}

/// Digits alone: `parse` would accept a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Whether the library of an app and this `portkeep dev` speak the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Understanding {
    /// They speak the same version.
    Same,
    /// The library speaks this older version.
    LibraryIsOlder(u32),
    /// The library speaks this newer version.
    LibraryIsNewer(u32),
}

impl Understanding {
    /// Compares with a library that speaks this version.
    #[must_use]
    pub fn with(library: u32) -> Self {
        match library.cmp(&VERSION) {
            std::cmp::Ordering::Equal => Self::Same,
            std::cmp::Ordering::Less => Self::LibraryIsOlder(library),
            std::cmp::Ordering::Greater => Self::LibraryIsNewer(library),
        }
    }
}

/// The problem and its remedy, in one sentence. None if there is no problem.
impl Display for Understanding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (library, remedy) = match self {
            Self::Same => return Ok(()),
            Self::LibraryIsOlder(library) => (
                library,
                "update the app's library: `cargo update -p portkeep`",
            ),
            Self::LibraryIsNewer(library) => (
                library,
                "update the command: `cargo install portkeep-cli`, or as it was installed",
            ),
        };
        write!(
            f,
            "`portkeep dev` speaks protocol version {VERSION} and this app's library speaks {library}, so its pages do not \
             reload by themselves; {remedy}"
        )
    }
}

/// Why a page gets no script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The browser asked for the page under a name that is not this machine's.
    Host,
    /// The client is another machine, or looks like one: Docker, a proxy.
    Peer,
    /// The page has another host name than its script: a proxy has changed it.
    Page,
    /// The page's policy (`Content-Security-Policy: sandbox`) forbids its scripts to ask this app.
    Sandbox,
}

impl Refusal {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Host, "host"),
        (Self::Peer, "peer"),
        (Self::Page, "page"),
        (Self::Sandbox, "sandbox"),
    ];

    /// Its word in a question.
    #[must_use]
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(refusal, _)| *refusal == self);
        found.map_or("", |(_, word)| word)
    }

    /// Parses that word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(refusal, _)| *refusal)
    }
}

/// A host whose pages get the script, whichever machine asks for them: a name or an address without a port, or `.NAME` for
/// the name and all names below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(String);

impl std::str::FromStr for AllowedHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_prefix('.').unwrap_or(text);
        if name.is_empty() {
            return Err("is empty; write a name such as myapp.test");
        }
        if name.contains('*') {
            return Err("has a `*`; .myapp.test stands for myapp.test and all names below it");
        }
        if name.contains('/') {
            return Err("is not a host alone; leave out the scheme and the path");
        }
        let is_address = is_bracketed(name);
        if name.contains(':') && !is_address {
            return Err("has a port or is an address without brackets; each port is allowed");
        }
        if !is_address && !name.bytes().all(is_of_a_name) {
            return Err("has a character that no host has");
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Display for AllowedHost {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AllowedHost {
    /// Whether it matches this host of a request, with or without a port.
    #[must_use]
    pub fn is(&self, host: &str) -> bool {
        let Some(name) = host_name(host) else {
            return false;
        };
        let name = name.to_ascii_lowercase();
        match self.0.strip_prefix('.') {
            Some(above) => name == above || name.ends_with(&self.0),
            None => name == self.0,
        }
    }
}

/// The name or address in `HOST[:PORT]`, an IPv6 address with its brackets. `None` if it is neither, since it is written
/// into pages.
#[must_use]
pub fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    let is_name = is_bracketed(name) || name.bytes().all(is_of_a_name);
    let is_host = !name.is_empty() && is_name && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host.then_some(name)
}

fn is_bracketed(name: &str) -> bool {
    let inside = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written_and_each_version_is_known_by_it() {
        let question = Question::new(7, "hold 0 http");
        let line = question.to_string();
        assert_eq!(line, "portkeep-dev/2 7 hold 0 http");
        assert_eq!(Question::parse(&line), Some(question));
        let old = Question::parse("12 dev.js").unwrap();
        assert_eq!((old.version, old.generation, old.what), (1, 12, "dev.js"));
        let new = Question::parse("portkeep-dev/31 1 dev.js").unwrap();
        assert_eq!((new.version, new.what), (31, "dev.js"));
    }

    #[test]
    fn what_is_no_question_is_none() {
        for line in [
            "",
            "7",
            "dev.js",
            "-1 dev.js",
            "+1 dev.js",
            " dev.js",
            "portkeep-dev/2",
            "portkeep-dev/2 dev.js",
            "portkeep-dev/x 1 dev.js",
            "portkeep-dev/-2 1 dev.js",
            "portkeep-dev/99999999999 1 dev.js",
            "portkeep-dev/ 1 dev.js",
            "99999999999999999999999 dev.js",
        ] {
            assert_eq!(Question::parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_older_one_is_to_be_updated() {
        assert_eq!(Understanding::with(VERSION), Understanding::Same);
        let older = Understanding::with(VERSION - 1).to_string();
        assert!(older.contains("cargo update -p portkeep"), "{older}");
        let newer = Understanding::with(VERSION + 1).to_string();
        assert!(newer.contains("update the command"), "{newer}");
        for sentence in [older, newer] {
            assert!(
                !sentence.contains(". ") && !sentence.contains('\n'),
                "{sentence}"
            );
        }
    }

    #[test]
    fn each_refusal_has_a_word() {
        for (refusal, word) in Refusal::ALL {
            assert_eq!(refusal.word(), word);
            assert_eq!(Refusal::of_word(word), Some(refusal));
        }
        assert_eq!(Refusal::of_word("other"), None);
    }

    #[test]
    fn a_host_is_allowed_by_its_name_whatever_the_port() {
        let is = |allowed: &str, host: &str| allowed.parse::<AllowedHost>().unwrap().is(host);
        assert!(is("myapp.test", "myapp.test"));
        assert!(is("myapp.test", "MyApp.test:8080"));
        assert!(is(".myapp.test", "a.b.myapp.test:1"));
        assert!(is(".myapp.test", "myapp.test"));
        assert!(is("192.168.1.2", "192.168.1.2:80"));
        assert!(is("[fe80::1]", "[fe80::1]:80"));
        assert!(!is("myapp.test", "a.myapp.test"));
        assert!(!is("myapp.test", "myapp.test.evil.example"));
        assert!(!is(".myapp.test", "evilmyapp.test"));
        assert!(!is("myapp.test", "myapp.test:80\"><script>"));
        assert!(!is("myapp.test", ""));
    }

    #[test]
    fn what_is_no_host_cannot_be_allowed() {
        for text in [
            "", ".", "*", "*.test", "http://a", "a/b", "a:80", "::1", "[x]", "a b", "a\"", "a,b",
        ] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }
}
