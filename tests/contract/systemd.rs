//! The systemd backend keeps the engine's promises, with the manager of whoever runs this.
#![allow(missing_docs, reason = "promises.rs says what each promise is")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod promises;
mod world;

use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::{Directories, Generation, Place, Store};
use portkeep_spec::Spec;
use portkeep_tests::{App, Behaviour};
use world::World;

promises::hold!(world);

/// The app is installed and started as people do it, and what is promised is then asked of the backend itself.
async fn world(promise: &str) -> (World<Systemd>, App) {
    let name = promise.replace('_', "-");
    let settings = World::<Systemd>::settings();
    let app = settings
        .into_iter()
        .fold(App::named(&name), |app, (field, value)| {
            app.with(field, value)
        })
        .serve(&Behaviour::version("v1"));
    let spec = Spec::load(&app.directory().join("portkeep.json")).unwrap();
    let (which, place) = match app.manager() {
        portkeep_tests::Manager::System => (portkeep_spec::Manager::System, Place::System),
        portkeep_tests::Manager::User => (portkeep_spec::Manager::User, Place::User),
    };
    let store = Store::open(&spec.name, &Directories::of(place, &spec.name).unwrap()).unwrap();
    let manager = Manager::connect(which).await.unwrap();
    let world = World {
        backend: Systemd::new(manager, store.clone()),
        store,
        spec,
        directory: app.directory().to_owned(),
        address: app.address(),
    };
    world.until_only(Generation(1)).await;
    (world, app)
}
