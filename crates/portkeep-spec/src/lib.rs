//! Spec of an app, and the systemd units that it is rendered to.
//!
//! ```text
//! portkeep.json ──from_json──▶ Spec ──validate──▶ Spec ──render──▶ [UnitFile]
//!                 (types)            (rules)            (escaping, templates)
//! ```
//!
//! Everything here is pure: no clock, no D-Bus, no processes; the only files ever read are those given to
//! [`Spec::load`] and [`small_file`].
//! The same spec gives the same text, byte for byte, wherever it is rendered: development and production differ by one
//! drop-in ([`Manager`]).
//!
//! # Values cannot become directives
//! A template is filled from a context that takes one type only, made by the functions that escape for one position
//! (a path, a word of a command line, the identifier of a credential …). What a position cannot express, such as a
//! newline in a path, is an error that names the field. Arguments and environment are not in the units at all: each
//! release carries its own, in the file that [`environment_file`] writes, so the units stay the same from release to
//! release.
//!
//! ```
//! use portkeep_spec::{Address, AppName, Listen, Manager, RenderOptions, SocketName, Spec, render};
//!
//! let name: AppName = "hello".parse()?;
//! let http = Listen::new(SocketName::http(), Address::stream("127.0.0.1:8080")?);
//! let spec = Spec::new(name, vec!["/usr/bin/hello".into()], vec![http]);
//! let units = render(
//!     &spec,
//!     &RenderOptions {
//!         helper: "/usr/bin/portkeep".into(),
//!         spec_path: "/etc/portkeep/hello.json".into(),
//!         manager: Manager::System,
//!     },
//! )?;
//! assert!(units.iter().any(|unit| unit.path.as_os_str() == "hello.socket"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod allow;
mod check;
pub mod environment_file;
mod error;
mod escape;
mod file_pattern;
mod health;
mod json;
mod label;
mod limits;
mod listen;
mod name;
mod nearest;
mod overlap;
mod quantity;
mod render;
mod resolve;
mod schema;
pub mod small_file;
mod socket_mode;
mod span;
mod spec;
mod template;
pub mod unit_names;
mod validate;

pub use address::{Address, AddressError};
pub use allow::{Allow, Home, Network};
pub use check::Check;
pub use error::{Problem, SpecError};
pub use file_pattern::{FilePattern, FilePatternError, PatternStep};
pub use health::{HealthBy, HealthProtocol, HealthSocket};
pub use label::{Label, LabelError};
pub use limits::{CountLimit, Limit, Limits};
pub use listen::{Listen, Protocol};
pub use name::{AppName, NameError, SocketName};
pub use overlap::{collide, is_ipv6_only};
pub use portkeep_contract as contract;
pub use quantity::{CpuQuota, DiskSize, MemorySize, QuantityError, TasksMax};
pub use render::{
    Manager, RenderOptions, UnitFile, leave_limit, left_out, metrics_units, render, shutdown_limit,
    slice, user_name,
};
pub use schema::json_schema;
pub use socket_mode::{SocketMode, SocketModeError};
pub use span::{Span, SpanError};
pub use spec::{Drain, Readiness, Resources, Restart, Sandbox, Spec};
pub use validate::grace as check_grace;
