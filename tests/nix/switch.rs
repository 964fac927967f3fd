//! A NixOS or home-manager switch reloads the handle and touches nothing else.
//!
//! The rules are those of `switch-to-configuration-ng` and of `sd-switch`; `home.sh` asks the real sd-switch, too.

use portkeep_spec::{Address, Listen, Manager, RenderOptions, SocketName, Spec, render};

mod home_manager;
mod nixos;
mod unit;

use unit::Directory;

const UNITS: [&str; 14] = [
    "hello.target",
    "hello.socket",
    "hello-move.socket",
    "hello-move.service",
    "hello.service",
    "hello@1.service",
    "hello@2.service",
    "hello-settle@1.service",
    "hello-ended@2.service",
    "hello-holding.service",
    "hello-retry.service",
    "hello.path",
    "hello-deploy.service",
    "hello-recheck.service",
];

/// The units of one release: as in a Nix store, each has a spec at a path of its own.
fn release(digest: &str, address: &str, manager: Manager) -> Directory {
    changed_release(digest, address, manager, |_| {})
}

fn changed_release(
    digest: &str,
    address: &str,
    manager: Manager,
    change: impl FnOnce(&mut Spec),
) -> Directory {
    let http = Listen::new(SocketName::http(), Address::stream(address).unwrap());
    let program = format!("/nix/store/{digest}-hello/bin/hello");
    let mut spec = Spec::new("hello".parse().unwrap(), vec![program], vec![http]);
    spec.watch = Some("/home/dev/target/hello".into());
    change(&mut spec);
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

/// What is done to every unit, without those to which nothing is done, and the target, which is always started.
fn nixos_plan(old: &Directory, new: &Directory) -> Vec<(&'static str, nixos::Action)> {
    let plan = UNITS.map(|name| (name, nixos::decide(name, nixos::State::Active, old, new)));
    let acts = |action| {
        use nixos::Action::{Nothing, Skip, Start};
        !matches!(action, Nothing | Skip | Start)
    };
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
    assert!(!stopped.iter().any(|(name, _)| *name == "hello.socket"));
}

#[test]
fn a_target_is_started_again_by_each_switch() {
    let (old, new) = (nixos(HERE, "aa"), nixos(HERE, "aa"));
    let found = nixos::decide("hello.target", nixos::State::Active, &old, &new);
    assert_eq!(found, nixos::Action::Start);
}

/// So the helper looks at its end whether the spec is still the unit's.
#[test]
fn a_handle_that_somebody_else_reloads_is_not_looked_at() {
    use nixos::{Action, State};
    let (old, new) = (nixos(HERE, "aa"), nixos(HERE, "bb"));
    for (state, action) in [
        (State::Active, Action::Reload),
        (State::Activating, Action::Reload),
        (State::Reloading, Action::Nothing),
        (State::Deactivating, Action::Nothing),
        (State::Failed, Action::Nothing),
    ] {
        let found = nixos::decide("hello.service", state, &old, &new);
        assert_eq!(found, action, "{state:?}");
    }
}

/// A switch that is killed between its comparison and its reloads.
#[test]
fn an_interrupted_switch_reloads_the_handle_the_next_time() {
    use nixos::{Lists, State};
    let (old, new) = (nixos(HERE, "aa"), nixos(HERE, "bb"));
    let running = [
        ("hello.target", State::Active),
        ("hello.service", State::Active),
    ];
    let first = Lists::plan(&running, &old, &new, Lists::default());
    let handle = ["hello.service".to_owned()].into();
    assert_eq!(first.reload, handle);
    let mut second = Lists::plan(&running, &new, &new, first);
    assert_eq!(second.reload, handle);
    second.look_again(|_| true);
    assert_eq!(second.reload, handle);
    // Also where it failed; so a unit of ours tells it at each switch.
    second.reloaded();
    let third = Lists::plan(&running, &new, &new, second);
    assert_eq!(third.reload, [].into());
    assert_eq!(nixos::exit_code(false, &[State::Active]), 0);
    assert_eq!(nixos::exit_code(true, &[State::Active]), 4);
    assert_eq!(nixos::exit_code(false, &[State::Active, State::Failed]), 4);
}

#[test]
fn a_handle_that_does_not_run_any_more_is_started() {
    use nixos::{Lists, State};
    let running = [("hello.service", State::Active)];
    let (old, new) = (nixos(HERE, "aa"), nixos(HERE, "bb"));
    let mut lists = Lists::plan(&running, &old, &new, Lists::default());
    lists.look_again(|_| false);
    assert_eq!((lists.reload.len(), lists.start.len()), (0, 1));
}

/// From a user's own directory to /etc/systemd/user, after what had it there has given it up.
#[test]
fn an_app_that_moves_to_etc_is_handed_over() {
    let new = release("bb", HERE, Manager::User);
    for (name, runs, action) in [
        ("hello.service", true, nixos::Action::Reload),
        ("hello.socket", true, nixos::Action::Skip),
        ("hello.path", true, nixos::Action::Skip),
        ("hello-holding.service", true, nixos::Action::Skip),
        // It can be opened anew at any time.
        ("hello-move.socket", true, nixos::Action::Restart),
        ("hello.socket", false, nixos::Action::Start),
    ] {
        assert_eq!(nixos::migrate(name, runs, &new), action, "{name}");
    }
}

/// It may be stopped: one that refused would outlive its file, and could not be opened again.
#[test]
fn connections_stop_moving_and_move_again() {
    let without =
        |manager| changed_release("bb", HERE, manager, |spec| spec.move_connections = false);
    let (on, off) = (nixos(HERE, "aa"), without(Manager::System));
    assert_eq!(
        nixos_plan(&on, &off),
        [
            ("hello-move.socket", nixos::Action::Stop),
            ("hello-move.service", nixos::Action::Stop),
            ("hello.service", nixos::Action::Reload),
        ]
    );
    // sockets.target is started, and it with that: nothing that runs is in its way.
    assert_eq!(
        nixos_plan(&off, &on),
        [("hello.service", nixos::Action::Reload)]
    );
    let socket = on.unit("hello-move.socket").unwrap();
    assert_eq!(socket["Socket"]["Service"], ["hello-move.service"]);
    let (on, off) = (home(HERE, "aa"), without(Manager::User));
    assert_eq!(
        home_plan(&on, &off),
        [
            // It wants what is left.
            ("hello.target", home_manager::Action::Start),
            ("hello-move.socket", home_manager::Action::Stop),
            ("hello-move.service", home_manager::Action::Stop),
            ("hello.service", home_manager::Action::Reload),
        ]
    );
}

/// The flag that says "reload" is the new file's: so the check before a switch refuses where something else runs.
#[test]
fn a_plain_unit_that_becomes_an_app_would_be_reloaded() {
    let mut plain = Directory::default();
    plain.add("hello.service", "[Service]\nExecStart=/bin/hello\n");
    assert_eq!(
        nixos_plan(&plain, &nixos(HERE, "aa")),
        [("hello.service", nixos::Action::Reload)]
    );
}

/// What NixOS takes for a comment is not compared.
#[test]
fn a_comment_behind_a_value_is_no_change() {
    let with = |text: &str| {
        let mut directory = nixos(HERE, "aa");
        directory.add("hello.service.d/60-mine.conf", text);
        directory
    };
    let (old, new) = (
        with("[Service]\nNice=5 # once\n"),
        with("[Service]\nNice=5 ; twice\n"),
    );
    assert_eq!(nixos_plan(&old, &new), []);
    // Nothing of the handle is lost so.
    let handle = format!("{:?}", nixos(HERE, "aa").unit("hello.service"));
    assert!(
        handle.contains("--spec /nix/store/aa-units/share/portkeep/hello.json"),
        "{handle}"
    );
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
        // Releases have one template; an update of portkeep may bring another.
        directory.edit(
            "hello@.service",
            "KillMode=mixed",
            &format!("KillMode={digest}"),
        );
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
