//! The local backend keeps the engine's promises: generations are children of this process.
#![allow(missing_docs, reason = "promises.rs says what each promise is")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod maintenance;
mod promises;
mod release_command;
mod world;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use portkeep_engine::backend::local::{Listener, Local, Sockets};
use portkeep_engine::handover::Purpose;
use portkeep_engine::{Directories, Generation, Request, Store, Wanted, hand_over};
use portkeep_spec::Spec;
use portkeep_tests::{Behaviour, Publish};
use serde_json::json;
use tempfile::TempDir;
use world::World;

promises::hold!(world);

/// With systemd it is a scenario: the directory is in the unit.
#[tokio::test(flavor = "multi_thread")]
async fn files_come_and_go_with_their_executable() {
    let (mut world, _kept) = world("files").await;
    world.spec.files = vec!["page.html".parse().unwrap()];
    world.spec.files_from = Some(world.directory.clone());
    let page = world.directory.join("page.html");
    for version in ["v2", "v3"] {
        fs::write(&page, version).unwrap();
        world.publish(&Behaviour::version(version));
        world.hand_over().await.expect("it starts");
    }
    world.until_only(Generation(3)).await;
    fs::write(&page, "not captured").unwrap();
    let answer = world.ask("/page").await.expect_answer();
    assert_eq!(
        (answer.version.as_str(), answer.body.as_str()),
        ("v3", "v3")
    );
    let before = world.store.rollback_target(None).unwrap();
    let mut request = Request::now(Purpose::Rollback);
    request.wanted = Wanted::Kept(before);
    let handed_over = hand_over(&world.backend, &world.store, &world.spec, request).await;
    handed_over.expect("v2 starts again");
    world.until_only(Generation(4)).await;
    let answer = world.ask("/page").await.expect_answer();
    assert_eq!(
        (answer.version.as_str(), answer.body.as_str()),
        ("v2", "v2")
    );
    // What cannot be brought changes nothing.
    let _ = fs::remove_file(&page);
    let refused = world.hand_over().await.expect_err("it is missing");
    assert!(refused.to_string().contains("`page.html`"), "{refused}");
    assert_eq!(world.ask("/page").await.expect_answer().version, "v2");
}

async fn world(_promise: &str) -> (World<Local>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let spec = spec(directory.path(), address);
    let directories = Directories {
        run: directory.path().join("run"),
        state: directory.path().join("state"),
    };
    let store = Store::open(&spec.name, &directories).unwrap();
    let sockets = Sockets::bind(&spec.listen).unwrap();
    let world = World {
        backend: Local::new(store.clone(), spec.clone(), sockets, Listener::new(|_| {})),
        store,
        spec,
        directory: directory.path().to_owned(),
        address,
    };
    world.publish(&Behaviour::version("v1"));
    world.hand_over().await.expect("v1 starts");
    world.until_only(Generation(1)).await;
    (world, directory)
}

fn spec(directory: &Path, address: SocketAddr) -> Spec {
    let mut json = json!({
        "name": "contract",
        "exec": [format!("./{}", Publish::Rename.executable())],
        "listen": [{ "stream": address.to_string() }],
    });
    for (field, value) in World::<Local>::settings() {
        json[field] = value;
    }
    Spec::from_json(&json.to_string())
        .unwrap()
        .resolve(directory)
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
