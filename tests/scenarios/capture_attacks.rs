//! Root captures what another user built, and nothing that he could not have run himself.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::command::{Finished, run, run_command};
use portkeep_tests::{App, AppBuilder, Behaviour, OtherUser};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
/// What nobody but root may read.
const SECRET: &str = "PASSWORD=of-root";

/// An app whose build belongs to `deploy`.
fn deployed(app: AppBuilder, deploy: &OtherUser) -> App {
    let app = app.serve(&Behaviour::version("v1"));
    deploy.owns(app.directory());
    app
}

fn secret(name: &str) -> PathBuf {
    let path = Path::new("/root").join(name);
    fs::write(&path, format!("#!/bin/sh\n{SECRET}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    path
}

/// Nothing of it is anywhere below the app's directories.
fn expect_no_secret(app: &App) {
    for directory in [app.state_directory(), app.run_directory()] {
        let found = run("grep", ["-rl", SECRET, directory.to_str().unwrap()]);
        assert_eq!(found.stdout, "", "the secret was copied");
    }
}

/// Reloads, in a shell's umask.
fn reload(app: &App) -> Finished {
    app.portkeep("reload", &[])
}

fn expect_v1(app: &App) {
    assert_eq!(app.get("/").version, "v1");
}

#[test]
fn a_link_to_what_only_root_may_read() {
    let deploy = OtherUser::named("deploy");
    let app = deployed(App::named("linked"), &deploy);
    let script = secret("linked");
    fs::remove_file(app.executable()).unwrap();
    symlink(&script, app.executable()).unwrap();
    deploy.owns(&app.executable());
    let refused = reload(&app).expect_failure();
    refused.expect_mention(&[script.to_str().unwrap()]);
    refused.expect_mention(&["deploy"]);
    expect_no_secret(&app);
    expect_v1(&app);

    // By a directory in the middle, and a file that all may read in a directory that nobody else gets into.
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(app.executable()).unwrap();
    let directory = app.executable().parent().unwrap().to_owned();
    fs::rename(&directory, directory.with_extension("away")).unwrap();
    symlink("/root", &directory).unwrap();
    deploy.owns(&directory);
    fs::rename(&script, "/root/app").unwrap();
    let refused = reload(&app).expect_failure();
    refused.expect_mention(&["/root/app"]);
    expect_no_secret(&app);
    expect_v1(&app);
    fs::remove_file("/root/app").unwrap();
}

/// Ends the exchange, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_exchange_of_names_while_it_is_captured() {
    let deploy = OtherUser::named("deploy");
    let app = deployed(App::named("raced"), &deploy);
    let script = secret("raced");
    let (build, other) = (app.executable(), app.directory().join("target/other"));
    symlink(&script, &other).unwrap();
    deploy.owns(&other);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &build, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..20 {
            let _ = reload(&app);
            expect_no_secret(&app);
        }
    });
    expect_v1(&app);
    fs::remove_file(script).unwrap();
}

