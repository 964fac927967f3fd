//! The page of a command.

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::Roff;

use super::Page;
use super::page::verbatim;

/// The line with which a command's help begins its examples.
const EXAMPLES: &str = "Examples:\n";

/// The pages of a command and of its subcommands for people.
pub(super) fn pages(command: Command) -> io::Result<Vec<Page>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(page(command)?);
    let mut below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    below.try_for_each(|below| add(below, pages))
}

fn page(command: &Command) -> io::Result<Page> {
    let help = command.get_after_help().map(ToString::to_string);
    let (examples, rest) = split(help.as_deref().unwrap_or_default());
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|one| !one.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let mut end = Roff::new();
    for (heading, lines) in [("NOTES", rest), ("EXAMPLES", examples)] {
        if !lines.is_empty() {
            end.control("SH", [heading]);
            verbatim(&mut end, &lines);
        }
    }
    end.control("SH", ["SEE ALSO"]);
    end.text([clap_mangen::roff::roman(
        "portkeep(1), portkeep.json(5), systemctl(1), journalctl(1)",
    )]);
    end.to_writer(&mut text)?;
    Ok(Page {
        path: Path::new("man1").join(man.get_filename()),
        text,
    })
}

/// Splits the text after a command's help into its examples, without their margin, and the rest.
fn split(help: &str) -> (String, String) {
    let (mut examples, mut rest) = (Vec::new(), Vec::new());
    for part in help.split("\n\n") {
        match part.strip_prefix(EXAMPLES) {
            Some(lines) => examples.push(
                lines
                    .lines()
                    .map(|line| line.strip_prefix("  ").unwrap_or(line))
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
            None => rest.push(part.to_owned()),
        }
    }
    (examples.join("\n"), rest.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_told_from_the_rest() {
        let (examples, rest) =
            split("Examples:\n  a b      what it does\n  c\n\nExit code 4: a person.");
        assert_eq!(examples, "a b      what it does\nc");
        assert_eq!(rest, "Exit code 4: a person.");
        assert_eq!(split(""), (String::new(), String::new()));
    }
}
