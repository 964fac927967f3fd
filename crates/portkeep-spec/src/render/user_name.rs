//! Name of the dynamic user that runs an app's generations in the sandbox.

use crate::AppName;

/// The longest user name that is valid everywhere (`utmp`, and so systemd's strict check).
const LONGEST: usize = 31;
const PREFIX: &str = "pk-";
const HASH_LENGTH: usize = 8;

/// `pk-NAME`, or `pk-NAM-HASH` if that would be too long. All generations share the user, and the prefix avoids the names
/// of the machine's own users.
#[must_use]
pub fn of(name: &AppName) -> String {
    let whole = format!("{PREFIX}{name}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let kept = &name.as_str()[..LONGEST - PREFIX.len() - HASH_LENGTH - 1];
    format!("{PREFIX}{kept}-{:08x}", fnv1a(name.as_str()))
}

/// FNV-1a: the name must never change, and a hash of the standard library may.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_and_differs() {
        let user = |name: &str| of(&name.parse().unwrap());
        assert_eq!(user("hello"), "pk-hello");
        assert_eq!(user(&"x".repeat(28)).len(), 31);
        let (one, other) = (
            user(&format!("{}a", "x".repeat(40))),
            user(&format!("{}b", "x".repeat(40))),
        );
        assert_eq!(one.len(), 31);
        assert_ne!(one, other);
        assert_eq!(fnv1a("foobar"), 0xbf9c_f968, "the published test vector");
    }
}
