//! Changes of an install, as a diff.

use portkeep_engine::units::{Change, Entry, Handover, Plan};
use similar::TextDiff;

use super::outln;

/// Prints it. What is the same is not told.
pub(crate) fn print(plan: &Plan) {
    for line in lines(plan) {
        outln!("{line}");
    }
}

fn lines(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<_> = plan.changes().flat_map(diff).collect();
    for app in &plan.apps {
        let name = &app.name;
        let mut say = |what: String| lines.push(format!("{name}: {what}"));
        if let Some(old) = &app.replaces {
            say(format!("would take the place of {old}"));
        }
        for (old, new) in &app.renamed {
            say(format!("{old} would be called {new}, and stay open"));
        }
        match app.handover {
            Some(Handover::Reload | Handover::TakeOver) => say("would hand over".to_owned()),
            Some(Handover::Restart) => {
                say("would be restarted, because it gets another socket".to_owned());
            }
            None => {}
        }
        if !app.opens.is_empty() {
            say(format!("would start {}", app.opens.join(", ")));
        }
        if !app.closes.is_empty() {
            say(format!("would close {}", app.closes.join(", ")));
        }
        if app.changes.is_empty() {
            say("its units are as they should be".to_owned());
        }
    }
    lines
}

/// One file, as `diff --unified` shows it.
fn diff(change: &Change) -> Vec<String> {
    let text = |entry: &Option<Entry>| entry.as_ref().map(Entry::text).unwrap_or_default();
    let path = change.path.display().to_string();
    let named = |entry: &Option<Entry>| match entry {
        Some(_) => path.clone(),
        None => "/dev/null".to_owned(),
    };
    let (before, after) = (text(&change.before), text(&change.after));
    let mut lines = vec![
        format!("--- {}", named(&change.before)),
        format!("+++ {}", named(&change.after)),
    ];
    if let (Some(Entry::File { mode: one, .. }), Some(Entry::File { mode: other, .. })) =
        (&change.before, &change.after)
        && one != other
    {
        lines.push(format!("mode {one:04o} would be {other:04o}"));
    }
    let diff = TextDiff::from_lines(&before, &after);
    let hunks = diff.unified_diff().context_radius(3).to_string();
    lines.extend(hunks.lines().map(str::to_owned));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_as_diff_does() {
        let file = |text: &str| {
            Some(Entry::File {
                text: text.to_owned(),
                mode: 0o644,
            })
        };
        let change = Change {
            path: "/etc/systemd/system/a.socket".into(),
            before: file("[Socket]\nBacklog=1\n"),
            after: file("[Socket]\nBacklog=2\n"),
        };
        let path = "/etc/systemd/system/a.socket";
        let expected = [
            &format!("--- {path}"),
            &format!("+++ {path}"),
            "@@ -1,2 +1,2 @@",
            " [Socket]",
            "-Backlog=1",
            "+Backlog=2",
        ];
        assert_eq!(diff(&change), expected);
        let removed = Change {
            after: None,
            ..change
        };
        let shown = diff(&removed);
        assert_eq!(shown[1], "+++ /dev/null");
        assert_eq!(shown.last().unwrap(), "-Backlog=1");
    }
}
