//! Files that a release brings along.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod for_others;
mod refused;

use std::time::SystemTime;

use super::*;

/// Sets times that are old enough to prove that nothing changed.
fn settle(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(3600);
    File::open(path).unwrap().set_modified(old).unwrap();
}

impl Project {
    /// A project whose release brings these patterns, with some files.
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
            parameters: Parameters::of(&self.spec, &BTreeMap::new(), "", &key).unwrap(),
            runs_as: RunsAs::Dynamic("pk-app".to_owned()),
            key,
        };
        let release = capture(&order, &self.store, known).unwrap();
        self.store.keep_release(&release).unwrap();
        release
    }

    /// Nothing is kept of a refused release.
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
    let release = project.capture();
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
    // A reload without changes does this.
    assert_eq!(
        project.take_after(std::slice::from_ref(&release)).files(),
        release.files()
    );
}

#[test]
fn a_change_of_any_of_them_is_another_release() {
    let project = Project::bringing(&["static", "templates"]);
    let first = project.capture();
    let mut seen = vec![first.digest().clone()];
    let changes: [(&str, &dyn Fn()); 6] = [
        ("contents", &|| {
            project.write("web/static/css/site.css", "CSS");
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
            symlink("css", project.below("web/static/styles")).unwrap();
        }),
    ];
    for (what, change) in changes {
        change();
        let release = project.capture();
        assert!(!seen.contains(release.digest()), "{what}");
        seen.push(release.digest().clone());
    }
    // Files that no pattern matches do not count, nor do times.
    project.write("web/other/x", "y");
    settle(&project.below("web/static/css/site.css"));
    assert_eq!(project.capture().digest(), seen.last().unwrap());
    // The files of the old release are unchanged.
    let css = first.files().unwrap().join("static/css/site.css");
    assert_eq!(fs::read_to_string(css).unwrap(), "css");
    assert!(first.is_intact());
}

#[test]
fn whether_anything_changed_can_be_asked_without_a_capture() {
    let project = Project::bringing(&["static", "templates"]);
    symlink("css", project.below("web/static/styles")).unwrap();
    let release = project.capture();
    let key = project.store.digest_key().unwrap();
    let parameters = Parameters::of(&project.spec, &BTreeMap::new(), "", &key).unwrap();
    let now = || digest_of(&project.spec, &parameters, &key, &release).unwrap();
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
    let release = project.capture();
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
    // Their modification times are old, but not their change times.
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
    // A file that somebody wrote into is not taken for the original.
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
    let release = project.capture();
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
fn a_release_that_is_not_kept_leaves_its_files_for_a_while() {
    let project = Project::bringing(&["static"]);
    let old = project.capture();
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
    let one = project.capture();
    project.write("web/static/css/site.css", "two");
    let two = project.capture();
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
