//! A process that listens somewhere and is not portkeep's.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::command::run;
use crate::wait::wait_until;

/// It listens until it is dropped.
#[derive(Debug)]
pub struct Neighbour(Child);

impl Neighbour {
    /// Of the user `dev` where root runs the test, with one more word in its command line.
    ///
    /// # Panics
    /// When it does not listen within 10 s.
    #[must_use]
    pub fn listening(address: &str, word: &str) -> Self {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=dev", "--regid=dev", "--clear-groups", "--"]);
            command.arg("systemd-socket-activate");
            command
        } else {
            Command::new("systemd-socket-activate")
        };
        // Whoever connects would start it.
        command.args(["--listen", address, "/bin/true", word]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("systemd-socket-activate starts");
        let neighbour = Self(child);
        let pid = neighbour.pid();
        wait_until(
            &format!("{pid} listens on {address}"),
            Duration::from_secs(10),
            || {
                let sockets =
                    run("ss", ["--no-header", "--listening", "--tcp", "--numeric"]).stdout;
                sockets.contains(&format!("{address} ")).then_some(())
            },
        );
        neighbour
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it has ended, if it has.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
