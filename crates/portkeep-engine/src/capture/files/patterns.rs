//! Matches the patterns of `files`, directory by directory. Pure.

use std::collections::BTreeSet;
use std::path::Path;

use portkeep_spec::{FilePattern, PatternStep};

/// Several patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    steps: Vec<Vec<PatternStep>>,
}

/// How far the patterns match a directory: pairs of a pattern and the number of its matched steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PatternProgress {
    /// Everything here is captured.
    All,
    /// Whatever matches the next steps is.
    By(BTreeSet<(usize, usize)>),
}

/// The patterns' decision about a name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is captured; a directory with everything in it.
    Brought,
    /// If it is a directory, its contents may match.
    Passed(PatternProgress),
    /// No pattern matches it.
    LeftOut,
}

impl Patterns {
    pub(super) fn new(patterns: &[FilePattern]) -> Self {
        Self {
            steps: patterns.iter().map(FilePattern::steps).collect(),
        }
    }

    /// The state at the base. A pattern without a step matches everything.
    pub(super) fn start(&self) -> PatternProgress {
        if self.steps.iter().any(Vec::is_empty) {
            return PatternProgress::All;
        }
        let first = (0..self.steps.len()).map(|pattern| (pattern, 0));
        PatternProgress::By(self.with_none_deeper(first))
    }

    /// The first pattern that matches none of `paths`.
    pub(super) fn first_without<'a, I>(&self, paths: impl Fn() -> I) -> Option<usize>
    where
        I: Iterator<Item = &'a Path>,
    {
        self.steps.iter().position(|steps| {
            let alone = Self {
                steps: vec![steps.clone()],
            };
            !paths().any(|path| alone.bring(path))
        })
    }

    /// Whether a path is captured, itself or with a directory above it.
    fn bring(&self, path: &Path) -> bool {
        let mut reached = self.start();
        for name in path {
            match self.judge(&reached, name.to_str().unwrap_or_default()) {
                Verdict::Brought => return true,
                Verdict::LeftOut => return false,
                Verdict::Passed(next) => reached = next,
            }
        }
        false
    }

    /// `**` also matches no directory.
    fn with_none_deeper(
        &self,
        reached: impl IntoIterator<Item = (usize, usize)>,
    ) -> BTreeSet<(usize, usize)> {
        let mut all = BTreeSet::new();
        for (pattern, mut step) in reached {
            all.insert((pattern, step));
            while let Some(PatternStep::Deeper) = self.steps[pattern].get(step) {
                step += 1;
                all.insert((pattern, step));
            }
        }
        all
    }

    /// The names in a directory that matter; none if it has to be listed.
    pub(super) fn names(&self, reached: &PatternProgress) -> Option<Vec<String>> {
        let PatternProgress::By(reached) = reached else {
            return None;
        };
        let name = |&(pattern, step): &(usize, usize)| match &self.steps[pattern][step] {
            PatternStep::Name(name) => Some(name.clone()),
            PatternStep::Matching(_) | PatternStep::Deeper => None,
        };
        let names: Option<BTreeSet<_>> = reached.iter().map(name).collect();
        names.map(|names| names.into_iter().collect())
    }

    /// The decision about `name` in a directory that the patterns match so far.
    pub(super) fn judge(&self, reached: &PatternProgress, name: &str) -> Verdict {
        let PatternProgress::By(reached) = reached else {
            return Verdict::Brought;
        };
        let mut next = Vec::new();
        for &(pattern, step) in reached {
            let steps = &self.steps[pattern];
            if !steps[step].leads_to(name) {
                continue;
            }
            match steps[step] {
                PatternStep::Deeper => next.push((pattern, step)),
                _ if step + 1 == steps.len() => return Verdict::Brought,
                _ => next.push((pattern, step + 1)),
            }
        }
        if next.is_empty() {
            return Verdict::LeftOut;
        }
        Verdict::Passed(PatternProgress::By(self.with_none_deeper(next)))
    }

    /// The pattern by which `reached` requires just this name, and more below it.
    pub(super) fn that_names(&self, reached: &PatternProgress, name: &str) -> Option<usize> {
        let PatternProgress::By(reached) = reached else {
            return None;
        };
        let names = |&&(pattern, step): &&(usize, usize)| matches!(&self.steps[pattern][step], PatternStep::Name(own) if own == name);
        reached.iter().find(names).map(|(pattern, _)| *pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brings(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<_> = patterns.iter().map(|one| one.parse().unwrap()).collect();
        Patterns::new(&patterns).bring(Path::new(path))
    }

    #[test]
    fn where_patterns_lead() {
        for (patterns, path, expected) in [
            (&["static"][..], "static", true),
            (&["static"], "static/css/a.css", true),
            (&["static"], "statics", false),
            (&["static/css"], "static", false),
            (&["static/css"], "static/css/.hidden", true),
            (&["**/*.css"], "a.css", true),
            (&["**/*.css"], "x/y/a.css", true),
            (&["**/*.css"], ".git/a.css", false),
            (&["x/**/*.css"], "x/a.css", true),
            (&["x/**/y/*.css"], "x/1/2/y/a.css", true),
            (&["x/**/y/*.css"], "x/1/2/a.css", false),
            (&["x/**"], "x/.hidden", true),
            (&["*"], ".env", false),
            (&["*/a"], "b/a/c", true),
            (&["b/c", "b/d"], "b/d/x", true),
            (&["."], "anything/at/all", true),
            (&["x/**/**/*.css"], "x/a.css", true),
        ] {
            assert_eq!(brings(patterns, path), expected, "{patterns:?} {path}");
        }
    }

    #[test]
    fn a_directory_is_listed_only_where_that_is_needed() {
        let names = |patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(|one| one.parse().unwrap()).collect();
            let patterns = Patterns::new(&patterns);
            patterns.names(&patterns.start())
        };
        let named = |names: &[&str]| Some(names.iter().map(|&one| one.to_owned()).collect());
        assert_eq!(names(&["b/x", "a", "b/y"]), named(&["a", "b"]));
        assert_eq!(names(&["b/x", "*.css"]), None);
        assert_eq!(names(&["**/x"]), None);
        assert_eq!(names(&["."]), None);
    }
}
