//! promtool, and a Prometheus of a test's own.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use portkeep_tests::wait_until;
use serde_json::Value;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A program of Prometheus: where the suite has put it, or in `PATH`.
fn program(name: &str) -> PathBuf {
    match env::var_os("PORTKEEP_PROMETHEUS") {
        Some(directory) => PathBuf::from(directory).join(name),
        None => name.into(),
    }
}

/// Runs promtool, which must succeed and have nothing to say.
#[track_caller]
pub(crate) fn promtool(args: &[&str], input: &str) {
    let mut child = Command::new(program("promtool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}; `tests/run metrics` brings it"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success(),
        "promtool {args:?}:\n{said}\nof:\n{input}"
    );
}

/// A Prometheus that scrapes one text every second.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    pub(crate) fn scraping(text: String) -> Self {
        let target = serve(text);
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("prometheus.yml");
        let yaml = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs: [{{ job_name: portkeep, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        fs::write(&configuration, yaml).unwrap();
        let address = free_address();
        let process = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}; `tests/run metrics` brings it"));
        let prometheus = Self {
            process,
            address,
            _directory: directory,
        };
        wait_until("Prometheus answers", Duration::from_secs(60), || {
            prometheus.try_get("/-/ready").map(drop)
        });
        prometheus
    }

    /// What it answers, in JSON.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let text = self
            .try_get(path)
            .unwrap_or_else(|| panic!("{path} has no answer"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) fn query(&self, query: &str) -> Value {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let text = self.try_get(&format!("/api/v1/query?query={encoded}"));
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// The value of the only series that a query finds.
    pub(crate) fn value(&self, query: &str) -> Option<String> {
        let answer = self.query(query);
        let value = &answer["data"]["result"].as_array()?.first()?["value"][1];
        value.as_str().map(str::to_owned)
    }

    /// The body of an answer with any status of the API's own.
    fn try_get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        let host = self.address;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?;
        (status == "200" || status == "400" || status == "422").then(|| body.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that nobody has.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Answers each request with the text, for as long as the test runs.
fn serve(text: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A request for metrics is one packet; what is in it does not matter.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {OPEN_METRICS}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
        }
    });
    address
}
