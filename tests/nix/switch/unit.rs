//! A directory of units, read as the tools that switch read it.

use std::collections::BTreeMap;

use portkeep_spec::UnitFile;

/// Section, key, all values.
pub(crate) type Unit = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// File names relative to the directory, and their texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory(BTreeMap<String, String>);

impl Directory {
    pub(crate) fn new(files: Vec<UnitFile>) -> Self {
        let files = files.into_iter().map(|file| {
            let path = file
                .path
                .to_str()
                .expect("a unit's name is text")
                .to_owned();
            (path, file.text)
        });
        Self(files.collect())
    }

    pub(crate) fn edit(&mut self, file: &str, from: &str, to: &str) {
        let text = self.0.get_mut(file).expect("a file of the app");
        assert!(text.contains(from), "{file} has no {from}");
        *text = text.replace(from, to);
    }

    pub(crate) fn add(&mut self, file: &str, text: &str) {
        self.0.insert(file.to_owned(), text.to_owned());
    }

    /// The unit's own file and drop-ins; an instance without a file has those of its template.
    pub(crate) fn unit(&self, name: &str) -> Option<Unit> {
        let template = template_of(name).filter(|_| !self.0.contains_key(name));
        let base = template.as_deref().unwrap_or(name);
        let mut unit = Unit::new();
        read(self.0.get(base)?, &mut unit);
        let drop_ins = |name: &str| format!("{name}.d/");
        for prefix in [
            Some(drop_ins(base)),
            template.as_ref().map(|_| drop_ins(name)),
        ]
        .into_iter()
        .flatten()
        {
            for (_, text) in self
                .0
                .range(prefix.clone()..)
                .take_while(|(path, _)| path.starts_with(&prefix))
            {
                read(text, &mut unit);
            }
        }
        Some(unit)
    }
}

/// `a@.service` of `a@1.service`.
fn template_of(name: &str) -> Option<String> {
    let (base, rest) = name.split_once('@')?;
    let (instance, ending) = rest.rsplit_once('.')?;
    (!instance.is_empty() && !instance.contains('.')).then(|| format!("{base}@.{ending}"))
}

/// NixOS's reader takes what comes after a space and one of these for a comment: what changes there is no change to it.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;"]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min();
    value[..end.unwrap_or(value.len())].trim_end()
}

/// Reads plain `Key=Value` lines. What NixOS's reader would misunderstand fails the test.
fn read(text: &str, unit: &mut Unit) {
    let mut section = String::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("no key and value: {line}"));
        let value = without_comment(value);
        assert!(
            !value.starts_with(['"', '\'']),
            "a value that begins with a quote: {line}"
        );
        assert!(!line.ends_with('\\'), "a continued line: {line}");
        // Neither tool looks at what `systemctl enable` reads.
        if section == "Install" {
            continue;
        }
        let values = unit
            .entry(section.clone())
            .or_default()
            .entry(key.to_owned())
            .or_default();
        if value.is_empty() {
            values.clear();
        } else {
            values.push(value.to_owned());
        }
    }
}

/// The last value of a key, as a boolean in the way both tools read one.
pub(crate) fn flag(unit: &Unit, section: &str, key: &str, default: bool) -> bool {
    let last = unit.get(section).and_then(|keys| keys.get(key)?.last());
    last.map_or(default, |value| {
        ["1", "yes", "true", "on"].contains(&value.as_str())
    })
}
