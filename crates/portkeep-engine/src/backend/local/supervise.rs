//! Supervises one generation, as its unit in systemd would: start, READY, restarts, drain, deadlines.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::{Readiness, Spec};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::launch::{self, launch};
use super::notify::{Message, NotifySocket};
use super::{LocalEvent, Order, Shared, orphan};
use crate::accepts;
use crate::backend::{Blame, StartFailure};
use crate::crash::{self, Budget, Settle, Standing};
use crate::generation::{Generation, Phase};
use crate::store::End;

/// Lines kept for the report of a failure.
const LAST_LINES: usize = 8;
/// How long after the end of a process its last lines are waited for.
const LAST_LINES_DEADLINE: Duration = Duration::from_millis(100);
/// A moment that never comes, for timers that are off.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

type Answer = oneshot::Sender<Result<(), StartFailure>>;

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    generation: Generation,
    phase: watch::Sender<Option<Phase>>,
    inbox: mpsc::UnboundedReceiver<Order>,
    /// Whoever waits for the first READY.
    starter: Option<Answer>,
    /// What was ordered; nothing is restarted after that.
    order: Option<Order>,
    last_lines: VecDeque<String>,
    /// What it said of itself last (`STATUS=`).
    status: String,
    /// It was READY since it was started last.
    was_ready: bool,
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
            was_ready: false,
        }
    }

    pub(super) async fn run(mut self) {
        let spec = self.shared.spec();
        loop {
            (self.was_ready, self.status) = (false, String::new());
            let end = self.run_once(&spec).await;
            let _ = self.shared.store.note_end(self.generation, &end);
            if self.was_ready && end.is_drain() {
                let _ = self
                    .shared
                    .store
                    .note_drained(self.generation, &end, &self.status);
            }
            let reason = end.describe();
            if let Some(starter) = self.starter.take() {
                let log = self.last_lines.drain(..).collect();
                let blame = match self.order {
                    Some(_) => Blame::Circumstances,
                    None => Blame::Release,
                };
                let _ = starter.send(Err(StartFailure { reason, blame, log }));
                break;
            }
            // What was told to end is not started again.
            if self.order.is_some() || !self.settle(&spec, reason).await {
                break;
            }
            let _ = self.phase.send(Some(Phase::Starting));
        }
        orphan::forget(&self.shared.store, self.generation);
        let _ = self.phase.send(None);
    }

    /// Decides after an end by itself. True: start it again.
    async fn settle(&mut self, spec: &Spec, reason: String) -> bool {
        let store = self.shared.store.clone();
        let budget = Budget::of(spec);
        let ends = store.ends(self.generation);
        let standing = match store.current() {
            Some(current) if current == self.generation => Standing::Current,
            // There is no manager that would start it once more by itself.
            _ => Standing::Replaced,
        };
        let settle = crash::settle(budget, &ends, standing, Timestamp::now());
        let _ = store.note_crash(self.generation, budget, &ends, settle);
        match settle {
            Settle::Nothing | Settle::Abandon => false,
            Settle::Restart { after } => {
                self.shared
                    .tell(LocalEvent::Restarted(self.generation, reason));
                self.pause(spec.restart.delay.0 + after).await
            }
            Settle::DropHandle | Settle::GiveUp => {
                let mut reason = reason;
                if settle == Settle::GiveUp {
                    reason = format!("it crashed too often; at last {reason}");
                    if let Some(release) = store.release_of(self.generation) {
                        let _ = store.mark_bad(&release.digest, &reason);
                    }
                }
                let _ = store.clear_current();
                self.shared.tell(if ends.last().is_some_and(End::is_crash) {
                    LocalEvent::Gone(self.generation, reason)
                } else {
                    LocalEvent::Rested(self.generation)
                });
                false
            }
        }
    }

    /// Waits, unless an order comes. False: do not start.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => true,
            order = self.inbox.recv() => {
                self.order = order;
                false
            }
        }
    }

    async fn run_once(&mut self, spec: &Spec) -> End {
        let directory = self.shared.store.generation_directory(self.generation);
        let launched = NotifySocket::bind(&directory).and_then(|socket| {
            let child = launch(
                &self.shared.store,
                spec,
                &self.shared.sockets,
                self.generation,
                socket.path(),
            )?;
            Ok((socket, child))
        });
        match launched {
            Ok((socket, child)) => self.watch(spec, socket, child).await,
            Err(error) => {
                self.last_lines.push_back(error.to_string());
                end("resources", "", "")
            }
        }
    }

    /// Follows a process from its start to its end.
    async fn watch(&mut self, spec: &Spec, socket: NotifySocket, mut child: Child) -> End {
        let pid = child.id().unwrap_or(0);
        let _ = orphan::note(&self.shared.store, self.generation, pid);
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let (lines_sender, mut lines) = mpsc::unbounded_channel();
        forward(child.stdout.take(), lines_sender.clone());
        forward(child.stderr.take(), lines_sender);

        let never = || Instant::now() + NEVER;
        let mut deadline = pin!(sleep_until(Instant::now() + spec.start_timeout.0));
        let mut watchdog = pin!(sleep_until(never()));
        // Why we ended it, where we did.
        let mut verdict: Option<&'static str> = None;
        let mut ready = false;
        let mut is_up = pin!(async {
            launch::executed(pid).await;
            if spec.readiness == Readiness::Accepts {
                accepts(pid).await;
            }
        });
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                Some(line) = lines.recv() => self.line(line),
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
                        kill_all(group);
                        continue;
                    }
                    signal(group, Signal::TERM);
                    deadline.as_mut().reset(Instant::now() + spec.drain_timeout.0);
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
                    if self.order == Some(Order::Drain) {
                        let status = self.status.clone();
                        self.shared.tell(LocalEvent::Cut(self.generation, status));
                    }
                    kill_all(group);
                    deadline.as_mut().reset(never());
                }
                () = &mut watchdog => {
                    verdict = Some("watchdog");
                    // A stopped process does get SIGKILL; SIGABRT would wait for it to go on.
                    kill_all(group);
                    watchdog.as_mut().reset(never());
                }
            }
        };
        // What it started must not outlive it: systemd ends the whole control group, we its process group.
        kill_all(group);
        // A child that left the group may still write; its lines are not waited for.
        let last_lines = Instant::now() + LAST_LINES_DEADLINE;
        while let Ok(Some(line)) = timeout_at(last_lines, lines.recv()).await {
            self.line(line);
        }
        // What it said last may still be in the socket: it was said before it ended.
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
        self.was_ready = true;
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
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.clone());
        self.shared.tell(LocalEvent::Line(self.generation, line));
    }
}

