//! File names that contain a digest of the contents.

/// Fewer digits could be a date, a version or a size.
const FEWEST: usize = 8;
/// The digits of SHA-256.
const MOST: usize = 64;

/// Whether the name of a file contains a hash of its contents, so that other contents have another name.
///
/// The parts of a name stand between `.`, `-` and `_`. One of them, and not the extension at the end, has 8 to 64 characters, all
/// of them `0` to `9` and `a` to `f`. So `app-3f9a12c4.js`, `3f9a12c4.css`, `app.3f9a12c4.js.map` and `app-3f9a12c4_bg.wasm` do, and
/// `app.js`, `jquery-3.7.1.js` and `app-settings.js` do not. A date counts too (`report-20260131.pdf`).
#[must_use]
pub fn is_hashed(name: &str) -> bool {
    let Some((rest, extension)) = name.rsplit_once('.') else {
        return false;
    };
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let is_hash = |part: &str| (FEWEST..=MOST).contains(&part.len()) && part.chars().all(is_digit);
    !extension.is_empty() && rest.split(['.', '-', '_']).any(is_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_it_is_a_hash() {
        let sha256 = format!("application-{}.css", "0a".repeat(32));
        for (name, expected) in [
            ("app-3f9a12c4.js", true),
            ("app.3f9a12c4.js", true),
            ("3f9a12c4d5.js", true),
            ("app-3f9a12c4.js.map", true),
            ("app-3f9a12c4_bg.wasm", true),
            ("defacade-x.js", true),
            (&sha256, true),
            ("app.js", false),
            ("app-3f9a12c.js", false),
            ("app-3f9a12c4", false),
            ("app-3f9a12c4.", false),
            ("app.3f9a12c4", false),
            ("app-3F9A12C4.js", false),
            ("jquery-3.7.1.js", false),
            ("bootstrap-datepicker3.css", false),
            ("app-settings.js", false),
            ("", false),
            (".", false),
            (&format!("a-{}.css", "0".repeat(65)), false),
        ] {
            assert_eq!(is_hashed(name), expected, "{name}");
        }
    }
}
