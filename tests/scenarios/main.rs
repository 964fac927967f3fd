//! What portkeep promises, on a booted systemd. Run as root for the system manager, as a user for
//! that user's own. `tests/run guest-252 guest-257 guest-262` runs them in guests, as both.
#![allow(missing_docs, reason = "each module says what it shows")]

mod activation;
mod bus_away;
mod capture_attacks;
mod connections;
mod crash_loop;
mod drain_deadline;
mod draining_beside_others;
mod failed_reload;
mod hanging;
mod holding_page;
mod hundred_apps;
mod idle_exit;
mod install;
mod install_elsewhere;
mod install_replaces;
mod install_transaction;
mod killed_helper;
mod latency;
mod launchers;
mod listen_addresses;
mod lost_files;
mod many_apps;
mod moving_comes_and_goes;
mod nasty_values;
mod nothing_of_ours;
mod one_helper;
mod other_users;
mod port_free;
mod quiet_client;
mod reboot;
mod refused_specs;
mod reload_under_load;
mod remedies;
mod repair;
mod rollback;
mod sandbox;
mod settling;
mod setup_failures;
mod stop_and_restart;
mod storms;
mod terminal;
mod unix_socket_modes;
mod views;
mod watched;
