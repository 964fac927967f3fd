//! See the workspace.
fn main() {}
