//! Handlers that continue WebSockets of the last generation.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Arrival;
use super::io::Io;
use super::probe::Stage;
use super::websocket::RawWebSocket;
use crate::drain::Shared;
use crate::task::{self, Boxed};
use crate::websocket::AddressedState;
use crate::{BoxError, Secret, SessionState};

/// Continues a WebSocket whose state was understood.
type GoOn = Box<dyn FnOnce(RawWebSocket) -> Boxed<()> + Send>;
type Understand = dyn Fn(SessionState) -> Result<GoOn, BoxError> + Send + Sync;

/// The app's handlers, by name.
#[derive(Clone, Default)]
pub(crate) struct Resumers(HashMap<String, Arc<Understand>>);

/// A handler that has understood a state.
pub(crate) struct Resumed(GoOn);

impl Resumers {
    pub(crate) fn add<T, E, F>(
        &mut self,
        name: String,
        understand: impl Fn(SessionState) -> Result<T, E> + Send + Sync + 'static,
        go_on: impl Fn(RawWebSocket, T) -> F + Send + Sync + 'static,
    ) where
        T: Send + 'static,
        E: Into<BoxError>,
        F: Future<Output = ()> + Send + 'static,
    {
        let go_on = Arc::new(go_on);
        let understand = move |state| {
            let understood = understand(state).map_err(Into::into)?;
            let go_on = Arc::clone(&go_on);
            // The app's code runs in its own task, from the first line on.
            let start = move |socket| task::boxed(async move { go_on(socket, understood).await });
            Ok(Box::new(start) as GoOn)
        };
        self.0.insert(name, Arc::new(understand));
    }

    /// # Errors
    ///
    /// If no handler continues it here.
    pub(crate) fn ask(&self, addressed: &Secret) -> io::Result<Resumed> {
        let addressed = AddressedState::decode(addressed.expose())
            .ok_or_else(|| io::Error::other("the state of a WebSocket is cut off"))?;
        let AddressedState { handler, state } = addressed;
        let understand = self.0.get(&handler).ok_or_else(|| {
            io::Error::other(format!(
                "no handler {handler:?} goes on with WebSockets here (`Server::resume`)"
            ))
        })?;
        let version = state.version();
        // The app's code, in a task that has other connections to take.
        let understood = catch_unwind(AssertUnwindSafe(|| understand(state)));
        let understood = understood.unwrap_or_else(|_| Err("it panicked".into()));
        understood.map(Resumed).map_err(|error| {
            io::Error::other(format!(
                "the handler {handler:?} does not understand a state of version {version}: {error}"
            ))
        })
    }
}

impl Resumed {
    /// It counts as open from this call on.
    pub(crate) fn spawn(self, arrival: Arrival, shared: &Arc<Shared>) {
        let io = Io::new(arrival, shared);
        io.probe().enter(Stage::Apps);
        task::spawn((self.0)(RawWebSocket::moved(io)));
    }
}

impl fmt::Debug for Resumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumers() -> Resumers {
        let understand = |state: SessionState| match state.version() {
            1 => Ok(()),
            2 => Err("only version 1 is known here"),
            other => panic!("{other}"),
        };
        let mut resumers = Resumers::default();
        resumers.add("chat".to_owned(), understand, |_, ()| async {});
        resumers
    }

    fn refused(addressed: &Secret) -> String {
        match resumers().ask(addressed) {
            Ok(_) => panic!("it is understood"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn who_refuses_says_why() {
        let state = |version| SessionState::new(version, *b"");
        assert!(
            resumers()
                .ask(&AddressedState::encode("chat", &state(1)))
                .is_ok()
        );
        let said = refused(&AddressedState::encode("chat", &state(2)));
        assert!(
            said.contains("\"chat\" does not understand a state of version 2: only version 1"),
            "{said}"
        );
        let said = refused(&AddressedState::encode("game", &state(1)));
        assert!(said.contains("no handler \"game\""), "{said}");
        let said = refused(&Secret::from(b"cut".to_vec()));
        assert!(said.contains("cut off"), "{said}");
    }

    #[test]
    fn a_handler_that_panics_has_refused() {
        let panics = AddressedState::encode("chat", &SessionState::new(3, *b""));
        assert!(refused(&panics).contains("it panicked"));
    }
}
