// Save → new answer, and the longest that a request waited meanwhile, beside the watchers that people use; fails where portkeep
// takes more than its share of the time of the best of them, or lets a request wait or fail.
//
// `node measure.mjs [ROUNDS] [START-MILLISECONDS] [PADDING-MEGABYTES] [WAYS] [SILENT-MILLISECONDS] [--ratio 0.75] [--wait 30]`:
// needs systemfd and watchexec in PATH. WAYS are parts of their names, separated by commas; requests begin SILENT after the save,
// so that a build can have the processors for itself. The limits hold for an app that starts at once and is small, and for
// others if they are given. measure-in-guest runs it where a user manager is.
import { spawn, execFileSync } from "node:child_process";
import { setMaxListeners } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { BACKEND, BUILD, environmentOf, forgetHistory, freePort, get, target as kept, until } from "./dev.mjs";
import { figures, median, verdict } from "./verdict.mjs";

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: { ratio: { type: "string" }, wait: { type: "string" } },
});
const rounds = Number(positionals[0] ?? 15);
const start = Number(positionals[1] ?? 0);
const padding = Number(positionals[2] ?? 0);
const only = (positionals[3] || undefined)?.split(",");
const silent = Number(positionals[4] ?? 0);
const usual = start === 0 && padding === 0 && silent === 0;
const limits = {
  ratio: Number(given.ratio ?? (usual ? 0.75 : Infinity)),
  wait: Number(given.wait ?? (usual ? 30 : Infinity)),
};
// How long those are waited for that have no answer when the new version has given its first: a connection that a full queue
// dropped is tried again by its client after 1, 3, 7, 15 … seconds.
const PATIENCE = 10_000;
// For all that the app depends on, and for a tool to begin.
const FIRST = 600_000;

const bench = path.resolve(import.meta.dirname, "../bench");
const checkout = path.resolve(bench, "../..");
// The smallest axum app, unchanged and on the server library.
const UNCHANGED = "on-axum";
const LIBRARY = "on-portkeep";

// A copy of an app, whose package has this name: a tool that knows apps by their package takes two of them for two.
function project(app, name) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "measure-"));
  fs.mkdirSync(path.join(directory, "runtime"), { mode: 0o700 });
  const made = { app, name, directory, project: path.join(directory, "app") };
  made.target = path.join(made.project, "target");
  made.source = path.join(made.project, "src/main.rs");
  fs.mkdirSync(path.dirname(made.source), { recursive: true });
  const manifest = fs.readFileSync(path.join(bench, "app", app, "Cargo.toml"), "utf8");
  // Of no workspace, whatever is above it.
  fs.writeFileSync(path.join(made.project, "Cargo.toml"), `${manifest
    .replace(`name = "${app}"`, `name = "${name}"`)
    .replace("../../../../crates/portkeep", path.join(checkout, "crates/portkeep"))}\n[workspace]\n`);
  fs.copyFileSync(path.join(bench, "app/Cargo.lock"), path.join(made.project, "Cargo.lock"));
  made.text = fs.readFileSync(path.join(bench, "app", app, "src/main.rs"), "utf8");
  if (start > 0) {
    made.text = made.text.replace("async fn main() {\n", `$&    tokio::time::sleep(std::time::Duration::from_millis(${start})).await;\n`);
  }
  if (padding > 0) {
    execFileSync("dd", ["if=/dev/urandom", `of=${directory}/padding`, "bs=1M", `count=${padding}`], { stdio: "ignore" });
    made.text += `\n#[used]\nstatic PADDING: &[u8] = include_bytes!("${directory}/padding");\n`;
  }
  save(made, "one");
  return made;
}

const save = (made, version) => fs.writeFileSync(made.source, made.text.replace("VERSION", version));
const environment = (made) => environmentOf(made.directory, made.target);
// In a session of its own, as the tools are: processors are shared out among sessions.
const cargoBuild = (made) => execFileSync("setsid", ["--wait", "cargo", "build", "--quiet"], { cwd: made.project, env: environment(made), stdio: ["ignore", "ignore", "inherit"] });
const remove = (made) => fs.rmSync(made.directory, { recursive: true, force: true });

const portkeep = (backend, app) => ({
  app,
  command: (address) => [process.env.PORTKEEP ?? "portkeep", "dev", "--backend", backend, "--listen", address],
});
const watcher = (command) => ({ app: UNCHANGED, watcher: true, command });

const ways = {
  ...(BACKEND === "systemd" && {
    "portkeep (systemd)": portkeep("systemd", UNCHANGED),
    "portkeep (systemd), portkeep::serve": portkeep("systemd", LIBRARY),
  }),
  "portkeep (local)": portkeep("local", UNCHANGED),
  "portkeep (local), portkeep::serve": portkeep("local", LIBRARY),
  "systemfd + watchexec -r": watcher((address) => ["systemfd", "--no-pid", "-s", `http::${address}`, "--", "watchexec", "-r", "-w", "src", "--", "cargo", "run"]),
  "watchexec --socket": watcher((address) => ["watchexec", "--socket", address, "-r", "-w", "src", "--", "cargo", "run"]),
};

