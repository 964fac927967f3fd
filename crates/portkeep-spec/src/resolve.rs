//! Makes the relative paths of a spec absolute.

use std::path::{Component, Path, PathBuf};

use crate::Spec;

impl Spec {
    /// Makes relative paths absolute, starting at `base` (an absolute directory): `watch`, `sources`,
    /// `workingDirectory`, `filesFrom`, `environmentFiles`, `credentials`, `allow.writablePaths`, and the programs of `exec` and
    /// `release` if they have a `/`. A bare program name stays one.
    ///
    /// `.` and `..` are taken out of the text of the paths, because systemd refuses them; a `..` after a symlink to a
    /// directory then means the directory that holds the symlink.
    #[must_use]
    pub fn resolve(mut self, base: &Path) -> Self {
        let programs = [self.exec.first_mut(), self.release.first_mut()];
        for program in programs
            .into_iter()
            .flatten()
            .filter(|program| program.contains('/'))
        {
            // A base that is not UTF-8 gives a path that does not exist, which is reported when it is opened.
            *program = absolute(base, Path::new(program))
                .to_string_lossy()
                .into_owned();
        }
        if !self.files.is_empty() {
            self.files_from.get_or_insert_default();
        }
        let single = [
            self.working_directory.as_mut(),
            self.files_from.as_mut(),
            self.watch.as_mut(),
        ];
        for path in single
            .into_iter()
            .flatten()
            .chain(&mut self.environment_files)
            .chain(self.credentials.values_mut())
            .chain(&mut self.allow.writable_paths)
            .chain(&mut self.sources)
        {
            *path = absolute(base, path);
        }
        self
    }
}

fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut absolute = PathBuf::new();
    for component in base.join(path).components() {
        match component {
            Component::CurDir => {}
            // At the root, `..` is the root, as for the kernel.
            Component::ParentDir => {
                absolute.pop();
            }
            part => absolute.push(part),
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_the_base() {
        for (path, expected) in [
            ("a/b", "/srv/app/a/b"),
            ("./a", "/srv/app/a"),
            ("../a", "/srv/a"),
            ("/x//y/./z/", "/x/y/z"),
            ("../../../../a", "/a"),
            (".", "/srv/app"),
        ] {
            assert_eq!(
                absolute(Path::new("/srv/app"), Path::new(path)),
                Path::new(expected)
            );
        }
    }

    #[test]
    fn files_stay_relative_to_where_they_are() {
        let mut spec = Spec::new("a".parse().unwrap(), vec!["./a".into()], vec![]);
        assert_eq!(spec.clone().resolve(Path::new("/srv")).files_from, None);
        spec.files = vec!["static".parse().unwrap()];
        let resolved = spec.clone().resolve(Path::new("/srv/a"));
        assert_eq!(resolved.files_from.as_deref(), Some(Path::new("/srv/a")));
        // Resolving again changes nothing.
        let again = resolved.clone().resolve(Path::new("/etc/portkeep"));
        assert_eq!(again, resolved);
        spec.files_from = Some("../web/dist".into());
        let resolved = spec.resolve(Path::new("/srv/a"));
        let expected = Path::new("/srv/web/dist");
        assert_eq!(resolved.files_from.as_deref(), Some(expected));
    }

    #[test]
    fn a_bare_program_stays_bare() {
        let mut spec = Spec::new(
            "a".parse().unwrap(),
            vec!["cargo".into(), "./x".into()],
            vec![],
        );
        spec.watch = Some("target/debug/a".into());
        let resolved = spec.clone().resolve(Path::new("/srv"));
        assert_eq!(resolved.exec, ["cargo", "./x"]);
        assert_eq!(
            resolved.watch.as_deref(),
            Some(Path::new("/srv/target/debug/a"))
        );
        spec.exec[0] = "./a".into();
        spec.release = vec!["./a".into(), "./x".into()];
        let resolved = spec.resolve(Path::new("/srv"));
        assert_eq!(resolved.exec[0], "/srv/a");
        assert_eq!(resolved.release, ["/srv/a", "./x"]);
    }
}
