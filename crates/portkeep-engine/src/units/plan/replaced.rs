//! App that another one replaces.

use std::path::Path;

use portkeep_spec::{AppName, unit_names};

use super::{Facts, Options, installed_files, socket_units};
use crate::units::files::{Entry, Files};
use crate::units::refusal::Why;
use crate::units::sockets::{self, Sockets};

/// An app that another replaces.
pub(super) struct Replaced {
    pub(super) name: AppName,
    pub(super) files: Files,
    /// Its open ports, each with its new unit.
    pub(super) renamed: Vec<(String, String)>,
}

impl Replaced {
    /// The app that `options` name, if the other can replace it.
    pub(super) fn of(
        facts: &Facts<'_>,
        name: &AppName,
        there: &Files,
        has: &Sockets,
        options: &Options,
    ) -> Result<Option<Self>, Vec<Why>> {
        let Some(old) = &options.replaces else {
            return Ok(None);
        };
        if old == name || !there.is_empty() {
            return Err(vec![Why::ReplacedByItself(name.clone())]);
        }
        let files = installed_files(facts, old);
        if files.is_empty() {
            return Err(vec![Why::NothingToReplace(old.clone())]);
        }
        let had = socket_units(&files);
        let lost = sockets::lost(old, &had, has);
        if !lost.is_empty() {
            let other_port = |socket| Why::OtherPort {
                old: old.clone(),
                socket,
            };
            return Err(lost.into_iter().map(other_port).collect());
        }
        let moving = unit_names::move_socket(old);
        let renamed = had.iter().filter(|(unit, _)| **unit != moving);
        let renamed = renamed.filter(|(unit, _)| facts.active.contains(*unit));
        let renamed = renamed.filter_map(|(unit, text)| {
            let new = sockets::listening_at(has, &sockets::listens(text))?;
            Some((unit.clone(), new.to_owned()))
        });
        Ok(Some(Self {
            name: old.clone(),
            files,
            renamed: renamed.collect(),
        }))
    }

    /// Connections to its sockets start its handle, which runs, until the other app serves. The other's handle would show a
    /// holding page, beside the running app, as soon as its first generation fails.
    pub(super) fn keeps_being_started(
        &self,
        files: &mut Files,
        renamed: &[(String, String)],
        new: &AppName,
        directory: &Path,
    ) {
        let line = |name: &AppName| format!("\nService={}\n", unit_names::handle(name));
        for (_, unit) in renamed {
            if let Some(Entry::File { text, .. }) = files.get_mut(&directory.join(unit)) {
                *text = text.replace(&line(new), &line(&self.name));
            }
        }
    }
}
