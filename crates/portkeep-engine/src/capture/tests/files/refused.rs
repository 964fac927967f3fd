//! Files that no release can bring along.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;

use super::*;

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
    assert!(project.try_capture().is_ok());
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
    assert_eq!(
        Project::brought(&project.capture()),
        ["static/css/site.css"]
    );
    // A pattern for what another brings with its directory is no mistake.
    project.spec.files = ["static", "static/css", "**/*.css"]
        .map(|one| one.parse().unwrap())
        .to_vec();
    assert_eq!(Project::brought(&project.capture()).len(), 2);
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
    assert!(project.try_capture().is_ok());
    let mut project = Project::bringing(&["static"]);
    let many = project.below("web/static/many");
    fs::create_dir(&many).unwrap();
    for number in 0..=20_u32 {
        fs::create_dir(many.join(number.to_string())).unwrap();
    }
    project.spec.files_max_count = 25;
    project.expect_refused(&[many.to_str().unwrap(), "25", "filesMaxCount"]);
    project.spec.files_max_count = 26;
    assert!(project.try_capture().is_ok());
}

#[test]
fn one_that_is_written_all_the_while_is_named() {
    let project = Project::bringing(&["static"]);
    let path = project.below("web/static/log");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = for_another_user::StopsExchange(&over);
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
            match project.try_capture() {
                Err(error) => break error.to_string(),
                Ok(_) => assert!(std::time::Instant::now() < end, "it is never refused"),
            }
        };
        assert!(said.contains("is still being written"), "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    });
    assert!(project.try_capture().is_ok());
}