fn signal(process: Option<Pid>, signal: Signal) {
    // It may have ended by itself in this moment.
    let _ = process.map(|pid| kill_process(pid, signal));
}

fn kill_all(group: Option<Pid>) {
    let _ = group.map(|pid| kill_process_group(pid, Signal::KILL));
}

fn end(result: &str, code: &str, status: &str) -> End {
    End {
        at: Timestamp::now(),
        result: result.to_owned(),
        code: code.to_owned(),
        status: status.to_owned(),
    }
}

/// An end in systemd's words.
fn ended(status: std::io::Result<ExitStatus>, verdict: Option<&str>, ready: bool) -> End {
    let Ok(status) = status else {
        return end("resources", "", "");
    };
    let (result, code, word) = match (status.code(), status.signal()) {
        (Some(0), _) if !ready => ("protocol", "exited", "0".to_owned()),
        (Some(0), _) => ("success", "exited", "0".to_owned()),
        (Some(code), _) => ("exit-code", "exited", code.to_string()),
        // A process that ends by the signal it was asked with has ended cleanly.
        (_, Some(15)) => ("success", "killed", "TERM".to_owned()),
        (_, Some(number)) => {
            let code = if status.core_dumped() {
                "dumped"
            } else {
                "killed"
            };
            ("signal", code, signal_name(number))
        }
        (None, None) => ("resources", "", String::new()),
    };
    end(verdict.unwrap_or(result), code, &word)
}

fn signal_name(number: i32) -> String {
    let named = [
        (1, "HUP"),
        (2, "INT"),
        (3, "QUIT"),
        (4, "ILL"),
        (6, "ABRT"),
        (7, "BUS"),
        (8, "FPE"),
        (9, "KILL"),
        (11, "SEGV"),
        (13, "PIPE"),
        (14, "ALRM"),
    ];
    named
        .iter()
        .find(|(one, _)| *one == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// Sends the lines of a stream to `lines` until it ends.
fn forward(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    lines: mpsc::UnboundedSender<String>,
) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // Lines as bytes: an app may write what is not UTF-8.
        while reader
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|length| length > 0)
        {
            let text = String::from_utf8_lossy(&line);
            if lines
                .send(text.trim_end_matches(['\n', '\r']).to_owned())
                .is_err()
            {
                break;
            }
            line.clear();
        }
    });
}
