//! An installed app that a scenario disturbs.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::client::{Answer, Asked, Outcome, ask, request};
use crate::command::{Finished, run};
use crate::manager::Manager;
use crate::observation::Watcher;
use crate::publish::Publish;
use crate::stamp::Behaviour;
use crate::wait::wait_until;

/// Long enough for every start in a scenario.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An app, installed by the command line into the manager of whoever runs the test.
///
/// Dropping it uninstalls it; if the test is failing, its units' states and logs are shown before.
#[derive(Debug)]
pub struct App {
    name: String,
    manager: Manager,
    directory: PathBuf,
    address: SocketAddr,
    way: Publish,
}

/// An app that is not installed yet.
#[derive(Debug)]
pub struct AppBuilder {
    app: App,
    spec: Map<String, Value>,
}

impl App {
    /// An app on 127.0.0.1:8080 with nothing but defaults.
    #[must_use]
    pub fn named(name: &str) -> AppBuilder {
        let manager = Manager::of_this_process();
        let app = Self {
            name: name.to_owned(),
            manager,
            directory: manager.apps_directory().join(name),
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            way: Publish::Rename,
        };
        AppBuilder {
            app,
            spec: Map::new(),
        }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its manager.
    #[must_use]
    pub fn manager(&self) -> Manager {
        self.manager
    }

    /// The name of one of its units: `unit(".socket")`, `unit("@3.service")`.
    #[must_use]
    pub fn unit(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.name)
    }

    /// Puts a build into place. Nothing is told about it.
    pub fn publish(&self, behaviour: &Behaviour) {
        self.way
            .publish(&probe(), &self.directory, behaviour)
            .unwrap_or_else(|error| panic!("cannot publish {}: {error}", behaviour.version));
    }

    /// Where the executable is.
    #[must_use]
    pub fn executable(&self) -> PathBuf {
        self.directory.join(self.way.executable())
    }

    /// Removes the executable.
    pub fn remove_executable(&self) {
        let path = self.executable();
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Waits until no old generation is left.
    #[track_caller]
    pub fn wait_for_only_one(&self) {
        wait_until("the old generations have ended", ANSWER_TIMEOUT, || {
            (self.generations().len() == 1).then_some(())
        });
    }

    /// Runs `systemctl VERB NAME.service`.
    pub fn systemctl(&self, verb: &str) -> Finished {
        self.manager.systemctl(&[verb, &self.unit(".service")])
    }

    /// `systemctl reload`, which must succeed.
    #[track_caller]
    pub fn reload(&self) {
        let _ = self.systemctl("reload").expect_success();
    }

    /// Sets these fields of its spec, and runs `portkeep install --now` once more, which hands over.
    #[track_caller]
    pub fn install_again(&self, fields: &[(&str, Value)]) {
        let path = self.directory.join("portkeep.json");
        let text = fs::read(&path).expect("the spec can be read");
        let mut spec: Map<String, Value> = serde_json::from_slice(&text).expect("it is JSON");
        spec.extend(
            fields
                .iter()
                .map(|(field, value)| ((*field).to_owned(), value.clone())),
        );
        fs::write(&path, Value::Object(spec).to_string()).expect("the spec can be written");
        let path = path.to_string_lossy();
        let install = ["install", self.manager.flag(), "--now", "--spec", &path];
        let _ = run("portkeep", install).expect_success();
    }

    /// Runs `portkeep VERB NAME`, for its manager.
    pub fn portkeep(&self, verb: &str, args: &[&str]) -> Finished {
        let words = [&[verb, self.manager.flag(), &self.name], args].concat();
        run("portkeep", words)
    }

    /// One request for a path.
    #[must_use]
    pub fn request(&self, path: &str) -> Outcome {
        request(self.address, path, ANSWER_TIMEOUT)
    }

    /// Asks for a path, and comes back when the process has the request.
    pub fn ask(&self, path: &str) -> Asked {
        let asked = ask(self.address, path, ANSWER_TIMEOUT);
        let _ = self.get("/");
        asked
    }

    /// The answer to one request for a path.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.request(path).expect_answer()
    }

    /// Waits until a version answers.
    pub fn wait_for_version(&self, version: &str, deadline: Duration) {
        wait_until(&format!("{version} answers"), deadline, || {
            (self.request("/").version() == Some(version)).then_some(())
        });
    }

    /// Watches it by a request every five milliseconds.
    #[must_use]
    pub fn watch(&self) -> Watcher {
        Watcher::start(self.address, Duration::from_millis(5), ANSWER_TIMEOUT)
    }

    /// Kills the helper that comes to this step next, as `kill -9` would.
    pub fn kill_helper_at(&self, step: &str) {
        let path = self.run_directory().join("fault");
        fs::write(&path, step).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Whether a helper came to the step at which it was to be killed.
    #[must_use]
    pub fn helper_was_killed(&self) -> bool {
        !self.run_directory().join("fault").exists()
    }

    /// Where its generations are described, until the reboot.
    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        self.manager.run_directory().join(&self.name)
    }

