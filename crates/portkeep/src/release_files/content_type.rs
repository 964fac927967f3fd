//! Content types of the files that pages ask for.

use std::path::Path;

const UNKNOWN: &str = "application/octet-stream";

/// The value of `Content-Type` for a file, by its extension.
pub(super) fn of(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_last_extension() {
        for (name, expected) in [
            ("app-3f9a12c4.js", "text/javascript; charset=utf-8"),
            ("app-3f9a12c4.js.map", "application/json"),
            ("a.3f9a12c4.WOFF2", "font/woff2"),
            ("app-3f9a12c4_bg.wasm", "application/wasm"),
            ("a-3f9a12c4.xyz", UNKNOWN),
            ("a", UNKNOWN),
        ] {
            assert_eq!(of(Path::new(name)), expected, "{name}");
        }
    }
}
