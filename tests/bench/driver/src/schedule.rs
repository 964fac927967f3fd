//! In which order rows are measured, and about how long that takes.

use std::time::Duration;

use crate::row::Row;

/// All rows once, then again those that are measured more often: a run that is cut short has something of each. `rounds`
/// overrides what rows say.
pub(crate) fn turns(rows: &[Row], rounds: Option<u32>) -> Vec<(&Row, u32)> {
    let of = |row: &Row| rounds.unwrap_or(row.rounds);
    let most = rows.iter().map(of).max().unwrap_or_default();
    (1..=most)
        .flat_map(|round| {
            rows.iter()
                .filter(move |row| round <= of(row))
                .map(move |row| (row, round))
        })
        .collect()
}

/// For the first line of a run; a full run's figures.
pub(crate) fn estimate(rows: &[Row], turns: &[(&Row, u32)], tools: usize) -> String {
    let tools = u32::try_from(tools).unwrap_or(u32::MAX);
    let all: Duration = turns.iter().map(|(row, _)| row.takes * tools).sum();
    let parts: Vec<String> = rows
        .iter()
        .map(|row| {
            let rounds = turns.iter().filter(|(one, _)| one.number == row.number);
            let rounds = u32::try_from(rounds.count()).unwrap_or(u32::MAX);
            format!("row {} {}", row.number, minutes(row.takes * tools * rounds))
        })
        .collect();
    format!(
        "a full run of {tools} tools takes up to {}: {}",
        minutes(all),
        parts.join(", ")
    )
}

fn minutes(time: Duration) -> String {
    format!("{:.0} min", (time.as_secs_f64() / 60.0).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ALL;

    #[test]
    fn every_row_has_its_first_round_before_any_has_its_second() {
        let numbers = |rounds| {
            let turns = turns(&ALL, rounds);
            turns
                .into_iter()
                .map(|(row, round)| (round, row.number))
                .collect::<Vec<_>>()
        };
        let default = numbers(None);
        assert!(default.is_sorted(), "{default:?}");
        assert_eq!(default.iter().filter(|(round, _)| *round == 1).count(), 8);
        assert_eq!(numbers(Some(2)).len(), 16);
    }

    #[test]
    fn the_estimate_is_the_sum_of_its_parts() {
        let turns = turns(&ALL[..2], Some(1));
        let estimate = estimate(&ALL[..2], &turns, 3);
        let [first, second] = [ALL[0].takes, ALL[1].takes].map(|takes| minutes(takes * 3));
        let parts = format!("row 1 {first}, row 2 {second}");
        assert!(estimate.ends_with(&parts), "{estimate}");
    }
}
