//! Files that a release brings along.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::time::SystemTime;

use super::*;

/// Times that are no longer new.
fn settle(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(3600);
    File::open(path).unwrap().set_modified(old).unwrap();
}

impl Project {
    /// One that brings these patterns, with some files.
    fn bringing(patterns: &[&str]) -> Self {
        let mut project = Self::new();
        for (path, contents) in [
            ("web/static/app-3f9a12c4.js", "js"),
            ("web/static/css/site.css", "css"),
            ("web/templates/index.html", "html"),
            ("web/templates/notes.txt", "notes"),
            ("web/other/x", "x"),
        ] {
            project.write(path, contents);
        }
        project.spec.files = patterns.iter().map(|one| one.parse().unwrap()).collect();
        project.spec.files_from = Some(project.below("web"));
        project
    }

    fn write(&self, path: &str, contents: &str) {
        let path = self.below(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn brought(release: &Release) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![release.files().unwrap().to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => pending.push(entry.path()),
                    false => found.push(entry.path()),
                }
            }
        }
        let below = |path: &PathBuf| {
            let path = path.strip_prefix(release.files().unwrap()).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let mut found: Vec<_> = found.iter().map(below).collect();
        found.sort();
        found
    }

    fn take_after(&self, known: &[Release]) -> Release {
        let key = self.store.digest_key().unwrap();
        let order = Order {
            spec: &self.spec,
            recipe: Recipe::of(&self.spec, &BTreeMap::new(), "", &key).unwrap(),
            runs_as: RunsAs::Dynamic("pk-app".to_owned()),
            key,
        };
        let release = take(&order, &self.store, known).unwrap();
        self.store.keep_release(&release).unwrap();
        release
    }

