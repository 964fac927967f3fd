//! What can be wrong with an app. Pure: facts in, findings out.

use portkeep_engine::Phase;
use portkeep_spec::{Manager as Which, unit_names};

use super::facts::{AppFacts, GenerationFacts, SocketFacts};
use super::finding::{Finding, Level};

pub(crate) fn findings(app: &AppFacts) -> Vec<Finding> {
    let mut report = Report {
        app,
        found: Vec::new(),
    };
    if app.handle.load != "loaded" {
        let what = format!("its units are not loaded ({})", app.handle.load);
        report.problem(
            "not-installed",
            what,
            "`portkeep install` places them".to_owned(),
        );
        return report.found;
    }
    report.files();
    for socket in &app.sockets {
        report.socket(socket);
    }
    report.generations();
    report.maintenance();
    if let Some(why) = &app.last_failure {
        let what = format!("the last handover failed, and what served before serves on: {why}");
        let remedy = format!(
            "correct it and `portkeep reload {}`; `portkeep logs {}` shows what it wrote",
            app.name, app.name
        );
        report.advice("last-handover-failed", what, remedy);
    }
    report.found
}

struct Report<'a> {
    app: &'a AppFacts,
    found: Vec<Finding>,
}

impl Report<'_> {
    fn say(&mut self, level: Level, code: &'static str, what: String, remedy: String) {
        self.found.push(Finding {
            level,
            app: Some(self.app.name.clone()),
            code,
            what,
            remedy,
        });
    }

    fn problem(&mut self, code: &'static str, what: String, remedy: String) {
        self.say(Level::Problem, code, what, remedy);
    }

    fn advice(&mut self, code: &'static str, what: String, remedy: String) {
        self.say(Level::Advice, code, what, remedy);
    }

    /// `systemctl`, as it must be typed for this app.
    fn systemctl(&self) -> &'static str {
        match self.app.which {
            Which::System => "systemctl",
            Which::User => "systemctl --user",
        }
    }

    /// What lives on disk: spec, units, helper, executable, directories.
    fn files(&mut self) {
        let (app, systemctl) = (self.app, self.systemctl());
        if let Some(why) = &app.bad_spec {
            let what =
                format!("its spec cannot be used, so it cannot be started or reloaded: {why}");
            self.problem(
                "spec",
                what,
                "correct the spec, then `portkeep install` again".to_owned(),
            );
        }
        if let Some(helper) = &app.helper_missing {
            let what = format!(
                "its units call {helper}, which is missing or not executable: nothing can be started or reloaded"
            );
            self.problem(
                "helper",
                what,
                "`portkeep install` places it again".to_owned(),
            );
        }
        let changed = [&app.target, &app.handle]
            .into_iter()
            .chain(app.sockets.iter().map(|socket| &socket.state));
        if changed.into_iter().any(|unit| unit.needs_daemon_reload) {
            let what = "unit files changed on disk since systemd read them".to_owned();
            self.problem(
                "daemon-reload",
                what,
                format!("`{systemctl} daemon-reload`"),
            );
        }
        if !app.outdated.is_empty() {
            let what = format!(
                "the spec or portkeep changed since these were written: {}",
                app.outdated.join(", ")
            );
            let remedy = "`portkeep install` writes them again (to keep changes of your own, put them into a drop-in)".to_owned();
            self.advice("outdated-units", what, remedy);
        }
        if let Some(why) = &app.bad_executable {
            let what = format!("there is nothing to start: {why}");
            self.problem(
                "executable",
                what,
                "build the app, or correct `exec` in the spec".to_owned(),
            );
        }
        for why in &app.bad_directories {
            let remedy = "free space there, or correct its owner: a handover that cannot be noted is refused".to_owned();
            self.problem("directory", why.clone(), remedy);
        }
    }

    fn socket(&mut self, socket: &SocketFacts) {
        let (unit, systemctl) = (&socket.unit, self.systemctl());
        if *unit == unit_names::move_socket(&self.app.name) {
            self.move_socket(socket);
            return;
        }
        let target = unit_names::target(&self.app.name);
        // The target alone is stopped at once, and its sockets only when the last generation has drained: a start in between
        // would find the socket active, and leave it as it is.
        let anew = format!(
            "`{systemctl} stop {target} '{}'`, then `{systemctl} start {unit}`",
            unit_names::generation_pattern(&self.app.name)
        );
        let loaded = socket
            .state
            .listen
            .first()
            .map(|(_, address)| address.clone());
        if let (Some(wanted), Some(loaded)) = (&socket.wanted, &loaded)
            && wanted != loaded
        {
            let what = format!("{unit} listens on {loaded}, but the spec says {wanted}");
            self.problem(
                "listen-changed",
                what,
                format!("`portkeep install`, then open it anew: {anew}"),
            );
        }
        match socket.state.active.as_str() {
            "active" if socket.somebody_listens == Some(false) => {
                let what = format!(
                    "systemd calls {unit} active, but nobody listens on {}: its address changed while it was open, \
                     and a daemon-reload closed it",
                    loaded.unwrap_or_default()
                );
                self.problem("socket-without-descriptor", what, anew);
            }
            "active" | "activating" | "deactivating" => {}
            state => {
                let state = if state == "failed" {
                    format!("failed ({})", socket.state.result)
                } else {
                    "closed".to_owned()
                };
                match &socket.held_by {
                    Some((holder, remedy)) => {
                        let what =
                            format!("{unit} is {state}, and its address is held by {holder}");
                        self.problem("port-taken", what, remedy.clone());
                    }
                    None => {
                        let what = format!("the port is not open: {unit} is {state}");
                        self.problem("port-closed", what, format!("`{systemctl} start {unit}`"));
                    }
                }
            }
        }
        // What lives only until the next boot (`portkeep dev`), and what Nix links, is not enabled by name.
        if socket.state.enabled == "disabled" && !socket.state.fragment.starts_with("/run/") {
            let what = format!("{unit} is not enabled: the port stays closed after the next boot");
            self.advice("not-enabled", what, format!("`{systemctl} enable {unit}`"));
        }
    }

    /// An app serves without it, and it follows the target.
    fn move_socket(&mut self, socket: &SocketFacts) {
        let target_is_up = self.app.target.is_active();
        if socket.state.active == "active" && socket.somebody_listens == Some(false) {
            let unit = &socket.unit;
            let what = format!(
                "systemd calls {unit} active, but it has no socket, because its file was gone for a while: a reload closes \
                 connections that it could move"
            );
            let remedy = format!("`{} restart {unit}`", self.systemctl());
            self.advice("move-socket-without-descriptor", what, remedy);
        }
        if target_is_up && matches!(socket.state.active.as_str(), "inactive" | "failed") {
            let unit = &socket.unit;
            let what =
                format!("{unit} is not open: a reload closes connections that it could move");
            let remedy = format!("`{} start {unit}`", self.systemctl());
            self.advice("move-socket-closed", what, remedy);
        }
    }

    fn generations(&mut self) {
        let app = self.app;
        let serving: Vec<_> = app
            .generations
            .iter()
            .filter(|one| one.phase == Phase::Serving)
            .collect();
        let systemctl = self.systemctl();
        if app.handle.is_active() && app.handle.job.is_none() && app.generations.is_empty() {
            let handle = unit_names::handle(&app.name);
            let what =
                format!("{handle} is active, but no generation runs: connections wait for ever");
            self.problem(
                "no-generation",
                what,
                format!("`{systemctl} restart {handle}`"),
            );
        }
        let others = serving
            .iter()
            .filter(|one| Some(one.generation) != app.current);
        let others: Vec<_> = others.map(|one| one.generation.to_string()).collect();
        if !others.is_empty() && app.handle.job.is_none() {
            let what = format!(
                "generation {} serves beside the current one ({}): a helper was killed in mid-handover",
                others.join(", "),
                app.current
                    .map_or_else(|| "none".to_owned(), |current| current.to_string())
            );
            self.problem(
                "two-current",
                what,
                format!("`portkeep reload {} --force` ends it", app.name),
            );
        }
        for one in &app.generations {
            self.generation(one);
        }
    }

    /// Somebody wants it, and may have forgotten it.
    fn maintenance(&mut self) {
        let Some(maintenance) = &self.app.maintenance else {
            return;
        };
        let name = &self.app.name;
        let what = format!("it is in maintenance {maintenance}: a page answers instead of the app");
        let remedy = format!("`portkeep maintenance {name} off` ends it");
        self.advice("maintenance", what, remedy);
    }

    fn generation(&mut self, one: &GenerationFacts) {
        if let Some((open, limit)) = one.open_files
            && open * 10 >= limit * 8
        {
            let what = format!(
                "generation {} has {open} of {limit} files open, connections included",
                one.generation
            );
            let drop_in = unit_names::generation_template(&self.app.name);
            let remedy = format!(
                "raise it: `{} edit {drop_in}`, [Service] LimitNOFILE=65536, then reload",
                self.systemctl()
            );
            self.problem("open-files", what, remedy);
        }
        if one.is_holding_page && one.phase == Phase::Serving && self.app.maintenance.is_none() {
            let name = &self.app.name;
            let what = "no release can serve: portkeep's holding page answers, or connections wait"
                .to_owned();
            let remedy = format!(
                "`portkeep history {name}` says why; build a release that serves, and `portkeep reload {name}`"
            );
            self.problem("holding-page", what, remedy);
        }
        if one.restarts > 0 && Some(one.generation) == self.app.current {
            let what = format!(
                "generation {} crashed and was restarted {} times",
                one.generation, one.restarts
            );
            self.advice(
                "crashes",
                what,
                format!(
                    "`portkeep logs {} -g {}` shows why",
                    self.app.name, one.generation
                ),
            );
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use portkeep_engine::Generation;
    use portkeep_engine::backend::systemd::UnitState;

    use super::*;

    fn active() -> UnitState {
        UnitState {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            enabled: "enabled".to_owned(),
            fragment: "/etc/systemd/system/hello.x".to_owned(),
            listen: vec![("Stream".to_owned(), "127.0.0.1:80".to_owned())],
            ..UnitState::default()
        }
    }

    pub(in super::super) fn healthy() -> AppFacts {
        AppFacts {
            name: "hello".parse().unwrap(),
            which: Which::System,
            bad_spec: None,
            bad_executable: None,
            target: active(),
            handle: active(),
            sockets: vec![SocketFacts {
                unit: "hello.socket".to_owned(),
                state: active(),
                wanted: Some("127.0.0.1:80".to_owned()),
                somebody_listens: Some(true),
                held_by: None,
                backlog: Some(4096),
            }],
            outdated: Vec::new(),
            helper_missing: None,
            current: Some(Generation(2)),
            generations: vec![GenerationFacts {
                generation: Generation(2),
                phase: Phase::Serving,
                is_holding_page: false,
                restarts: 0,
                open_files: Some((20, 1024)),
            }],
            bad_directories: Vec::new(),
            maintenance: None,
            last_failure: None,
        }
    }

    #[test]
    fn each_fault_is_found_and_nothing_else() {
        type Case = (&'static str, fn(&mut AppFacts));
        let cases: [Case; 23] = [
            ("", |_| {}),
            ("not-installed", |app| {
                app.handle.load = "not-found".to_owned();
            }),
            ("spec", |app| app.bad_spec = Some("bad".to_owned())),
            ("maintenance", |app| {
                let json = r#"{"since":"2026-01-01T00:00:00Z"}"#;
                app.maintenance = Some(serde_json::from_str(json).unwrap());
                app.generations[0].is_holding_page = true;
            }),
            ("helper", |app| app.helper_missing = Some("/x".to_owned())),
            ("daemon-reload", |app| {
                app.sockets[0].state.needs_daemon_reload = true;
            }),
            ("outdated-units", |app| {
                app.outdated = vec!["hello.socket".to_owned()];
            }),
            ("executable", |app| {
                app.bad_executable = Some("no file".to_owned());
            }),
            ("directory", |app| {
                app.bad_directories = vec!["full".to_owned()];
            }),
            ("listen-changed", |app| {
                app.sockets[0].wanted = Some("127.0.0.1:81".to_owned());
            }),
            ("socket-without-descriptor", |app| {
                app.sockets[0].somebody_listens = Some(false);
            }),
            ("port-closed", |app| {
                app.sockets[0].state.active = "inactive".to_owned();
            }),
            ("port-taken", |app| {
                app.sockets[0].state.active = "failed".to_owned();
                app.sockets[0].held_by = Some(("process 3 (nc)".to_owned(), "`kill 3`".to_owned()));
            }),
            ("not-enabled", |app| {
                app.sockets[0].state.enabled = "disabled".to_owned();
            }),
            ("", |app| {
                app.sockets[0].state.enabled = "disabled".to_owned();
                app.sockets[0].state.fragment =
                    "/run/user/1000/systemd/user/hello.socket".to_owned();
            }),
            ("no-generation", |app| app.generations.clear()),
            // A handover is under way: both may serve for a moment.
            ("", |app| {
                app.handle.job = Some(1);
                app.current = Some(Generation(1));
            }),
            ("two-current", |app| app.current = Some(Generation(1))),
            ("open-files", |app| {
                app.generations[0].open_files = Some((900, 1024));
            }),
            ("move-socket-closed", |app| {
                let mut socket = app.sockets[0].clone();
                socket.unit = "hello-move.socket".to_owned();
                socket.state.active = "inactive".to_owned();
                app.sockets.push(socket);
            }),
            ("move-socket-without-descriptor", |app| {
                let mut socket = app.sockets[0].clone();
                socket.unit = "hello-move.socket".to_owned();
                socket.somebody_listens = Some(false);
                app.sockets.push(socket);
            }),
            ("holding-page", |app| {
                app.generations[0].is_holding_page = true;
            }),
            ("crashes", |app| app.generations[0].restarts = 2),
        ];
        for (code, change) in cases {
            let mut app = healthy();
            change(&mut app);
            let codes: Vec<_> = findings(&app).iter().map(|one| one.code).collect();
            assert_eq!(codes.concat(), code);
        }
    }

    #[test]
    fn an_app_that_nobody_connected_to_yet_is_well() {
        let mut app = healthy();
        app.handle.active = "inactive".to_owned();
        app.current = None;
        app.generations.clear();
        assert_eq!(findings(&app), []);
    }

    #[test]
    fn the_remedy_is_for_its_manager() {
        let mut app = healthy();
        app.which = Which::User;
        app.sockets[0].state.active = "inactive".to_owned();
        assert_eq!(
            findings(&app)[0].remedy,
            "`systemctl --user start hello.socket`"
        );
    }
}
