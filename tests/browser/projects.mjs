// Projects as people have them: with a portkeep.json, made of several packages, and apps without the library.
import fs from "node:fs";
import path from "node:path";

import { check, run } from "./cases.mjs";
import { Dev, get, target, until, withDev, WITH_PORTKEEP } from "./dev.mjs";

// An old generation may answer for a moment after the new one serves: it has not heard yet that it is to end.
const answers = (dev, expected, path = "/plain") =>
  until(`the answer is ${expected}`, 5000, async () => (await get(`${dev.url}${path}`)).body.toString() === expected);

const manifest = (name, dependency) => `[package]
name = "${name}"
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
        let mut head = [0; 1024];
        let count = stream.read(&mut head).unwrap_or(0);
        if head[..count].starts_with(b"GET /die") {
            std::process::exit(3);
        }
        let body = "first";
        let _ = write!(stream, "HTTP/1.1 200 OK\\r\\ncontent-length: {}\\r\\nconnection: close\\r\\n\\r\\n{body}", body.len());
    }
}
`;
const LISTENFD = server(`    std::thread::sleep(std::time::Duration::from_millis(300));
    let listener = listenfd::ListenFd::from_env().take_tcp_listener(0).unwrap().unwrap();
    listener.set_nonblocking(false).unwrap();`);

const spec = (dev, fields) =>
  fs.writeFileSync(dev.path("portkeep.json"), JSON.stringify({ name: "pages", listen: [{ stream: "0.0.0.0:80" }], ...fields }));
// A package beside the project, on which it depends.
function part(dev) {
  const directory = path.join(dev.directory, "part");
  fs.mkdirSync(path.join(directory, "src"), { recursive: true });
  fs.writeFileSync(path.join(directory, "Cargo.toml"), manifest("part", ""));
  fs.writeFileSync(path.join(directory, "src/lib.rs"), 'pub const WORD: &str = "from a part";\n');
  dev.edit("Cargo.toml", "[dependencies]\n", '[dependencies]\npart = { path = "../part" }\n');
  dev.edit("src/main.rs", "get(|| async { VERSION })", "get(|| async { part::WORD })");
  return path.join(directory, "src/lib.rs");
}

await run([
  ["the spec of production runs what is built here", () =>
    withDev([], async (dev) => {
      check(/pages runs in place of .*release\/pages, which the spec names/.test(dev.output), "it is told");
      await answers(dev, "one");
      dev.version("one", "two");
      await dev.said("generation 2 serves");
      await answers(dev, "two");
    }, {
      program: ["cargo", "portkeep"],
      environment: WITH_PORTKEEP,
      prepare: (dev) => spec(dev, { exec: [path.join(target, "release/pages")] }),
    })],
  ["a spec that builds with cargo has what cargo tells, also of a package beside the project", () => {
    let source;
    return withDev([], async (dev) => {
      await answers(dev, "from a part");
      const hear = dev.hear();
      fs.writeFileSync(source, 'pub const WORD: &str = "from a changed part";\n');
      await hear("generation 2 serves");
      await answers(dev, "from a changed part");
      dev.edit("src/main.rs", "// start", "missing!();");
      await dev.said("cannot find macro `missing`");
      await answers(dev, "from a changed part");
    }, {
      prepare(dev) {
        spec(dev, { exec: [path.join(target, "debug/pages")], build: ["cargo", "build"] });
        source = part(dev);
      },
    });
  }],
  ["a spec that waits for READY of an app that may not say it", async () => {
    const dev = await Dev.start([], {
      prepare(dev) {
        spec(dev, { exec: [path.join(target, "debug/pages")], startTimeout: "1s", moveConnections: false });
        fs.writeFileSync(dev.path("Cargo.toml"), manifest("pages", "listenfd = \"1\""));
        fs.writeFileSync(dev.path("src/main.rs"), LISTENFD);
      },
    });
    try {
      await dev.said("does not seem to say READY");
      await dev.said("nothing can serve yet: it ");
    } finally {
      await dev.stop();
    }
  }],
  ["an app that says READY by itself and is not on the library gets its port as the first socket", () =>
    withDev([], async (dev) => {
      await answers(dev, "first", "/");
      dev.edit("src/main.rs", "\"first\"", "\"second\"");
      await dev.said("generation 2 serves");
      await answers(dev, "second", "/");
    }, {
      prepare(dev) {
        fs.writeFileSync(dev.path("Cargo.toml"), manifest("pages", 'listenfd = "1"\nsd-notify = "0.5"'));
        fs.writeFileSync(dev.path("src/main.rs"), LISTENFD.replace("listener.set_nonblocking(false).unwrap();", `$&
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).unwrap();`));
      },
    })],
  ["an app with listenfd and without the library is ready when it accepts", () =>
    withDev(["--while-building", "hold"], async (dev) => {
      await dev.said("--while-building hold does nothing here", 10_000);
      check(dev.output.includes("counts as ready when it accepts"), "what one line more gives");
      await answers(dev, "first", "/");
      dev.edit("src/main.rs", "\"first\"", "\"second\"");
      await dev.said("generation 2 serves");
      await answers(dev, "second", "/");
      // It binds late: the old one answers until then.
      const late = dev.output.match(/generation 2 serves, READY in (\d+) ms/);
      check(Number(late[1]) >= 300, `ready after ${late[1]} ms, before it accepted`);
    }, {
      prepare(dev) {
        fs.writeFileSync(dev.path("Cargo.toml"), manifest("pages", "listenfd = \"1\""));
        fs.writeFileSync(dev.path("src/main.rs"), LISTENFD);
      },
    })],
  ["an app that binds its port itself is replaced when the new version is built, and comes back if that fails", () =>
    withDev([], async (dev) => {
      check(dev.output.includes("in place of `TcpListener::bind`"), "what one line more gives");
      await answers(dev, "first", "/");
      dev.edit("src/main.rs", "\"first\"", "\"second\"");
      await dev.said("generation 2 serves");
      await answers(dev, "second", "/");
      dev.edit("src/main.rs", "let listener", "panic!(\"no\");\n    #[allow(unreachable_code)]\n    let listener");
      await dev.said("the new version did not take over");
      await answers(dev, "second", "/");
      await get(`${dev.url}/die`).catch(() => {});
      await dev.said("is gone: it ended (exit status: 3)");
      const hear = dev.hear();
      dev.edit("src/main.rs", "panic!(\"no\");", "");
      await hear("serves, READY");
      await answers(dev, "second", "/");
    }, {
      // systemd cannot hold a port that the app opens.
      backend: "auto",
      prepare(dev) {
        fs.writeFileSync(dev.path("Cargo.toml"), manifest("pages", ""));
        fs.writeFileSync(dev.path("src/main.rs"), server(`    let listener = std::net::TcpListener::bind("127.0.0.1:${dev.port}").unwrap();`));
      },
    })],
].map(([name, body]) => [`projects: ${name}`, body]));
