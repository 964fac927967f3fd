# The shell in which portkeep itself is developed; `devenv up` serves the example with the portkeep of this checkout.
{
  lib,
  pkgs,
  ...
}:
{
  # cargo, clippy, rustfmt and rust-analyzer.
  languages.rust.enable = true;
  languages.rust.mold.enable = pkgs.stdenv.isLinux;
  # Rust needs a linker, not clangd, gdb and valgrind.
  languages.c.enable = false;

  packages = [
    pkgs.cargo-nextest
  ]
  ++ lib.optionals pkgs.stdenv.isLinux [
    # systemctl, systemd-analyze, journalctl; and what tests/run boots its guests with.
    pkgs.systemd
    pkgs.mmdebstrap
  ];

  portkeep = {
    package = pkgs.writeShellScriptBin "portkeep" ''
      exec cargo run --quiet --manifest-path "''${DEVENV_ROOT:-.}/Cargo.toml" --package portkeep-cli --bin portkeep -- "$@"
    '';
    apps.hello.project = "examples/hello";
  };
}
