// Save → new answer, and the longest that a request waited meanwhile, beside the watchers that people use.
// `node measure.mjs [ROUNDS] [START-MILLISECONDS] [PADDING-MEGABYTES] [WAYS] [SILENT-MILLISECONDS]`: needs systemfd and
// watchexec in PATH. WAYS are parts of their names, separated by commas; requests begin SILENT after the save, so that a build
// can have the processors for itself. measure-in-guest runs it where a user manager is.
import { spawn, execFileSync } from "node:child_process";
import { setMaxListeners } from "node:events";
import fs from "node:fs";
import path from "node:path";

import { BACKEND, BUILD, Dev, environmentOf, forgetHistory, freePort, get, until } from "./dev.mjs";

const rounds = Number(process.argv[2] ?? 15);
const start = Number(process.argv[3] ?? 0);
const padding = Number(process.argv[4] ?? 0);
const only = (process.argv[5] || undefined)?.split(",");
const silent = Number(process.argv[6] ?? 0);
// How long those are waited for that have no answer when the new version has given its first: a connection that a full queue
// dropped is tried again by its client after 1, 3, 7, 15 … seconds.
const PATIENCE = 10_000;
const shared = process.env.PAGES_TARGET;

// A project with a build directory of its own, in which the dependencies are built.
function project() {
  const made = Dev.copyApp();
  made.target = path.join(made.directory, "target");
  execFileSync("cp", ["-a", "--reflink=auto", shared, made.target]);
  made.source = path.join(made.project, "src/main.rs");
  made.version = "one";
  if (padding > 0) {
    execFileSync("dd", ["if=/dev/urandom", `of=${made.directory}/padding`, "bs=1M", `count=${padding}`], { stdio: "ignore" });
    const text = fs.readFileSync(made.source, "utf8");
    fs.writeFileSync(made.source, `${text}\n#[used]\nstatic PADDING: &[u8] = include_bytes!("${made.directory}/padding");\n`);
  }
  const text = fs.readFileSync(made.source, "utf8");
  fs.writeFileSync(made.source, text.replace("START: u64 = 0", `START: u64 = ${start}`));
  return made;
}

const environment = (made) => environmentOf(made.directory, made.target);
const portkeep = (backend) => (port) => [process.env.PORTKEEP ?? "portkeep", "dev", "--backend", backend, "--listen", `127.0.0.1:${port}`];

const ways = {
  ...(BACKEND === "systemd" && { "portkeep (systemd)": portkeep("systemd") }),
  "portkeep (local)": portkeep("local"),
  "systemfd + watchexec -r": (port) => ["systemfd", "--no-pid", "-s", `http::127.0.0.1:${port}`, "--", "watchexec", "-r", "-w", "src", "--", "cargo", "run"],
  "watchexec --socket": (port) => ["watchexec", "--socket", `127.0.0.1:${port}`, "-r", "-w", "src", "--", "cargo", "run"],
};

// What they all depend on, once.
const first = Dev.copyApp();
execFileSync("cargo", ["build"], { cwd: first.project, env: environmentOf(first.directory, shared), stdio: "ignore" });
fs.rmSync(first.directory, { recursive: true, force: true });
forgetHistory();

const tools = [];
for (const [name, command] of Object.entries(ways)) {
  if (only && !only.some((part) => name.includes(part))) continue;
  const tool = { name, ...project(), port: await freePort(), took: [], waited: [], failed: 0, givenUp: 0 };
  const [program, ...args] = command(tool.port);
  tool.process = spawn(program, args, { cwd: tool.project, env: environment(tool), stdio: ["ignore", "ignore", "pipe"], detached: true });
  tool.process.stderr.on("data", (piece) => (tool.output = (tool.output ?? "") + piece));
  tool.url = `http://127.0.0.1:${tool.port}/plain`;
  await until(`${name} serves`, 600_000, async () => (await get(tool.url).catch(() => null))?.body.toString() === "one")
    .catch((error) => { throw new Error(`${error.message}\n${tool.output}`); });
  tools.push(tool);
}
const alone = { ...project(), took: [] };
execFileSync("cargo", ["build"], { cwd: alone.project, env: environment(alone), stdio: "ignore" });

function save(tool, version) {
  const text = fs.readFileSync(tool.source, "utf8");
  fs.writeFileSync(tool.source, text.replace(`VERSION: &str = "${tool.version}"`, `VERSION: &str = "${version}"`));
  tool.version = version;
}

async function once(tool, version) {
  let slowest = 0;
  let answered = false;
  const asked = [];
  const givingUp = new AbortController();
  setMaxListeners(0, givingUp.signal);
  const begun = performance.now();
  save(tool, version);
  await new Promise((done) => setTimeout(done, silent));
  let took;
  while (!answered && performance.now() - begun < BUILD) {
    const at = performance.now();
    const waited = () => (slowest = Math.max(slowest, performance.now() - at));
    asked.push(get(tool.url, { signal: givingUp.signal }).then((answer) => {
      waited();
      if (answer.body.toString() === version) {
        took ??= performance.now() - begun;
        answered = true;
      }
    }, () => {
      waited();
      tool[givingUp.signal.aborted ? "givenUp" : "failed"] += 1;
    }));
    // 200 requests a second.
    await new Promise((done) => setTimeout(done, 5));
  }
  const patience = setTimeout(() => givingUp.abort(), PATIENCE);
  await Promise.all(asked);
  clearTimeout(patience);
  tool.took.push(took);
  tool.waited.push(slowest);
}

try {
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    save(alone, `r${round}`);
    execFileSync("cargo", ["build"], { cwd: alone.project, env: environment(alone), stdio: "ignore" });
    alone.took.push(performance.now() - begun);
    for (const tool of tools) await once(tool, `r${round}`);
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
} finally {
  for (const tool of tools) {
    try { process.kill(-tool.process.pid, "SIGINT"); } catch { /* it has ended */ }
    await Promise.race([new Promise((done) => tool.process.on("exit", done)), new Promise((done) => setTimeout(done, 5000))]);
    fs.rmSync(tool.directory, { recursive: true, force: true });
  }
  fs.rmSync(alone.directory, { recursive: true, force: true });
}
const median = (all) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];
const figures = (all) => `${median(all).toFixed(0)} ms (${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)})`;
console.log(`measured: start ${start} ms, ${padding} MB more, no requests for ${silent} ms, median of ${rounds}`);
console.log(`measured: cargo build alone: ${figures(alone.took)}`);
for (const tool of tools) {
  console.log(`measured: ${tool.name}: save to answer ${figures(tool.took)}, longest wait ${figures(tool.waited)}, ${tool.failed} failed, ${tool.givenUp} without an answer ${PATIENCE / 1000} s later`);
}
process.exit(0);
