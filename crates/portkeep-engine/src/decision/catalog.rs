//! Message catalog: the text that `journalctl -x` prints below an entry of portkeep. See systemd.journal-fields(7) and
//! <https://systemd.io/CATALOG>.

use super::announcement::field;
use super::kind::DecisionKind;
use super::text::fill;

/// The name of its file.
pub const FILE: &str = "portkeep.catalog";

/// Columns of a line: `journalctl` puts a mark before each line, and breaks none.
const COLUMNS: usize = 76;

/// All entries, as `journalctl --update-catalog` reads them.
#[must_use]
pub fn text() -> String {
    let entries = DecisionKind::ALL.map(entry);
    format!("{HEAD}{}", entries.concat())
}

const HEAD: &str = "\
# What portkeep's entries in the journal mean, and what to do: `journalctl -x` shows it.
# Made by `portkeep catalog`, from the same table as `portkeep doctor`.
";

fn entry(decided: DecisionKind) -> String {
    let text = decided.text();
    let subject = left_to_the_journal(text.subject);
    let end = if text.commands.is_empty() { "." } else { ":" };
    let first = left_to_the_journal(text.first);
    let mut body = vec![
        wrapped(&left_to_the_journal(text.what)),
        wrapped(&format!("What to do: {first}{end}")),
    ];
    let commands = text.commands.iter();
    let commands = commands.map(|command| format!("    {}", left_to_the_journal(command)));
    let commands: Vec<_> = commands.collect();
    if !commands.is_empty() {
        body.push(commands.join("\n"));
    }
    format!(
        "\n-- {}\nSubject: {subject}\nDefined-By: portkeep\nSupport: {}/issues\nDocumentation: man:portkeep(1)\n\n{}\n",
        decided.id(),
        env!("CARGO_PKG_REPOSITORY"),
        body.join("\n\n"),
    )
}

/// With the fields of an entry, which `journalctl` fills in.
fn left_to_the_journal(text: &str) -> String {
    fill(text, |place| match place {
        "app" => reference(field::APP),
        "manager" => reference(field::MANAGER),
        "generation" => reference(field::GENERATION),
        "crashes" => reference(field::CRASHES),
        "because" => format!(": {}", reference(field::REASON)),
        _ => String::new(),
    })
}

fn reference(field: &str) -> String {
    format!("@{field}@")
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file that packages ship: the same as `install` places.
    const SHIPPED: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../systemd/portkeep.catalog"
    );

    #[test]
    fn the_file_that_packages_ship_is_this_one() {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(SHIPPED, text()).unwrap();
        }
        let shipped = std::fs::read_to_string(SHIPPED).unwrap();
        assert!(
            shipped == text(),
            "systemd/portkeep.catalog is not what the table says; UPDATE_GOLDEN=1 writes it"
        );
    }

    #[test]
    fn no_decision_lacks_an_entry_with_cause_and_remedy() {
        let text = text();
        let entries: Vec<_> = text.split("\n-- ").skip(1).collect();
        for decided in DecisionKind::ALL {
            let of = entries
                .iter()
                .filter(|entry| entry.starts_with(decided.id()));
            let [entry] = of.collect::<Vec<_>>()[..] else {
                panic!("{decided:?} has no entry, or several");
            };
            let (head, body) = entry.split_once("\n\n").unwrap();
            assert!(head.contains("\nSubject: @PORTKEEP_APP@: "), "{entry}");
            assert!(body.contains("\n\nWhat to do: "), "{entry}");
            assert!(!entry.contains(['{', '}']), "{entry}");
            assert!(
                entry.lines().all(|line| line.chars().count() < 120),
                "{entry}"
            );
        }
        assert_eq!(entries.len(), DecisionKind::ALL.len());
    }
}
