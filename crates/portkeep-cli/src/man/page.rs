//! Text of a man page.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// Text with `code` in bold: names, values, commands.
pub(super) fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts
        .filter(|(_, part)| !part.is_empty())
        .map(|(at, part)| match at % 2 {
            1 => bold(part),
            _ => roman(part.replace('\n', " ")),
        })
        .collect()
}

/// Adds lines without any change.
pub(super) fn verbatim(roff: &mut Roff, lines: &str) {
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
