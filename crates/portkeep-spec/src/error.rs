//! Errors of a spec.

use std::path::PathBuf;

use crate::Address;
use crate::small_file::SmallFileError;

/// Why a spec cannot be used. Every message names the field by its path, such as `listen[1].stream`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The file cannot be read.
    #[error("cannot read the spec {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SmallFileError,
    },
    /// A key that one object has twice.
    #[error(
        "{field}: is written twice, the second time at line {line} column {column}; remove one of them"
    )]
    Twice {
        /// Path of the field.
        field: String,
        /// Where the second one ends.
        line: usize,
        /// Where the second one ends.
        column: usize,
    },
    /// The text is not JSON.
    #[error("the spec is not JSON: {problem}")]
    Syntax {
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A field that does not exist.
    #[error("{field}: there is no such field; {hint}")]
    UnknownField {
        /// Path of the field.
        field: String,
        /// The nearest known field, or all of them.
        hint: String,
    },
    /// A value of the wrong type or form.
    #[error("{field}: {problem}")]
    Value {
        /// Path of the field.
        field: String,
        /// What is wrong with it, and how to write it.
        problem: String,
    },
    /// A value that breaks a rule.
    #[error("{field}: {problem}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// The rule.
        problem: Problem,
    },
    /// A template of portkeep's own is wrong: a bug.
    #[error("the unit template {template} cannot be rendered: this is a bug in portkeep")]
    Template {
        /// Name of the template.
        template: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Something must be written here.
    #[error("is empty; {0}")]
    Empty(&'static str),
    /// A name is missing among several sockets.
    #[error("is missing; with several sockets each needs a name, like \"http\" or \"admin\"")]
    NameMissing,
    /// Used twice.
    #[error("{value} is used by {first} already; each socket needs its own")]
    Duplicate {
        /// What.
        value: String,
        /// Path of the first use.
        first: String,
    },
    /// Two TCP sockets that the kernel does not open beside each other.
    #[error("{address} overlaps with {other}: {why}")]
    Overlap {
        /// The address.
        address: Address,
        /// The address that it meets, with the path of that one.
        other: String,
        /// Which of them takes what, and what to write instead.
        why: &'static str,
    },
    /// A field of Unix sockets with an IP address.
    #[error(
        "is for Unix sockets; who reaches {0} is decided by the address (127.0.0.1 is this machine) and by a firewall"
    )]
    OnlyUnix(Address),
    /// A field of IP addresses with a Unix socket.
    #[error("is for IP addresses; the path of a Unix socket can always be listened on")]
    OnlyIp,
    /// A socket's name that portkeep uses.
    #[error("{0:?} is the socket over which connections move; choose another name")]
    ReservedSocket(String),
    /// `http` where no stream is.
    #[error("http needs a stream socket; write \"raw\" for datagrams and sequential packets")]
    NotAStream,
    /// A field where it cannot be meant.
    #[error("{0}")]
    NotHere(&'static str),
    /// A grace that leaves nothing of the time that a shutdown gives.
    #[error(
        "{grace} is too long: a shutdown of the machine gives an app {limit} in all; write less than that"
    )]
    GraceTooLong {
        /// What was written.
        grace: crate::Span,
        /// The time that there is.
        limit: crate::Span,
    },
    /// An IPv6 address with a scope.
    #[error("systemd does not take an IPv6 scope in an address; listen on [::] instead")]
    Scope,
    /// A name that is portkeep's own.
    #[error("{0:?} is the name of portkeep's own files; choose another name")]
    OurName(String),
    /// A name whose directory the machine has.
    #[error("the app would be given {0}, which belongs to the machine; rename the app")]
    DirectoryOfTheMachine(PathBuf),
    /// More than a process can be given.
    #[error(
        "is {length} bytes long with its name; the kernel gives a process at most {limit} in one variable"
    )]
    VariableTooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// More arguments than a process can be given by way of a variable.
    #[error("the arguments are {length} bytes long together, quoted; at most {limit} are possible")]
    ArgumentsTooLong {
        /// Their length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not absolute, after the spec's own directory has been applied.
    #[error("{0:?} is not an absolute path")]
    NotAbsolute(String),
    /// `..` in a path.
    #[error("{0:?} contains \"..\", which systemd refuses; write the path without it")]
    ParentDirectory(String),
    /// Not UTF-8.
    #[error("{0:?} is not UTF-8; unit files are")]
    NotUtf8(PathBuf),
    /// A character that this position of a unit file cannot express.
    #[error("{text:?} contains {character:?}, which a unit file cannot express here; rename it")]
    Inexpressible {
        /// The whole value.
        text: String,
        /// The character.
        character: char,
    },
    /// White space or a backslash at the end.
    #[error(
        "{0:?} ends with white space or a backslash, which a unit file cannot express; rename it"
    )]
    InexpressibleEnd(String),
    /// Too long.
    #[error("is {length} bytes long; at most {limit} are possible")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A NUL character.
    #[error("contains a NUL character, which no argument, variable or path can have")]
    Nul,
    /// Not the name of a variable.
    #[error(
        "is not the name of an environment variable; allowed are letters, digits and _, and no digit at the beginning"
    )]
    VariableName,
    /// A variable that systemd or portkeep sets.
    #[error("is set by systemd or portkeep itself; remove it from the spec")]
    ReservedVariable,
    /// Not an identifier of a credential.
    #[error(
        "is not the identifier of a credential; allowed are letters, digits, \".\", \"_\" and \"-\", at most 255"
    )]
    CredentialId,
    /// Not a word of the kind that is wanted.
    #[error("{1:?} is not {0}")]
    NotA(&'static str, String),
    /// Not below `/dev`.
    #[error("{0:?} is not a device; write its path, like \"/dev/fuse\"")]
    NotADevice(String),
    /// A lock that the system manager keeps for a user that it makes.
    #[error(
        "needs allow.user under the system manager: systemd keeps this lock for a user that it makes for the app"
    )]
    NeedsUser,
    /// A lock that is opened where none is closed.
    #[error(
        "has no effect with sandbox \"off\", which locks nothing; remove it, or write sandbox \"strict\""
    )]
    NothingLocked,
    /// No sandbox, no user, and the manager is root.
    #[error(
        "is missing: with sandbox \"off\" the system manager would run the app as root; write the user that it is to run \
         as, \"root\" if that is meant"
    )]
    WouldBeRoot,
    /// A setting of files where there are none.
    #[error(
        "has no effect without `files`; name the files that a release brings along, or remove it"
    )]
    NoFiles,
    /// A watched path without a directory.
    #[error("{0:?} has no directory that could be watched; write the path of the build output")]
    NothingToWatch(String),
    /// Zero.
    #[error("must be more than zero; {0}")]
    Zero(&'static str),
    /// A time that systemd cannot hold.
    #[error("is longer than a year; write a shorter time")]
    TooLongSpan,
    /// A fraction of a microsecond.
    #[error("has a fraction of a microsecond, but systemd counts in whole ones")]
    TooPrecise,
    /// The first pause is longer than the longest.
    #[error("{delay} is longer than restart.maxDelay, {max_delay}")]
    DelayAboveMaximum {
        /// `restart.delay`.
        delay: crate::Span,
        /// `restart.maxDelay`.
        max_delay: crate::Span,
    },
}

impl Problem {
    /// The error for this problem with a field.
    pub(crate) fn at(self, field: impl Into<String>) -> SpecError {
        SpecError::Invalid {
            field: field.into(),
            problem: self,
        }
    }
}