#[test]
fn a_copy_is_for_those_who_may_use_its_source() {
    let (deploy, mallory) = (OtherUser::named("deploy"), OtherUser::named("mallory"));
    let app = App::named("narrow").with("allow", json!({ "user": "deploy" }));
    let app = deployed(app, &deploy);
    app.publish(&Behaviour::version("v2"));
    fs::set_permissions(app.executable(), Permissions::from_mode(0o750)).unwrap();
    deploy.owns(app.directory());
    let _ = reload(&app).expect_success();
    app.wait_for_version("v2", SOON);
    let pid = app.manager().property(&app.unit("@2.service"), "MainPID");
    let runs = fs::canonicalize(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(fs::metadata(&runs).unwrap().mode() & 0o777, 0o750);
    let runs = runs.to_str().unwrap();
    let _ = mallory.run(&["cat", runs]).expect_failure();
    let _ = deploy.run(&["test", "-x", runs]).expect_success();
}

#[test]
fn what_the_apps_user_may_not_execute_is_refused_and_not_blamed() {
    let deploy = OtherUser::named("deploy");
    let app = deployed(App::named("closed"), &deploy);
    app.publish(&Behaviour::version("v2"));
    fs::set_permissions(app.executable(), Permissions::from_mode(0o750)).unwrap();
    deploy.owns(app.directory());
    let refused = reload(&app).expect_failure();
    refused.expect_mention(&["pk-closed"]);
    refused.expect_mention(&["chmod o+rx"]);
    expect_v1(&app);
    fs::set_permissions(app.executable(), Permissions::from_mode(0o755)).unwrap();
    let _ = reload(&app).expect_success();
    app.wait_for_version("v2", SOON);
}

#[test]
fn a_file_without_an_end() {
    let deploy = OtherUser::named("deploy");
    let app = deployed(App::named("endless"), &deploy);
    let path = app.executable();
    let put: [(&str, &dyn Fn()); 3] = [
        ("4 GiB", &|| {
            let sparse = File::create(&path).unwrap();
            sparse.set_len(1 << 40).unwrap();
            sparse
                .set_permissions(Permissions::from_mode(0o755))
                .unwrap();
        }),
        ("a FIFO", &|| {
            mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
        ("a device", &|| symlink("/dev/zero", &path).unwrap()),
    ];
    for (what, put) in put {
        fs::remove_file(&path).unwrap();
        put();
        deploy.owns(app.directory());
        let begun = Instant::now();
        let refused = reload(&app).expect_failure();
        refused.expect_mention(&[what]);
        assert!(begun.elapsed() < SOON, "{what}: {refused}");
        expect_v1(&app);
    }
    let used = run("du", ["-sm", app.state_directory().to_str().unwrap()]).expect_success();
    let megabytes: u64 = used
        .stdout
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(megabytes < 500, "{used}");
}

#[test]
fn an_environment_file_without_an_end() {
    let deploy = OtherUser::named("deploy");
    let file = PathBuf::from("/srv/endless-environment.env");
    fs::write(&file, "A=1\n").unwrap();
    let app = App::named("fed").with("environmentFiles", json!([file]));
    let app = deployed(app, &deploy);
    let put: [(&str, &dyn Fn()); 2] = [
        ("a FIFO", &|| {
            mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
        ("a device", &|| symlink("/dev/zero", &file).unwrap()),
    ];
    for (what, put) in put {
        fs::remove_file(&file).unwrap();
        put();
        deploy.owns(&file);
        let begun = Instant::now();
        let refused = reload(&app).expect_failure();
        refused.expect_mention(&[what]);
        refused.expect_mention(&[file.to_str().unwrap()]);
        assert!(begun.elapsed() < SOON, "{what}: {refused}");
        expect_v1(&app);
    }
    // A change is still a change.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "A=2\n").unwrap();
    let _ = reload(&app).expect_success();
    assert_eq!(app.get("/env/A").body, "\"2\"");
    drop(app);
    fs::remove_file(file).unwrap();
}

#[test]
fn what_a_link_names_runs_in_place_by_that_name() {
    let deploy = OtherUser::named("deploy");
    let app = App::named("venv");
    let app = app
        .with("exec", json!(["./venv/bin/app", "-m", "a b"]))
        .with("allow", json!({ "user": "deploy" }));
    let link = Path::new("/srv/venv/venv/bin/app");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("../../target/debug/app", link).unwrap();
    let app = deployed(app, &deploy);
    deploy.owns(app.directory());
    let pid = app.manager().property(&app.unit("@1.service"), "MainPID");
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let words: Vec<_> = line.trim_end_matches('\0').split('\0').collect();
    assert_eq!(words, [link.to_str().unwrap(), "-m", "a b"]);
    let runs = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(runs, app.executable());
}

#[test]
fn a_strict_umask_of_whoever_installs_and_reloads() {
    let shell = |line: String| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask 077; {line}")]);
        run_command(command)
    };
    // As an older version left its directories under such a umask.
    let app = App::named("umask").serve(&Behaviour::version("v1"));
    for directory in [app.state_directory(), app.run_directory()] {
        let close = format!(
            "find {} -type d -exec chmod go= {{}} +",
            directory.display()
        );
        let _ = shell(close).expect_success();
    }
    let spec = app.directory().join("portkeep.json");
    let _ = shell(format!(
        "portkeep install --system --spec {}",
        spec.display()
    ))
    .expect_success();
    app.publish(&Behaviour::version("v2"));
    let _ = shell("portkeep reload --system umask".to_owned()).expect_success();
    app.wait_for_version("v2", SOON);
    let _ = shell("portkeep rollback --system umask".to_owned()).expect_success();
    app.wait_for_version("v1", SOON);
    // Nothing was held against a release.
    let bad = run(
        "find",
        [app.state_directory().to_str().unwrap(), "-name", "bad"],
    );
    let rolled_back = 1;
    assert_eq!(bad.stdout.lines().count(), rolled_back, "{bad}");
    // From nothing, too.
    let _ = app.portkeep("uninstall", &[]).expect_success();
    for directory in ["/var/lib/portkeep", "/run/portkeep"] {
        let _ = fs::remove_dir_all(directory);
    }
    let _ = shell(format!(
        "portkeep install --system --now --spec {}",
        spec.display()
    ))
    .expect_success();
    app.wait_for_version("v2", SOON);
}
