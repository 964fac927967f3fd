// How long after a save the browser shows it, and how much of that is not cargo's. `node times.mjs [ROUNDS]`
import { launch } from "./chromium.mjs";
import { BUILD, Dev } from "./dev.mjs";

const rounds = Number(process.argv[2] ?? 15);
const dev = await Dev.serving();
const browser = await launch();
const page = await browser.newPage();
await page.goto(dev.url);
await page.waitForFunction(() => document.querySelector("portkeep-dev"));

const figures = { "new page": [], "overlay shows": [], "overlay is gone": [] };
const beyond = { "new page": [], "overlay shows": [], "overlay is gone": [] };
async function measure(what, save, shown) {
  const from = dev.output.length;
  const begun = performance.now();
  save();
  await shown();
  const took = performance.now() - begun;
  const told = [...dev.output.slice(from).matchAll(/(?:built in|failed.*? after) ([\d.]+) s/g)].at(-1);
  figures[what].push(took);
  beyond[what].push(took - Number(told[1]) * 1000);
}
const options = { timeout: BUILD, polling: 5 };
const has = (version) => page.waitForFunction((version) => document.querySelector("#version")?.textContent === version, version, options);
const overlay = (hidden) =>
  page.waitForFunction((hidden) => document.querySelector("portkeep-dev")?.shadowRoot.querySelector(".overlay").hidden === hidden, hidden, options);
let version = "one";
try {
  for (let round = 0; round < rounds; round++) {
    const next = `round-${round}`;
    await measure("new page", () => dev.version(version, next), () => has(next));
    version = next;
    await page.waitForFunction(() => document.querySelector("portkeep-dev"), null, options);
    await measure("overlay shows", () => dev.edit("src/main.rs", "// start", "missing!();"), () => overlay(false));
    await measure("overlay is gone", () => dev.edit("src/main.rs", "missing!();", "// start"), () => overlay(true));
  }
} finally {
  await browser.close();
  await dev.stop();
}
const sorted = (all) => [...all].sort((a, b) => a - b);
const median = (all) => sorted(all)[Math.floor(all.length / 2)].toFixed(0);
for (const what of Object.keys(figures)) {
  console.log(`measured: save to ${what}: ${median(figures[what])} ms, beyond cargo's ${median(beyond[what])} ms (at most ${sorted(beyond[what]).at(-1).toFixed(0)}), ${rounds} rounds`);
}
