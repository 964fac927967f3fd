//! State of a unit, from systemd's properties.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::end::End;
use crate::signal;
use zbus::{OwnedObjectPath, OwnedVariant};

/// `ExecStart=` in the manager's answer: the program, and more that is not used here.
type ExecCommand = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// The state of a unit, in systemd's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `bad-setting` …
    pub load: String,
    /// `active`, `activating`, `inactive`, `failed` …
    pub active: String,
    /// `running`, `exited`, `auto-restart`, `listening` …
    pub sub: String,
    /// `success`, `exit-code`, `timeout` …; empty if the unit has none.
    pub result: String,
    /// The file it was loaded from.
    pub fragment: String,
    /// `enabled`, `disabled`, `static` …; empty if it has no file.
    pub enabled: String,
    /// Whether its files changed since they were read.
    pub needs_daemon_reload: bool,
    /// The number of its job.
    pub job: Option<u32>,
    /// When it became active, in microseconds since the epoch; 0 if it is not.
    pub active_since_microseconds: u64,
    /// When it was started last, in microseconds since the epoch; 0 if it never was.
    pub started_microseconds: u64,
    /// When it began to stop, in microseconds since the epoch; 0 if it never did.
    pub stopping_since_microseconds: u64,
    /// How long its stop may take.
    pub stop_timeout: Option<Duration>,
    /// The id of its last run, in hexadecimal digits; empty if it never ran.
    pub invocation: String,
    /// How its main process ended (`CLD_EXITED` and so on); 0 if it did not.
    pub exit_code: i32,
    /// Its exit status or signal.
    pub exit_status: i32,
    /// Whether it was READY in its last run.
    pub was_ready: bool,
    /// Its drop-ins.
    pub drop_ins: Vec<String>,
    /// Its main process; 0 if it has none.
    pub main_pid: u32,
    /// The user that its processes are started as; `None` if that is the manager's own.
    pub user: Option<u32>,
    /// Its status (`STATUS=`).
    pub status_text: String,
    /// Memory of its processes in bytes, if that is accounted.
    pub memory_bytes: Option<u64>,
    /// CPU time of its processes in nanoseconds, if that is accounted.
    pub cpu_nanoseconds: Option<u64>,
    /// The command of its first `ExecStart=`, the program first.
    pub command: Vec<String>,
    /// The socket units whose sockets it gets.
    pub sockets: Vec<String>,
    /// The addresses of a socket unit, as in its loaded file: kind (`Stream`, `Datagram` …) and address.
    pub listen: Vec<(String, String)>,
    /// Whether people may stop it (`RefuseManualStop=`).
    pub refuses_stop: bool,
}

impl UnitState {
    /// Whether it is up.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Since when it is active.
    #[must_use]
    pub fn active_since(&self) -> Option<Timestamp> {
        time(self.active_since_microseconds)
    }

