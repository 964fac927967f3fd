// From a save to the new version while a checkout rewrites files beside it: `node many-files.mjs [ROUNDS]`
// Fails if the median with any number of files is more than half a second above the one without.
import fs from "node:fs";
import path from "node:path";

import { BUILD, Dev, get, until } from "./dev.mjs";

const rounds = Number(process.argv[2] ?? 5);
const COUNTS = [0, 500, 2000, 10_000];
const MOST = 500;

const dev = await Dev.serving();
const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)];
let version = "one";
let edits = 0;

// How long the files took to write, and how long the new version took from the save that follows.
async function round(count) {
  const directory = dev.path("static/up");
  fs.mkdirSync(directory, { recursive: true });
  const begun = performance.now();
  for (let file = 0; file < count; file++) fs.writeFileSync(path.join(directory, `${file}.txt`), `${edits} ${file}`);
  const to = `v${(edits += 1)}`;
  dev.version(version, to);
  version = to;
  const saved = performance.now();
  await until(`${to} answers`, BUILD, async () => (await get(`${dev.url}/plain`)).body.toString() === to);
  const answered = performance.now();
  // What changed beside it comes to rest: the next round begins from there.
  const verdict = await dev.ask("dev", "wait", "--json", "--app", "pages");
  if (verdict.result !== "serves") throw new Error(JSON.stringify(verdict));
  return { wrote: saved - begun, took: answered - saved };
}

try {
  // portkeep's own profile is built behind the first builds.
  await round(0);
  const found = [];
  for (const count of COUNTS) {
    const all = [];
    // The first one makes the files.
    for (let times = 0; times <= rounds; times++) all.push(await round(count));
    const [wrote, took] = [all.slice(1).map((one) => one.wrote), all.slice(1).map((one) => one.took)];
    found.push({ count, took: median(took) });
    const list = took.map((one) => one.toFixed(0)).join(" ");
    console.log(`measured: ${count} files (${median(wrote).toFixed(0)} ms to write): ${median(took).toFixed(0)} ms to the new version (${list})`);
  }
  const slow = found.filter(({ took }) => took - found[0].took > MOST);
  for (const { count, took } of slow) console.log(`${count} files: ${(took - found[0].took).toFixed(0)} ms more than without, above ${MOST} ms`);
  process.exitCode = slow.length === 0 ? 0 : 1;
} finally {
  await dev.stop();
}
