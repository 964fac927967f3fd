// The loop itself: the gate, requests that wait, cancelled builds, settings; and apps without the library.
import fs from "node:fs";

import { check, run, same } from "./cases.mjs";
import { launch, overlay } from "./chromium.mjs";
import { BUILD, Dev, get, until } from "./dev.mjs";

const plain = async (dev) => (await get(`${dev.url}/plain`)).body.toString();

async function withDev(args, body, options) {
  const dev = await Dev.serving(args, options);
  try {
    await body(dev);
  } catch (error) {
    error.message += `\n--- it said:\n${dev.output.slice(-4000)}`;
    throw error;
  } finally {
    await dev.stop();
  }
}

const CARGO_WITHOUT_LIBRARY = (dependency) => `[package]
name = "pages"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
${dependency}
`;

// An app without the library, which answers "first" on the listener that `opened` makes.
const server = (opened) => `use std::io::{Read, Write};
fn main() {
${opened}
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let body = "first";
        let _ = write!(stream, "HTTP/1.1 200 OK\\r\\ncontent-length: {}\\r\\nconnection: close\\r\\n\\r\\n{body}", body.len());
    }
}
`;

await run([
  ["a check stands between the build and the swap", () =>
    withDev(["--check", "! grep -n forbidden src/main.rs"], async (dev) => {
      const browser = await launch();
      const page = await browser.newPage();
      await page.goto(dev.url);
      dev.version("one", "forbidden");
      await overlay(page).waitFor({ timeout: BUILD });
      const text = await overlay(page).innerText();
      check(text.includes("grep -n forbidden") && text.includes('VERSION: &str = "forbidden"'), text);
      same(await plain(dev), "one", "what serves");
      dev.version("forbidden", "allowed");
      await page.waitForFunction(() => document.querySelector("#version")?.textContent === "allowed", null, { timeout: BUILD });
      check(dev.output.includes("passed in"), "a check that passed is told");
      await browser.close();
    })],
  ["requests wait for the build and are answered by the new version", () =>
    withDev(["--while-building", "hold"], async (dev) => {
      const hear = dev.hear();
      dev.version("one", "two");
      await hear("changed, building");
      const answers = await Promise.all([
        get(`${dev.url}/plain`),
        get(`${dev.url}/echo`, { method: "POST", body: "a body" }),
        get(`${dev.url}/plain`),
      ]);
      same(answers.map((answer) => answer.body.toString()), ["two", "two a body", "two"], "the answers");
      // What does not build is not waited for.
      dev.edit("src/main.rs", "// start", "missing!();");
      await dev.said("the build failed");
      same(await plain(dev), "two", "after a failure");
      dev.edit("src/main.rs", "missing!();", "// start");
    })],
  ["a request that waits too long is told so, and the page becomes the app", () =>
    withDev(["--while-building", "hold", "--hold-at-most", "100ms", "--check", "grep -q '\"one\"' src/main.rs || until [ -e ../go ]; do sleep 0.05; done"], async (dev) => {
      const browser = await launch();
      try {
        const page = await browser.newPage();
        // It stays in the check until it is let go.
        const hear = dev.hear();
        dev.version("one", "two");
        await hear("checking");
        const begun = Date.now();
        const answer = await page.goto(dev.url);
        const waited = Date.now() - begun;
        same(answer.status(), 503, "the status");
        check(waited >= 100 && waited < 3000, `it waited for ${waited} ms`);
        fs.writeFileSync(`${dev.directory}/go`, "");
        await page.waitForFunction(() => document.querySelector("#version")?.textContent === "two", null, { timeout: BUILD });
      } finally {
        await browser.close();
      }
    })],
  ["a change during a build starts it over, and a burst is one build", () =>
    withDev([], async (dev) => {
      const from = dev.output.length;
      dev.version("one", "two");
      await until("it builds", BUILD, () => dev.output.slice(from).includes("building"));
      dev.version("two", "three");
      await dev.said("generation 2 serves");
      same(await plain(dev), "three", "what serves");
      check(!dev.output.includes("generation 3"), "one handover for both");
    })],
  ["paths to watch and to ignore, and the file .env", () =>
    withDev(["--ignore", "*.generated.rs", "--watch", "../outside"], async (dev) => {
      fs.writeFileSync(dev.path("src/x.generated.rs"), "");
      const hear = dev.hear();
      fs.writeFileSync(`${dev.directory}/outside/note.txt`, "x");
      await hear("outside/note.txt changed");
      check(!dev.output.includes("x.generated.rs"), "what is ignored");
      same((await get(`${dev.url}/plain`)).body.toString(), "from .env", "a variable of .env");
    }, {
      prepare(dev) {
        fs.mkdirSync(`${dev.directory}/outside`);
        fs.writeFileSync(dev.path(".env"), "GREETING=\"from .env\"\n");
        dev.edit("src/main.rs", "get(|| async { VERSION })", "get(|| async { std::env::var(\"GREETING\").unwrap_or_default() })");
      },
    })],
  ["paths to watch and to ignore, as the project says", () =>
    withDev([], async (dev) => {
      fs.writeFileSync(dev.path("src/x.generated.rs"), "");
      const hear = dev.hear();
      fs.writeFileSync(`${dev.directory}/outside/note.txt`, "x");
      await hear("outside/note.txt changed");
      check(!dev.output.includes("x.generated.rs"), "what is ignored");
    }, {
      prepare(dev) {
        fs.mkdirSync(`${dev.directory}/outside`);
        const settings = "[package.metadata.portkeep]\nsources = [\"../outside\"]\nignore = [\"*.generated.rs\"]\n\n[workspace]";
        dev.edit("Cargo.toml", "[workspace]", settings);
      },
    })],
  ["an app with listenfd and without the library is ready when it accepts", () =>
    withDev(["--while-building", "hold"], async (dev) => {
      await dev.said("--while-building hold does nothing here", 10_000);
      check(dev.output.includes("counts as ready when it accepts"), "what one line more gives");
      same((await get(dev.url)).body.toString(), "first", "the first version");
      dev.edit("src/main.rs", "\"first\"", "\"second\"");
      await dev.said("generation 2 serves");
      same((await get(dev.url)).body.toString(), "second", "the second version");
      // It binds late: the old one answers until then.
      const late = dev.output.match(/generation 2 serves, READY in (\d+) ms/);
      check(Number(late[1]) >= 300, `ready after ${late[1]} ms, before it accepted`);
    }, {
      prepare(dev) {
        fs.writeFileSync(dev.path("Cargo.toml"), CARGO_WITHOUT_LIBRARY("listenfd = \"1\""));
        fs.writeFileSync(dev.path("src/main.rs"), server(`    std::thread::sleep(std::time::Duration::from_millis(300));
    let listener = listenfd::ListenFd::from_env().take_tcp_listener(0).unwrap().unwrap();
    listener.set_nonblocking(false).unwrap();`));
      },
    })],
  ["an app that binds its port itself is replaced when the new version is built, and comes back if that fails", () =>
    withDev([], async (dev) => {
      check(dev.output.includes("in place of `TcpListener::bind`"), "what one line more gives");
      same((await get(dev.url)).body.toString(), "first", "the first version");
      dev.edit("src/main.rs", "\"first\"", "\"second\"");
      await dev.said("generation 2 serves");
      same((await get(dev.url)).body.toString(), "second", "the second version");
      dev.edit("src/main.rs", "let listener", "panic!(\"no\");\n    #[allow(unreachable_code)]\n    let listener");
      await dev.said("the new version did not take over");
      same((await get(dev.url)).body.toString(), "second", "the last good version");
    }, {
      // systemd cannot hold a port that the app opens.
      backend: "auto",
      prepare(dev) {
        fs.writeFileSync(dev.path("Cargo.toml"), CARGO_WITHOUT_LIBRARY(""));
        fs.writeFileSync(dev.path("src/main.rs"), server(`    let listener = std::net::TcpListener::bind("127.0.0.1:${dev.port}").unwrap();`));
      },
    })],
].map(([name, body]) => [`loop: ${name}`, body]));
