//! Units of apps in a manager. They are placed, changed and removed as a whole.
//!
//! ```text
//! specs ──survey──▶ facts ──plan──▶ changes ──▶ files ─▶ manager reads them ─▶ handovers ─▶ ports open
//!                     │ refusals (all of them)     └────────┴── a failure ──┴──────────┴──▶ everything is taken back
//!                     ▼
//! ```

mod catalog;
mod ending;
mod files;
mod helper;
mod in_systemd;
mod install;
mod inventory;
mod manager;
mod metrics;
mod place;
mod plan;
mod refusal;
mod remove;
mod sockets;
mod stop;
mod survey;
mod unit_files;

pub use catalog::{Catalog, CatalogError};
pub use ending::{Ending, told_of_endings};
pub use files::{Change, Entry, Files, difference};
pub use helper::{Helper, HelperError};
pub use install::{Call, Failure, Install, InstallError, Installed, installed_spec};
pub use inventory::Inventory;
pub use manager::{NotHandedOver, UnitManager};
pub use place::{PlaceError, UnitDirectory};
pub use plan::{AppPlan, Asked, Facts, Handover, InstalledSpec, Options, Plan, plan};
pub use refusal::{Refusal, Refusals, Why};
pub use remove::{LeftBehind, RemovalError, Removed, on_disk, remove, remove_files};
pub use sockets::AddressMismatch;
pub use stop::stop;
pub use survey::{Survey, apps, conflict, place};
pub use unit_files::{Readable, UnitFiles, outdated, write_spec};
