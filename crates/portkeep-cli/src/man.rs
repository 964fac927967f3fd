//! Man pages: one for each command, from its help, and `portkeep.json(5)`, from the schema.

mod command;
mod fields;
mod page;
#[cfg(test)]
mod reference;
mod spec;

use std::path::PathBuf;

/// A page: its path below a directory of man pages, and its text.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: Vec<u8>,
}

/// All pages.
pub(crate) fn pages(command: clap::Command) -> std::io::Result<Vec<Page>> {
    let mut pages = command::pages(command)?;
    pages.push(spec::page(&portkeep_spec::json_schema()));
    Ok(pages)
}
