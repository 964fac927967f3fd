#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;
mod files;
mod for_another_user;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use rustix::process::geteuid;

use super::*;

/// A user of the build, and another one.
const DEPLOY: u32 = 4242;

struct Project {
    directory: tempfile::TempDir,
    store: Store,
    spec: Spec,
}

impl Project {
    /// One whose `target/app` is built and has a second name, as what cargo makes has.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Others get through to what they own below.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let store = Store::below(directory.path());
        let built = directory.path().join("target/app");
        let spec = Spec::new(
            store.name().clone(),
            vec![built.display().to_string()],
            Vec::new(),
        );
        let project = Self {
            directory,
            store,
            spec,
        };
        project.build("one");
        project
    }

    fn below(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn built(&self) -> PathBuf {
        self.below("target/app")
    }

    /// As cargo does: what was there is removed first.
    fn build(&self, contents: &str) {
        let (made, shown) = (self.built().with_extension("made"), self.built());
        fs::create_dir_all(made.parent().unwrap()).unwrap();
        for name in [&made, &shown] {
            let _ = fs::remove_file(name);
        }
        fs::write(&made, contents).unwrap();
        fs::set_permissions(&made, Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(&made, &shown).unwrap();
    }

    /// Its build directory, and what is in it, is another user's.
    fn belongs_to(&self, user: u32) {
        for path in [self.below("target"), self.built()] {
            lchown(path, Some(user), Some(user)).unwrap();
        }
    }

    /// As `portkeep dev` does, and what runs from there on.
    fn publish(&mut self) {
        let published = self.store.published(&self.spec.name);
        fs::create_dir_all(published.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&published);
        fs::hard_link(self.built(), &published).unwrap();
        self.spec.exec = vec![published.display().to_string()];
    }

    fn try_capture_for(&self, runs_as: RunsAs) -> Result<Release, CaptureError> {
        let key = self.store.digest_key().unwrap();
        let order = Order {
            spec: &self.spec,
            parameters: Parameters::of(&self.spec, &BTreeMap::new(), "", &key)?,
            runs_as,
            key,
        };
        capture(&order, &self.store, &[])
    }

    fn try_capture(&self) -> Result<Release, CaptureError> {
        self.try_capture_for(RunsAs::Us)
    }

    fn capture(&self) -> Release {
        let release = self.try_capture().unwrap();
        self.store.keep_release(&release).unwrap();
        release
    }

    fn refusal(&self) -> String {
        self.try_capture().unwrap_err().to_string()
    }

    /// Everything below the releases, for whoever looks for what should not be there.
    fn kept_files(&self) -> Vec<PathBuf> {
        let entries = |path: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        };
        entries(&self.store.releases_directory())
            .iter()
            .flat_map(|path| entries(path))
            .collect()
    }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn what_a_build_may_overwrite_is_copied() {
    let project = Project::new();
    let release = project.capture();
    assert_ne!(inode(&release.executable), inode(&project.built()));
    // In place, as no cargo does.
    fs::write(project.built(), "two").unwrap();
    assert_eq!(fs::read(&release.executable).unwrap(), b"one");
    assert!(release.is_intact());
    assert_ne!(project.capture().digest, release.digest);
}

#[test]
fn what_was_published_is_not_copied_and_the_next_build_leaves_it_as_it_is() {
    let mut project = Project::new();
    let copied = project.capture().digest;
    project.publish();
    let release = project.capture();
    assert_eq!(release.digest, copied, "the same contents");
    project.build("two");
    project.publish();
    let next = project.capture();
    assert_eq!(inode(&next.executable), inode(&project.built()));
    assert_ne!(next.digest, release.digest);
    assert_eq!(fs::read(&release.executable).unwrap(), b"one");
    assert_eq!(fs::read(&next.executable).unwrap(), b"two");
    assert!(release.is_intact() && next.is_intact());
    let key = project.store.digest_key().unwrap();
    let parameters = Parameters::of(&project.spec, &BTreeMap::new(), "", &key).unwrap();
    let states = FileStates::of_spec(&project.spec).unwrap();
    assert!(next.is_made_of(&states, &parameters), "names came and went");
}

#[test]
fn what_was_written_into_is_no_release_any_more() {
    let mut project = Project::new();
    project.publish();
    let release = project.capture();
    assert!(release.is_intact());
    fs::write(project.built(), "other contents").unwrap();
    assert!(!release.is_intact());
}

#[test]
fn what_a_link_names_runs_in_place_and_is_told_its_name() {
    let mut project = Project::new();
    fs::create_dir_all(project.below("venv/bin")).unwrap();
    let python = project.below("venv/bin/python");
    symlink("../../target/app", &python).unwrap();
    project.spec.exec = vec![
        python.display().to_string(),
        "-m".to_owned(),
        "app".to_owned(),
    ];
    let release = project.capture();
    assert_eq!(release.executable, project.built().canonicalize().unwrap());
    assert_eq!(release.argv0(), Some(python.as_path()));
    assert!(release.is_intact());
    assert!(project.store.release(&release.digest).unwrap() == release);
    // It was replaced: what runs in place is not what it was.
    project.build("two");
    assert!(!release.is_intact());
    assert_eq!(
        Project::new().capture().argv0(),
        None,
        "a copy is called by its place"
    );
}

#[test]
fn modes_are_those_of_the_source_and_what_is_not_kept_is_closed() {
    let project = Project::new();
    for wanted in [0o755, 0o750, 0o700, 0o555, 0o710] {
        project.build(&format!("{wanted:o}"));
        fs::set_permissions(project.built(), Permissions::from_mode(wanted)).unwrap();
        let release = project.capture();
        assert_eq!(mode(&release.executable), wanted);
        // Nothing runs from it yet.
        assert_eq!(mode(release.executable.parent().unwrap()), 0o700);
    }
    // The same contents, and fewer may use it.
    project.build("same");
    let first = project.capture();
    assert_eq!(mode(&first.executable), 0o755);
    fs::set_permissions(project.built(), Permissions::from_mode(0o750)).unwrap();
    let second = project.capture();
    assert_eq!(second.digest, first.digest);
    assert_eq!(mode(&second.executable), 0o750);
}

#[test]
fn only_a_regular_file_of_a_programs_size_is_opened() {
    let mut project = Project::new();
    let path = project.below("x");
    project.spec.exec = vec![path.display().to_string()];
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert!(project.refusal().contains("but a FIFO"));
    assert!(executable_of(&project.spec).is_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(project.refusal().contains("but a directory"));
    fs::remove_dir(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(project.refusal().contains("but a device"));
    fs::remove_file(&path).unwrap();
    let sparse = File::create(&path).unwrap();
    sparse.set_len(1 << 40).unwrap();
    sparse
        .set_permissions(Permissions::from_mode(0o755))
        .unwrap();
    assert!(project.refusal().contains("4 GiB"));
    sparse.set_len(0).unwrap();
    assert!(project.refusal().contains("is empty"));
    sparse.set_len(5).unwrap();
    sparse
        .set_permissions(Permissions::from_mode(0o644))
        .unwrap();
    assert!(project.refusal().contains("chmod +x"));
    assert!(project.kept_files().is_empty());
}

#[test]
fn an_environment_file_without_an_end_is_refused() {
    let mut project = Project::new();
    project.spec.environment_files = vec!["/dev/zero".into()];
    assert!(
        project
            .refusal()
            .contains("/dev/zero is not a regular file but a device")
    );
    assert!(project.kept_files().is_empty());
}

#[test]
fn the_digest_tells_nobody_who_has_not_the_key_anything() {
    let (one, other) = (Project::new(), Project::new());
    let contents = "the same";
    for project in [&one, &other] {
        project.build(contents);
    }
    assert_eq!(one.capture().digest, one.capture().digest);
    assert_ne!(one.capture().digest, other.capture().digest);
}

/// What runs before a release takes over is its own program, whatever was built since; another program runs where it is.
#[test]
fn the_release_command_is_that_of_the_release() {
    use crate::release_command::ReleaseCommand;

    let mut project = Project::new();
    let script = project.below("migrate");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    project.spec.release = vec![project.built().display().to_string(), "migrate".to_owned()];
    let release = project.try_capture_for(RunsAs::Us).unwrap();
    let command = ReleaseCommand::of(&project.spec, &release)
        .unwrap()
        .unwrap();
    assert_eq!(command.program, release.executable);
    assert!(
        command
            .program
            .starts_with(project.store.releases_directory())
    );
    assert_eq!(command.arguments, ["migrate"]);
    project.spec.release = vec![script.display().to_string()];
    let other = project.try_capture_for(RunsAs::Us).unwrap();
    assert_ne!(other.digest, release.digest, "another command");
    let command = ReleaseCommand::of(&project.spec, &other).unwrap().unwrap();
    assert_eq!(command.program, script.canonicalize().unwrap());
    fs::write(&script, "#!/bin/sh\necho more\n").unwrap();
    let more = project.try_capture_for(RunsAs::Us).unwrap();
    assert_ne!(more.digest, other.digest, "another program");
    fs::set_permissions(&script, Permissions::from_mode(0o644)).unwrap();
    let refused = project.try_capture_for(RunsAs::Us).unwrap_err();
    assert!(
        matches!(refused, CaptureError::NotExecutable(_)),
        "{refused}"
    );
    fs::remove_file(&script).unwrap();
    let refused = project.try_capture_for(RunsAs::Us).unwrap_err();
    assert!(matches!(refused, CaptureError::Missing(_)), "{refused}");
    project.spec.release.clear();
    assert_eq!(ReleaseCommand::of(&project.spec, &other).unwrap(), None);
}

#[test]
fn another_label_is_another_release_and_stays_with_it() {
    let mut project = Project::new();
    let without = project.capture();
    assert_eq!(without.label(), None);
    let labelled = |project: &mut Project, label: &str| {
        project.spec.label = Some(label.parse().unwrap());
        project.capture()
    };
    let (one, other) = (labelled(&mut project, "v1"), labelled(&mut project, "v2"));
    let digests = [&without, &one, &other].map(Release::digest);
    assert!(digests[0] != digests[1] && digests[1] != digests[2]);
    for (release, label) in [(&one, "v1"), (&other, "v2")] {
        let kept = project.store.release(release.digest()).unwrap();
        assert_eq!(kept.label().unwrap().as_str(), label);
    }
    assert_eq!(labelled(&mut project, "v1").digest(), one.digest());
}

#[test]
fn a_label_is_not_inherited() {
    let project = Project::new();
    let key = project.store.digest_key().unwrap();
    let of_dev = [("PORTKEEP_LABEL".to_owned(), "v9".to_owned())].into();
    let parameters = Parameters::of(&project.spec, &of_dev, "", &key).unwrap();
    assert!(!parameters.environment.contains_key("PORTKEEP_LABEL"));
}
