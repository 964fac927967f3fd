//! A server process, as a service manager starts it.

use std::env::current_exe;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

/// Longer than a start takes anywhere.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    PortkeepS2n,
    TokioRustls,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PortkeepS2n => "portkeep-s2n",
            Self::TokioRustls => "tokio-rustls",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::PortkeepS2n, Self::TokioRustls]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// What all generations are passed.
pub(crate) struct Sockets {
    http: TcpListener,
    moving: OwnedFd,
    pub(crate) address: SocketAddr,
}

impl Sockets {
    pub(crate) fn open(world: &World) -> anyhow::Result<Self> {
        let http = TcpListener::bind("127.0.0.1:0")?;
        listen(&http, 4096)?;
        let flags = SocketFlags::CLOEXEC;
        let moving = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(
            &moving,
            &SocketAddrUnix::new(world.directory().join("move"))?,
        )?;
        listen(&moving, 128)?;
        Ok(Self {
            address: http.local_addr()?,
            http,
            moving,
        })
    }
}

pub(crate) struct Server(Child);

impl Server {
    /// Returns when it is ready; what binds no socket of its own is that at once.
    pub(crate) fn start(kind: Kind, world: &World, sockets: &Sockets) -> anyhow::Result<Self> {
        let notify = world.directory().join("notify");
        let _ = fs::remove_file(&notify);
        let told = UnixDatagram::bind(&notify)?;
        told.set_read_timeout(Some(PATIENCE))?;
        let place = match kind {
            Kind::PortkeepS2n => {
                "exec 3<&0 4<&1 0</dev/null 1>&2; \
                 export LISTEN_FDS=2 LISTEN_FDNAMES=http:portkeep-move LISTEN_PID=$$;"
            }
            Kind::TokioRustls => "exec 1>&2;",
        };
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("{place} exec \"$0\" serve \"$@\""))
            .arg(current_exe()?)
            .arg(kind.name())
            .arg(world.directory())
            .stdin(Stdio::from(sockets.http.as_fd().try_clone_to_owned()?))
            .stdout(Stdio::from(sockets.moving.try_clone()?))
            .env("NOTIFY_SOCKET", &notify)
            .env("PORTKEEP_LIMIT_IDLE_USEC", "off")
            .spawn()?;
        let server = Self(child);
        if kind == Kind::PortkeepS2n {
            let mut bytes = [0; 4096];
            loop {
                let length = told.recv(&mut bytes).context("it is not ready")?;
                if bytes[..length].starts_with(b"READY=1") {
                    break;
                }
            }
        }
        Ok(server)
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{name}", self.0.id()))?)
    }

    /// Resident, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let pages: u64 = field(&self.read("statm")?, 1)?;
        Ok(pages * page_size() as u64)
    }

    /// The processor time that it has used.
    pub(crate) fn processor(&self) -> anyhow::Result<Duration> {
        let stat = self.read("stat")?;
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = field(after_name, 11)? + field(after_name, 12)?;
        Ok(Duration::from_millis(
            ticks * 1000 / clock_ticks_per_second(),
        ))
    }

    /// Lets it give its connections away, and waits for its end.
    pub(crate) fn drain(mut self) -> anyhow::Result<()> {
        let id = Pid::from_raw(self.0.id().try_into()?).context("no process")?;
        kill_process(id, Signal::TERM)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "a generation ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn field(text: &str, index: usize) -> anyhow::Result<u64> {
    let field = text.split(' ').nth(index).context("a field is missing")?;
    Ok(field.parse()?)
}
