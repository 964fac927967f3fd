// What a browser sees while an app is edited, broken and mended under `portkeep dev`.
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";

import { check, run, same } from "./cases.mjs";
import { launch, mark, overlay } from "./chromium.mjs";
import { BUILD, Dev, get, runDirectory, until } from "./dev.mjs";

const dev = await Dev.serving([], {
  prepare(dev) {
    const htmx = path.join(import.meta.dirname, "node_modules/htmx.org/dist/htmx.js");
    fs.copyFileSync(htmx, dev.path("static/htmx.js"));
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

async function open(path = "/", where = context) {
  const page = await where.newPage();
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
    for (let count = 0; count < 7; count++) pages.push(await open());
    // Chromium freezes hidden tabs only, and none of a headless one is hidden: a debugger holds it, and whatever else
    // is in its process, so it is by itself.
    const alone = await browser.newContext();
    const asleep = await open("/", alone);
    const session = await alone.newCDPSession(asleep);
    await session.send("Debugger.enable");
    const held = new Promise((done) => session.once("Debugger.paused", done));
    await session.send("Debugger.pause");
    await held;
    let to;
    for (let count = 0; count < 2; count++) {
      to = edit();
      await Promise.all(pages.map((page) => shows(page, to)));
    }
    // Twice as long as the others took: it sleeps indeed.
    same(asleep.loads, 1, "loads of the one that sleeps");
    await session.send("Debugger.resume");
    await shows(asleep, to);
    same(asleep.loads, 2, "loads of the one that slept");
    await alone.close();
    await Promise.all(pages.map((page) => page.close()));
  }],
  ["a page whose connection was cut catches up", async () => {
    const alone = await browser.newContext();
    const page = await open("/", alone);
    await alone.setOffline(true);
    const to = edit();
    await until("it serves", BUILD, async () => (await get(`${dev.url}/plain`)).body.toString() === to);
    same(page.loads, 1, "loads while it is cut off");
    await alone.setOffline(false);
    await shows(page, to);
    await alone.close();
  }],
  ["a page heeds a new generation only when that one says so itself", async () => {
    // Nobody else tells it anything.
    const alone = await browser.newContext();
    const page = await alone.newPage();
    page.on("load", () => (page.loads = (page.loads ?? 0) + 1));
    let tell = {};
    await page.route("**/.portkeep/events", async (route) => {
      const state = { session: 1, generation: 1e6, pageSince: 1, styles: 0, assets: 0, files: "", phase: "idle", since: 0, what: "", failure: null, via: 1e6, ...tell };
      await route.fulfill({ contentType: "text/event-stream", body: `data: ${JSON.stringify(state)}\n\n` });
    });
    // The page believes that it was made in the session of these events.
    await page.route(`${dev.url}/`, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace(/data-made-of="\d+ \d+ \d+"/, 'data-made-of="1 0 0"') });
    });
    const says = (title) => page.locator("portkeep-dev h2", { hasText: title }).waitFor({ timeout: 10_000 });
    const failure = (title) => ({ title, parts: [] });
    await page.goto(dev.url);
    tell = { failure: failure("one") };
    await says("one");
    tell = { pageSince: 1e6, styles: 1, assets: 1, via: 1, failure: failure("two") };
    await says("two");
    tell = { pageSince: 1e6, styles: 1, assets: 1, via: 1, failure: failure("three") };
    await says("three");
    same(page.loads, 1, "loads for what an old generation says");
    tell = { pageSince: 1e6 };
    await until("a load", 10_000, () => page.loads > 1);
    await alone.close();
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
  ["styles that are in the page, or have their hash in their name, come with the page", async () => {
    const pages = [await open("/inline"), await open("/hashed"), await open("/")];
    const colour = (page) => page.evaluate(() => getComputedStyle(document.querySelector("#version")).color);
    for (const to of ["rgb(11, 22, 33)", "rgb(44, 55, 66)"]) {
      dev.edit("src/embedded.css", await colour(pages[0]), to);
      for (const page of pages) await until(`the colour at ${page.url()}`, BUILD, async () => (await colour(page).catch(() => "")) === to);
    }
    // A page has its colours before it is loaded whole.
    for (const page of pages) await page.waitForLoadState("load");
    same(pages.map((page) => page.loads), [3, 3, 1], "loads");
    await Promise.all(pages.map((page) => page.close()));
  }],
  ["what changes after a page was asked for and before it can hear reaches it", async () => {
    const page = await context.newPage();
    let asked, changed;
    const isAsked = new Promise((done) => (asked = done));
    const hasChanged = new Promise((done) => (changed = done));
    await page.route("**/.portkeep/dev.js", async (route) => {
      asked();
      await hasChanged;
      await route.continue();
    });
    const colour = () => page.evaluate(() => getComputedStyle(document.querySelector("h1")).color);
    const going = page.goto(dev.url);
    await isAsked;
    const before = fs.readFileSync(dev.path("static/style.css"), "utf8").match(/rgb\([^)]*\)/)[0];
    await until("the old style", 10_000, async () => (await colour()) === before);
    const hear = dev.hear();
    dev.edit("static/style.css", before, "rgb(9, 8, 7)");
    // Learned by now, or with a build that has nothing to do.
    await until("it is heard of", BUILD, () => hear("pages take the new styles", 0).catch(() => hear("nothing to build", 0)).then(() => true, () => false));
    changed();
    await going;
    await until("the new style", 10_000, async () => (await colour()) === "rgb(9, 8, 7)");
    await page.close();
  }],
  ["a page that changes files whenever it is made is not loaded for ever", async () => {
    const page = await open("/chart");
    await mark(page).filter({ hasText: "chart.svg changes whenever this page is loaded" }).waitFor({ timeout: BUILD });
    const before = page.loads;
    check(before <= 9, `${before} loads`);
    // A click is one more, and no more than that.
    await mark(page).click();
    await until("it is loaded again", 10_000, () => page.loads === before + 1);
    await mark(page).filter({ hasText: "chart.svg changes whenever" }).waitFor({ timeout: 10_000 });
    same(page.loads, before + 1, "loads");
    // A new version is another matter.
    await shows(page, edit());
    await page.close();
  }],
  ["a page that came of a form is not loaded again, which would send the form again", async () => {
    const page = await context.newPage();
    page.on("load", () => (page.loads = (page.loads ?? 0) + 1));
    await page.goto(`${dev.url}/form`);
    await page.click("button");
    await shows(page, version);
    await until("both loads", 10_000, () => page.loads === 2);
    const old = version;
    edit();
    await mark(page).filter({ hasText: "a new version is ready" }).waitFor({ timeout: BUILD });
    same(await page.textContent("#version"), old, "the page");
    same(page.loads, 2, "loads");
    await page.close();
  }],
  ["a page that the browser kept from before has the script, and what a script fetches has not", async () => {
    const page = await open();
    const fetched = () => page.evaluate(() => fetch("/kept").then((answer) => answer.text()));
    await fetched();
    await page.goto(`${dev.url}/kept`);
    await page.waitForFunction(() => document.querySelector("portkeep-dev") !== null);
    check(!(await fetched()).includes(".portkeep"), "what is fetched");
    await page.close();
  }],
  ["a version that somebody rolled back to is shown, and then the newest again", async () => {
    const page = await open();
    const old = version;
    await shows(page, edit());
    dev.run("rollback", "pages");
    await shows(page, old);
    // Only a style changes, but the newest is more than that.
    const colour = () => page.evaluate(() => getComputedStyle(document.querySelector("#version")).color);
    dev.edit("src/embedded.css", await colour(), "rgb(100, 100, 0)");
    await shows(page, version);
    await page.close();
  }],
  ["a compiler error covers the page, leads to the editor, and goes away by itself", async () => {
    const page = await open();
    dev.edit("src/main.rs", "// start\n", "let unused = 1;\n    let x: u32 = \"<img src=x onerror=alert(1)>\";\n    // start\n");
    await overlay(page).waitFor({ timeout: BUILD });
    const text = await overlay(page).innerText();
    check(text.includes("error[E0308]: mismatched types") && text.includes("<img src=x"), text);
    const link = overlay(page).locator("a").first();
    same(await link.getAttribute("href"), `vscode://file${dev.path("src/main.rs")}:20:18`.replace("file/", "file//"), "the link");
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
    // cargo tells of the warning first.
    const broken = "use std::collections::BTreeMap;\n    let _: u32 = \"text\";\n    let _: u8 = \"more\";\n    // start\n";
    dev.edit("src/main.rs", "// start\n", broken);
    await overlay(page).waitFor({ timeout: BUILD });
    const parts = await overlay(page).locator(".parts").evaluate((parts) =>
      [...parts.children].map((part) => [part.localName, part.textContent.match(/^(error|warning|\d+ warnings?)/)?.[0] ?? part.textContent]));
    check(parts.length === 3 && parts.slice(0, -1).every(([name, begin]) => name === "pre" && begin === "error"), `errors, then the rest: ${JSON.stringify(parts)}`);
    check(parts.at(-1)[0] === "details" && /warning/.test(parts.at(-1)[1]), `what comes last: ${parts.at(-1)}`);
    const folded = overlay(page).locator("details pre").first();
    check((await folded.textContent()).includes("unused import"), "the warning");
    same(await folded.isVisible(), false, "it is seen");
    await overlay(page).locator("summary").click();
    await folded.waitFor();
    dev.edit("src/main.rs", broken, "// start\n");
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
    check(/<script src="\/\/127[^<]*dev\.js" data-generation="\d+" data-made-of="\d+ \d+ \d+" defer><\/script><\/body>\n<\/html>\n$/.test(text), text);
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
    // What is compressed though nobody wants it so is passed on, and somebody is told.
    const zipped = await get(`${dev.url}/zipped`, browserHeaders());
    same(zipped.headers["content-encoding"], "gzip", "its encoding");
    check(zipped.body.equals(fs.readFileSync(dev.path("static/page.html.gz"))), "byte for byte");
    await dev.said("/zipped came compressed", 10_000);
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
  ["an error covers the page, and nothing of it is seen through", async () => {
    const page = await open();
    await page.evaluate(() => (document.body.innerHTML = `<div style="height: 3000px; background: rgb(255, 0, 255)"></div>`));
    dev.edit("src/main.rs", "// start\n", "missing!();\n    // start\n");
    await overlay(page).waitFor({ timeout: BUILD });
    const { width, height } = page.viewportSize();
    const picture = (await page.screenshot()).toString("base64");
    const seen = await page.evaluate(async ({ picture, width, height }) => {
      const image = new Image();
      image.src = `data:image/png;base64,${picture}`;
      await image.decode();
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, width, height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) if (data[at] > 200 && data[at + 1] < 150 && data[at + 2] > 200) count += 1;
      return count;
    }, { picture, width, height });
    same(seen, 0, "pixels of the page");
    await page.keyboard.press("Escape");
    await overlay(page).waitFor({ state: "hidden" });
    dev.edit("src/main.rs", "missing!();\n    // start\n", "// start\n");
    await page.close();
  }],
  ["a service worker that asks the network hands the new version on", async () => {
    const page = await open("/worker/network");
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
    // What comes through the worker has the script, too.
    for (let times = 0; times < 2; times++) await shows(page, edit());
    same(page.problems, [], "problems of the page");
    await page.close();
  }],
  ["a service worker that answers from its cache does not make a page load for ever, and the page says so", async () => {
    const page = await open("/worker/cache");
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
    // Through the worker, which keeps it.
    await page.reload();
    edit();
    await page.waitForFunction(
      () => /a new version is ready/.test(document.querySelector("portkeep-dev")?.shadowRoot.querySelector(".mark").innerText ?? ""),
      undefined,
      { timeout: BUILD },
    );
    check(page.loads < 10, `${page.loads} loads`);
    await page.close();
  }],
  ["htmx swaps the body and goes back in its history, and the page reloads all the same", async () => {
    const page = await open("/htmx");
    await page.click("#on");
    await page.waitForFunction(() => document.querySelector("#name").textContent === "second");
    same(page.loads, 1, "loads");
    await page.goBack();
    await page.waitForFunction(() => document.querySelector("#name").textContent === "first");
    same(await page.locator("portkeep-dev").count(), 1, "what is ours in the page");
    await shows(page, edit());
    await page.goForward();
    await page.waitForFunction(() => document.querySelector("#name").textContent === "second");
    await shows(page, version);
    await shows(page, edit());
    same(await page.locator("portkeep-dev").count(), 1, "what is ours in the page");
    await page.close();
  }],
  ["a sandboxed page stays as it is and is told of, unless it may ask", async () => {
    const page = await context.newPage();
    const problems = [];
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await page.goto(`${dev.url}/sandboxed/allow-scripts`);
    same(await page.locator("portkeep-dev").count(), 0, "what is ours in the page");
    same(problems.filter((problem) => /portkeep/.test(problem)), [], "problems of the page");
    await dev.said("/sandboxed/allow-scripts does not reload by itself");
    await page.close();
    const open_ = await open("/sandboxed/allow-scripts+allow-same-origin");
    await shows(open_, edit());
    await open_.close();
  }],
  ["a page by another name is told of once", async () => {
    for (let times = 0; times < 2; times++) await get(`${dev.url}/`, browserHeaders({ host: `myapp.test:${dev.port}` }));
    await dev.said("`--allow-host myapp.test` lets them");
    same(dev.output.split("`--allow-host myapp.test`").length, 2, "how often it is said");
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
].map(([name, body]) => [`pages: ${name}`, async () => {
  try {
    await body();
  } finally {
    // One that failed leaves none to the next.
    for (const page of context.pages()) await page.close();
  }
}])).finally(async () => {
  await browser.close();
  await dev.stop();
});
