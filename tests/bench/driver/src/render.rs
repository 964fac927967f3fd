//! The results as a Markdown page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::chart::{self, Bar};
use crate::results::{Measurement, Results};
use crate::row::{self, Row};

/// The page, and its pictures by file name.
pub(crate) fn page(results: &Results) -> (String, Vec<(String, String)>) {
    let mut pictures = Vec::new();
    let mut page = String::from(HEAD);
    page.push_str("| | |\n|---|---|\n");
    for (name, value) in &results.about {
        line(&mut page, &[name, value]);
    }
    page.push_str("\n## What was compared\n\n| tool | version | how |\n|---|---|---|\n");
    for tool in &results.tools {
        line(&mut page, &[&tool.name, &tool.version, &tool.used]);
    }
    for row in row::ALL {
        section(&mut page, &row, results);
        for (case, name) in row.charts {
            let Some(picture) = picture(&row, case, name, results) else {
                continue;
            };
            let words = |text: &str| text.replace([' ', '/', '.', ':'], "-");
            let file = format!("row-{}-{}-{}.svg", row.number, words(case), words(name));
            let _ = write!(page, "\n![{case}: {}]({file})\n", title(&row, name));
            pictures.push((file, picture));
        }
    }
    (page, pictures)
}

fn title(row: &Row, name: &str) -> &'static str {
    let mut columns = row.columns.iter();
    columns
        .find(|(column, _)| *column == name)
        .map_or("", |(_, title)| title)
}

/// Nothing, if no tool was measured.
fn picture(row: &Row, case: &str, name: &str, results: &Results) -> Option<String> {
    let bars: Vec<Bar> = results
        .tools
        .iter()
        .filter_map(|tool| {
            let of_tool = |found: &&Measurement| {
                found.row == row.number
                    && found.tool == tool.name
                    && (found.case == case || found.error.is_some())
            };
            let rounds: Vec<_> = results.measurements.iter().filter(of_tool).collect();
            let value = spread(&rounds, name).ok_or_else(|| "not measured".to_owned());
            (!rounds.is_empty()).then(|| Bar {
                tool: tool.name.clone(),
                value,
            })
        })
        .collect();
    let title = format!(
        "{}. {}, {case}: {}",
        row.number,
        row.title,
        title(row, name)
    );
    let any = bars.iter().any(|bar| bar.value.is_ok());
    any.then(|| chart::draw(&title, &bars))
}

const HEAD: &str = "<!-- Made by tests/bench/run; do not edit. -->\n# portkeep and its peers, measured in one run\n\n\
    Medians over the rounds, with the least and the most in parentheses where they differ. Peers are used as their \
    documentation shows them.\n\n";

fn section(page: &mut String, row: &Row, results: &Results) {
    let of_row: Vec<&Measurement> = results
        .measurements
        .iter()
        .filter(|found| found.row == row.number)
        .collect();
    let _ = write!(
        page,
        "\n## {}. {}\n\n{}\n",
        row.number, row.title, row.explained
    );
    if of_row.is_empty() {
        page.push_str("\nNot measured.\n");
        return;
    }
    // In the order in which they were measured.
    let mut seen = BTreeSet::new();
    let cases: Vec<&str> = of_row
        .iter()
        .filter(|found| found.error.is_none())
        .map(|found| found.case.as_str())
        .filter(|case| seen.insert(*case))
        .collect();
    for case in cases {
        // Some columns are of some cases only.
        let of_case = || of_row.iter().filter(|found| found.case == case);
        let has = |name: &str| {
            of_case().any(|found| found.values.contains_key(name) || found.words.contains_key(name))
        };
        let columns: Vec<_> = row.columns.iter().filter(|(name, _)| has(name)).collect();
        let _ = write!(page, "\n### {case}\n\n| tool |");
        for (_, title) in &columns {
            let _ = write!(page, " {title} |");
        }
        page.push_str(" rounds |\n|---|");
        page.push_str(&"---|".repeat(columns.len() + 1));
        page.push('\n');
        for tool in &results.tools {
            let rounds: Vec<&Measurement> = of_row
                .iter()
                .copied()
                .filter(|found| found.case == case && found.tool == tool.name)
                .collect();
            if rounds.is_empty() {
                continue;
            }
            let cells: Vec<String> = columns
                .iter()
                .map(|(name, _)| cell(&rounds, name))
                .chain([rounds.len().to_string()])
                .collect();
            let mut all = vec![tool.name.as_str()];
            all.extend(cells.iter().map(String::as_str));
            line(page, &all);
        }
    }
    let errors: Vec<&&Measurement> = of_row
        .iter()
        .filter(|found| found.error.is_some())
        .collect();
    if !errors.is_empty() {
        page.push_str("\nNot measured, because:\n\n");
    }
    for found in errors {
        let error = found.error.as_deref().unwrap_or_default();
        let first = error.lines().next().unwrap_or_default();
        let _ = writeln!(page, "- {}, round {}: {first}", found.tool, found.round);
    }
}

fn line(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn cell(rounds: &[&Measurement], name: &str) -> String {
    let words: BTreeSet<&str> = rounds
        .iter()
        .filter_map(|round| round.words.get(name))
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    let mut parts = Vec::new();
    if let Some((median, least, most)) = spread(rounds, name) {
        let [median, least, most] = [median, least, most].map(number);
        parts.push(if least == most {
            median
        } else {
            format!("{median} ({least} to {most})")
        });
    }
    parts.extend(words.into_iter().map(str::to_owned));
    parts.join("; ")
}

/// Median, least and most.
fn spread(rounds: &[&Measurement], name: &str) -> Option<(f64, f64, f64)> {
    let mut values: Vec<f64> = rounds
        .iter()
        .filter_map(|round| round.values.get(name))
        .copied()
        .collect();
    values.sort_by(f64::total_cmp);
    Some((
        values.get(values.len() / 2).copied()?,
        *values.first()?,
        *values.last()?,
    ))
}

/// With as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_median_the_spread_and_words() {
        let round =
            |value: f64, word: &str| Measurement::of("x").value("ms", value).word("ms", word);
        let rounds = [round(3.0, ""), round(1.25, ""), round(250.4, "never")];
        let rounds: Vec<_> = rounds.iter().collect();
        assert_eq!(cell(&rounds, "ms"), "3 (1.25 to 250); never");
        assert_eq!(cell(&rounds[..1], "ms"), "3");
        assert_eq!(cell(&rounds, "other"), "");
    }
}
