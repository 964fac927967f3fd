//! What a stop waits for, for people.

use jiff::Timestamp;
use portkeep_engine::units::Ending;
use portkeep_spec::Manager as Which;

use super::span;

/// What is waited for, for how long at most, and how to cut it short.
pub(crate) fn ending_line(which: Which, ending: &Ending) -> String {
    line(which, ending, Timestamp::now())
}

fn line(which: Which, ending: &Ending, now: Timestamp) -> String {
    let Ending {
        unit,
        status,
        until,
    } = ending;
    let says = match status.as_str() {
        "" => String::new(),
        status => format!(" ({status})"),
    };
    let longest = match until {
        Some(until) => {
            let left = until.duration_since(now).try_into().unwrap_or_default();
            format!("{} at most", span(left))
        }
        None => "it has no limit".to_owned(),
    };
    let manager = match which {
        Which::System => "",
        Which::User => " --user",
    };
    format!(
        "waiting for {unit}, which finishes what it has{says}: {longest}; `systemctl{manager} kill --signal=KILL {unit}` cuts it \
         short"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_for_what_how_long_and_how_to_cut_it_short() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ending = Ending {
            unit: "shop@3.service".to_owned(),
            status: "draining, 1 request in flight".to_owned(),
            until: Some(at(3700)),
        };
        assert_eq!(
            line(Which::System, &ending, at(100)),
            "waiting for shop@3.service, which finishes what it has (draining, 1 request in flight): 1 h 0 min at most; \
             `systemctl kill --signal=KILL shop@3.service` cuts it short"
        );
        let silent = Ending {
            status: String::new(),
            until: None,
            ..ending
        };
        assert_eq!(
            line(Which::User, &silent, at(100)),
            "waiting for shop@3.service, which finishes what it has: it has no limit; \
             `systemctl --user kill --signal=KILL shop@3.service` cuts it short"
        );
    }
}
