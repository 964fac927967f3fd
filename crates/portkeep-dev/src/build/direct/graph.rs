//! Packages that people edit, as cargo reports them, whether cargo compiled them or had nothing to do.

use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, TargetKind};

use super::unit;
use crate::change::is_source;

/// Artifacts of a build that belong to packages in directories. Packages from elsewhere do not change.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    /// Manifests of packages.
    pub(super) manifests: Vec<PathBuf>,
    /// Libraries and macros.
    libraries: Vec<Library>,
    /// Only cargo knows when a build script has to run.
    pub(super) has_build_script: bool,
    /// Sources of a library are unknown.
    pub(super) is_unclear: bool,
}

#[derive(Debug, Clone)]
struct Library {
    /// The unit's key.
    key: PathBuf,
    /// Some are relative to an unknown directory.
    inputs: Vec<PathBuf>,
}

impl Graph {
    pub(super) fn add(&mut self, artifact: &Artifact) {
        if !artifact.package_id.repr.starts_with("path+") {
            return;
        }
        let manifest = artifact.manifest_path.clone().into_std_path_buf();
        self.manifests.push(manifest);
        let is = |kind: &TargetKind| artifact.target.kind.contains(kind);
        if is(&TargetKind::CustomBuild) {
            self.has_build_script = true;
        } else if !is(&TargetKind::Bin) {
            let files = artifact.filenames.iter();
            let library = files
                .into_iter()
                .find_map(|file| Library::of(file.as_std_path()));
            match library {
                Some(library) => self.libraries.push(library),
                None => self.is_unclear = true,
            }
        }
    }

    /// Whether every change needs cargo.
    pub(super) fn needs_cargo(&self) -> bool {
        self.has_build_script || self.is_unclear
    }

    /// Whether cargo would not use this file, which no recorded call read: its name is not that of a source, no library was
    /// made from it, and there is no build script that may read it.
    pub(super) fn is_read_by_none(&self, file: &Path) -> bool {
        !self.needs_cargo() && !is_source(file) && !self.others_use(file, &[])
    }

    /// Missing files that cargo would make a target from. Other files that it looks for are no part of an existing
    /// executable.
    pub(super) fn targets_to_come(&self) -> Vec<PathBuf> {
        let directories = self
            .manifests
            .iter()
            .filter_map(|manifest| manifest.parent());
        let targets = directories.flat_map(|one| [one.join("build.rs"), one.join("src/lib.rs")]);
        targets.filter(|target| !target.exists()).collect()
    }

    /// Whether a library that is not among `keys` was, or may have been, made from this file.
    pub(super) fn others_use(&self, file: &Path, keys: &[PathBuf]) -> bool {
        let others = self
            .libraries
            .iter()
            .filter(|library| !keys.contains(&library.key));
        let inputs = others.flat_map(|library| &library.inputs);
        inputs.into_iter().any(|input| file.ends_with(input))
    }
}

impl Library {
    /// Of a file of cargo's that has a listing beside it.
    fn of(file: &Path) -> Option<Self> {
        let name = file.file_stem()?.to_str()?.strip_prefix("lib")?;
        let key = file.with_file_name(name);
        let listing = file.with_file_name(format!("{name}.d"));
        let inputs = unit::inputs(&listing, Path::new(""))?;
        Some(Self { key, inputs })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of libraries with these inputs.
    pub(in super::super) fn graph(libraries: &[(&str, &str)]) -> Graph {
        let libraries = libraries.iter().map(|(key, input)| Library {
            key: key.into(),
            inputs: vec![input.into()],
        });
        Graph {
            libraries: libraries.collect(),
            ..Graph::default()
        }
    }

    #[test]
    fn artifacts_say_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let deps = directory.path().join("deps");
        std::fs::create_dir(&deps).unwrap();
        std::fs::write(deps.join("lib-1.d"), "/t/x: lib/src/lib.rs\n").unwrap();
        let artifact = |package: &str, kind: &str, files: &[PathBuf]| -> Artifact {
            serde_json::from_value(serde_json::json!({
                "package_id": package, "manifest_path": "/p/lib/Cargo.toml",
                "target": { "kind": [kind], "crate_types": [kind], "name": "lib", "src_path": "/p/lib/src/lib.rs",
                    "edition": "2021", "doc": true, "doctest": true, "test": true },
                "profile": { "opt_level": "0", "debuginfo": 2, "debug_assertions": true, "overflow_checks": true,
                    "test": false },
                "features": [], "filenames": files, "executable": null, "fresh": true
            }))
            .unwrap()
        };
        let files = [
            directory.path().join("liblib.rlib"),
            deps.join("liblib-1.rmeta"),
        ];
        let mut graph = Graph::default();
        graph.add(&artifact("registry+x#serde@1.0.0", "custom-build", &[]));
        graph.add(&artifact("path+file:///p/lib#0.0.0", "lib", &files));
        assert!(!graph.has_build_script && !graph.is_unclear);
        let file = Path::new("/p/lib/src/lib.rs");
        assert!(graph.others_use(file, &[]));
        assert!(!graph.others_use(file, &[deps.join("lib-1")]));
        assert!(!graph.others_use(Path::new("/p/lib/src/a.rs"), &[]));
        assert!(!graph.is_read_by_none(file));
        assert!(!graph.is_read_by_none(Path::new("/p/lib/src/new.rs")));
        assert!(graph.is_read_by_none(Path::new("/p/lib/static/a.css")));
        graph.add(&artifact(
            "path+file:///p/lib#0.0.0",
            "proc-macro",
            &files[..1],
        ));
        assert!(graph.is_unclear);
        graph.add(&artifact("path+file:///p/lib#0.0.0", "custom-build", &[]));
        assert!(graph.has_build_script && graph.needs_cargo());
        assert!(!graph.is_read_by_none(Path::new("/p/lib/static/a.css")));
    }
}
