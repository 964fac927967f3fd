// The loop itself: the gate, requests that wait, cancelled builds, settings.
import fs from "node:fs";
import net from "node:net";

import { check, run, same } from "./cases.mjs";
import { launch, mark, overlay } from "./chromium.mjs";
import { BUILD, Dev, get, until, withDev } from "./dev.mjs";

const plain = async (dev) => (await get(`${dev.url}/plain`)).body.toString();
// On a busy machine the old version may accept once more in the moment in which the new one is told of.
const serves = (dev, version) => until(`${version} serves`, 10_000, async () => (await plain(dev)) === version);

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
  ["a page that changes files whenever it is made is left as it is, however long it takes to be told of them", () =>
    // Any file may be what a check looks at: each change waits for it, for longer than what counts as at once.
    withDev(["--check", "sleep 2.5"], async (dev) => {
      const browser = await launch();
      const page = await browser.newPage();
      await page.goto(`${dev.url}/chart`);
      await mark(page).filter({ hasText: "chart.svg changes whenever this page is loaded" }).waitFor({ timeout: BUILD });
      await browser.close();
    })],
  ["what a script asks for: an example, the next free port, an end with standard input", async () => {
    // Somebody has the port already: this server, or whoever keeps it from listening.
    const other = net.createServer().listen(8080, "127.0.0.1");
    await new Promise((done) => other.once("listening", done).once("error", done));
    const example = (dev) => {
      fs.cpSync(dev.path("src"), dev.path("examples/other"), { recursive: true });
      dev.edit("examples/other/main.rs", 'VERSION: &str = "one"', 'VERSION: &str = "an example"');
    };
    try {
      await withDev(["--example", "other", "--port", "auto", "--exit-with-stdin"], async (dev) => {
        const port = Number(dev.output.match(/http:\/\/127\.0\.0\.1:(\d+) is open/)[1]);
        check(port > 8080 && dev.output.includes("127.0.0.1:8080"), "it says which port, and instead of which");
        dev.url = `http://127.0.0.1:${port}`;
        same(await plain(dev), "an example", "what serves");
        dev.edit("examples/other/main.rs", '"an example"', '"another example"');
        await until("the new version answers", BUILD, async () => (await plain(dev)) === "another example");
        dev.process.stdin.end();
        await until("it ends", BUILD, () => dev.process.exitCode !== null);
        same(dev.process.exitCode, 0, "its exit code");
      }, { prepare: example, listens: false, stdin: "pipe" });
    } finally {
      other.close();
    }
  }],
  ["a change during a build starts it over, and a burst is one build", () =>
    withDev([], async (dev) => {
      const from = dev.output.length;
      dev.version("one", "two");
      await until("it builds", BUILD, () => dev.output.slice(from).includes("building"));
      dev.version("two", "three");
      await dev.said("generation 2 serves");
      await serves(dev, "three");
      check(!dev.output.includes("generation 3"), "one handover for both");

      // In one go, as a checkout or a formatter writes.
      const before = dev.output.length;
      for (let file = 0; file < 50; file++) fs.writeFileSync(dev.path(`src/other-${file}.rs`), `// ${file}\n`);
      dev.version("three", "four");
      await dev.said("generation 3 serves");
      await serves(dev, "four");
      const said = dev.output.slice(before);
      same(said.match(/built in/g).length, 1, `builds that came to their end\n${said}`);
      // The machine may be slow in telling of the last files.
      check(said.match(/building/g).length <= 6, `a burst is hardly more than one build\n${said}`);
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
].map(([name, body]) => [`loop: ${name}`, body]));
