//! All apps share one helper, and each goes on with the one that its units were made for.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager};

const SOON: Duration = Duration::from_secs(10);

/// The helper that an app's handle calls, as the manager has it.
fn helper_of(manager: Manager, name: &str) -> PathBuf {
    let command = manager.property(&format!("{name}.service"), "ExecStart");
    let (_, path) = command.split_once("path=").unwrap();
    PathBuf::from(path.split_whitespace().next().unwrap())
}

fn helpers(manager: Manager) -> usize {
    let all = manager.state_directory().join(".helper");
    fs::read_dir(all).into_iter().flatten().count()
}

/// This portkeep, as another version would be: a program with other contents.
fn another_version(directory: &Path) -> PathBuf {
    let found = run("sh", ["-c", "command -v portkeep"]).expect_success();
    let path = directory.join("portkeep");
    fs::copy(found.stdout.trim(), &path).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"another version").unwrap();
    path
}

#[test]
fn each_app_goes_on_with_the_helper_of_its_units() {
    let manager = Manager::of_this_process();
    let app = App::named("elder").serve(&Behaviour::version("v1"));
    assert_eq!(helpers(manager), 1);
    let own = helper_of(manager, "elder");
    assert!(
        own.starts_with(manager.state_directory().join(".helper")),
        "{own:?}"
    );
    if manager == Manager::System {
        for level in own.ancestors().take(4) {
            let metadata = fs::metadata(level).unwrap();
            assert_eq!(metadata.uid(), 0, "{level:?}");
            assert_eq!(metadata.permissions().mode() & 0o022, 0, "{level:?}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let newer = another_version(directory.path());
    let spec = directory.path().join("younger.json");
    let json = r#"{"name":"younger","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:8180"}]}"#;
    fs::write(&spec, json).unwrap();
    let newer = newer.to_str().unwrap();
    let watcher = app.watch();
    // More often, and its release would be given up.
    for _ in 0..2 {
        // While an end of the other app is settled.
        app.signal("@1.service", "KILL");
        let install = ["install", manager.flag(), spec.to_str().unwrap()];
        let _ = run(newer, install).expect_success();
        app.wait_for_version("v1", SOON);
        assert_eq!(helpers(manager), 2);
        assert_eq!(helper_of(manager, "elder"), own);
        assert_ne!(helper_of(manager, "younger"), own);
        let _ = run(newer, ["uninstall", manager.flag(), "younger"]).expect_success();
        assert_eq!(helpers(manager), 1);
    }
    watcher.finish().expect_lost_by_kills(2);
    let watcher = app.watch();
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", SOON);
    // Installed by the other version, it has the other helper, and hands over once more.
    let spec = app.directory().join("portkeep.json");
    let _ = run(newer, ["install", manager.flag(), spec.to_str().unwrap()]).expect_success();
    assert_ne!(helper_of(manager, "elder"), own);
    assert_eq!(helpers(manager), 1);
    assert!(!own.exists());
    app.publish(&Behaviour::version("v3"));
    app.reload();
    app.wait_for_version("v3", SOON);
    watcher.finish().expect_lossless();
    drop(app);
    assert_eq!(helpers(manager), 0);
}

/// As the version before installed it: a copy of the helper in the state directory of each app.
#[test]
fn the_copies_of_the_version_before_are_replaced_under_load() {
    let manager = Manager::of_this_process();
    let app = App::named("migrant").serve(&Behaviour::version("v1"));
    let copy = app.state_directory().join("portkeep");
    let helper = helper_of(manager, "migrant");
    fs::copy(&helper, &copy).unwrap();
    let fragment = manager.property("migrant.service", "FragmentPath");
    let units = Path::new(&fragment).parent().unwrap().to_owned();
    for entry in fs::read_dir(&units).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("migrant") && entry.file_type().unwrap().is_file() {
            let text = fs::read_to_string(entry.path()).unwrap();
            let text = text.replace(helper.to_str().unwrap(), copy.to_str().unwrap());
            fs::write(entry.path(), text).unwrap();
        }
    }
    let _ = manager.systemctl(&["daemon-reload"]).expect_success();
    assert_eq!(helper_of(manager, "migrant"), copy);
    let watcher = app.watch();
    app.publish(&Behaviour::version("v2"));
    app.install_again(&[]);
    app.wait_for_version("v2", SOON);
    assert_eq!(helper_of(manager, "migrant"), helper);
    assert!(!copy.exists(), "3 GB of copies for 100 apps");
    watcher.finish().expect_lossless();
    // An end of a generation that the copy has started is settled by the helper.
    app.kill_and_wait("@2.service", "KILL");
    app.wait_for_version("v2", SOON);
}
