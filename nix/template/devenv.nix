# The dev shell: cargo, clippy, rust-analyzer, and `devenv up`, which serves the page and reloads it at every change.
{ inputs, ... }:
{
  languages.rust.enable = true;
  # Rust needs a linker, not clangd, gdb and valgrind.
  languages.c.enable = false;
  portkeep.enable = true;
  # Where Cargo.toml looks for the server library.
  enterShell = "ln -sfn ${inputs.portkeep} .portkeep";
}