    /// When it was started last.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        time(self.started_microseconds)
    }

    /// When it began to stop last.
    #[must_use]
    pub fn stopping_since(&self) -> Option<Timestamp> {
        time(self.stopping_since_microseconds)
    }

    /// The program of its first `ExecStart=`.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.command.first().map(String::as_str)
    }

    /// The spec that its command names, if it is a unit that calls portkeep.
    #[must_use]
    pub fn spec(&self) -> Option<&Path> {
        Self::spec_in(&self.command)
    }

    /// The path after `--spec` in a command.
    pub(super) fn spec_in(command: &[String]) -> Option<&Path> {
        let option = command.iter().position(|word| word == "--spec")?;
        command.get(option + 1).map(Path::new)
    }

    /// Whether a drop-in exists that was not read with its file.
    #[must_use]
    pub fn has_new_drop_in(&self) -> bool {
        let entries = std::fs::read_dir(format!("{}.d", self.fragment)).into_iter();
        let mut files = entries.flatten().flatten().map(|entry| entry.path());
        files.any(|file| {
            let is_drop_in = file.extension().is_some_and(|ending| ending == "conf");
            is_drop_in && !self.drop_ins.iter().any(|known| Path::new(known) == file)
        })
    }

    /// The text of its file and its drop-ins. Drop-ins for this instance of a template alone are left out: the next
    /// instance does not have them.
    #[must_use]
    pub fn text(&self) -> String {
        let of_all = |file: &&String| !is_of_one_instance(Path::new(file));
        let files = [&self.fragment].into_iter();
        files
            .chain(self.drop_ins.iter().filter(of_all))
            .map(|file| std::fs::read_to_string(file).unwrap_or_default())
            .collect()
    }

    /// Whether it runs, or will.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.job.is_some() || self.active == "activating" || self.is_active()
    }

    /// How its last run ended.
    #[must_use]
    pub fn end(&self) -> End {
        // waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED.
        let code = match self.exit_code {
            1 => "exited",
            2 => "killed",
            3 => "dumped",
            _ => "",
        };
        let status = match code {
            "" => String::new(),
            "exited" => self.exit_status.to_string(),
            _ => signal::name(self.exit_status),
        };
        End {
            at: Timestamp::now(),
            invocation: Some(self.invocation.clone()).filter(|one| !one.is_empty()),
            result: self.result.clone(),
            code: code.to_owned(),
            status,
            ready: self.was_ready,
        }
    }

    /// Until when it may stop; none if it is not stopping, or has no limit.
    #[must_use]
    pub fn stops_until(&self) -> Option<Timestamp> {
        if self.active != "deactivating" {
            return None;
        }
        let since = time(self.stopping_since_microseconds)?;
        since.checked_add(self.stop_timeout?).ok()
    }

    pub(super) fn of(mut properties: HashMap<String, OwnedVariant>) -> Self {
        let mut text = |name: &str| -> String {
            properties
                .remove(name)
                .and_then(|value| String::try_from(value).ok())
                .unwrap_or_default()
        };
        let mut state = Self {
            load: text("LoadState"),
            active: text("ActiveState"),
            sub: text("SubState"),
            result: text("Result"),
            fragment: text("FragmentPath"),
            enabled: text("UnitFileState"),
            status_text: text("StatusText"),
            ..Self::default()
        };
        let number = |name: &str| u64::try_from(properties.get(name)?).ok();
        let small = |name: &str| u32::try_from(properties.get(name)?).ok();
        let yes = |name: &str| {
            let value = properties.get(name);
            value.is_some_and(|value| bool::try_from(value).unwrap_or(false))
        };
        // The largest number means "not accounted", and "no limit".
        let limited = |name: &str| number(name).filter(|value| *value != u64::MAX);
        state.needs_daemon_reload = yes("NeedDaemonReload");
        state.refuses_stop = yes("RefuseManualStop");
        state.active_since_microseconds = number("ActiveEnterTimestamp").unwrap_or(0);
        state.started_microseconds = number("InactiveExitTimestamp").unwrap_or(0);
        state.stopping_since_microseconds = number("ActiveExitTimestamp").unwrap_or(0);
        state.stop_timeout = limited("TimeoutStopUSec").map(Duration::from_micros);
        state.memory_bytes = limited("MemoryCurrent");
        state.cpu_nanoseconds = limited("CPUUsageNSec");
        state.main_pid = small("MainPID").unwrap_or(0);
        state.user = properties.get("UID").and_then(Self::user);
        let signed = |name: &str| i32::try_from(properties.get(name)?).ok();
        state.exit_code = signed("ExecMainCode").unwrap_or(0);
        state.exit_status = signed("ExecMainStatus").unwrap_or(0);
        let monotonic = |name: &str| number(name).unwrap_or(0);
        state.was_ready = monotonic("ActiveEnterTimestampMonotonic")
            > monotonic("InactiveExitTimestampMonotonic");
        state.invocation = properties
            .remove("InvocationID")
            .and_then(|value| Vec::<u8>::try_from(value).ok())
            .unwrap_or_default()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        state.drop_ins = properties
            .remove("DropInPaths")
            .and_then(|value| Vec::<String>::try_from(value).ok())
            .unwrap_or_default();
        state.sockets = properties
            .remove("TriggeredBy")
            .and_then(|value| Vec::<String>::try_from(value).ok())
            .unwrap_or_default()
            .into_iter()
            .filter(|unit| unit.ends_with(".socket"))
            .collect();
        state.listen = properties
            .remove("Listen")
            .and_then(|value| Vec::<(String, String)>::try_from(value).ok())
            .unwrap_or_default();
        state.command = properties
            .remove("ExecStart")
            .map(Self::command)
            .unwrap_or_default();
        state.job = properties.remove("Job").and_then(Self::job);
        state
    }

    /// A service's user, by its property `UID`.
    pub(super) fn user(value: &OwnedVariant) -> Option<u32> {
        let user = u32::try_from(value).ok()?;
        (user != u32::MAX).then_some(user)
    }

    /// The first command of the property `ExecStart`.
    pub(super) fn command(value: OwnedVariant) -> Vec<String> {
        let commands = Vec::<ExecCommand>::try_from(value).unwrap_or_default();
        let first = commands.into_iter().next();
        first.map(|(_, command, ..)| command).unwrap_or_default()
    }

    /// The number of a job, by the property `Job`.
    pub(super) fn job(value: OwnedVariant) -> Option<u32> {
        let (id, _path) = <(u32, OwnedObjectPath)>::try_from(value).ok()?;
        (id != 0).then_some(id)
    }
}

