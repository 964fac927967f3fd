//! Unit families on disk: rendered, written, found and removed as a whole.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use portkeep_engine::backend::systemd::{Manager, ManagerError};
use portkeep_engine::store::atomic_write;
use portkeep_spec::{
    AppName, Manager as Which, RenderOptions, Spec, SpecError, UnitFile, contract, render, slice,
    unit_names,
};

/// The rendered units of one app for one manager.
#[derive(Debug)]
pub(crate) struct Family {
    files: Vec<UnitFile>,
}

impl Family {
    pub(crate) fn render(
        spec: &Spec,
        helper: &Path,
        spec_path: &Path,
        which: Which,
    ) -> Result<Self, SpecError> {
        let options = RenderOptions {
            helper: helper.to_owned(),
            spec_path: spec_path.to_owned(),
            manager: which,
        };
        Ok(Self {
            files: render(spec, &options)?,
        })
    }

    pub(crate) fn files(&self) -> &[UnitFile] {
        &self.files
    }

    /// Writes the family to `directory`, removing what an earlier rendering of the same app left there.
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let mut stale = Vec::new();
        if let Some(name) = self.name() {
            stale = on_disk(&name, directory);
        }
        for file in &self.files {
            let path = directory.join(&file.path);
            if let Some(parent) = path.parent() {
                make_readable(parent)
                    .with_context(|| format!("cannot make {}", parent.display()))?;
            }
            atomic_write(&path, file.text.as_bytes(), 0o644)
                .with_context(|| format!("cannot write {}", path.display()))?;
            stale.retain(|one| *one != path);
        }
        remove(&stale)
    }

    /// True if the family has a unit of that name.
    pub(crate) fn has(&self, unit: &str) -> bool {
        self.files.iter().any(|file| file.path == Path::new(unit))
    }

    /// The socket units of the same app in `directory` that it does not have any more.
    pub(crate) fn removed_sockets(&self, name: &AppName, directory: &Path) -> Vec<String> {
        let files = on_disk(name, directory).into_iter();
        let units = files.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        units
            .filter(|unit| unit.ends_with(".socket") && !self.has(unit))
            .collect()
    }

    /// Whether sockets that `directory` has units of would listen elsewhere, or let in others. Asked before it is written.
    pub(crate) fn changes_sockets(&self, directory: &Path) -> bool {
        let Some(name) = self.name() else {
            return false;
        };
        // No client ever sees this one, and a handover closes it to others.
        let moving = unit_names::move_socket(&name);
        let is_port = |unit: &Path| {
            unit.extension().is_some_and(|ending| ending == "socket") && unit != Path::new(&moving)
        };
        let before: BTreeSet<_> = on_disk(&name, directory)
            .into_iter()
            .filter_map(|path| {
                let unit = PathBuf::from(path.file_name()?);
                let text = fs::read_to_string(&path).ok()?;
                is_port(&unit).then(|| (unit, of_the_port(&text)))
            })
            .collect();
        let after = self.files.iter().filter(|file| is_port(&file.path));
        let after = after
            .map(|file| (file.path.clone(), of_the_port(&file.text)))
            .collect();
        !before.is_empty() && before != after
    }

    fn name(&self) -> Option<AppName> {
        let target = self.files.iter().find_map(|file| {
            file.path
                .to_str()?
                .strip_suffix(".target")
                .map(str::to_owned)
        })?;
        target.parse().ok()
    }
}

/// The lines of a socket unit that say where it listens and whom it lets in: what is decided when it is opened.
fn of_the_port(unit: &str) -> Vec<String> {
    let keys = [
        "SocketMode=",
        "SocketUser=",
        "SocketGroup=",
        "BindIPv6Only=",
    ];
    let lines = unit.lines().filter(|line| {
        let is_default = *line == "BindIPv6Only=both";
        !is_default && (line.starts_with("Listen") || keys.iter().any(|key| line.starts_with(key)))
    });
    lines.map(str::to_owned).collect()
}

