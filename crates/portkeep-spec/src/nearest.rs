//! Suggests a known name for an unknown one.

/// The known name that is nearest to `written`, if one is near enough to be a typing error of it.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // People write `drain_timeout` and `drain-timeout` for `drainTimeout`: compare letters only.
    let letters = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let written = letters(written);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &letters(name)), name))
        .filter(|&(distance, name)| distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let known = ["drainTimeout", "startTimeout", "listen", "exec"];
        for (written, meant) in [
            ("drain_timeout", Some("drainTimeout")),
            ("drianTimeout", Some("drainTimeout")),
            ("Listen", Some("listen")),
            ("listens", Some("listen")),
            ("exce", Some("exec")),
            ("colour", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }
}
