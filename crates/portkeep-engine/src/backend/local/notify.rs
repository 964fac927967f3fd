//! Receiver of the messages to `NOTIFY_SOCKET`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use socket2::Type;
use tokio::net::UnixDatagram;

use crate::socket_file::bind_private;

/// A message of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Ready,
    Status(String),
    Watchdog,
    ExtendTimeout(Duration),
}

/// The messages of one datagram; unknown ones are skipped, as systemd does.
pub(super) fn parse(datagram: &str) -> Vec<Message> {
    let parse_line = |line: &str| {
        let (key, value) = line.split_once('=')?;
        match (key, value) {
            ("READY", "1") => Some(Message::Ready),
            ("WATCHDOG", "1") => Some(Message::Watchdog),
            ("STATUS", text) => Some(Message::Status(text.to_owned())),
            ("EXTEND_TIMEOUT_USEC", value) => value
                .parse()
                .ok()
                .map(|microseconds| Message::ExtendTimeout(Duration::from_micros(microseconds))),
            _ => None,
        }
    };
    datagram.lines().filter_map(parse_line).collect()
}

/// A socket for messages of one generation, closed to other users.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    pub(super) fn bind(directory: &Path) -> io::Result<Self> {
        let path = directory.join("notify");
        let socket = bind_private(&path, Type::DGRAM)?;
        Ok(Self {
            socket: UnixDatagram::from_std(socket.into())?,
            path,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn receive(&self) -> io::Result<Vec<Message>> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).await?;
        Ok(parse(&String::from_utf8_lossy(&buffer[..length])))
    }

    /// Messages that have arrived. Asks the kernel and not the runtime, which may not know of them yet.
    pub(super) fn received(&self) -> Option<Vec<Message>> {
        let mut buffer = [0; 4096];
        let (length, _) = recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
        Some(parse(&String::from_utf8_lossy(&buffer[..length])))
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_datagram_may_say_several_things() {
        let said =
            parse("READY=1\nSTATUS=a=b\nMAINPID=7\nEXTEND_TIMEOUT_USEC=1500000\nREADY=0\nnonsense");
        let expected = [
            Message::Ready,
            Message::Status("a=b".to_owned()),
            Message::ExtendTimeout(Duration::from_millis(1500)),
        ];
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_is_there_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(directory.path()).unwrap();
        let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
        sender.send_to(b"STATUS=bye", socket.path()).unwrap();
        assert_eq!(
            socket.received(),
            Some(vec![Message::Status("bye".to_owned())])
        );
        assert_eq!(socket.received(), None);
    }
}