/// Writes what all apps of the system manager share. A user's manager needs nothing of it.
pub(crate) fn write_shared(which: Which, directory: &Path) -> anyhow::Result<()> {
    if which == Which::System {
        let slice = slice()?;
        let path = directory.join(&slice.path);
        atomic_write(&path, slice.text.as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Removes what all apps shared, where none is left in `directory`.
pub(crate) fn remove_shared(directory: &Path) -> anyhow::Result<()> {
    let slice = directory.join(contract::SLICE);
    let is_ours = fs::read_to_string(&slice)
        .is_ok_and(|text| self::slice().is_ok_and(|slice| slice.text == text));
    if is_ours && apps_in(&[directory.to_owned()]).is_empty() {
        fs::remove_file(&slice).with_context(|| format!("cannot remove {}", slice.display()))?;
    }
    Ok(())
}

/// Makes a directory that everybody may look into, whatever the umask is. One that is there stays as it is.
fn make_readable(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

/// A unit outside `directory` that has a name which the family of `spec` needs.
pub(crate) async fn conflict(
    manager: &Manager,
    spec: &Spec,
    directory: &Path,
) -> Result<Option<String>, ManagerError> {
    let name = &spec.name;
    let mut needed = unit_names::sockets(spec);
    needed.extend([
        unit_names::target(name),
        unit_names::handle(name),
        unit_names::path(name),
        // `user@.service` has no name of its own that could be loaded; each of its instances has.
        unit_names::generation(name, 1),
        unit_names::release(name, 1),
    ]);
    needed.extend([
        unit_names::move_service(name),
        unit_names::holding(name),
        unit_names::retry(name),
        unit_names::deploy(name),
        unit_names::recheck(name),
        unit_names::secrets(name),
        unit_names::secrets_recheck(name),
    ]);
    for unit in needed {
        if let Some(other) = manager.defined_elsewhere(&unit, directory).await? {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// The files of an app's family in `directory`: only those that bear our mark.
pub(crate) fn on_disk(name: &AppName, directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let file_name = entry.file_name().to_string_lossy().into_owned();
        if !file_name.starts_with(name.as_str()) {
            continue;
        }
        // A unit, or the drop-ins of one; what links to units for others to want is systemd's own.
        if file_name.ends_with(".d") {
            let drop_ins = fs::read_dir(&path).into_iter().flatten().flatten();
            found.extend(drop_ins.map(|entry| entry.path()));
        } else {
            found.push(path);
        }
    }
    found.retain(|path| fs::read_to_string(path).is_ok_and(|text| is_of(name, &text)));
    found
}

/// The units of an app's family in `directory` that are enabled, by name: its sockets and its path unit.
pub(crate) fn enabled_units(name: &AppName, directory: &Path) -> Vec<String> {
    let files = on_disk(name, directory);
    let names = files.iter().filter_map(|path| path.file_name()?.to_str());
    names
        // A template is started by its instances' names.
        .filter(|unit| !unit.contains('@'))
        .filter(|unit| unit.ends_with(".socket") || unit.ends_with(".path"))
        .map(str::to_owned)
        .collect()
}

/// Every unit of a family says in its first line whose it is.
fn is_of(name: &AppName, text: &str) -> bool {
    text.lines()
        .any(|line| line == format!("X-Portkeep-App={name}"))
}

/// Removes files, and the directories that this leaves empty.
pub(crate) fn remove(files: &[PathBuf]) -> anyhow::Result<()> {
    for path in files {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        if let Some(parent) = path
            .parent()
            .filter(|parent| parent.extension().is_some_and(|ending| ending == "d"))
        {
            // Fails where the user has drop-ins of their own in it: those stay.
            let _ = fs::remove_dir(parent);
        }
    }
    Ok(())
}

/// Who may read a spec that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    /// Only who installs it: its `environment` may hold secrets.
    ByOwner,
    /// Everybody, since it is part of a package whose user units any user may start.
    ByAll,
}

/// Writes the spec that the units name, all paths absolute.
pub(crate) fn write_spec(spec: &Spec, path: &Path, readable: Readable) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let mode = match readable {
        Readable::ByOwner => 0o600,
        Readable::ByAll => 0o644,
    };
    atomic_write(path, spec.to_json().as_bytes(), mode)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A directory that a manager loads units from.
#[derive(Debug, Clone)]
pub(crate) struct UnitDirectory {
    units: PathBuf,
    specs: PathBuf,
}

impl UnitDirectory {
    /// Where `portkeep install` places units: for the administrator, or for this user.
    pub(crate) fn installed(which: Which) -> anyhow::Result<Self> {
        Ok(match which {
            Which::System => Self {
                units: "/etc/systemd/system".into(),
                specs: "/etc/portkeep".into(),
            },
            Which::User => {
                let home = PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?);
                Self {
                    units: home.join(".config/systemd/user"),
                    specs: home.join(".config/portkeep"),
                }
            }
        })
    }

    /// Where `portkeep dev` places units: gone with the user's last session.
    pub(crate) fn runtime() -> anyhow::Result<Self> {
        let runtime = portkeep_engine::user_runtime_directory()?;
        Ok(Self {
            units: runtime.join("systemd/user"),
            specs: runtime.join("portkeep"),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.units
    }

    pub(crate) fn spec_path(&self, name: &AppName) -> PathBuf {
        self.specs.join(format!("{name}.json"))
    }
}

/// The apps whose units are in the manager's directories.
pub(crate) fn installed_apps(which: Which) -> Vec<AppName> {
    let mut directories: Vec<PathBuf> = match which {
        Which::System => vec!["/etc/systemd/system".into(), "/run/systemd/system".into()],
        Which::User => vec!["/etc/systemd/user".into()],
    };
    if which == Which::User {
        directories.extend(
            UnitDirectory::installed(which)
                .ok()
                .map(|directory| directory.units),
        );
        directories.extend(
            UnitDirectory::runtime()
                .ok()
                .map(|directory| directory.units),
        );
    }
    apps_in(&directories)
}

/// The apps whose units are in `directories`.
fn apps_in(directories: &[PathBuf]) -> Vec<AppName> {
    let mut names: Vec<AppName> = directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".target")?
                .parse()
                .ok()
        })
        .filter(|name| {
            directories
                .iter()
                .any(|directory| !on_disk(name, directory).is_empty())
        })
        .collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(listen: &str) -> Family {
        let text =
            format!(r#"{{"name":"a","exec":["/bin/a"],"listen":[{{"name":"http",{listen}}}]}}"#);
        let spec = Spec::from_json(&text).unwrap();
        Family::render(&spec, Path::new("/h"), Path::new("/s"), Which::User).unwrap()
    }

    #[test]
    fn what_is_decided_when_a_socket_is_opened() {
        let before = r#""stream":"/run/a""#;
        for (after, changes) in [
            (before, false),
            (r#""stream":"/run/a","backlog":7"#, false),
            (r#""stream":"/run/a","mode":"0600""#, false),
            (r#""stream":"/run/a","mode":"0660""#, true),
            (r#""stream":"/run/a","group":"www""#, true),
            (r#""stream":"/run/b""#, true),
            (
                r#""stream":"/run/a"},{"name":"more","stream":"/run/b""#,
                true,
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            assert!(
                !family(after).changes_sockets(directory.path()),
                "there was nothing"
            );
            family(before).write(directory.path()).unwrap();
            assert_eq!(
                family(after).changes_sockets(directory.path()),
                changes,
                "{after}"
            );
        }
        // As the version before this one wrote them.
        for (listen, line, changes) in [
            (before, "SocketMode=0600\n", true),
            (r#""stream":"[::]:80""#, "BindIPv6Only=both\n", false),
            (r#""stream":"[::]:80""#, "FreeBind=yes\n", false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            family(listen).write(directory.path()).unwrap();
            let unit = directory.path().join("a.socket");
            let text = fs::read_to_string(&unit).unwrap();
            assert!(text.contains(line), "{text}");
            fs::write(&unit, text.replace(line, "")).unwrap();
            assert_eq!(
                family(listen).changes_sockets(directory.path()),
                changes,
                "{line}"
            );
        }
    }
}
