//! Listener on the other loopback address: a browser may take 127.0.0.1 or [::1] for `localhost`, and the app listens on one of
//! them.
//!
//! This process forwards its connections to the app's address, byte by byte. It is not one of the app's sockets, because an
//! app that does not know of it would let connections wait for ever.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use portkeep_spec::Listen;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::project::other_loopbacks;

/// Number of clients that may wait to be forwarded.
const QUEUE: u32 = 1024;
/// The pause after a connection that could not be accepted.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Forwards until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct OtherLoopback(Vec<JoinHandle<()>>);

impl OtherLoopback {
    /// Opens the missing loopback addresses of these listeners. Returns notices about those that another process has.
    pub(crate) fn open(listen: &[Listen]) -> (Self, Vec<String>) {
        let (mut opened, mut notices) = (Self::default(), Vec::new());
        for (address, other_loopback) in other_loopbacks(listen) {
            match bind(other_loopback) {
                Ok(listener) => opened.0.push(tokio::spawn(lead(listener, address))),
                // This machine does not have it, or does not allow it.
                Err(error) if error.kind() != ErrorKind::AddrInUse => {}
                Err(_) => notices.push(format!(
                    "{other_loopback} is held by another process: a browser that takes `localhost` for it does not see this app"
                )),
            }
        }
        (opened, notices)
    }
}

impl Drop for OtherLoopback {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

async fn lead(listener: TcpListener, address: SocketAddr) {
    // All forwarded connections end with this task.
    let mut led = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    led.spawn(relay(client, address));
                }
                // Most likely too many open files; some will be closed.
                Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
            },
            Some(_) = led.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, address: SocketAddr) {
    // Either side may close at any time.
    let Ok(mut app) = TcpStream::connect(address).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = app.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut client, &mut app).await;
}

#[cfg(test)]
mod tests {
    use portkeep_spec::{Address, SocketName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn listen(address: SocketAddr) -> Vec<Listen> {
        vec![Listen::new(SocketName::http(), Address::Tcp(address))]
    }

    #[tokio::test]
    async fn what_connects_to_the_other_address_reaches_the_app() {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        let other_loopback = other.local_addr().unwrap();
        let leading = tokio::spawn(lead(other, app.local_addr().unwrap()));
        let mut client = TcpStream::connect(other_loopback).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut served, _) = app.accept().await.unwrap();
        let mut asked = String::new();
        served.read_to_string(&mut asked).await.unwrap();
        served.write_all(b"pong").await.unwrap();
        drop(served);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&*asked, &*answer), ("ping", "pong"));
        leading.abort();
    }

    #[tokio::test]
    async fn one_that_somebody_else_has_is_told() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let at = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
        let (_twins, notices) = OtherLoopback::open(&listen(at));
        assert!(
            notices[0].contains("is held by another process"),
            "{notices:?}"
        );
    }
}
