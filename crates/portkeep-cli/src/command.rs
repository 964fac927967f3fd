//! Commands, one in each file. The doc comments become the help.

pub(crate) mod catalog;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod handle;
pub(crate) mod history;
pub(crate) mod install;
pub(crate) mod logs;
pub(crate) mod maintenance;
pub(crate) mod man;
pub(crate) mod metrics;
pub(crate) mod port;
pub(crate) mod prove;
pub(crate) mod reload;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod serves;
pub(crate) mod status;
pub(crate) mod undrain;
pub(crate) mod uninstall;
pub(crate) mod units;