    /// Nothing is kept of what is refused.
    #[track_caller]
    fn expect_refused(&self, words: &[&str]) {
        let said = self.refusal();
        for word in words {
            assert!(said.contains(word), "{word} not in: {said}");
        }
        let left: Vec<_> = fs::read_dir(self.store.releases_directory())
            .unwrap()
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_patterns_name_is_brought_and_nothing_else() {
    let project = Project::bringing(&["static", "templates/*.html"]);
    let release = project.take();
    assert_eq!(
        Project::brought(&release),
        [
            "static/app-3f9a12c4.js",
            "static/css/site.css",
            "templates/index.html"
        ]
    );
    let files = release.files().unwrap();
    let css = fs::read_to_string(files.join("static/css/site.css")).unwrap();
    assert_eq!(css, "css");
    assert_eq!(
        project.store.release(&release.digest),
        Some(release.clone())
    );
    assert!(release.is_intact());
    // As a reload does that has nothing to do.
    assert_eq!(
        project.take_after(std::slice::from_ref(&release)).files(),
        release.files()
    );
}

#[test]
fn a_change_of_any_of_them_is_another_release() {
    let project = Project::bringing(&["static", "templates"]);
    let first = project.take();
    let mut seen = vec![first.digest().clone()];
    let changes: [(&str, &dyn Fn()); 6] = [
        ("contents", &|| {
            project.write("web/static/css/site.css", "CSS")
        }),
        ("a new one", &|| project.write("web/static/new", "")),
        ("one less", &|| {
            fs::remove_file(project.below("web/templates/notes.txt")).unwrap();
        }),
        ("another name", &|| {
            let to = project.below("web/templates/home.html");
            fs::rename(project.below("web/templates/index.html"), to).unwrap();
        }),
        ("mode", &|| {
            let path = project.below("web/static/css/site.css");
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }),
        ("a link", &|| {
            symlink("css", project.below("web/static/styles")).unwrap()
        }),
    ];
    for (what, change) in changes {
        change();
        let release = project.take();
        assert!(!seen.contains(release.digest()), "{what}");
        seen.push(release.digest().clone());
    }
    // What is not named by a pattern is none of it, nor are times.
    project.write("web/other/x", "y");
    settle(&project.below("web/static/css/site.css"));
    assert_eq!(project.take().digest(), seen.last().unwrap());
    // The old ones are what they were.
    let css = first.files().unwrap().join("static/css/site.css");
    assert_eq!(fs::read_to_string(css).unwrap(), "css");
    assert!(first.is_intact());
}

#[test]
fn whether_anything_changed_can_be_asked_without_a_capture() {
    let project = Project::bringing(&["static", "templates"]);
    symlink("css", project.below("web/static/styles")).unwrap();
    let release = project.take();
    let key = project.store.digest_key().unwrap();
    let recipe = Recipe::of(&project.spec, &BTreeMap::new(), "", &key).unwrap();
    let now = || digest_of(&project.spec, &recipe, &key, &release).unwrap();
    assert_eq!(now(), *release.digest());
    project.write("web/static/css/site.css", "CSS");
    assert_ne!(now(), *release.digest());
    project.write("web/static/css/site.css", "css");
    assert_eq!(now(), *release.digest(), "the same contents");
}

#[test]
fn a_file_that_is_rewritten_in_place_is_not_changed_in_the_release() {
    let project = Project::bringing(&["static"]);
    let path = project.below("web/static/css/site.css");
    let release = project.take();
    let kept = release.files().unwrap().join("static/css/site.css");
    assert_ne!(inode(&kept), inode(&path));
    fs::write(&path, "other").unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap(), "css");
    assert_eq!(mode(&kept) & 0o222, 0, "nobody writes into it by mistake");
}

#[test]
fn what_did_not_change_is_a_name_of_the_copy_that_is_there() {
    let project = Project::bringing(&["static"]);
    for path in ["web/static/css/site.css", "web/static/app-3f9a12c4.js"] {
        settle(&project.below(path));
    }
    let one = project.take_after(&[]);
    // Their times are old, but not those of the last change of anything of theirs.
    assert!(!one.is_settled());
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let again = loop {
        let again = project.take_after(std::slice::from_ref(&one));
        assert_eq!(again.digest(), one.digest());
        if again.is_settled() {
            break again;
        }
        assert!(std::time::Instant::now() < end, "they never become old");
        std::thread::sleep(PAUSE);
    };
    project.write("web/static/new", "new");
    let two = project.take_after(std::slice::from_ref(&again));
    assert_ne!(two.digest(), one.digest());
    let place = |release: &Release, path: &str| release.files().unwrap().join(path);
    assert_eq!(
        inode(&place(&two, "static/css/site.css")),
        inode(&place(&one, "static/css/site.css"))
    );
    assert!(one.is_intact() && two.is_intact());
    // One that somebody wrote into is not taken for what it was.
    let damaged = place(&one, "static/css/site.css");
    fs::set_permissions(&damaged, Permissions::from_mode(0o644)).unwrap();
    fs::write(&damaged, "damaged").unwrap();
    assert!(!one.is_intact() && !two.is_intact());
    let three = project.take_after(&[]);
    assert_eq!(three.digest(), two.digest());
    assert!(three.is_intact());
    let css = fs::read_to_string(place(&three, "static/css/site.css")).unwrap();
    assert_eq!(css, "css");
}

#[test]
fn links_within_are_brought_as_links() {
    let project = Project::bringing(&["static"]);
    let link = project.below("web/static/latest.js");
    symlink("app-3f9a12c4.js", &link).unwrap();
    symlink("css", project.below("web/static/styles")).unwrap();
    let release = project.take();
    let brought = release.files().unwrap().join("static/latest.js");
    assert_eq!(
        fs::read_link(&brought).unwrap(),
        Path::new("app-3f9a12c4.js")
    );
    assert_eq!(fs::read_to_string(&brought).unwrap(), "js");
    assert!(
        release
            .files()
            .unwrap()
            .join("static/styles/site.css")
            .exists()
    );
}

#[test]
fn what_no_release_can_bring_is_named() {
    let project = Project::bringing(&["static"]);
    let path = project.below("web/static/x");
    let shown = path.to_str().unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    project.expect_refused(&[shown, "a socket"]);
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    project.expect_refused(&[shown, "a FIFO"]);
    fs::remove_file(&path).unwrap();
    let null = rustix::fs::makedev(1, 3);
    if mknodat(CWD, &path, FileType::CharacterDevice, Mode::RWXU, null).is_ok() {
        project.expect_refused(&[shown, "a device"]);
        fs::remove_file(&path).unwrap();
    }
    for (target, word) in [
        ("/etc/passwd", "leads out of"),
        ("../../../../etc", "leads out of"),
        ("/dev/zero", "leads out of"),
        ("../other/x", "not one of the `files`"),
        ("nowhere", "not one of the `files`"),
        ("x", "a loop"),
        (".", "a loop"),
        ("..", "a loop"),
    ] {
        symlink(target, &path).unwrap();
        project.expect_refused(&[shown, word]);
        fs::remove_file(&path).unwrap();
    }
    symlink("y", &path).unwrap();
    symlink("x", path.with_file_name("y")).unwrap();
    project.expect_refused(&[shown, "a loop"]);
    fs::remove_file(path.with_file_name("y")).unwrap();
    fs::remove_file(&path).unwrap();
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    fs::write(path.with_file_name(name), "").unwrap();
    project.expect_refused(&["UTF-8", "\\xFF"]);
    fs::remove_file(path.with_file_name(name)).unwrap();
    assert!(project.try_take().is_ok());
}

#[test]
fn patterns_that_lead_to_nothing_or_through_a_link() {
    let project = Project::bringing(&["static", "templats", "*.css"]);
    project.expect_refused(&["`templats`", project.below("web").to_str().unwrap()]);
    let project = Project::bringing(&["static", "*.css"]);
    project.expect_refused(&["`*.css`"]);
    let mut project = Project::bringing(&["public/css"]);
    symlink("static", project.below("web/public")).unwrap();
    project.expect_refused(&["public is a symbolic link", "public/css"]);
    // Where the files are may be behind one: it is the spec that names it.
    symlink("web", project.below("current")).unwrap();
    project.spec.files_from = Some(project.below("current"));
    project.spec.files = vec!["static/css".parse().unwrap()];
    assert_eq!(Project::brought(&project.take()), ["static/css/site.css"]);
    // A pattern for what another brings with its directory is no mistake.
    project.spec.files = ["static", "static/css", "**/*.css"]
        .map(|one| one.parse().unwrap())
        .to_vec();
    assert_eq!(Project::brought(&project.take()).len(), 2);
    let mut project = Project::bringing(&["static"]);
    project.spec.files_from = Some(project.below("web/nowhere"));
    project.expect_refused(&["nowhere", "does not exist"]);
    project.spec.files_from = Some(project.below("web/other/x"));
    project.expect_refused(&["other/x", "is not a directory"]);
}

#[test]
fn limits_name_what_is_over_them() {
    let mut project = Project::bringing(&["static"]);
    let large = project.below("web/static/large");
    File::create(&large).unwrap().set_len(10 << 30).unwrap();
    project.expect_refused(&[large.to_str().unwrap(), "1G", "filesMaxSize"]);
    fs::remove_file(&large).unwrap();
    project.spec.files_max_size = "4".parse().unwrap();
    project.expect_refused(&["static", "filesMaxSize"]);
    project.spec.files_max_size = "5".parse().unwrap();
    assert!(project.try_take().is_ok());
    let mut project = Project::bringing(&["static"]);
    let many = project.below("web/static/many");
    fs::create_dir(&many).unwrap();
    for number in 0..=20_u32 {
        fs::create_dir(many.join(number.to_string())).unwrap();
    }
    project.spec.files_max_count = 25;
    project.expect_refused(&[many.to_str().unwrap(), "25", "filesMaxCount"]);
    project.spec.files_max_count = 26;
    assert!(project.try_take().is_ok());
}

#[test]
fn one_that_is_written_all_the_while_is_named() {
    let project = Project::bringing(&["static"]);
    let path = project.below("web/static/log");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = for_another_user::Over(&over);
        // It takes longer to copy than to write into.
        fs::write(&path, vec![b'x'; 4 << 20]).unwrap();
        scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            for at in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                file.write_at(b"y", at % (4 << 20)).unwrap();
            }
        });
        let end = std::time::Instant::now() + Duration::from_secs(120);
        // Whoever writes may be held up for as long as a copy takes.
        let said = loop {
            match project.try_take() {
                Err(error) => break error.to_string(),
                Ok(_) => assert!(std::time::Instant::now() < end, "it is never refused"),
            }
        };
        assert!(said.contains("is still being written"), "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    });
    assert!(project.try_take().is_ok());
}

