//! Where nothing of ours can be kept, `portkeep dev` says so before a port is open.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::{TcpListener, TcpStream};

use support::Home;

#[test]
fn a_home_that_cannot_be_written_to_is_named_and_no_port_is_opened() {
    let home = Home::new();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port");
    home.write(
        "portkeep.json",
        &format!(
            r#"{{"name":"homeless","exec":["/bin/sleep","60"],"listen":[{{"stream":"{port}"}}]}}"#
        ),
    );
    // Also for root, who may write anywhere else.
    let file = home.write("no-directory", "");
    for without_runtime in [false, true] {
        let mut command = home.command(&["dev", "--backend", "local"]);
        command.env("HOME", &file);
        if without_runtime {
            command.env_remove("XDG_RUNTIME_DIR");
        }
        let output = command.output().expect("portkeep runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let path = file.display().to_string();
        assert!(said.contains(&path) && said.contains("HOME"), "{said}");
        assert!(TcpStream::connect(port).is_err(), "{said}");
    }
}
