// What a browser sees while an app is edited, broken and mended under `portkeep dev`.
import fs from "node:fs";
import zlib from "node:zlib";

import { check, run, same } from "./cases.mjs";
import { launch, mark, overlay } from "./chromium.mjs";
import { BUILD, Dev, get, runDirectory, until } from "./dev.mjs";

const dev = await Dev.serving([], {
  prepare(dev) {
    const page = fs.readFileSync(dev.path("static/page.html"));
    fs.writeFileSync(dev.path("static/page.html.gz"), zlib.gzipSync(page));
    fs.writeFileSync(dev.path("static/page.html.br"), zlib.brotliCompressSync(page));
    fs.writeFileSync(dev.path("static/page.html.zz"), zlib.deflateSync(page));
    fs.writeFileSync(dev.path("static/page.html.zst"), zlib.zstdCompressSync?.(page) ?? page);
  },
});
const browser = await launch();
const context = await browser.newContext();

let version = "one";
let edits = 0;
const next = () => `edit-${(edits += 1)}`;
const edit = () => {
  const to = next();
  dev.version(version, to);
  return (version = to);
};

async function open(path = "/") {
  const page = await context.newPage();
  page.problems = [];
  page.on("console", (message) => message.type() === "error" && page.problems.push(message.text()));
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("load", () => (page.loads = (page.loads ?? 0) + 1));
  await page.goto(dev.url + path);
  await page.waitForFunction(() => document.querySelector("portkeep-dev") !== null);
  return page;
}

const shows = (page, text) => page.waitForFunction((text) => document.querySelector("#version")?.textContent === text, text, { timeout: BUILD });

const browserHeaders = (more = {}) => ({ headers: { accept: "text/html,*/*", ...more } });

