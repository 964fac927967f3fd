//! Load by `wrk`, which knows nothing of portkeep: fifty connections at thousands of requests a second.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::NamedTempFile;

/// An answer that takes longer has failed.
const UNANSWERED: Duration = Duration::from_secs(10);
/// How much longer than it should it may go on, where what happens meanwhile takes longer.
const LONGEST: Duration = Duration::from_secs(300);

/// What is sent: for this time, and longer until [`RunningLoad::finish`] ends it.
#[derive(Clone, Debug)]
pub struct Load {
    address: SocketAddr,
    duration: Duration,
    connections: Connections,
    count: u32,
    rate: u32,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Many requests on each.
    KeepAlive,
    /// A new one for each request. The answer has to say so: wrk takes an end that nobody announced for a loss.
    OnePerRequest,
}

/// A load generator at work.
#[derive(Debug)]
pub struct RunningLoad {
    child: Child,
    until: Instant,
    goes_on: Option<NamedTempFile>,
    _script: NamedTempFile,
}

/// What the load generator saw.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct LoadReport {
    /// All requests.
    pub requests: u64,
    /// Those without an answer of status 200.
    pub failed: u64,
    /// The longest.
    pub slowest: Duration,
    /// The median.
    pub median: Duration,
    /// Why requests failed, as the load generator tells it.
    pub errors: Vec<String>,
}

impl Load {
    /// 50 connections, 4000 requests a second.
    #[must_use]
    pub fn new(address: SocketAddr, duration: Duration, connections: Connections) -> Self {
        Self {
            address,
            duration,
            connections,
            count: 50,
            rate: 4000,
        }
    }

    /// Another rate, in requests a second.
    #[must_use]
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// Starts the load generator.
    #[must_use]
    pub fn start(&self) -> RunningLoad {
        let mut script = tempfile::Builder::new()
            .suffix(".lua")
            .tempfile()
            .expect("a temporary file");
        script
            .write_all(include_bytes!("load.lua"))
            .expect("the script can be written");
        let mut command = Command::new("wrk");
        // One thread is enough for what is asked, and leaves the others to the app.
        command.args(["--threads", "1", "--connections"]);
        command.arg(self.count.to_string());
        let goes_on = NamedTempFile::new().expect("a temporary file");
        // It ends by itself when the time is over, the file is gone and all is answered; at the latest then.
        let latest = self.duration + LONGEST;
        command.arg(format!("--duration={}s", latest.as_secs() + 1));
        command.arg(format!("--timeout={}s", UNANSWERED.as_secs()));
        if self.connections == Connections::OnePerRequest {
            command.args(["--header", "Connection: close"]);
        }
        command.arg("--script").arg(script.path());
        command.arg(format!("http://{}/", self.address)).arg("--");
        command.arg(self.rate.to_string());
        command.arg(self.duration.as_millis().to_string());
        command.arg(self.count.to_string()).arg(goes_on.path());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start wrk (tests/run installs it): {error}"));
        RunningLoad {
            child,
            until: Instant::now() + self.duration,
            goes_on: Some(goes_on),
            _script: script,
        }
    }
}

impl RunningLoad {
    /// Whether it still sends.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it, not before its time is over.
    pub fn finish(mut self) -> LoadReport {
        self.goes_on = None;
        let latest = self.until.max(Instant::now()) + UNANSWERED;
        while self.is_running() && Instant::now() < latest {
            thread::sleep(Duration::from_millis(5));
        }
        if self.is_running() {
            // What is not answered is counted.
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        }
        let mut said = String::new();
        let stdout = self.child.stdout.as_mut().expect("its output is piped");
        stdout
            .read_to_string(&mut said)
            .expect("wrk's report is text");
        LoadReport::parse(&said)
            .unwrap_or_else(|error| panic!("wrk's report cannot be read: {error}\n{said}"))
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        // A failing test must not load the next one.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LoadReport {
    /// Fails the test if a request failed, or fewer than `least` were made. `least` is what makes it load at all, not what a
    /// calm machine manages: a busy one answers fewer, and has lost none.
    #[track_caller]
    pub fn expect_lossless(&self, least: u64) {
        assert_eq!(self.failed, 0, "requests failed: {self:?}");
        assert!(self.requests >= least, "too few requests: {self:?}");
    }

    fn parse(said: &str) -> serde_json::Result<Self> {
        // Below what it says to people.
        let line = said.lines().find(|line| line.starts_with('{'));
        let raw: Raw = serde_json::from_str(line.unwrap_or_default())?;
        // Each error of a socket costs the request under way, if one is; one that hangs is neither answered nor an error.
        let unanswered = raw.sent.saturating_sub(raw.answered);
        let lost = unanswered.max(raw.read + raw.write);
        let errors = [
            ("connect", raw.connect),
            ("read", raw.read),
            ("write", raw.write),
            ("status", raw.status),
            ("timeout", raw.timeout),
            ("no answer", unanswered),
        ];
        Ok(Self {
            requests: raw.sent + raw.connect,
            failed: lost + raw.connect + raw.status + raw.timeout,
            slowest: Duration::from_micros(raw.slowest),
            median: Duration::from_micros(raw.median),
            errors: errors
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(error, count)| format!("{count} × {error}"))
                .collect(),
        })
    }
}

/// What `load.lua` says at the end; times in microseconds.
#[derive(Deserialize)]
struct Raw {
    sent: u64,
    answered: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
    slowest: u64,
    median: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts_other_statuses_errors_and_silence_as_failed() {
        let report = LoadReport::parse(
            "Running 1s test\n\
             {\"sent\":100,\"answered\":95,\"connect\":2,\"read\":3,\"write\":0,\"status\":6,\"timeout\":1,\
             \"slowest\":250000,\"median\":1000}\n",
        )
        .unwrap();
        assert_eq!((report.requests, report.failed), (102, 5 + 2 + 6 + 1));
        assert_eq!(report.slowest, Duration::from_millis(250));
        assert_eq!(report.median, Duration::from_millis(1));
        assert_eq!(report.errors[1], "3 × read");
    }

    #[test]
    fn a_report_that_is_missing_is_an_error() {
        let _ = LoadReport::parse("unable to connect").unwrap_err();
    }
}
