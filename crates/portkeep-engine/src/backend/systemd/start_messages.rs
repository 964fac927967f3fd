//! Messages of systemd about a start that failed before the app's own code: they name the file or the path.

use portkeep_spec::Manager as Which;

use super::UnitState;
use super::last_lines::read;
use crate::journal::Entry;

/// Message id of each start that failed.
const GENERAL: [&str; 7] = [
    "Failed with result",
    "Failed to start",
    "Failed to run ",
    "Failed to spawn ",
    "Main process exited",
    "Triggering ",
    "Consumed ",
];
/// Message id of the failed step, which comes last and says less.
const STEP: &str = "Failed at step ";

/// Why systemd could not set up the last run of `unit`; none if the journal has nothing of it, or cannot be read. These
/// lines are in the journal before those of the app.
pub(super) async fn start_messages(which: Which, unit: &str, state: &UnitState) -> Option<String> {
    let run = match which {
        Which::System => "INVOCATION_ID",
        Which::User => "USER_INVOCATION_ID",
    };
    let wanted = [
        "--lines=20".to_owned(),
        "_TRANSPORT=journal".to_owned(),
        format!("{run}={}", state.invocation),
    ];
    let entries = read(&wanted).await;
    chosen(entries.iter().map(Entry::text), unit)
}

fn chosen(said: impl Iterator<Item = String>, unit: &str) -> Option<String> {
    let of_unit = format!("{unit}: ");
    let failures: Vec<String> = said
        .filter_map(|text| text.strip_prefix(&of_unit).map(str::to_owned))
        .filter(|text| text.contains("ailed ") || text.starts_with("Unable "))
        .filter(|text| !GENERAL.iter().any(|general| text.starts_with(general)))
        .collect();
    let cause = failures.iter().find(|text| !text.starts_with(STEP));
    let chosen = cause.or(failures.first())?;
    Some(chosen.lines().next()?.chars().take(LONGEST).collect())
}

/// Longer than any path.
const LONGEST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &[&str]) -> Option<String> {
        chosen(said.iter().map(|&text| text.to_owned()), "a@2.service")
    }

    #[test]
    fn the_cause_is_chosen_before_the_step() {
        let path =
            "a@2.service: Failed to set up mount namespacing: /no/such: No such file or directory";
        let step =
            "a@2.service: Failed at step NAMESPACE spawning /run/a: No such file or directory";
        let general = [
            "Starting a@2.service - generation 2 of a...",
            "a@2.service: Main process exited, code=exited, status=226/NAMESPACE",
            "a@2.service: Failed with result 'exit-code'.",
            "a@3.service: Failed to set up something of another one",
        ];
        assert_eq!(of(&general), None);
        let all = [&[path, step][..], &general].concat();
        let named = path.strip_prefix("a@2.service: ");
        assert_eq!(of(&all).as_deref(), named);
        let only_step = [&[step][..], &general].concat();
        assert_eq!(
            of(&only_step).as_deref(),
            step.strip_prefix("a@2.service: ")
        );
        let locate = "a@2.service: Unable to locate executable '/run/a': Permission denied";
        assert_eq!(
            of(&[locate, step]).as_deref(),
            locate.strip_prefix("a@2.service: ")
        );
    }

    #[test]
    fn it_is_one_line_of_limited_length() {
        let long = format!("a@2.service: Failed to x {}\nmore", "é".repeat(1000));
        let told = of(&[&long]).unwrap();
        assert!(told.chars().count() <= LONGEST && !told.contains('\n'));
    }
}
