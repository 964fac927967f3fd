//! What portkeep promises, on a booted systemd. Run as root for the system manager, as a user for
//! that user's own. `tests/run guest-252 guest-257` runs them in guests, as both.
#![allow(missing_docs, reason = "each module says what it shows")]

mod activation;
mod connections;
mod crash_loop;
mod failed_reload;
mod idle_exit;
mod install;
mod latency;
mod nasty_values;
mod quiet_client;
mod reboot;
mod reload_under_load;
mod repair;
mod stop_and_restart;
mod watched;