await run([
  ["a page reloads by itself and keeps its scroll", async () => {
    const page = await open();
    await page.evaluate(() => scrollTo(0, 700));
    await shows(page, version);
    await shows(page, edit());
    await page.waitForFunction(() => scrollY === 700);
    same(page.loads, 2, "loads");
    same(page.problems, [], "problems of the page");
    await page.close();
  }],
  ["every tab reloads, also more than a browser has connections, and one that slept catches up", async () => {
    const pages = [];
    for (let count = 0; count < 8; count++) pages.push(await open());
    const asleep = pages[7];
    await asleep.context().setOffline(false);
    const session = await context.newCDPSession(asleep);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    const to = edit();
    await Promise.all(pages.slice(0, 7).map((page) => shows(page, to)));
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await shows(asleep, to);
    await Promise.all(pages.map((page) => page.close()));
  }],
  ["style sheets are swapped without a reload, from a file and from the executable", async () => {
    const page = await open();
    await page.fill("#field", "half written");
    const colour = (selector) => page.evaluate((selector) => getComputedStyle(document.querySelector(selector)).color, selector);
    dev.edit("static/style.css", "rgb(10, 20, 30)", "rgb(40, 50, 60)");
    await until("the style of a file", BUILD, async () => (await colour("h1")) === "rgb(40, 50, 60)");
    dev.edit("src/embedded.css", "rgb(1, 2, 3)", "rgb(4, 5, 6)");
    await until("the style of the executable", BUILD, async () => (await colour("#version")) === "rgb(4, 5, 6)");
    const hear = dev.hear();
    dev.edit("static/style.css", "rgb(40, 50, 60)", "rgb(70, 80, 90)");
    await hear("static/style.css changed, pages take the new styles");
    await until("no build for a file that no build reads", BUILD, async () => (await colour("h1")) === "rgb(70, 80, 90)");
    same(page.loads, 1, "loads");
    same(await page.inputValue("#field"), "half written", "the form");
    await page.close();
  }],
  ["a compiler error covers the page, leads to the editor, and goes away by itself", async () => {
    const page = await open();
    dev.edit("src/main.rs", "// start\n", "let unused = 1;\n    let x: u32 = \"<img src=x onerror=alert(1)>\";\n    // start\n");
    await overlay(page).waitFor({ timeout: BUILD });
    const text = await overlay(page).innerText();
    check(text.includes("error[E0308]: mismatched types") && text.includes("<img src=x"), text);
    const link = overlay(page).locator("a").first();
    same(await link.getAttribute("href"), `vscode://file${dev.path("src/main.rs")}:19:18`.replace("file/", "file//"), "the link");
    const red = await overlay(page).locator(".f1").first().evaluate((span) => getComputedStyle(span).color);
    same(red, "rgb(179, 38, 30)", "the colour of an error");
    // The page beneath works, on the last good version.
    same((await get(`${dev.url}/plain`)).body.toString(), version, "what serves");
    await page.fill("#field", "still there");
    await page.keyboard.press("Escape");
    await overlay(page).waitFor({ state: "hidden" });
    await mark(page).click();
    await overlay(page).waitFor();
    dev.edit("src/main.rs", "let unused = 1;\n    let x: u32 = \"<img src=x onerror=alert(1)>\";\n    // start\n", "// start\n");
    await overlay(page).waitFor({ state: "hidden", timeout: BUILD });
    same(page.loads, 1, "loads");
    await page.close();
  }],
  ["errors come first and warnings are folded", async () => {
    const page = await open();
    const broken = "let _ = missing();\n    #[warn(unused_mut)]\n    let mut odd = 1; drop(odd);\n    // start\n";
    dev.edit("src/main.rs", "// start\n", `#[allow(x::y)]\n    fn strange() {}\n    ${broken}`);
    await overlay(page).waitFor({ timeout: BUILD });
    check((await overlay(page).locator("pre").first().innerText()).includes("error"), "an error is first");
    dev.edit("src/main.rs", `#[allow(x::y)]\n    fn strange() {}\n    ${broken}`, "// start\n");
    await overlay(page).waitFor({ state: "hidden", timeout: BUILD });
    await page.close();
  }],
  ["a version that panics at its start never serves, and the page shows the panic", async () => {
    const page = await open();
    dev.edit("src/main.rs", "// start\n", "panic!(\"no database\");\n    // start\n");
    await overlay(page).waitFor({ timeout: BUILD });
    const text = await overlay(page).innerText();
    check(/new version did not start/i.test(text) && text.includes("no database"), text);
    same((await get(`${dev.url}/plain`)).body.toString(), version, "what serves");
    dev.edit("src/main.rs", "panic!(\"no database\");\n    // start\n", "// start\n");
    await overlay(page).waitFor({ state: "hidden", timeout: BUILD });
    await page.close();
  }],
  ["a manifest that cargo cannot read is shown as cargo says it", async () => {
    const page = await open();
    dev.edit("Cargo.toml", "publish = false", "publish = false\nnonsense here");
    await overlay(page).waitFor({ timeout: BUILD });
    check((await overlay(page).innerText()).includes("nonsense"), "cargo's words");
    dev.edit("Cargo.toml", "publish = false\nnonsense here", "publish = false");
    await overlay(page).waitFor({ state: "hidden", timeout: BUILD });
    await page.close();
  }],
  ["what was built from the same sources reloads nothing", async () => {
    const page = await open();
    const hear = dev.hear();
    const now = new Date();
    fs.utimesSync(dev.path("src/main.rs"), now, now);
    await hear("serves on");
    fs.writeFileSync(dev.path("app.db"), "x");
    await hear("nothing to build");
    fs.writeFileSync(dev.path("app.db"), "y");
    const to = edit();
    await shows(page, to);
    same(dev.output.split("app.db changed").length, 2, "builds for a file that the app writes, and one more");
    same(page.loads, 2, "loads");
    await page.close();
  }],
  ["the script goes into pages only, and everything else stays as it is", async () => {
    const page = await get(`${dev.url}/`, browserHeaders());
    const text = page.body.toString();
    check(/<script src="\/\/127[^<]*dev\.js" data-generation="\d+" defer><\/script><\/body>\n<\/html>\n$/.test(text), text);
    same(page.headers.etag, undefined, "a validator of the page without the script");
    same((await get(`${dev.url}/`)).body.toString().includes(".portkeep"), false, "for a client that is no browser");
    for (const dest of ["empty", "iframe", "script"]) {
      const part = await get(`${dev.url}/`, browserHeaders({ "sec-fetch-dest": dest }));
      same(part.body.toString().includes(".portkeep"), false, `for ${dest}`);
      same(part.headers.etag, "\"always the same\"", "its validator");
    }
    const json = await get(`${dev.url}/json`, browserHeaders());
    same(json.body.toString(), "{\"a\":\"</body>\"}", "no page");
    same(json.headers["content-length"], "15", "its length");
    const head = await get(`${dev.url}/`, { method: "HEAD", ...browserHeaders() });
    check(Number(head.headers["content-length"]) > 100, "HEAD is as it was");
  }],
  ["compressed pages get the script too, and other clients their compression", async () => {
    for (const encoding of ["gzip", "br", "zstd", "deflate"]) {
      const accept = { "accept-encoding": encoding };
      const page = await get(`${dev.url}/compressed`, browserHeaders(accept));
      check(page.body.toString().includes("dev.js"), `${encoding}: the script`);
      const other = await get(`${dev.url}/compressed`, { headers: accept });
      same(other.headers["content-encoding"], encoding, "for another client");
    }
    const page = await open("/compressed");
    await shows(page, "from a file");
    await page.close();
  }],
  ["a policy with a nonce, and one with trusted types, let it work", async () => {
    for (const path of ["/nonce", "/strict"]) {
      const page = await open(path);
      await shows(page, edit());
      dev.edit("src/main.rs", "// start\n", "missing!();\n    // start\n");
      await overlay(page).waitFor({ timeout: BUILD });
      dev.edit("src/main.rs", "missing!();\n    // start\n", "// start\n");
      await overlay(page).waitFor({ state: "hidden", timeout: BUILD });
      // The page itself breaks its policy with its icon, its style attribute and its inline script.
      const ours = page.problems.filter((problem) => !/data:,|inline s/i.test(problem));
      same(ours, [], `problems at ${path}`);
      await page.close();
    }
  }],
  ["other hosts and other pages learn nothing", async () => {
    const events = `${dev.url}/.portkeep/dev.js`;
    same((await get(events)).status, 200, "a page of the app");
    for (const headers of [
      { host: "evil.example" },
      { host: `127.0.0.1.evil.example:${dev.port}` },
      { origin: "http://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
    ]) {
      same((await get(events, { headers })).status, 403, JSON.stringify(headers));
    }
    const rebound = await get(`${dev.url}/`, browserHeaders({ host: "evil.example" }));
    same(rebound.body.toString().includes(".portkeep"), false, "a page under another name");
    same((await get(events, { method: "POST" })).status, 403, "a POST");
    same((await get(`${dev.url}/.portkeep/../../etc/passwd`)).status < 500, true, "a path");
    const socket = `${runDirectory(dev.directory)}/dev`;
    same((fs.statSync(socket).mode & 0o777).toString(8), "600", "the mode of the socket");
  }],
  ["the building mark counts, and goes", async () => {
    const page = await open();
    edit();
    await mark(page).waitFor({ timeout: BUILD });
    check(/(building|starting) \d+\.\d s/.test(await mark(page).innerText()), "it says for how long");
    await shows(page, version);
    await mark(page).waitFor({ state: "hidden" });
    await page.close();
  }],
].map(([name, body]) => [`pages: ${name}`, body])).finally(async () => {
  await browser.close();
  await dev.stop();
});
