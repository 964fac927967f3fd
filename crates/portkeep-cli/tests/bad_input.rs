//! Bad input: a clear error, the right exit code, nothing left behind.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::net::TcpListener;

use support::Home;

#[test]
fn a_label_of_several_lines_is_refused_before_anything_is_looked_at() {
    let home = Home::new();
    home.write(
        "portkeep.json",
        r#"{ "name": "shop", "exec": ["/bin/true"], "listen": [{ "stream": "127.0.0.1:1" }] }"#,
    );
    for label in ["v1\nv2", "v1\n", "\u{1b}[2J", "", " "] {
        home.portkeep(&["install", "--user", "--label", label])
            .expect(2, &["--label", "label"]);
    }
    home.write(
        "portkeep.json",
        r#"{ "name": "shop", "label": "a\nb", "exec": ["/bin/true"], "listen": [{ "stream": "127.0.0.1:1" }] }"#,
    );
    home.portkeep(&["install", "--user"])
        .expect(2, &["label: the label \"a\\nb\" has a line break"]);
    home.expect_untouched();
}

#[test]
fn a_missing_project_is_named() {
    let home = Home::new();
    let run = home.portkeep(&["dev", "--project", "/no/such/place"]);
    run.expect(2, &["/no/such/place", "--project DIR"]);
    home.expect_untouched();
}

#[test]
fn a_directory_without_a_project_says_what_is_looked_for() {
    let home = Home::new();
    home.portkeep(&["dev"])
        .expect(2, &["neither a Cargo.toml nor a portkeep.json"]);
    home.expect_untouched();
}

#[test]
fn a_file_is_not_a_project() {
    let home = Home::new();
    home.write("file", "");
    home.portkeep(&["dev", "--project", "file"])
        .expect(2, &["is not a directory"]);
}

#[test]
fn a_broken_manifest_shows_what_cargo_says() {
    let home = Home::new();
    home.write("Cargo.toml", "[package]\nname = 7\n");
    home.portkeep(&["dev"]).expect(
        2,
        &["cargo cannot read", "Cargo.toml", "invalid type: integer"],
    );
    home.expect_untouched();
}

#[test]
fn a_library_has_no_binary() {
    let home = Home::new();
    home.write(
        "Cargo.toml",
        "[package]\nname = \"only\"\nedition = \"2024\"\n[workspace]\n",
    );
    home.write("src/lib.rs", "");
    home.portkeep(&["dev"])
        .expect(2, &["no binary target", "src/main.rs"]);
    home.expect_untouched();
}

#[test]
fn several_binaries_are_listed() {
    let home = Home::new();
    home.write(
        "Cargo.toml",
        "[package]\nname = \"two\"\nedition = \"2024\"\n[workspace]\n",
    );
    home.write("src/bin/alpha.rs", "fn main() {}");
    home.write("src/bin/beta.rs", "fn main() {}");
    home.portkeep(&["dev"])
        .expect(2, &["alpha, beta", "--bin NAME"]);
    home.portkeep(&["dev", "--bin", "gamma"])
        .expect(2, &["no binary `gamma`", "alpha, beta"]);
    home.expect_untouched();
}

#[test]
fn a_bad_spec_names_the_field() {
    let home = Home::new();
    let spec = |text: &str| home.write("portkeep.json", text);
    let cases = [
        (
            r#"{"name":"a","exec":["./a"],"lisen":[]}"#,
            ["lisen: there is no such field", "\"listen\""],
        ),
        (
            r#"{"name":"a","exec":["./a"],"listen":[{"stream":"127.0.0.1:99999"}]}"#,
            ["listen[0].stream", "99999"],
        ),
        (
            r#"{"name":"a","exec":["./a"],"listen":[{"stream":"8080"}]}"#,
            ["listen[0].stream", "127.0.0.1:8080"],
        ),
        (
            r#"{"name":"A b","exec":["./a"],"listen":[]}"#,
            ["name", "A b"],
        ),
        (
            r#"{"name":"a","exec":["./a"],"listen":[{"stream":"127.0.0.1:80"}],"startTimeout":30}"#,
            ["startTimeout", "30s"],
        ),
        ("{", ["portkeep.json", "line 1"]),
    ];
    for (text, expected) in cases {
        spec(text);
        for verb in [
            &["dev"][..],
            &["units", "--out", "out"],
            &["install", "--user"],
        ] {
            home.portkeep(verb).expect(2, &expected);
        }
    }
    home.expect_untouched();
    assert!(!home.path().join("out").exists());
}

#[test]
fn a_bad_listen_option_is_named() {
    let home = Home::new();
    home.write(
        "Cargo.toml",
        "[package]\nname = \"one\"\nedition = \"2024\"\n[workspace]\n",
    );
    home.write("src/main.rs", "fn main() {}");
    home.portkeep(&["dev", "--listen", "127.0.0.1:70000"])
        .expect(2, &["--listen 127.0.0.1:70000"]);
    home.expect_untouched();
}

#[test]
fn a_busy_port_is_named_with_who_holds_it() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let spec =
        format!(r#"{{"name":"busy","exec":["/bin/true"],"listen":[{{"stream":"{address}"}}]}}"#);
    home.write("portkeep.json", &spec);
    let own_pid = std::process::id().to_string();
    let run = home.portkeep(&["dev", "--backend", "local"]);
    run.expect(
        1,
        &[
            &address,
            &format!("process {own_pid}"),
            "bad_input",
            &format!("kill {own_pid}"),
            "--listen",
        ],
    );
    assert!(
        !home
            .path()
            .join("runtime/portkeep-local/busy/generations")
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some())
    );
}

#[test]
fn an_unreachable_user_manager_says_what_to_do() {
    let home = Home::new();
    home.write(
        "portkeep.json",
        r#"{"name":"a","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:1"}]}"#,
    );
    for verb in [
        &["dev", "--backend", "systemd"][..],
        &["install", "--user"],
        &["reload", "--user", "a"],
    ] {
        home.portkeep(verb).expect(
            1,
            &[
                "no systemd user manager can be reached",
                "enable-linger",
                "XDG_RUNTIME_DIR",
            ],
        );
    }
    home.expect_untouched();
}

#[test]
fn the_history_of_an_unknown_app_is_an_error() {
    let home = Home::new();
    home.portkeep(&["history", "--user", "nobody"])
        .expect(2, &["`nobody`", "--system"]);
    home.expect_untouched();
}

#[test]
fn units_are_written_where_they_are_told_and_nowhere_else() {
    let home = Home::new();
    home.write(
        "portkeep.json",
        r#"{"name":"a","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:1"}]}"#,
    );
    home.portkeep(&["units", "--out", "out"]).expect(0, &[]);
    let listed = |directory: &str| fs::read_dir(home.path().join(directory)).unwrap().count();
    assert_eq!(
        listed("out/lib/systemd/system"),
        listed("out/lib/systemd/user")
    );
    assert!(home.path().join("out/share/portkeep/a.json").exists());
    home.expect_untouched();
}

#[test]
fn two_sockets_of_one_name_are_told_by_the_option() {
    let home = Home::new();
    home.write(
        "Cargo.toml",
        "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    home.write("src/main.rs", "fn main() {}");
    let arguments = [
        "dev",
        "--listen",
        "127.0.0.1:7001",
        "--listen",
        "127.0.0.1:7002",
    ];
    home.portkeep(&arguments).expect(
        2,
        &["--listen 127.0.0.1:7002", "--listen admin=127.0.0.1:7002"],
    );
    home.expect_untouched();
}
