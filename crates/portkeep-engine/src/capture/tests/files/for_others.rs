//! Files of another user, captured by root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// A project of `deploy`, which root captures.
fn of_deploy(patterns: &[&str]) -> Option<Project> {
    if !geteuid().is_root() {
        return None;
    }
    let project = Project::bringing(patterns);
    for path in [
        "web",
        "web/static",
        "web/static/css",
        "web/static/css/site.css",
    ] {
        lchown(project.below(path), Some(DEPLOY), Some(DEPLOY)).unwrap();
    }
    Some(project)
}

#[test]
fn what_its_owner_may_not_read_is_not_read_for_him() {
    let Some(project) = of_deploy(&["static"]) else {
        return;
    };
    let app = project.below("web/static/app-3f9a12c4.js");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    set(&app, 0o600);
    project.expect_refused(&[app.to_str().unwrap(), "4242", "may not read"]);
    set(&app, 0o644);
    // A directory that root owns, put there by `deploy`.
    let closed = project.below("web/static/closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("secret"), "x").unwrap();
    set(&closed, 0o700);
    project.expect_refused(&[closed.to_str().unwrap(), "4242", "may not read"]);
    set(&closed, 0o755);
    let release = project.capture();
    let css = release.files().unwrap().join("static/css/site.css");
    assert_eq!(fs::metadata(css).unwrap().uid(), 0);
}

#[test]
fn what_the_app_may_not_read_is_refused_before_it_starts() {
    let Some(project) = of_deploy(&["static"]) else {
        return;
    };
    let css = project.below("web/static/css/site.css");
    for (path, mode) in [(css.as_path(), 0o640), (css.parent().unwrap(), 0o750)] {
        let before = super::mode(path);
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let said = project.try_capture_for(RunsAs::Dynamic("pk-app".to_owned()));
        let said = said.unwrap_err().to_string();
        for word in ["pk-app", "may not read", path.to_str().unwrap()] {
            assert!(said.contains(word), "{word} not in: {said}");
        }
        // Its own user may read it.
        let taken = project
            .try_capture_for(RunsAs::Named(DEPLOY.to_string()))
            .unwrap();
        let below = path.strip_prefix(project.below("web")).unwrap();
        let kept = fs::metadata(taken.files().unwrap().join(below)).unwrap();
        assert_eq!((kept.uid(), kept.mode() & 0o777), (DEPLOY, mode & 0o555));
        fs::set_permissions(path, Permissions::from_mode(before)).unwrap();
    }
}

/// Nobody can have a file captured that he may not read, however quickly he replaces a directory by a link.
#[test]
fn an_exchange_of_directories_wins_nothing() {
    let Some(project) = of_deploy(&["static"]) else {
        return;
    };
    let secret = project.below("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("site.css"), "PASSWORD").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o700)).unwrap();
    let (real, link) = (project.below("web/static/css"), project.below("web/link"));
    symlink(&secret, &link).unwrap();
    lchown(&link, Some(DEPLOY), Some(DEPLOY)).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = for_another_user::StopsExchange(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let (mut refused, mut taken) = (0, 0);
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while (refused < 5 || taken == 0) && std::time::Instant::now() < end {
            match project.try_capture() {
                Ok(release) => {
                    taken += 1;
                    let css = release.files().unwrap().join("static/css/site.css");
                    assert_eq!(fs::read_to_string(css).unwrap(), "css");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused >= 5, "{taken} taken, {refused} refused");
    });
}
