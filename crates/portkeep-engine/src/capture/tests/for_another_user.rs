//! Root captures what another user built.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("only root captures for others: the rest is run by root, as in tests/run");
    }
    is_root
}

#[test]
fn what_its_owner_may_run_is_captured() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    project.belongs_to(DEPLOY);
    for (wanted, owner) in [(0o755, 0), (0o750, DEPLOY), (0o700, DEPLOY)] {
        project.build(&format!("{wanted:o}"));
        fs::set_permissions(project.built(), Permissions::from_mode(wanted)).unwrap();
        chown(project.built(), Some(DEPLOY), Some(DEPLOY)).unwrap();
        let kept = project.capture().executable;
        assert_eq!(mode(&kept), wanted);
        assert_eq!(fs::metadata(&kept).unwrap().uid(), owner, "{wanted:o}");
        assert_eq!(fs::metadata(&kept).unwrap().gid(), DEPLOY);
    }
}

#[test]
fn a_link_to_what_its_owner_may_not_read_is_refused() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let secret = project.below("secret");
    fs::create_dir(&secret).unwrap();
    let script = secret.join("script");
    fs::write(&script, "#!/bin/sh\nPASSWORD=x\n").unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    project.belongs_to(DEPLOY);
    let replace = |target: &Path| {
        fs::remove_file(project.built()).unwrap();
        symlink(target, project.built()).unwrap();
        lchown(project.built(), Some(DEPLOY), Some(DEPLOY)).unwrap();
    };
    for (directory_mode, mode, by_group) in [
        (0o755, 0o700, false),
        (0o755, 0o711, false),
        (0o755, 0o744, false),
        // The file is open to all, and nobody gets to it.
        (0o700, 0o755, false),
        (0o700, 0o755, true),
    ] {
        set(&script, mode).unwrap();
        set(&secret, directory_mode).unwrap();
        if by_group {
            // By a link in the middle.
            let _ = fs::remove_file(project.below("target/dir"));
            symlink(&secret, project.below("target/dir")).unwrap();
            lchown(project.below("target/dir"), Some(DEPLOY), Some(DEPLOY)).unwrap();
            replace(&project.below("target/dir/script"));
        } else {
            replace(&script);
        }
        let said = project.refusal();
        assert!(
            said.contains("user 4242") || said.contains("4242, who owns"),
            "{said}"
        );
        assert!(said.contains("script"), "{said}");
        assert!(project.kept_files().is_empty(), "{said}");
    }
    set(&secret, 0o755).unwrap();
    set(&script, 0o755).unwrap();
    assert!(project.try_capture().is_ok(), "everybody may");
}

/// Ends the exchange, also where the test fails.
pub(super) struct StopsExchange<'a>(pub(super) &'a AtomicBool);

impl Drop for StopsExchange<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// No exchange of names, however quick, has anything read that its owner may not read.
#[test]
fn an_exchange_of_names_wins_nothing() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    project.belongs_to(DEPLOY);
    let secret = project.below("secret");
    fs::write(&secret, "PASSWORD=x").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o700)).unwrap();
    let other = project.below("target/other");
    symlink(&secret, &other).unwrap();
    lchown(&other, Some(DEPLOY), Some(DEPLOY)).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = StopsExchange(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let exchanged =
                    renameat_with(CWD, project.built(), CWD, &other, RenameFlags::EXCHANGE);
                exchanged.unwrap();
            }
        });
        let (mut refused, mut taken) = (0, 0);
        let end = std::time::Instant::now() + Duration::from_secs(120);
        while (refused < 20 || taken == 0) && std::time::Instant::now() < end {
            match project.try_capture() {
                Ok(release) => {
                    taken += 1;
                    assert_eq!(fs::read(&release.executable).unwrap(), b"one");
                }
                Err(CaptureError::NotForOwner(_)) => refused += 1,
                Err(CaptureError::StillBeingWritten(_)) => {}
                Err(error) => panic!("{error}"),
            }
            for kept in project.kept_files() {
                assert_eq!(
                    fs::read(&kept).unwrap_or_default(),
                    b"one",
                    "{}",
                    kept.display()
                );
            }
        }
        assert!(
            refused >= 20,
            "the moment was not met: {taken} taken, {refused} refused"
        );
    });
}

#[test]
fn what_the_app_may_not_execute_is_refused_before_it_is_started() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    project.belongs_to(DEPLOY);
    let dynamic = || RunsAs::Dynamic("pk-app".to_owned());
    let deploy = || RunsAs::Named(DEPLOY.to_string());
    for (contents, wanted, runs_as, expected) in [
        ("ELF", 0o755, dynamic(), true),
        ("ELF", 0o711, dynamic(), true),
        ("#!/bin/sh", 0o755, dynamic(), true),
        ("#!/bin/sh", 0o711, dynamic(), false),
        ("ELF", 0o750, dynamic(), false),
        ("ELF", 0o750, deploy(), true),
        ("ELF", 0o700, deploy(), true),
        ("ELF", 0o750, RunsAs::Us, true),
    ] {
        project.build(contents);
        fs::set_permissions(project.built(), Permissions::from_mode(wanted)).unwrap();
        chown(project.built(), Some(DEPLOY), Some(DEPLOY)).unwrap();
        let taken = project.try_capture_for(runs_as.clone());
        assert_eq!(
            taken.is_ok(),
            expected,
            "{contents} {wanted:o} {runs_as:?} {taken:?}"
        );
        if let Err(error) = taken {
            let said = error.to_string();
            assert!(
                said.contains("pk-app") && said.contains("chmod o+rx"),
                "{said}"
            );
        }
    }
}
