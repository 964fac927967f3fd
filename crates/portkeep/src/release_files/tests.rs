#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use http_body_util::BodyExt;

use super::*;

struct Releases {
    directory: tempfile::TempDir,
}

impl Releases {
    fn new() -> Self {
        let releases = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for (path, contents) in [
            ("new/assets/app-3f9a12c4.js", "new"),
            ("new/assets/app.js", "plain"),
            ("new/assets/css/a.00000000.css", "nested"),
            ("new/secret-3f9a12c4.txt", "secret"),
            ("old/assets/app-00000001.js", "old"),
            ("old/assets/app.js", "old and plain"),
            ("next/assets/app-00000002.js", "next"),
        ] {
            let path = releases.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        releases.list(&["new", "gone", "old"]);
        releases
    }

    fn list(&self, names: &[&str]) {
        let lines = names
            .iter()
            .map(|name| self.path(name).display().to_string() + "\n");
        fs::write(self.path("list"), lines.collect::<String>()).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn service(&self) -> ReleaseFiles {
        ReleaseFiles::with(Places {
            own: self.path("new"),
            list: Some(self.path("list")),
            below: "assets".into(),
        })
    }
}

async fn ask(mut service: ReleaseFiles, request: Request<()>) -> (Response<()>, String) {
    let (head, body) = service.call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (Response::from_parts(head, ()), body)
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

async fn status_of(service: &ReleaseFiles, path: &str) -> (u16, String) {
    let (head, body) = ask(service.clone(), get(path)).await;
    (head.status().as_u16(), body)
}

#[tokio::test]
async fn hashed_files_of_every_release_are_served() {
    let releases = Releases::new();
    let service = releases.service();
    for (path, expected) in [
        ("/app-3f9a12c4.js", (200, "new")),
        ("/css/a.00000000.css", (200, "nested")),
        ("/app-00000001.js", (200, "old")),
        // Both releases have this name, and one of the files would be wrong.
        ("/app.js", (404, "")),
        ("/app-00000002.js", (404, "")),
    ] {
        let (status, body) = status_of(&service, path).await;
        assert_eq!((status, body.as_str()), expected, "{path}");
    }
    // A generation that is starting, while this one still answers.
    releases.list(&["next", "new", "old"]);
    let (status, body) = status_of(&service, "/app-00000002.js").await;
    assert_eq!((status, body.as_str()), (200, "next"));
}

#[tokio::test]
async fn nothing_else_is() {
    let releases = Releases::new();
    let assets = releases.path("new/assets");
    symlink("../secret-3f9a12c4.txt", assets.join("link-3f9a12c4.txt")).unwrap();
    symlink("..", assets.join("up")).unwrap();
    fs::create_dir(assets.join("directory-3f9a12c4.d")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let path = assets.join("fifo-3f9a12c4.js");
    rustix::fs::mknodat(rustix::fs::CWD, path, fifo, 0o644.into(), 0).unwrap();
    let service = releases.service();
    for path in [
        "/../secret-3f9a12c4.txt",
        "/%2e%2e/secret-3f9a12c4.txt",
        "/..%2fsecret-3f9a12c4.txt",
        "/up/secret-3f9a12c4.txt",
        "/link-3f9a12c4.txt",
        "/directory-3f9a12c4.d",
        "/fifo-3f9a12c4.js",
        "//app-3f9a12c4.js",
        "/app-3f9a12c4.js/",
        "/",
    ] {
        assert_eq!(status_of(&service, path).await.0, 404, "{path}");
    }
    assert_eq!(status_of(&service, "/app-3f9a12c4.js?v=1").await.0, 200);
}

#[tokio::test]
async fn what_is_told_of_a_file() {
    let service = Releases::new();
    let releases = &service;
    let service = releases.service();
    let (head, _) = ask(service.clone(), get("/app-3f9a12c4.js")).await;
    let header = |name| head.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!(header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(header("content-length"), "3");
    assert_eq!(header("cache-control"), FOR_GOOD);
    assert_eq!(header("x-content-type-options"), "nosniff");
    let etag = header("etag");
    assert_eq!(etag, "\"app-3f9a12c4.js\"");

    let request = Request::head("/app-3f9a12c4.js").body(()).unwrap();
    let (asked, body) = ask(service.clone(), request).await;
    assert_eq!((asked.status().as_u16(), body.as_str()), (200, ""));
    assert_eq!(asked.headers(), head.headers());

    for (known, expected) in [
        (etag.to_owned(), 304),
        (format!("\"x\", W/{etag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let request = Request::get("/app-3f9a12c4.js").header("if-none-match", &known);
        let (asked, body) = ask(service.clone(), request.body(()).unwrap()).await;
        assert_eq!(asked.status().as_u16(), expected, "{known}");
        assert_eq!(body.is_empty(), expected == 304, "{known}");
        assert!(asked.headers().contains_key("etag"));
    }
    for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
        let request = Request::builder().method(method).uri("/app-3f9a12c4.js");
        let (asked, _) = ask(service.clone(), request.body(()).unwrap()).await;
        assert_eq!(asked.status().as_u16(), 405);
        assert_eq!(asked.headers()["allow"], "GET, HEAD");
    }
}

#[tokio::test]
async fn a_rule_of_the_apps_own() {
    let releases = Releases::new();
    let vite = "new/assets/index-BXk2_3aZ.js";
    fs::write(releases.path(vite), "vite").unwrap();
    let service = releases.service();
    assert_eq!(status_of(&service, "/index-BXk2_3aZ.js").await.0, 404);
    let service = service.hashed_by(|_| true);
    assert_eq!(status_of(&service, "/index-BXk2_3aZ.js").await.0, 200);
    assert_eq!(status_of(&service, "/../list").await.0, 404);
}

#[tokio::test]
async fn a_large_file_comes_in_parts_and_a_cut_one_is_an_error() {
    let releases = Releases::new();
    let path = releases.path("new/assets/large-3f9a12c4.bin");
    let contents: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(&path, &contents).unwrap();
    let mut service = releases.service();
    let mut call = |path: &Path| service.call(get(&format!("/{}", path.display())));
    let answer = call(Path::new("large-3f9a12c4.bin")).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body == contents);
    let answer = call(Path::new("large-3f9a12c4.bin")).await.unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100_000)
        .unwrap();
    assert!(answer.into_body().collect().await.is_err());
}
