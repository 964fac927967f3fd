//! Generations as child processes, with the protocols that systemd speaks: `LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`,
//! `NOTIFY_SOCKET`, `WATCHDOG_USEC`.
//!
//! The process that holds a [`Local`] holds the sockets: they live as long as it does, or until they are
//! [closed](Local::close_sockets).

mod launch;
mod notify;
mod release_command;
mod settle;
mod sockets;
mod supervise;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use portkeep_spec::{Readiness, Spec};
use tokio::sync::{mpsc, oneshot, watch};

pub use sockets::{BindError, Sockets};

use release_command::Releasing;

use crate::backend::{Backend, BackendError, StartFailure};
use crate::generation::{Generation, Phase, Running};
use crate::process::Children as Processes;
use crate::release_command::ReleaseCommand;
use crate::settle::HandleReset;
use crate::socket_use::Misuse;
use crate::store::Store;

/// An event of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalEvent {
    /// It wrote a line.
    Line(Generation, String),
    /// So many lines that it wrote were not kept: it writes faster than they are taken.
    LinesLost(Generation, u64),
    /// It ended by itself and is started again.
    Restarted(Generation, String),
    /// It was current, ended by itself, and is not started again.
    Gone(Generation, String),
    /// It was current and ended when it was idle: the next connection starts one.
    Rested(Generation),
    /// It finished draining; with its last status, such as what it answered, moved and cut.
    Drained(Generation, String),
    /// It was killed because it did not finish in time; with its last status.
    Cut(Generation, String),
}

/// Receiver of events. It is called for each line that a generation writes, and holds the generation up.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(LocalEvent) + Send + Sync>);

