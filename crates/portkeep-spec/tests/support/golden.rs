//! The golden cases: `tests/golden/CASE/{portkeep.json,options.json}`, and the units of both managers beside them.

use std::fs;
use std::path::{Path, PathBuf};

use portkeep_spec::{Manager, RenderOptions, Spec, UnitFile, render};

pub const MANAGERS: [Manager; 2] = [Manager::System, Manager::User];

pub struct Case {
    pub directory: PathBuf,
    pub spec: Spec,
    options: serde_json::Value,
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub fn cases() -> Vec<Case> {
    let entries = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<Case> = entries
        .filter(|path| path.is_dir())
        .map(Case::load)
        .collect();
    cases.sort_by(|one, other| one.directory.cmp(&other.directory));
    assert!(cases.len() >= 5, "the golden cases are missing");
    cases
}

impl Case {
    fn load(directory: PathBuf) -> Self {
        let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
        let options: serde_json::Value = serde_json::from_str(&read("options.json")).unwrap();
        let spec = Spec::from_json(&read("portkeep.json")).unwrap();
        let spec = spec.resolve(Path::new(options["base"].as_str().unwrap()));
        Self {
            directory,
            spec,
            options,
        }
    }

    pub fn options(&self, manager: Manager) -> RenderOptions {
        let path = |field: &str| PathBuf::from(self.options[field].as_str().unwrap());
        RenderOptions {
            helper: path("helper"),
            spec_path: path("specPath"),
            manager,
        }
    }

    pub fn render(&self, manager: Manager) -> Vec<UnitFile> {
        render(&self.spec, &self.options(manager)).unwrap()
    }
}