#[test]
fn a_release_that_is_not_kept_leaves_its_files_for_a_while() {
    let project = Project::bringing(&["static"]);
    let old = project.take();
    let generation = crate::generation::Generation(1);
    project.store.prepare(generation, &old).unwrap();
    project.store.note_replaced(generation).unwrap();
    let hour = Duration::from_secs(3600);
    project.store.prune_releases(&[], &[], hour).unwrap();
    let files = old.files().unwrap();
    assert!(files.join("static/css/site.css").exists());
    assert!(!old.is_intact(), "nobody rolls back to it");
    assert!(!old.executable.exists());
    assert_eq!(project.store.release(old.digest()), None);
    project
        .store
        .prune_releases(&[], &[], Duration::ZERO)
        .unwrap();
    assert!(!files.exists());
}

#[test]
fn a_generation_is_shown_its_files_and_those_of_the_others() {
    let project = Project::bringing(&["static"]);
    let one = project.take();
    project.write("web/static/css/site.css", "two");
    let two = project.take();
    let generation = crate::generation::Generation(7);
    project.store.prepare(generation, &two).unwrap();
    let environment = project.store.environment_of(generation, &two);
    let files = |release: &Release| release.files().unwrap().display().to_string();
    assert_eq!(environment["PORTKEEP_RELEASE_DIR"], files(&two));
    let list = fs::read_to_string(&environment["PORTKEEP_KEPT_FILES"]).unwrap();
    assert_eq!(list, format!("{}\n{}\n", files(&two), files(&one)));
    assert_eq!(mode(Path::new(&environment["PORTKEEP_KEPT_FILES"])), 0o644);
    let link = project.store.generation_directory(generation).join("files");
    assert_eq!(fs::read_link(link).unwrap(), two.files().unwrap());
}

