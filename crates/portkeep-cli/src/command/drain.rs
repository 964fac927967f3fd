use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::helper::{Helper, HelperError, TakeOutResult, emptied};
use portkeep_spec::{AppName, Manager as Which, Span, Spec, check_grace};
use serde::Serialize;

use super::reload::not_installed;
use crate::exit;
use crate::locate::{self, ManagerArgs};
use crate::output::{json, local_time, outln, span};
use crate::port_owner::connections;

/// Take an app out of its load balancers, until it is put back
///
/// Its health sockets (`health` in the spec) say so at once. After the grace, connections end in good order. The port stays
/// open, and whoever comes all the same is answered. It lasts until `portkeep undrain`, also over a reload, a crash and a
/// reboot.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep drain hello\n  portkeep drain hello --grace 30s --wait      until nobody is connected any more\n  portkeep drain hello --json                  `changed` says whether it was taken out before"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    /// How long load balancers are told before connections end, less than 90s [default: `drainGrace` of the spec, 10s].
    #[arg(long, value_name = "TIME")]
    grace: Option<Span>,
    /// Wait until nobody is connected to its sockets any more, for the grace and the `drainTimeout` of the spec at most. Who is
    /// connected then stays, and the exit code is 4.
    #[arg(long)]
    wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    manager: ManagerArgs,
}

/// The shape of `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    app: &'a AppName,
    /// It was not taken out before.
    changed: bool,
    drained: bool,
    since: Timestamp,
    grace_milliseconds: u128,
    /// How many connections its sockets have; only after `--wait`.
    connections: Option<usize>,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(grace) = self.grace {
            check_grace(*grace).map_err(|problem| exit::usage(format!("--grace: {problem}")))?;
        }
        let which = self.manager.which();
        let systemd = locate::systemd(which, &self.name).await?;
        let helper = Helper::new(&systemd, systemd.store(), |_| {});
        let spec = match helper.installed_spec().await {
            Ok(spec) => spec,
            Err(HelperError::NotInstalled(name)) => return Err(not_installed(&name, which)),
            Err(error) => return Err(error.into()),
        };
        let grace = self.grace.unwrap_or(spec.drain_grace);
        let limits = systemd.manager().stop_limits(systemd.store()).await?;
        let taken = match helper.take_out(*grace, &spec, &limits) {
            Err(error @ HelperError::GraceCut(_)) => return Err(exit::usage(error.to_string())),
            taken => taken?,
        };
        if !self.json {
            outln!("{}", line(&self.name, &spec, &taken));
        }
        let left = match self.wait {
            true => Some(wait(&systemd, &spec, &taken).await),
            false => None,
        };
        if self.json {
            json(&Report {
                app: &self.name,
                changed: taken.changed,
                drained: systemd.store().taken_out().is_some(),
                since: taken.taken_out.since,
                grace_milliseconds: taken.taken_out.grace.as_millis(),
                connections: left,
            })?;
        } else if let Some(left) = left {
            outln!("{}", end(which, &self.name, left, *spec.drain_timeout));
        }
        Ok(match left {
            None | Some(0) => ExitCode::SUCCESS,
            Some(_) => exit::NEEDS_A_PERSON.into(),
        })
    }
}

async fn wait(systemd: &Systemd, spec: &Spec, taken: &TakeOutResult) -> usize {
    let count = || connections::open_at(&spec.listen);
    emptied(
        systemd.store(),
        &taken.taken_out,
        *spec.drain_timeout,
        count,
    )
    .await
}

fn line(name: &AppName, spec: &Spec, taken: &TakeOutResult) -> String {
    let TakeOutResult { changed, taken_out } = taken;
    let told = match (spec.health.is_empty(), changed) {
        (_, false) => format!(
            "{name}: it was taken out before, since {}",
            local_time(taken_out.since)
        ),
        (true, true) => format!(
            "{name}: taken out; it has no `health` socket, so that no load balancer is told"
        ),
        (false, true) => format!("{name}: taken out; its health sockets say so"),
    };
    let left = taken_out.left(Timestamp::now());
    let then = match left.is_zero() {
        true => "connections end".to_owned(),
        false => format!("connections end in {}", span(left)),
    };
    format!("{told}; {then}. `portkeep undrain {name}` puts it back")
}

fn end(which: Which, name: &AppName, left: usize, longest: Duration) -> String {
    let (are_open, them) = match left {
        0 => return format!("{name}: nobody is connected any more"),
        1 => ("one connection is".to_owned(), "it"),
        many => (format!("{many} connections are"), "them"),
    };
    format!(
        "{name}: {are_open} still open, {} after the grace; `portkeep reload --{which} {name} --force` ends {them} within \
         `drainTimeout`",
        span(longest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_left_is_told_with_what_ends_it() {
        let name = "shop".parse().unwrap();
        let end = |left| end(Which::System, &name, left, Duration::from_secs(30));
        assert_eq!(end(0), "shop: nobody is connected any more");
        assert_eq!(
            end(1),
            "shop: one connection is still open, 30 s after the grace; `portkeep reload --system shop --force` ends it within \
             `drainTimeout`"
        );
        assert!(end(2).starts_with("shop: 2 connections are still open"));
        assert!(end(2).contains("ends them"));
    }
}
