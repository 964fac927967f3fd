// Random edits, breaks, repairs and bursts: never a failed request, and whenever `portkeep dev wait` says that what is saved
// serves, the next answer is of it.
// `node chaos.mjs [SEQUENCES] [SEED]`
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

import { check, run, same } from "./cases.mjs";
import { Dev, get } from "./dev.mjs";

const sequences = Number(process.argv[2] ?? 100);
let seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
process.argv.length = 2;
console.log(`${sequences} sequences, seed ${seed}`);

// The same numbers for the same seed.
function random(below) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

const events = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "events-")), "events");
const dev = await Dev.serving(["--events", events]);
const good = fs.readFileSync(dev.path("src/main.rs"), "utf8");
const write = (text) => fs.writeFileSync(dev.path("src/main.rs"), text);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

let number = 0;
const version = (name) => good.replace('VERSION: &str = "one"', `VERSION: &str = "${name}"`);
const next = () => `v${(number += 1)}`;
const steps = {
  edit: () => write(version(next())),
  break: () => write(version(next()).replace("// start", "missing!();")),
  panic: () => write(version(next()).replace("// start", "panic!(\"at the start\");")),
  truncate: () => write(""),
  touch: () => fs.utimesSync(dev.path("src/main.rs"), new Date(), new Date()),
  style: () => fs.writeFileSync(dev.path("static/style.css"), `h1 { color: rgb(${random(256)}, 0, 0); }\n`),
  embedded: () => fs.writeFileSync(dev.path("src/embedded.css"), `p { color: rgb(${random(256)}, 0, 0); }\n`),
  replace: () => {
    fs.writeFileSync(dev.path("src/main.rs.new"), version(next()));
    fs.renameSync(dev.path("src/main.rs.new"), dev.path("src/main.rs"));
  },
  async burst() {
    for (let count = 0; count < 10; count++) {
      write(version(next()));
      await pause(random(15));
    }
  },
};
const names = Object.keys(steps);

// What `portkeep dev wait` says of what is saved at this moment.
const wait = () => dev.ask("dev", "wait", "--json", "--app", "pages", "--timeout", "2m");

let over = false;
let asked = 0;
let slowest = 0;
const failures = [];
async function ask() {
  while (!over) {
    const begun = Date.now();
    try {
      const answer = await get(`${dev.url}/plain`);
      if (answer.status !== 200 || !/^(one|v\d+)$/.test(answer.body.toString())) failures.push(`${answer.status} ${answer.body}`);
    } catch (error) {
      failures.push(String(error));
    }
    asked += 1;
    slowest = Math.max(slowest, Date.now() - begun);
    await pause(10);
  }
}
const asking = [ask(), ask()];

await run([[`chaos: ${sequences} random sequences`, async () => {
  for (let sequence = 0; sequence < sequences; sequence++) {
    const done = [];
    for (let step = 1 + random(4); step > 0; step--) {
      const name = names[random(names.length)];
      done.push(name);
      await steps[name]();
      await pause([0, 20, 300, 1500][random(4)]);
    }
    // Whether what is saved can serve is known here, too.
    const kind = ["edit", "break", "panic"][random(6)] ?? "edit";
    const last = next();
    write({
      edit: version(last),
      break: version(last).replace("// start", "missing!();"),
      panic: version(last).replace("// start", "panic!(\"at the start\");"),
    }[kind]);
    const verdict = await wait();
    const answer = (await get(`${dev.url}/plain`)).body.toString();
    const what = `${kind} ${last} after ${done}: ${JSON.stringify(verdict)}\n${dev.output.slice(-3000)}`;
    if (kind === "edit") {
      same(verdict.result, "serves", what);
      // The very next answer, and never an older one again.
      same(answer, last, what);
      for (let times = 0; times < 5; times++) same((await get(`${dev.url}/plain`)).body.toString(), last, what);
    } else {
      same(verdict.result, "fails", what);
      check(answer !== last, what);
      check(JSON.stringify(verdict.diagnostics).includes(kind === "break" ? "missing" : "at the start"), what);
    }
    same(failures, [], `failures after ${done}`);
  }
  over = true;
  await Promise.all(asking);
  same(failures, [], "failures");
  check(asked > sequences * 10, `only ${asked} requests`);
  // What `--events` wrote of it: a value a line, however much there was.
  const told = fs.readFileSync(events, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  same(told[0].event, "begins", "the first event");
  check(told.every(({ version, event }) => version === 1 && event), "an event without its version or name");
  check(told.some(({ event }) => event === "verdict"), "no verdict among the events");
  console.log(`measured: ${sequences} random sequences, ${number} versions, ${asked} requests, none failed, slowest ${slowest} ms`);
}]]).finally(async () => {
  over = true;
  await dev.stop();
  fs.rmSync(path.dirname(events), { recursive: true });
});