mod for_others {
    use super::*;

    /// A project of `deploy`'s that root captures.
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
        // A directory of root's that he put there.
        let closed = project.below("web/static/closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("secret"), "x").unwrap();
        set(&closed, 0o700);
        project.expect_refused(&[closed.to_str().unwrap(), "4242", "may not read"]);
        set(&closed, 0o755);
        let release = project.take();
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
            let said = project.try_take_for(RunsAs::Dynamic("pk-app".to_owned()));
            let said = said.unwrap_err().to_string();
            for word in ["pk-app", "may not read", path.to_str().unwrap()] {
                assert!(said.contains(word), "{word} not in: {said}");
            }
            // Its own user may.
            let taken = project
                .try_take_for(RunsAs::Named(DEPLOY.to_string()))
                .unwrap();
            let below = path.strip_prefix(project.below("web")).unwrap();
            let kept = fs::metadata(taken.files().unwrap().join(below)).unwrap();
            assert_eq!((kept.uid(), kept.mode() & 0o777), (DEPLOY, mode & 0o555));
            fs::set_permissions(path, Permissions::from_mode(before)).unwrap();
        }
    }

    /// No exchange of a directory for a link, however quick, brings what he may not read.
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
            let _over = for_another_user::Over(&over);
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let (mut refused, mut taken) = (0, 0);
            let end = std::time::Instant::now() + Duration::from_secs(60);
            while (refused < 5 || taken == 0) && std::time::Instant::now() < end {
                match project.try_take() {
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
}