    /// Where its releases and its history are.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.manager.state_directory().join(&self.name)
    }

    /// Waits until a request is answered with this status.
    pub fn wait_for_status(&self, status: u16, deadline: Duration) {
        wait_until(&format!("{status} is answered"), deadline, || {
            (self.request("/") == Outcome::Status(status)).then_some(())
        });
    }

    /// Waits until this is the only generation, and serves.
    pub fn wait_for_only(&self, generation: &str, deadline: Duration) {
        wait_until(&format!("only {generation} runs"), deadline, || {
            (self.generations() == [generation]).then_some(())
        });
    }

    /// The events of its history, as `portkeep history --json` tells them.
    #[must_use]
    pub fn history(&self) -> Vec<Value> {
        let told = self
            .portkeep("history", &["--json", "--all"])
            .expect_success();
        serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// Sends a signal to the main process of a generation. Not by `systemctl kill`, which systemd 257 has hit the settle
    /// step, too.
    pub fn signal(&self, generation: &str, signal: &str) {
        let pid = self.manager.property(&self.unit(generation), "MainPID");
        // kill(1) takes 0 for all that the test itself has started.
        assert_ne!(pid, "0", "{generation} has no process");
        let _ = run("kill", ["-s", signal, &pid]).expect_success();
    }

    /// Waits until a generation has a process.
    pub fn wait_for_process(&self, generation: &str) {
        let unit = self.unit(generation);
        wait_until("it has a process", ANSWER_TIMEOUT, || {
            (self.manager.property(&unit, "MainPID") != "0").then_some(())
        });
    }

    /// Kills a generation, and waits until another process of it serves.
    pub fn kill_and_wait(&self, generation: &str, signal: &str) {
        let unit = self.unit(generation);
        let before = self.manager.property(&unit, "MainPID");
        self.signal(generation, signal);
        wait_until("it is started again", ANSWER_TIMEOUT, || {
            let pid = self.manager.property(&unit, "MainPID");
            let is_up = self.manager.property(&unit, "ActiveState") == "active";
            (is_up && pid != "0" && pid != before).then_some(())
        });
    }

    /// The units of its generations that are not inactive.
    #[must_use]
    pub fn generations(&self) -> Vec<String> {
        let pattern = self.unit("@*.service");
        let listed = self.manager.systemctl(&[
            "list-units",
            "--plain",
            "--no-legend",
            "--state=active,activating,deactivating,reloading",
            &pattern,
        ]);
        let units = listed.expect_success().stdout;
        units
            .lines()
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    }

    /// Waits until the handle has nothing to do: a reload asked for while it still starts would be
    /// merged into that start.
    pub fn settled(&self) {
        let handle = self.unit(".service");
        wait_until("the handle is active", ANSWER_TIMEOUT, || {
            (self.manager.property(&handle, "ActiveState") == "active").then_some(())
        });
    }

    fn show_what_happened(&self) {
        let pattern = self.unit("*");
        let status = ["status", "--no-pager", "--lines=0", "--all", &pattern];
        eprintln!("{}", self.manager.systemctl(&status));
        eprintln!("{}", self.manager.journal(&pattern));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_what_happened();
        }
        let removed = self.portkeep("uninstall", &[]);
        let _ = fs::remove_dir_all(&self.directory);
        // A second panic would hide the first.
        if !thread::panicking() {
            let _ = removed.expect_success();
        }
    }
}

impl AppBuilder {
    /// Sets a field of the spec.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.spec.insert(field.to_owned(), value);
        self
    }

    /// Arguments for the executable.
    #[must_use]
    pub fn args(self, args: &[&str]) -> Self {
        let mut exec = vec![format!("./{}", self.app.way.executable())];
        exec.extend(args.iter().map(|&arg| arg.to_owned()));
        self.with("exec", json!(exec))
    }

    /// Builds appear in this way; default is [`Publish::Rename`].
    #[must_use]
    pub fn published_by(mut self, way: Publish) -> Self {
        self.app.way = way;
        self
    }

    /// Its builds are watched, so that they start by themselves.
    #[must_use]
    pub fn watched(self) -> Self {
        let watched = self.app.way.watched();
        self.with("watch", json!(watched))
    }

    /// Publishes the first build, writes the spec, and runs `portkeep install --now`.
    #[track_caller]
    #[must_use]
    pub fn install(mut self, first: &Behaviour) -> App {
        let app = self.app;
        let defaults = [
            ("name", json!(app.name)),
            ("exec", json!([format!("./{}", app.way.executable())])),
            ("listen", json!([{ "stream": app.address.to_string() }])),
        ];
        for (field, value) in defaults {
            self.spec.entry(field).or_insert(value);
        }
        fs::create_dir_all(&app.directory).expect("the app's directory can be made");
        app.publish(first);
        let spec = app.directory.join("portkeep.json");
        fs::write(&spec, Value::Object(self.spec).to_string()).expect("the spec can be written");
        let spec = spec.to_string_lossy();
        let install = ["install", app.manager.flag(), "--now", "--spec", &spec];
        let _ = run("portkeep", install).expect_success();
        app
    }

    /// Installs it, starts it by a connection, and waits until that has settled.
    #[track_caller]
    #[must_use]
    pub fn serve(self, first: &Behaviour) -> App {
        let app = self.install(first);
        app.wait_for_version(&first.version, ANSWER_TIMEOUT);
        app.settled();
        app
    }
}

/// The fixture: beside the test's own executable in a guest, else where cargo built it.
#[must_use]
pub fn probe() -> PathBuf {
    let own = env::current_exe().expect("a process knows its executable");
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("probe"))
        .find(|path| path.exists())
        .expect("`probe` is beside the test; tests/run puts it there")
}
