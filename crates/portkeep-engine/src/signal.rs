//! Names of signals, as systemd writes them.

/// `TERM` for 15; the number for one that has no name here.
pub(crate) fn name(number: i32) -> String {
    const NAMES: [(i32, &str); 21] = [
        (1, "HUP"),
        (2, "INT"),
        (3, "QUIT"),
        (4, "ILL"),
        (5, "TRAP"),
        (6, "ABRT"),
        (7, "BUS"),
        (8, "FPE"),
        (9, "KILL"),
        (10, "USR1"),
        (11, "SEGV"),
        (12, "USR2"),
        (13, "PIPE"),
        (14, "ALRM"),
        (15, "TERM"),
        (16, "STKFLT"),
        (24, "XCPU"),
        (25, "XFSZ"),
        (29, "IO"),
        (30, "PWR"),
        (31, "SYS"),
    ];
    NAMES
        .iter()
        .find(|(one, _)| *one == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