fn time(microseconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(microseconds).ok().filter(|one| *one != 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}

/// Whether a drop-in is in `NAME@INSTANCE.service.d`, not in `NAME@.service.d`.
fn is_of_one_instance(drop_in: &Path) -> bool {
    let directory = drop_in.parent().and_then(Path::file_name);
    let name = directory.and_then(|name| name.to_str());
    let instance = name.and_then(|name| name.split_once('@'));
    instance.is_some_and(|(_, instance)| !instance.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_is_what_the_unit_names() {
        for (command, spec) in [
            (
                "/p handle activate a --spec /etc/a.json",
                Some("/etc/a.json"),
            ),
            ("/p handle activate a --spec", None),
            ("/usr/sbin/nginx", None),
        ] {
            let state = UnitState {
                command: command.split(' ').map(str::to_owned).collect(),
                ..UnitState::default()
            };
            assert_eq!(state.spec(), spec.map(Path::new), "{command}");
        }
    }

    #[test]
    fn a_drop_in_that_was_not_read_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let unit = directory.path().join("a@.service");
        let drop_ins = directory.path().join("a@.service.d");
        let mut state = UnitState {
            fragment: unit.display().to_string(),
            ..UnitState::default()
        };
        assert!(!state.has_new_drop_in());
        std::fs::create_dir(&drop_ins).unwrap();
        std::fs::write(drop_ins.join("mine.conf~"), "").unwrap();
        assert!(!state.has_new_drop_in());
        let drop_in = drop_ins.join("mine.conf");
        std::fs::write(&drop_in, "").unwrap();
        assert!(state.has_new_drop_in());
        state.drop_ins = vec![drop_in.display().to_string()];
        assert!(!state.has_new_drop_in());
    }

    #[test]
    fn only_what_stops_has_a_deadline() {
        let mut state = UnitState {
            active: "active".to_owned(),
            stopping_since_microseconds: 1_000_000,
            stop_timeout: Some(Duration::from_secs(30)),
            ..UnitState::default()
        };
        assert_eq!(state.stops_until(), None);
        state.active = "deactivating".to_owned();
        assert_eq!(state.stops_until().unwrap().as_second(), 31);
        state.stop_timeout = None;
        assert_eq!(state.stops_until(), None);
    }
}