impl Listener {
    /// Calls `hear`, which must be quick.
    #[must_use]
    pub fn new(hear: impl Fn(LocalEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// An order to the supervisor of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Drain,
    Abandon,
    Kill,
}

#[derive(Debug)]
struct Supervised {
    orders: mpsc::UnboundedSender<Order>,
    phase: watch::Receiver<Option<Phase>>,
}

#[derive(Debug, Default)]
struct Children {
    supervised: BTreeMap<Generation, Supervised>,
    /// Nothing new is started: everything has been told to end.
    is_closed: bool,
}

/// Runs the generations of one app as children of this process.
#[derive(Debug, Clone)]
pub struct Local {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// Replaced when the spec is read again.
    spec: Mutex<Spec>,
    sockets: Sockets,
    children: Mutex<Children>,
    /// The running release command.
    releasing: Mutex<Option<Releasing>>,
    /// How the program of the last failed start used its sockets.
    misuse: Mutex<Option<Misuse>>,
    processes: Processes,
    listener: Listener,
    /// Standard input for generations; empty without it.
    input: std::sync::OnceLock<Input>,
    /// Program that starts generations; none if they are started directly.
    runner: std::sync::OnceLock<Vec<OsString>>,
}

/// Makes the standard input of a generation that is about to start.
#[derive(Clone)]
pub struct Input(Arc<dyn Fn() -> std::io::Result<std::os::fd::OwnedFd> + Send + Sync>);

impl Input {
    /// Calls this each time that a generation is started.
    pub fn of(
        make: impl Fn() -> std::io::Result<std::os::fd::OwnedFd> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(make))
    }

    fn make(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        (self.0)()
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

impl Local {
    /// Holds `sockets` and runs generations from `store`. `listener` gets their events.
    ///
    /// The leftovers of a killed predecessor have to be [ended](Processes::end_left) first.
    #[must_use]
    pub fn new(store: Store, spec: Spec, mut sockets: Sockets, listener: Listener) -> Self {
        if spec.has_move_socket() {
            // Without it connections are drained instead of moved: no reason not to serve.
            let _ = sockets.add_move_socket(store.run_directory());
        }
        let children = Mutex::default();
        Self {
            shared: Arc::new(Shared {
                misuse: Mutex::default(),
                processes: Processes::of(&store),
                store,
                spec: Mutex::new(spec),
                sockets,
                children,
                releasing: Mutex::default(),
                listener,
                input: std::sync::OnceLock::new(),
                runner: std::sync::OnceLock::new(),
            }),
        }
    }

    /// Later generations read this instead of nothing. The first call counts.
    pub fn read_from(&self, input: Input) {
        let _ = self.shared.input.set(input);
    }

    /// Later generations are started by this program, with its first arguments. It has to become the app (`exec`), because
    /// the app takes sockets only if it has the number of the started process. The first call counts.
    pub fn run_with(&self, runner: Vec<OsString>) {
        let _ = self.shared.runner.set(runner);
    }

    /// Ends every generation and starts none after that: SIGTERM, and SIGKILL after the spec's `drainTimeout`. Returns when
    /// all are gone.
    pub async fn stop_all(&self) {
        let phases: Vec<_> = self.shared.with_children(|children| {
            children.is_closed = true;
            for child in children.supervised.values() {
                // A supervisor that is gone has no process to end.
                let _ = child.orders.send(Order::Drain);
            }
            let children = children.supervised.values();
            children.map(|child| child.phase.clone()).collect()
        });
        for mut phase in phases {
            let _ = phase.wait_for(Option::is_none).await;
        }
    }

    /// Nobody can connect any more, whoever still has a clone of this: another process or another [`Local`] may listen at the
    /// same addresses.
    pub fn close_sockets(&self) {
        self.shared.sockets.close();
    }

    /// How the program of the last failed start used its sockets, if that was seen; once.
    #[must_use]
    pub fn take_misuse(&self) -> Option<Misuse> {
        let misuse = &self.shared.misuse;
        misuse.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until somebody connects (or sends a datagram) and nobody accepts it.
    ///
    /// # Errors
    /// When the sockets cannot be polled.
    pub async fn connection_waits(&self) -> std::io::Result<()> {
        self.shared.sockets.readable().await
    }

    /// Kills draining generations at once.
    pub fn kill_all(&self) {
        self.shared.with_children(|children| {
            for child in children.supervised.values() {
                let _ = child.orders.send(Order::Kill);
            }
        });
    }

    async fn order(
        &self,
        generation: Generation,
        order: Order,
    ) -> Option<watch::Receiver<Option<Phase>>> {
        self.shared.with_children(|children| {
            let child = children.supervised.get(&generation)?;
            let _ = child.orders.send(order);
            Some(child.phase.clone())
        })
    }
}

impl Shared {
    fn spec(&self) -> Spec {
        self.spec
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn with_children<T>(&self, look: impl FnOnce(&mut Children) -> T) -> T {
        look(&mut self.children.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn somebody_serves(&self) -> bool {
        self.with_children(|children| {
            let mut supervised = children.supervised.values();
            supervised.any(|child| *child.phase.borrow() == Some(Phase::Serving))
        })
    }

    fn is_supervised(&self, generation: Generation) -> bool {
        self.with_children(|children| {
            let child = children.supervised.get(&generation);
            child.is_some_and(|child| child.phase.borrow().is_some())
        })
    }

    fn tell(&self, event: LocalEvent) {
        (self.listener.0)(event);
    }
}

impl Backend for Local {
    async fn start(
        &self,
        generation: Generation,
        _readiness: Readiness,
        _deadline: Instant,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        let (ready, answer) = oneshot::channel();
        let (orders, inbox) = mpsc::unbounded_channel();
        let (phase_sender, phase) = watch::channel(Some(Phase::Starting));
        let is_closed = self.shared.with_children(|children| {
            let supervised = &mut children.supervised;
            supervised.retain(|_, child| child.phase.borrow().is_some());
            if !children.is_closed {
                supervised.insert(generation, Supervised { orders, phase });
            }
            children.is_closed
        });
        if is_closed {
            return Ok(Err(StartFailure::by_circumstances(
                "whoever holds its sockets is ending",
            )));
        }
        let supervisor =
            supervise::Supervisor::new(self.shared.clone(), generation, phase_sender, inbox, ready);
        tokio::spawn(supervisor.run());
        answer.await.map_err(|error| {
            BackendError::new(
                format!("the supervisor of generation {generation} died"),
                error,
            )
        })
    }

    async fn run_release_command(
        &self,
        generation: Generation,
        command: &ReleaseCommand,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        release_command::run(&self.shared, generation, command).await
    }

    async fn end_release_command(&self, _: Generation) -> Result<(), BackendError> {
        release_command::end(&self.shared).await;
        Ok(())
    }

    async fn drain(&self, generation: Generation) -> Result<(), BackendError> {
        self.order(generation, Order::Drain).await;
        Ok(())
    }

    async fn abandon(&self, generation: Generation) -> Result<(), BackendError> {
        if let Some(mut phase) = self.order(generation, Order::Abandon).await {
            let _ = phase.wait_for(Option::is_none).await;
        }
        Ok(())
    }

    /// Nothing to do: the owner of a [`Local`] watches the build and hands over.
    async fn keep_trying(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Nothing to do: the owner of a [`Local`] sees a waiting connection.
    async fn nobody_serves(&self) -> Result<HandleReset, BackendError> {
        Ok(HandleReset::Done)
    }

    async fn running(&self) -> Result<Vec<Running>, BackendError> {
        Ok(self.shared.with_children(|children| {
            let running = children
                .supervised
                .iter()
                .filter_map(|(generation, child)| {
                    let phase = (*child.phase.borrow())?;
                    Some(Running {
                        generation: *generation,
                        phase,
                    })
                });
            running.collect()
        }))
    }
}
