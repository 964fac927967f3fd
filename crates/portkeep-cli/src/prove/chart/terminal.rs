//! Chart in characters, 80 columns wide.

use super::{COLUMNS as FINE, Chart, height};

const WIDTH: usize = 72;
const ROWS: usize = 6;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn draw(chart: &Chart) -> Vec<String> {
    let bounds = chart.bounds();
    let merged: Vec<_> = chart
        .columns
        .chunks(FINE / WIDTH)
        .map(|columns| {
            let slowest = columns
                .iter()
                .filter_map(|column| column.slowest)
                .reduce(f64::max);
            (slowest, columns.iter().any(|column| column.failed > 0))
        })
        .collect();
    let mut lines = vec!["  slowest answer over time (ms, logarithmic)".to_owned()];
    for row in (0..ROWS).rev() {
        let cells = merged.iter().map(|(slowest, _)| {
            let eighths = slowest.map_or(0.0, |value| {
                1.0 + height(value, bounds) * (ROWS * 8 - 1) as f64
            });
            let here = (eighths as usize).saturating_sub(row * 8).min(8);
            BLOCKS[here]
        });
        let label = match row {
            _ if row + 1 == ROWS => format!("{:>6}", bounds.1),
            0 => format!("{:>6}", bounds.0),
            _ => " ".repeat(6),
        };
        lines.push(
            format!("{label} {}", cells.collect::<String>())
                .trim_end()
                .to_owned(),
        );
    }
    let mut reloads = vec![' '; WIDTH];
    for (start, _) in &chart.reloads {
        reloads[((start * WIDTH as f64) as usize).min(WIDTH - 1)] = '^';
    }
    lines.push(
        format!("reload {}", String::from_iter(reloads))
            .trim_end()
            .to_owned(),
    );
    if merged.iter().any(|(_, failed)| *failed) {
        let failed = merged
            .iter()
            .map(|(_, failed)| if *failed { 'x' } else { ' ' });
        lines.push(
            format!("failed {}", failed.collect::<String>())
                .trim_end()
                .to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::tests::chart;

    #[test]
    fn reloads_and_failures_stand_below_their_time() {
        let lines = chart().terminal();
        let find = |name: &str| lines.iter().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(find("reload").find('^'), Some(7 + 36));
        assert_eq!(find("failed").find('x'), Some(7 + 36));
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        // The slow answer reaches the top row, the quick ones do not.
        let top: Vec<char> = lines[1].chars().collect();
        assert_eq!(
            top.iter().filter(|c| "▁▂▃▄▅▆▇█".contains(**c)).count(),
            1,
            "{lines:#?}"
        );
    }
}
