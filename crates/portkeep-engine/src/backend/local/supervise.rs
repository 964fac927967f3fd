//! Supervisor of one generation. It does what a unit of systemd does: start, READY, restarts, drain, deadlines.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::{Readiness, Spec};
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::launch::{self, launch};
use super::notify::{Message, NotifySocket};
use super::settle::SettledChild;
use super::{LocalEvent, Order, Shared};
use crate::backend::{ABANDON_PATIENCE, StartFailure};
use crate::end::End;
use crate::generation::{Generation, Phase};
use crate::prerequisites::Prerequisites;
use crate::process::{Descendants, Output, Started};
use crate::settle::{Budget, Ended, Settle, settle};
use crate::signal;
use crate::socket_use::{Misuse, accepts, says_in_use, socket_use};
use crate::store::Settled;

/// Lines kept for the report of a failure.
pub(super) const LAST_LINES: usize = 8;
/// How long last lines are read after the end of a process.
pub(super) const LAST_LINES_DEADLINE: Duration = Duration::from_millis(100);
/// A time that never comes, for timers that are off.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

type Answer = oneshot::Sender<Result<(), StartFailure>>;

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    generation: Generation,
    phase: watch::Sender<Option<Phase>>,
    inbox: mpsc::UnboundedReceiver<Order>,
    /// The caller that waits for the first READY.
    starter: Option<Answer>,
    /// The order; nothing is restarted after one.
    order: Option<Order>,
    last_lines: VecDeque<String>,
    /// Its last status (`STATUS=`).
    status: String,
    /// How it uses its sockets instead of becoming ready.
    misuse: Option<Misuse>,
}

impl Supervisor {
    pub(super) fn new(
        shared: Arc<Shared>,
        generation: Generation,
        phase: watch::Sender<Option<Phase>>,
        inbox: mpsc::UnboundedReceiver<Order>,
        starter: Answer,
    ) -> Self {
        let (starter, last_lines) = (Some(starter), VecDeque::new());
        Self {
            shared,
            generation,
            phase,
            inbox,
            starter,
            order: None,
            last_lines,
            status: String::new(),
            misuse: None,
        }
    }

    pub(super) async fn run(mut self) {
        let spec = self.shared.spec();
        loop {
            (self.status, self.misuse) = (String::new(), None);
            let end = self.run_once(&spec).await;
            let failure = StartFailure::of(&end, self.last_lines.drain(..).collect());
            let ended = self.ended(&spec, end);
            let starter = self.starter.take();
            // A generation that was told to end, or whose end its caller judges, is not started again.
            let is_judged = starter.is_some() || self.order.is_some();
            if !is_judged {
                // It does not serve while that is decided.
                let _ = self.phase.send(Some(Phase::Starting));
            }
            let is_again = !is_judged && self.settle(&spec, &ended).await;
            if is_judged {
                self.write_down(&ended);
            }
            if let Some(starter) = starter {
                let misuse = self.misuse.take();
                let told = &self.shared.misuse;
                (*told.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&misuse);
                let answer = match self.order {
                    Some(_) => StartFailure::by_circumstances(failure.reason),
                    None => StartFailure {
                        reason: ended.reason,
                        // The observation says more than the end.
                        cause: failure.cause.filter(|_| misuse.is_none()),
                        ..failure
                    },
                };
                let _ = starter.send(Err(answer));
            }
            if !is_again {
                break;
            }
        }
        let _ = self.phase.send(None);
    }

    fn ended(&self, spec: &Spec, end: End) -> Ended {
        Ended {
            generation: self.generation,
            reason: match &self.misuse {
                Some(misuse) => misuse.to_string(),
                None => Prerequisites::of(spec).explain(&end.cause()),
            },
            status: self.status.clone(),
            end,
        }
    }

