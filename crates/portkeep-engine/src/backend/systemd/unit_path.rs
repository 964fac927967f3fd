//! Object path of a unit on the bus.

/// The path of the object that stands for `unit`: what is not a letter or a digit is escaped, and so is a digit at the
/// beginning.
pub(super) fn unit_path(unit: &str) -> String {
    let mut path = "/org/freedesktop/systemd1/unit/".to_owned();
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_where_systemd_puts_it() {
        for (unit, path) in [
            ("hello.service", "hello_2eservice"),
            ("a-b@12.service", "a_2db_4012_2eservice"),
            ("1st_é.socket", "_31st_5f_c3_a9_2esocket"),
        ] {
            assert_eq!(
                unit_path(unit),
                format!("/org/freedesktop/systemd1/unit/{path}")
            );
        }
    }
}
