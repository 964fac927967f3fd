//! Units of an app that have processes, by their control groups, which any user may read.

use std::fs;
use std::path::{Path, PathBuf};

use portkeep_spec::{AppName, unit_names};

use crate::generation::Generation;

const ROOT: &str = "/sys/fs/cgroup";
/// No manager creates deeper ones for its units.
const DEEPEST: usize = 8;

/// The control groups that contain an app's.
#[derive(Debug)]
pub(super) struct ControlGroups {
    /// The slice of this process: the app's units are there, or a level below.
    near: PathBuf,
    /// All, for units that somebody has moved.
    root: PathBuf,
}

impl ControlGroups {
    pub(super) fn of_this_process() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        Self::at(Path::new(ROOT), own.unwrap_or_default())
    }

    fn at(root: &Path, own: &str) -> Self {
        let own = root.join(own);
        Self {
            near: own.parent().unwrap_or(root).to_owned(),
            root: root.to_owned(),
        }
    }

    /// Whether this generation has processes.
    pub(super) fn lives(&self, name: &AppName, generation: Generation) -> bool {
        let unit = unit_names::generation(name, generation.0);
        self.has(&|one| one == unit)
    }

    /// Whether the holding page has processes.
    pub(super) fn page_lives(&self, name: &AppName) -> bool {
        let unit = unit_names::holding(name);
        self.has(&|one| one == unit)
    }

    /// Whether any generation has processes.
    pub(super) fn any_lives(&self, name: &AppName) -> bool {
        self.has(&|one| unit_names::parse_generation(name, one).is_some())
    }

    fn has(&self, is_one: &dyn Fn(&str) -> bool) -> bool {
        find(&self.near, 1, is_one) || find(&self.root, DEEPEST, is_one)
    }
}

/// Whether one of these has processes below `directory`. Groups below a unit are the unit's own.
fn find(directory: &Path, levels: usize, is_one: &dyn Fn(&str) -> bool) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return false;
        };
        if is_one(name) {
            return is_populated(&entry.path());
        }
        let is_between = name.ends_with(".slice") || name.starts_with("user@");
        is_between && levels > 0 && find(&entry.path(), levels - 1, is_one)
    })
}

fn is_populated(group: &Path) -> bool {
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_found_wherever_they_are() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, populated: u8| {
            let path = root.path().join(path);
            fs::create_dir_all(&path).unwrap();
            let text = format!("populated {populated}\nfrozen 0\n");
            fs::write(path.join("cgroup.events"), text).unwrap();
        };
        let app = "user.slice/user-1000.slice/user@1000.service/app.slice";
        make(&format!("{app}/hello-health.service"), 1);
        make(&format!("{app}/app-hello.slice/hello@3.service"), 1);
        make(&format!("{app}/app-hello.slice/hello@2.service"), 0);
        make("mine.slice/other@7.service", 1);
        make("portkeep.slice/shop-holding.service", 1);
        let groups = ControlGroups::at(root.path(), &format!("{app}/hello-health.service"));
        let name = |name: &str| -> AppName { name.parse().unwrap() };
        assert!(groups.lives(&name("hello"), Generation(3)));
        assert!(!groups.lives(&name("hello"), Generation(2)));
        assert!(!groups.lives(&name("hello"), Generation(4)));
        assert!(groups.any_lives(&name("hello")) && !groups.page_lives(&name("hello")));
        assert!(
            groups.lives(&name("other"), Generation(7)),
            "in another slice"
        );
        assert!(groups.page_lives(&name("shop")) && !groups.any_lives(&name("shop")));
    }
}