    /// Records an end that others judge.
    fn write_down(&self, ended: &Ended) {
        let store = &self.shared.store;
        let noted = store.note_settled(&Settled {
            generation: ended.generation,
            ends: &store.ends_with(ended.generation, &ended.end),
            reason: &ended.reason,
            status: &ended.status,
            decided: Settle::Nothing,
            crashes: 0,
        });
        if let Err(error) = noted {
            tracing::warn!(
                "the end of generation {} could not be noted: {error}",
                ended.generation
            );
        }
    }

    /// Decides after an end by itself. Returns whether to start it again. An order meanwhile ends the matter.
    async fn settle(&mut self, spec: &Spec, ended: &Ended) -> bool {
        let backend = SettledChild {
            shared: self.shared.clone(),
            ended,
            is_again: AtomicBool::new(false),
        };
        let store = self.shared.store.clone();
        let settled = tokio::select! {
            settled = settle(&backend, &store, Budget::of(spec), ended) => settled,
            order = self.inbox.recv() => {
                self.order = order;
                return false;
            }
        };
        if let Err(error) = settled {
            tracing::warn!("generation {} was not settled: {error}", self.generation);
        }
        backend.is_again.into_inner()
    }

    async fn run_once(&mut self, spec: &Spec) -> End {
        let directory = self.shared.store.generation_directory(self.generation);
        let launched = NotifySocket::bind(&directory).and_then(|socket| {
            let mut command = launch(
                &self.shared.store,
                spec,
                &self.shared.sockets,
                self.generation,
                socket.path(),
                self.shared.runner.get().map_or(&[], Vec::as_slice),
            )?;
            if let Some(input) = self.shared.input.get() {
                command.stdin(input.make()?);
            }
            let what = format!("generation {}", self.generation);
            let started = self
                .shared
                .processes
                .start(command, &what, Descendants::Killed)?;
            Ok((socket, started))
        });
        match launched {
            Ok((socket, started)) => self.watch(spec, socket, started).await,
            Err(error) => {
                self.last_lines.push_back(error.to_string());
                end("resources", "", "", false)
            }
        }
    }

    /// Follows a process from its start to its end.
    async fn watch(&mut self, spec: &Spec, socket: NotifySocket, started: Started) -> End {
        let process = started.process;
        let pid = process.id();
        let mut output = Output::of(started.stdout, started.stderr);

        let never = || Instant::now() + NEVER;
        let mut deadline = pin!(sleep_until(Instant::now() + spec.start_timeout.0));
        let mut watchdog = pin!(sleep_until(never()));
        // Why this supervisor ended it, if it did.
        let mut verdict: Option<&'static str> = None;
        let mut ready = false;
        let mut end = process.end();
        let mut is_up = pin!(async {
            launch::executed(pid).await;
            // The wait for its end notices an ended one.
            if spec.readiness == Readiness::Accepts && !accepts(pid).await {
                std::future::pending::<()>().await;
            }
        });
        let status = loop {
            tokio::select! {
                status = end.come() => break status,
                Some(line) = output.next() => {
                    self.line(line);
                    output.at_hand().for_each(|line| self.line(line));
                }
                Ok(messages) = socket.receive() => for message in messages {
                    match message {
                        Message::Ready if !ready => {
                            ready = true;
                            self.is_ready();
                            if self.order.is_none() {
                                deadline.as_mut().reset(never());
                            }
                            watchdog.as_mut().reset(spec.watchdog.as_ref().map_or_else(never, |every| Instant::now() + every.0));
                        }
                        Message::Watchdog if self.order.is_none() => {
                            watchdog.as_mut().reset(spec.watchdog.as_ref().map_or_else(never, |every| Instant::now() + every.0));
                        }
                        Message::ExtendTimeout(by) if !ready || self.order.is_some() => {
                            let at = deadline.deadline().max(Instant::now() + by);
                            deadline.as_mut().reset(at);
                        }
                        Message::Status(status) => self.status = status,
                        Message::Ready | Message::Watchdog | Message::ExtendTimeout(_) => {}
                    }
                },
                Some(order) = self.inbox.recv() => {
                    if self.order == Some(order) {
                        continue;
                    }
                    let _ = self.phase.send(Some(Phase::Draining));
                    self.order = Some(order);
                    // A drain may take longer than a watchdog allows; systemd stops watching too.
                    watchdog.as_mut().reset(never());
                    if order == Order::Kill {
                        process.kill();
                        continue;
                    }
                    process.signal(Signal::TERM);
                    let patience = match order {
                        Order::Abandon => spec.drain_timeout.0.min(ABANDON_PATIENCE),
                        _ => spec.drain_timeout.0,
                    };
                    deadline.as_mut().reset(Instant::now() + patience);
                }
                () = &mut is_up, if !ready && spec.readiness != Readiness::Notify => {
                    ready = true;
                    self.is_ready();
                    if self.order.is_none() {
                        deadline.as_mut().reset(never());
                    }
                }
                () = &mut deadline => {
                    verdict = Some("timeout");
                    if !ready && self.order.is_none() && spec.readiness != Readiness::Started {
                        self.misuse = Some(Misuse::of(&socket_use(pid)));
                    }
                    if self.order == Some(Order::Drain) {
                        let status = self.status.clone();
                        self.shared.tell(LocalEvent::Cut(self.generation, status));
                    }
                    process.kill();
                    deadline.as_mut().reset(never());
                }
                () = &mut watchdog => {
                    verdict = Some("watchdog");
                    // A stopped process gets SIGKILL; SIGABRT would wait for it to continue.
                    process.kill();
                    watchdog.as_mut().reset(never());
                }
            }
        };
        // A child that left the group may still write; its lines are not waited for.
        let last_lines = Instant::now() + LAST_LINES_DEADLINE;
        while let Ok(Some(line)) = timeout_at(last_lines, output.next()).await {
            self.line(line);
        }
        // Its last messages may still be in the socket: they were sent before it ended.
        while let Some(messages) = socket.received() {
            self.last_status(messages);
        }
        if self.order == Some(Order::Drain) && verdict.is_none() {
            let status = self.status.clone();
            self.shared
                .tell(LocalEvent::Drained(self.generation, status));
        }
        ended(status, verdict, ready)
    }

