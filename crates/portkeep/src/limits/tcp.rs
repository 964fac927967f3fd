//! Limits that the kernel enforces by itself.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::Limits;
use crate::listen::Stream;

/// The largest values that the kernel accepts.
const LONGEST: (Duration, Duration) = (
    Duration::from_secs(32_767),
    Duration::from_millis(i32::MAX as u64),
);
/// Number of probes without an answer, and the divisor of the interval between them.
const PROBES: u32 = 4;

impl Limits {
    /// Sets the kernel's limits. A limit that is off leaves the socket as it is.
    pub(crate) fn apply(&self, stream: &Stream) {
        let Stream::Tcp(stream) = stream else {
            return;
        };
        let socket = SockRef::from(stream);
        // Both only fail on a connection that is gone already.
        if let Some(time) = self.tcp_keepalive {
            let seconds = |time: Duration| Duration::from_secs(time.as_secs().max(1));
            let time = time.min(LONGEST.0);
            let asking = TcpKeepalive::new()
                .with_time(seconds(time))
                .with_interval(seconds(time / PROBES))
                .with_retries(PROBES);
            let _ = socket.set_tcp_keepalive(&asking);
        }
        #[cfg(target_os = "linux")]
        if let Some(time) = self.user_timeout() {
            // 0 would be no limit.
            let time = time.clamp(Duration::from_millis(1), LONGEST.1);
            let _ = socket.set_tcp_user_timeout(Some(time));
        }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn told(limits: Limits) -> (Option<Duration>, Option<Duration>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let stream = Stream::Tcp(accepted.unwrap().0);
        limits.apply(&stream);
        let Stream::Tcp(stream) = &stream else {
            unreachable!("it is what it was")
        };
        let socket = SockRef::from(stream);
        drop(client);
        let asks = socket.keepalive().unwrap();
        (
            asks.then(|| socket.tcp_keepalive_time().unwrap()),
            socket.tcp_user_timeout().unwrap(),
        )
    }

    #[tokio::test]
    async fn the_kernel_knows_them() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(told(Limits::new()).await, (seconds(60), seconds(120)));
        let off = Limits::new().tcp_keepalive(None).answer(None);
        assert_eq!(told(off).await, (None, None));
        let least = Duration::from_nanos(1);
        let least = Limits::new().tcp_keepalive(least).tcp_user_timeout(least);
        let milli = Duration::from_millis(1);
        assert_eq!(told(least).await, (seconds(1), Some(milli)));
        let year = Duration::from_secs(366 * 86_400);
        let most = Limits::new().tcp_keepalive(year).tcp_user_timeout(year);
        assert_eq!(told(most).await, (Some(LONGEST.0), Some(LONGEST.1)));
    }
}
