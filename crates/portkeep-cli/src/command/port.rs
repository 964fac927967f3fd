use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use portkeep_engine::backend::systemd::Manager;
use portkeep_spec::{Address, Manager as Which};

mod free;
mod report;
mod socket_unit;

use crate::exit::usage;
use crate::output;
use crate::port_owner::{self, Asked, Wanted};
use free::Step;
use report::PortReport;

/// How long an owner may take to release the address.
const LET_GO: Duration = Duration::from_secs(15);
/// How often the address is checked meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Show who listens on an address: process, unit, since when
///
/// --free asks the owner to stop: a unit through its manager, so that it is not started again, another process by SIGTERM.
/// Nothing is killed. Each step is announced first. Sockets that can stay open beside the address are left alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep port 8080\n  portkeep port 127.0.0.1:8080 --free\n  portkeep port /run/hello.sock --json     address, sockets by unit, holders\n\nExit code 1: with --free, when it is still held at the end."
)]
pub(crate) struct Args {
    /// A port (on any address), IP:PORT, or the path of a Unix socket.
    #[arg(value_name = "ADDR")]
    address: String,
    /// Ask the owner to stop.
    #[arg(long)]
    free: bool,
    /// The address is that of a datagram socket (UDP).
    #[arg(long)]
    udp: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let wanted = parse(&self.address, self.udp)?;
        let report = look(&wanted).await;
        if !self.free {
            if self.json {
                output::json(&report)?;
            } else {
                report.print();
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !self.json {
            report.print();
        }
        for step in free::steps(&report.unit, &report.owners, &report.main_pids) {
            // On standard error with --json, so that the answer stays one value.
            if self.json {
                crate::output::errln!("{step}");
            } else {
                crate::output::outln!("{step}");
            }
            carry_out(&step, &wanted).await?;
        }
        let until = Instant::now() + LET_GO;
        while port_owner::is_held(&wanted) == Some(true) {
            if Instant::now() >= until {
                let owners = port_owner::all(&wanted).owners;
                let who = owners.first().map(|who| format!(" by {who}"));
                let who = who.unwrap_or_default();
                return Err(anyhow!(
                    "{wanted} is still held{who} {} s after it was asked to stop; it may be finishing what it has: \
                     look again later, or end it by hand",
                    LET_GO.as_secs()
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        if self.json {
            output::json(&look(&wanted).await)?;
        } else {
            crate::output::outln!("{wanted} is free");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A bare port means all addresses: it names existing sockets here, and opens none.
fn parse(text: &str, udp: bool) -> anyhow::Result<Wanted> {
    match text.strip_prefix(':').unwrap_or(text).parse() {
        Ok(0) | Err(_) => {}
        Ok(port) if udp => return Ok(Wanted::UdpPort(port)),
        Ok(port) => return Ok(Wanted::TcpPort(port)),
    }
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    let address = if udp {
        Address::datagram(&text)
    } else {
        Address::stream(&text)
    };
    address
        .map(Wanted::Address)
        .map_err(|error| usage(error.to_string()))
}

async fn look(wanted: &Wanted) -> PortReport {
    let found = port_owner::all(wanted);
    let (unit, main_pids) = socket_unit::find(wanted, &found).await;
    PortReport {
        address: wanted.to_string(),
        held: !found.owners.is_empty(),
        unit,
        owners: found.owners,
        main_pids,
    }
}

async fn carry_out(step: &Step, wanted: &Wanted) -> anyhow::Result<()> {
    match step {
        Step::StopUnit { unit, manager } => {
            let connection = Manager::connect(*manager).await?;
            connection
                .stop_without_waiting(unit)
                .await
                .map_err(|error| {
                    let who = if *manager == Which::System {
                        "; root may: use sudo"
                    } else {
                        ""
                    };
                    anyhow::Error::new(error).context(format!("{unit} could not be stopped{who}"))
                })
        }
        Step::Terminate { pid, .. } => match port_owner::ask_to_stop(*pid, wanted) {
            Ok(Asked::Signalled) => Ok(()),
            Ok(Asked::HadLetGo) => {
                crate::output::errln!(
                    "process {pid} does not hold {wanted} any more; it was left alone"
                );
                Ok(())
            }
            Err(error) => Err(anyhow::Error::new(error).context(format!(
                "process {pid} could not be asked to stop; root may: use sudo"
            ))),
        },
        Step::Refused(why) => Err(anyhow!("{why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, address) in [
            ("8080", "*:8080"),
            (":8080", "*:8080"),
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("/run/a.sock", "/run/a.sock"),
        ] {
            assert_eq!(parse(text, false).unwrap().to_string(), address);
        }
        assert!(parse("99999", false).is_err());
        assert!(parse("hello", false).is_err());
        assert!(matches!(
            parse("127.0.0.1:53", true).unwrap(),
            Wanted::Address(Address::Udp(_))
        ));
        assert_eq!(parse("53", true).unwrap(), Wanted::UdpPort(53));
    }
}
