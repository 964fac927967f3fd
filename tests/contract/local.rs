//! The local backend keeps the engine's promises: generations are children of this process.
#![allow(missing_docs, reason = "promises.rs says what each promise is")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod maintenance;
mod promises;
mod release_command;
mod world;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use portkeep_engine::backend::local::{Local, Sockets};
use portkeep_engine::{Directories, Generation, Store};
use portkeep_spec::Spec;
use portkeep_tests::{Behaviour, Publish};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;
use world::World;

promises::hold!(world);

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
    let (events, _) = mpsc::unbounded_channel();
    let world = World {
        backend: Local::new(store.clone(), spec.clone(), sockets, events),
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