// What an app depends on, built once and kept between runs.
function dependencies(app) {
  const directory = path.join(kept, "measure", app);
  const first = project(app, "first");
  execFileSync("mkdir", ["-p", directory]);
  cargoBuild({ ...first, target: directory });
  remove(first);
  return directory;
}
// A project that begins with this build directory, if there is one.
function withBuilt(directory, app, name) {
  const made = project(app, name);
  if (directory) execFileSync("cp", ["-a", "--reflink=auto", directory, made.target]);
  return made;
}

// portkeep's first version may come from a build in the user's own profile, while its own profile is built behind that. What is
// measured begins when it has built the app in its own, and shows nothing more.
async function settled(tool) {
  const executable = path.join(tool.target, "portkeep-dev", tool.name);
  let said = "";
  let since = Date.now();
  await until(`${tool.way} builds in its own profile`, FIRST, () => {
    if (tool.output !== said || !fs.existsSync(executable)) {
      said = tool.output;
      since = Date.now();
    }
    return Date.now() - since > 3000;
  });
}

async function begin(way, number) {
  const { app, command, watcher } = ways[way];
  // Nobody waits twice for the same dependencies: those of the user's profile, and those of portkeep's.
  const built = watcher ? plain : tools.findLast((tool) => !tool.watcher)?.target;
  const tool = { way, watcher, ...withBuilt(built, app, `measure-${number}`), output: "", took: [], waited: [], failed: 0, givenUp: 0 };
  const address = `127.0.0.1:${await freePort()}`;
  tool.url = `http://${address}/`;
  const [program, ...args] = command(address);
  tool.process = spawn(program, args, { cwd: tool.project, env: { ...environment(tool), LISTEN: address }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  tool.process.on("error", (error) => (tool.output += error.message));
  for (const stream of [tool.process.stdout, tool.process.stderr]) stream.on("data", (piece) => (tool.output += piece));
  return tool;
}

async function serves(tool) {
  const answers = async () => (await get(tool.url).catch(() => null))?.body.toString() === "one";
  try {
    await until(`${tool.way} serves`, FIRST, answers);
    if (!tool.watcher) await settled(tool);
  } catch (error) {
    throw new Error(`${error.message}\n${tool.output}`);
  }
}

async function end(tool) {
  try { process.kill(-tool.process.pid, "SIGINT"); } catch { /* it has ended */ }
  await Promise.race([new Promise((done) => tool.process.on("exit", done)), new Promise((done) => setTimeout(done, 5000))]);
  remove(tool);
  forgetHistory(tool.name);
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
  if (took === undefined) throw new Error(`${tool.way}: ${version} did not answer within ${BUILD} ms\n${tool.output.slice(-4000)}`);
  tool.took.push(took);
  tool.waited.push(slowest);
}

const tools = [];
const plain = dependencies(UNCHANGED);
const alone = { ...withBuilt(plain, UNCHANGED, "alone"), took: [] };
try {
  cargoBuild(alone);
  for (const way of Object.keys(ways)) {
    if (only && !only.some((part) => way.includes(part))) continue;
    const tool = await begin(way, tools.length);
    tools.push(tool);
    await serves(tool);
    process.stderr.write(`${way} serves\n`);
  }
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    save(alone, `r${round}`);
    cargoBuild(alone);
    alone.took.push(performance.now() - begun);
    // Each round begins with another one, so that nobody always follows the same.
    for (let turn = 0; turn < tools.length; turn++) await once(tools[(turn + round) % tools.length], `r${round}`);
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
} finally {
  for (const tool of tools) await end(tool);
  remove(alone);
}

console.log(`measured: start ${start} ms, ${padding} MB more, no requests for ${silent} ms, median of ${rounds}`);
console.log(`measured: cargo build alone, plain axum: ${figures(alone.took)}`);
for (const tool of tools) {
  const times = (median(tool.took) / median(alone.took)).toFixed(2);
  console.log(`measured: ${tool.way}: save to answer ${figures(tool.took)}, ${times} times cargo build alone, longest wait ${figures(tool.waited)}, ${tool.failed} failed, ${tool.givenUp} without an answer ${PATIENCE / 1000} s later`);
}
const { lines, complaints } = verdict(tools, limits);
for (const line of lines) console.log(`measured: ${line}`);
for (const complaint of complaints) console.log(`failed: ${complaint}`);
process.exit(complaints.length > 0 ? 1 : 0);