    fn is_ready(&mut self) {
        if self.order.is_none() {
            let _ = self.phase.send(Some(Phase::Serving));
        }
        if let Some(starter) = self.starter.take() {
            let _ = starter.send(Ok(()));
        }
    }

    fn last_status(&mut self, messages: Vec<Message>) {
        for message in messages {
            if let Message::Status(status) = message {
                self.status = status;
            }
        }
    }

    fn line(&mut self, line: String) {
        if self.starter.is_some() && says_in_use(&line) {
            self.misuse = Some(Misuse::PortInUse);
        }
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.clone());
        self.shared.tell(LocalEvent::Line(self.generation, line));
    }
}

pub(super) fn end(result: &str, code: &str, status: &str, ready: bool) -> End {
    End {
        at: Timestamp::now(),
        invocation: None,
        result: result.to_owned(),
        code: code.to_owned(),
        status: status.to_owned(),
        ready,
    }
}

/// An end in systemd's words.
pub(super) fn ended(status: Option<ExitStatus>, verdict: Option<&str>, ready: bool) -> End {
    let Some(status) = status else {
        return end("resources", "", "", ready);
    };
    let (result, code, word) = match (status.code(), status.signal()) {
        (Some(0), _) if !ready => ("protocol", "exited", "0".to_owned()),
        (Some(0), _) => ("success", "exited", "0".to_owned()),
        (Some(code), _) => ("exit-code", "exited", code.to_string()),
        // As in systemd: a process that one of these ends was asked to end, or lost its peer.
        (_, Some(number @ (1 | 2 | 13 | 15))) => ("success", "killed", signal::name(number)),
        (_, Some(number)) => {
            let code = if status.core_dumped() {
                "dumped"
            } else {
                "killed"
            };
            ("signal", code, signal::name(number))
        }
        (None, None) => ("resources", "", String::new()),
    };
    end(verdict.unwrap_or(result), code, &word, ready)
}
