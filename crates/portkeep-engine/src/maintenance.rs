//! Maintenance: a page answers instead of the app until a person ends it. It outlives a reboot.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use portkeep_spec::Spec;
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::error::EngineError;
use crate::execute::{Outcome, Request, Wanted, hand_over};
use crate::generation::Phase;
use crate::handover::Purpose;
use crate::release::{Digest, HoldingPage};
use crate::store::Store;

/// The longest message, in characters.
const LONGEST: usize = 500;

/// Text of the maintenance page: one line of at most 500 characters, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Message(String);

/// Why a text cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is empty.
    #[error("the message is empty; leave it out for a text of portkeep's own")]
    Empty,
    /// It has too many characters.
    #[error("the message has {0} characters; at most {LONGEST} are shown")]
    TooLong(usize),
    /// It has a line break or another control character.
    #[error("the message contains {0:?}; write it on one line, without control characters")]
    Control(char),
}

impl FromStr for Message {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        if text.trim().is_empty() {
            return Err(MessageError::Empty);
        }
        let length = text.chars().count();
        if length > LONGEST {
            return Err(MessageError::TooLong(length));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(character) => Err(MessageError::Control(character)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Message {
    type Error = MessageError;

    fn try_from(text: String) -> Result<Self, MessageError> {
        text.parse()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Maintenance of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Its beginning.
    pub since: Timestamp,
    /// The text of its page; by default portkeep's own.
    #[serde(default)]
    pub message: Option<Message>,
    /// The release that served before.
    #[serde(default)]
    pub served: Option<Digest>,
}

impl Maintenance {
    /// Maintenance as of now. If there was maintenance before, it continues with another text.
    pub(crate) fn begin(
        message: Option<Message>,
        serves: Option<Digest>,
        before: Option<Self>,
    ) -> Self {
        Self {
            since: before.as_ref().map_or_else(Timestamp::now, |one| one.since),
            served: serves.or_else(|| before?.served),
            message,
        }
    }

    /// The text of its page, if somebody set one.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.message.as_ref().map(Message::to_string)
    }
}

impl fmt::Display for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "since {:.0}", self.since)?;
        self.message
            .iter()
            .try_for_each(|message| write!(f, " ({message:?})", message = message.0))
    }
}

/// A change of maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// The page has to answer.
    On(Option<Message>),
    /// The release that served before has to serve again.
    Off,
    /// The release that the spec describes now has to serve.
    OffByWhatIsThere,
}

impl Change {
    /// The handover for this change.
    #[must_use]
    pub fn request(&self, store: &Store) -> Request {
        let served = || {
            let served = store.maintenance()?.served;
            served.filter(|digest| store.release(digest).is_some())
        };
        let wanted = match self {
            Self::On(message) => Wanted::Maintenance(message.clone()),
            Self::Off => served().map_or(Wanted::AsSpecified, Wanted::Kept),
            Self::OffByWhatIsThere => Wanted::AsSpecified,
        };
        Request {
            wanted,
            ..Request::now(Purpose::Maintenance)
        }
    }
}

/// Result of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// Nothing had to change.
    Already,
    /// Nobody serves now: the next connection gets the page, or the app.
    AtTheNextConnection,
    /// Something else serves than before.
    HandedOver(Box<Outcome>),
}

/// Carries out a change, whether the app's handle is up or not.
///
/// # Errors
/// When it could not be done; nothing has changed then, but where a release did not start: that is tried again.
pub async fn change<B: Backend>(
    backend: &B,
    store: &Store,
    spec: &Spec,
    is_up: bool,
    change: &Change,
    page: Option<HoldingPage>,
) -> Result<Changed, EngineError> {
    let is_on = store.maintenance().is_some();
    if !is_on && !matches!(change, Change::On(_)) {
        return Ok(Changed::Already);
    }
    let request = change.request(store).or_holding_page(page);
    if !is_up {
        crate::execute::note_maintenance(backend, store, spec, request.clone()).await?;
        // During the wait for the lock, a connection may have started what was wanted before.
        if !serves(backend, store).await? {
            return Ok(Changed::AtTheNextConnection);
        }
    }
    Ok(match hand_over(backend, store, spec, request).await? {
        Outcome::Unchanged(_) if is_on => Changed::Already,
        outcome => Changed::HandedOver(Box::new(outcome)),
    })
}

async fn serves<B: Backend>(backend: &B, store: &Store) -> Result<bool, EngineError> {
    let Some(current) = store.current() else {
        return Ok(false);
    };
    let running = backend.running().await?;
    let mut serving = running.iter().filter(|one| one.phase == Phase::Serving);
    Ok(serving.any(|one| one.generation == current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_is_not_long() {
        let text = |length: usize| "é".repeat(length);
        for (text, expected) in [
            ("Back at 10:00 <b>", Ok(())),
            (&*text(500), Ok(())),
            (&*text(501), Err(MessageError::TooLong(501))),
            (" ", Err(MessageError::Empty)),
            ("a\nb", Err(MessageError::Control('\n'))),
            ("a\u{1b}[2J", Err(MessageError::Control('\u{1b}'))),
            ("a\u{85}", Err(MessageError::Control('\u{85}'))),
        ] {
            let parsed = text.parse::<Message>().map(drop);
            assert_eq!(parsed, expected, "{text:?}");
        }
    }

    #[test]
    fn another_message_is_the_same_maintenance() {
        let digest = |name: &str| Some(Digest(name.to_owned()));
        let first = Maintenance::begin(None, digest("one"), None);
        let message: Message = "soon".parse().unwrap();
        let second = Maintenance::begin(Some(message), None, Some(first.clone()));
        assert_eq!(second.since, first.since);
        assert_eq!(second.served, digest("one"));
        assert_eq!(second.message().as_deref(), Some("soon"));
        assert!(second.to_string().ends_with("(\"soon\")"), "{second}");
    }

    #[test]
    fn what_served_serves_again_if_it_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        let gone = Maintenance::begin(None, Some(Digest("gone".to_owned())), None);
        store.write_maintenance(&gone).unwrap();
        assert_eq!(Change::Off.request(&store).wanted, Wanted::AsSpecified);
        assert_eq!(
            Change::On(None).request(&store).wanted,
            Wanted::Maintenance(None)
        );
    }
}
