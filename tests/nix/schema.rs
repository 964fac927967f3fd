//! The options of the Nix modules are made of `nix/schema.json`.

use std::fs;
use std::path::Path;

#[test]
fn the_modules_have_the_schema_of_the_spec() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nix/schema.json");
    // As `portkeep schema` prints it.
    let schema = serde_json::to_string_pretty(&portkeep_spec::json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, schema).unwrap();
        return;
    }
    let written = fs::read_to_string(&file).unwrap();
    assert!(
        written == schema,
        "the spec has changed, nix/schema.json has not; UPDATE_GOLDEN=1 cargo test -p portkeep-tests writes it"
    );
}
