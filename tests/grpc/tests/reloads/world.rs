//! Generations that share a port and a move socket.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use grpc_reloads::witness_client::WitnessClient;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::manager::{Setup, listener};
use crate::probe;

pub(crate) struct World {
    listener: TcpListener,
    url: String,
    move_socket: OwnedFd,
    _directory: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let address = SocketAddrUnix::new(directory.path().join("move")).unwrap();
        bind(&socket, &address).unwrap();
        listen(&socket, 128).unwrap();
        let (listener, address) = listener();
        Self {
            listener,
            url: format!("http://{address}"),
            move_socket: socket,
            _directory: directory,
        }
    }

    /// Of a generation that drains for `drain`, and moves nothing in the last `linger` of that.
    pub(crate) fn setup(&self, drain: Duration, linger: Duration) -> Setup {
        Setup::http(&self.listener)
            .socket("portkeep-move", &self.move_socket)
            .set(probe::DRAIN, drain.as_millis())
            .set(probe::LINGER, linger.as_millis())
    }

    /// A channel as a service makes it: nothing is set.
    pub(crate) async fn client(&self) -> WitnessClient<Channel> {
        let endpoint = Endpoint::from_shared(self.url.clone()).unwrap();
        WitnessClient::new(endpoint.connect().await.unwrap())
    }
}
