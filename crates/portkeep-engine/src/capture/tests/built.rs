//! What runs where it was built.

use super::*;

#[test]
fn a_release_runs_where_it_was_built_as_long_as_that_is_the_same_file() {
    let mut project = Project::new();
    let beside = project.below("target/app.of-ours");
    let publish = |project: &mut Project, beside: &Path| {
        project.publish();
        let from = project.store.published_from(&project.spec.name);
        let _ = fs::remove_file(&from);
        symlink(beside, from).unwrap();
    };
    fs::hard_link(project.built(), &beside).unwrap();
    publish(&mut project, &beside);
    let one = project.capture();
    assert_eq!(one.runs_at(), beside);
    // The next build takes nothing away from it, and what is named there is not believed of another build.
    project.build("two");
    publish(&mut project, &beside);
    let two = project.capture();
    assert_eq!(two.runs_at(), two.executable);
    assert_eq!(one.runs_at(), beside);
    // On another file system, what is published is a copy.
    let elsewhere = project.below("target/app.elsewhere");
    fs::copy(project.built(), &elsewhere).unwrap();
    publish(&mut project, &elsewhere);
    let copied = project.capture();
    assert_eq!(
        (copied.digest(), copied.runs_at()),
        (two.digest(), &*elsewhere)
    );
    // What is to run as somebody else runs where nobody else may write.
    let other = project
        .try_capture_for(RunsAs::Named("root".to_owned()))
        .unwrap();
    assert_eq!(other.runs_at(), other.executable);
    // Written into, replaced by a link, gone.
    fs::write(&elsewhere, "not two").unwrap();
    assert_eq!(copied.runs_at(), copied.executable);
    fs::remove_file(&beside).unwrap();
    assert_eq!(one.runs_at(), one.executable);
    symlink(&one.executable, &beside).unwrap();
    assert_eq!(one.runs_at(), one.executable);
    assert!(one.is_intact());
}

#[test]
fn a_generation_is_pointed_to_where_its_release_runs() {
    let mut project = Project::new();
    let beside = project.below("target/app.of-ours");
    fs::hard_link(project.built(), &beside).unwrap();
    project.publish();
    let from = project.store.published_from(&project.spec.name);
    symlink(&beside, from).unwrap();
    let release = project.capture();
    let generation = crate::Generation(7);
    project.store.prepare(generation, &release).unwrap();
    let runs = project.store.generation_executable(generation);
    assert_eq!(fs::read_link(&runs).unwrap(), beside);
    fs::remove_file(&beside).unwrap();
    let kept = project.store.release_of(generation).unwrap();
    project.store.point(generation, &kept).unwrap();
    assert_eq!(fs::read(&runs).unwrap(), b"one");
}
