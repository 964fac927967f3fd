//! System calls in which a thread waits on sockets.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The kind of wait, by the number of the system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// On the descriptor in the first argument: `accept`, `accept4`; `recvfrom`, `recvmsg`, `recvmmsg` for datagrams.
    At,
    /// On an array of descriptors: `poll`, `ppoll`.
    Poll,
    /// On a set of descriptors: `select`, `pselect6`.
    Select,
}

#[cfg(target_arch = "x86_64")]
const CALLS: [(&str, Call); 9] = [
    ("43", Call::At),
    ("288", Call::At),
    ("45", Call::At),
    ("47", Call::At),
    ("299", Call::At),
    ("7", Call::Poll),
    ("271", Call::Poll),
    ("23", Call::Select),
    ("270", Call::Select),
];
/// Numbers of the newer architectures: arm64, riscv64, loongarch64.
#[cfg(not(target_arch = "x86_64"))]
const CALLS: [(&str, Call); 7] = [
    ("202", Call::At),
    ("242", Call::At),
    ("207", Call::At),
    ("212", Call::At),
    ("243", Call::At),
    ("73", Call::Poll),
    ("72", Call::Select),
];
/// More descriptors than a program waits on with these calls.
const MOST: u64 = 4096;

/// Whether a thread waits for connections on one of `sockets`, by its current system call: `43 0x3 …`. Some calls name
/// their descriptors in the process's memory. If that memory cannot be read, the answer is yes.
pub(super) fn waits(syscall: &str, sockets: &HashSet<u32>, memory: Option<&File>) -> bool {
    let mut words = syscall.split_whitespace();
    let Some(number) = words.next() else {
        return false;
    };
    let Some((_, call)) = CALLS.iter().find(|(known, _)| *known == number) else {
        return false;
    };
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (Some(first), Some(second)) = (argument(), argument()) else {
        return false;
    };
    let waited_at = match call {
        Call::At => u32::try_from(first).map(|one| vec![one]).ok(),
        Call::Poll => polled(first, second, memory),
        Call::Select => selected(first, second, memory),
    };
    waited_at.is_none_or(|descriptors| descriptors.iter().any(|one| sockets.contains(one)))
}

/// The descriptors in an array of `struct pollfd`.
fn polled(address: u64, count: u64, memory: Option<&File>) -> Option<Vec<u32>> {
    const LENGTH: usize = 8;
    let count = usize::try_from(count.min(MOST)).ok()?;
    let bytes = read(memory?, address, count * LENGTH)?;
    let descriptors = bytes.chunks_exact(LENGTH).map(|one| {
        let [a, b, c, d, ..] = *one else { return -1 };
        i32::from_ne_bytes([a, b, c, d])
    });
    // `poll` ignores negative descriptors.
    Some(descriptors.filter_map(|one| one.try_into().ok()).collect())
}

/// The descriptors in an `fd_set`, below `end`.
fn selected(end: u64, address: u64, memory: Option<&File>) -> Option<Vec<u32>> {
    let end = u32::try_from(end.min(MOST)).ok()?;
    if address == 0 {
        return Some(Vec::new());
    }
    // A set is an array of words, so the order of its bytes depends on the machine.
    let words = usize::try_from(end.div_ceil(u64::BITS)).ok()?;
    let bytes = read(memory?, address, words * size_of::<u64>())?;
    let words = bytes.chunks_exact(size_of::<u64>()).map(|one| {
        let word: [u8; size_of::<u64>()] = one.try_into().unwrap_or_default();
        u64::from_ne_bytes(word)
    });
    let words: Vec<_> = words.collect();
    let is_in = |one: &u32| words[(one / u64::BITS) as usize] >> (one % u64::BITS) & 1 == 1;
    Some((0..end).filter(is_in).collect())
}

fn read(memory: &File, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    memory.read_exact_at(&mut bytes, address).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_at_other_descriptors_does_not_wait_at_these() {
        let sockets = HashSet::from([3]);
        let number = |call: Call| CALLS.iter().find(|(_, one)| *one == call).unwrap().0;
        let at = number(Call::At);
        assert!(waits(&format!("{at} 0x3 0x0 0x0\n"), &sockets, None));
        assert!(!waits(&format!("{at} 0x4 0x0 0x0\n"), &sockets, None));
        assert!(!waits("running\n", &sockets, None));

        let memory = File::open("/proc/self/mem").unwrap();
        let poll = number(Call::Poll);
        let polled = [[4i32, 1], [3, 1]];
        let call = |count: usize| format!("{poll} {:p} {count:#x} 0x0", polled.as_ptr());
        assert!(!waits(&call(1), &sockets, Some(&memory)));
        assert!(waits(&call(2), &sockets, Some(&memory)));
        assert!(waits(&call(1), &sockets, None), "it cannot be seen");

        let select = number(Call::Select);
        let set = [1u64 << 3, 0];
        let call = |end: u32| format!("{select} {end:#x} {:p} 0x0", set.as_ptr());
        assert!(waits(&call(4), &sockets, Some(&memory)));
        assert!(!waits(&call(3), &sockets, Some(&memory)));
        assert!(!waits(
            &format!("{select} 0x4 0x0 0x0"),
            &sockets,
            Some(&memory)
        ));
    }
}
