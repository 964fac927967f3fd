//! Number of bytes that were written to a socket and have not left this machine.

#![allow(
    unsafe_code,
    reason = "the system call has no safe wrapper in the crates that are there"
)]

use std::ffi::c_int;
use std::os::fd::AsFd;

use rustix::ioctl::{Getter, ioctl};

/// Whether the number below is the kernel's: other architectures have another.
const KNOWN: bool = cfg!(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "riscv64"
    )
));
/// `SIOCOUTQ`, which is `TIOCOUTQ`.
const OUTQ: rustix::ioctl::Opcode = 0x5411;

/// Bytes that the other side has not acknowledged; `None` for a socket that does not count them.
pub(super) fn unsent(socket: impl AsFd) -> Option<u32> {
    if !KNOWN {
        return None;
    }
    // SAFETY: the kernel writes one `int`, for every kind of socket that knows the call.
    let bytes: c_int = unsafe { ioctl(socket, Getter::<OUTQ, c_int>::new()) }.ok()?;
    u32::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn becomes_less(mut reader: impl Read, mut writer: impl Write + AsFd) {
        let mut written = 0;
        // Until the queue of the reader is full.
        while let Ok(count) = writer.write(&[0; 4096]) {
            written += count;
        }
        let before = unsent(&writer).unwrap();
        assert!(before > 0, "{written} written");
        let mut bytes = vec![0; written / 2];
        reader.read_exact(&mut bytes).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while unsent(&writer).unwrap() >= before {
            assert!(std::time::Instant::now() < deadline, "it stays {before}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_taken_is_gone() {
        if !KNOWN {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let writer = listener.accept().unwrap().0;
        writer.set_nonblocking(true).unwrap();
        becomes_less(reader, writer);
        let (reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        becomes_less(reader, writer);
    }
}
