//! Diagnosis of a machine and its apps. Pure: facts in, findings out. A fault is a value with its data, and its remedy is made
//! in one place.

mod app;
mod facts;
mod finding;
mod machine;
mod remedy;

pub use crate::remedy::Remedy;
pub use app::findings as of_app;
pub use facts::{
    AppFacts, DirectoryFault, GenerationFacts, HelperFault, MachineFacts, PortOwner, SocketFacts,
};
pub use finding::{Fault, Finding, Level};
pub use machine::findings as of_machine;
