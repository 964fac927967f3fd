//! A NixOS or home-manager switch reloads the handle and touches nothing else.
//!
//! The rules are those of `switch-to-configuration-ng` and of `sd-switch`; `home.sh` asks the real sd-switch, too.

use portkeep_spec::{Address, Listen, Manager, RenderOptions, SocketName, Spec, render};

mod home_manager;
mod nixos;
mod unit;

use unit::Directory;

const UNITS: [&str; 9] = [
    "hello.target",
    "hello.socket",
    "hello-move.socket",
    "hello.service",
    "hello@1.service",
    "hello@2.service",
    "hello.path",
    "hello-deploy.service",
    "hello-recheck.service",
];

/// The units of one release: as in a Nix store, each has a spec at a path of its own.
fn release(digest: &str, address: &str, manager: Manager) -> Directory {
    let http = Listen::new(SocketName::http(), Address::stream(address).unwrap());
    let program = format!("/nix/store/{digest}-hello/bin/hello");
    let mut spec = Spec::new("hello".parse().unwrap(), vec![program], vec![http]);
    spec.watch = Some("/home/dev/target/hello".into());
    let options = RenderOptions {
        helper: "/nix/store/00-portkeep/bin/portkeep".into(),
        spec_path: format!("/nix/store/{digest}-units/share/portkeep/hello.json").into(),
        manager,
    };
    Directory::new(render(&spec, &options).unwrap())
}

fn nixos(address: &str, digest: &str) -> Directory {
    release(digest, address, Manager::System)
}

fn home(address: &str, digest: &str) -> Directory {
    release(digest, address, Manager::User)
}

const HERE: &str = "127.0.0.1:8080";
const THERE: &str = "127.0.0.1:9090";

/// What is done to every unit, without those to which nothing is done.
fn nixos_plan(old: &Directory, new: &Directory) -> Vec<(&'static str, nixos::Action)> {
    let plan = UNITS.map(|name| (name, nixos::decide(name, old, new)));
    let acts = |action| !matches!(action, nixos::Action::Nothing | nixos::Action::Skip);
    plan.into_iter()
        .filter(|(_, action)| acts(*action))
        .collect()
}

fn home_plan(old: &Directory, new: &Directory) -> Vec<(&'static str, home_manager::Action)> {
    let plan = UNITS.map(|name| (name, home_manager::decide(name, old, new)));
    let acts = |action| {
        !matches!(
            action,
            home_manager::Action::Nothing | home_manager::Action::Keep
        )
    };
    plan.into_iter()
        .filter(|(_, action)| acts(*action))
        .collect()
}

#[test]
fn the_same_release_is_left_alone() {
    assert_eq!(nixos_plan(&nixos(HERE, "aa"), &nixos(HERE, "aa")), []);
    assert_eq!(home_plan(&home(HERE, "aa"), &home(HERE, "aa")), []);
}

#[test]
fn another_release_reloads_the_handle_and_nothing_else() {
    assert_eq!(
        nixos_plan(&nixos(HERE, "aa"), &nixos(HERE, "bb")),
        [("hello.service", nixos::Action::Reload)]
    );
    assert_eq!(
        home_plan(&home(HERE, "aa"), &home(HERE, "bb")),
        [("hello.service", home_manager::Action::Reload)]
    );
}

#[test]
fn a_changed_template_leaves_the_generations_alone() {
    let edit = |mut directory: Directory| {
        directory.edit("hello@.service", "KillMode=mixed", "KillMode=process");
        directory
    };
    assert_eq!(nixos_plan(&nixos(HERE, "aa"), &edit(nixos(HERE, "aa"))), []);
    assert_eq!(home_plan(&home(HERE, "aa"), &edit(home(HERE, "aa"))), []);
}

#[test]
fn a_drop_in_of_the_administrator_leaves_the_generations_alone() {
    for file in [
        "hello@.service.d/60-mine.conf",
        "hello@1.service.d/60-mine.conf",
    ] {
        let mut new = nixos(HERE, "aa");
        new.add(file, "[Service]\nNice=5\n");
        assert_eq!(nixos_plan(&nixos(HERE, "aa"), &new), [], "{file}");
    }
}

#[test]
fn an_empty_drop_in_is_no_change() {
    let mut new = nixos(HERE, "aa");
    // What the NixOS module makes a packaged unit wanted by.
    new.add("hello.socket.d/overrides.conf", "");
    new.add("hello.service.d/overrides.conf", "");
    assert_eq!(nixos_plan(&nixos(HERE, "aa"), &new), []);
}

#[test]
fn a_changed_address_never_restarts_the_socket() {
    // Neither tool applies it, so the modules tell it before the switch.
    assert_eq!(nixos_plan(&nixos(HERE, "aa"), &nixos(THERE, "aa")), []);
    assert_eq!(home_plan(&home(HERE, "aa"), &home(THERE, "aa")), []);
}

#[test]
fn a_removed_app_is_stopped_with_its_target() {
    let nothing = Directory::default();
    let stopped: Vec<_> = nixos_plan(&nixos(HERE, "aa"), &nothing);
    assert!(stopped.contains(&("hello.target", nixos::Action::Stop)));
    assert!(
        stopped
            .iter()
            .all(|(_, action)| *action == nixos::Action::Stop)
    );
    let stopped = home_plan(&home(HERE, "aa"), &nothing);
    assert!(stopped.contains(&("hello.target", home_manager::Action::Stop)));
    // It refuses; its target takes it along.
    assert!(!stopped.iter().any(|(name, _)| name.ends_with(".socket")));
}

/// The rules bite: the same units without their marks would be stopped and started.
#[test]
fn without_its_marks_a_family_would_be_restarted() {
    let unmarked = |digest: &str, manager: Manager| {
        let mut directory = release(digest, HERE, manager);
        for file in ["hello@.service", "hello.service"] {
            for mark in [
                "X-SwitchMethod=",
                "X-RestartIfChanged=",
                "X-ReloadIfChanged=",
            ] {
                if directory
                    .unit(file)
                    .is_some_and(|unit| format!("{unit:?}").contains(mark.trim_end_matches('=')))
                {
                    directory.edit(file, mark, "X-Without=");
                }
            }
        }
        directory
    };
    let plan = nixos_plan(
        &unmarked("aa", Manager::System),
        &unmarked("bb", Manager::System),
    );
    assert!(
        plan.contains(&("hello.service", nixos::Action::StopAndStart)),
        "{plan:?}"
    );
    assert!(
        plan.contains(&("hello@1.service", nixos::Action::StopAndStart)),
        "{plan:?}"
    );
    let plan = home_plan(
        &unmarked("aa", Manager::User),
        &unmarked("bb", Manager::User),
    );
    assert!(
        plan.contains(&("hello@1.service", home_manager::Action::StopAndStart)),
        "{plan:?}"
    );
}
