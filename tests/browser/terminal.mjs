// What a terminal shows of portkeep dev, and what its keys do: in tmux.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import { check, run } from "./cases.mjs";
import { BACKEND, BUILD, Dev, environmentOf, forgetHistory, freePort, get, until } from "./dev.mjs";

const { directory, project } = Dev.copyApp();
const port = await freePort();
const url = `http://127.0.0.1:${port}/plain`;
// In place of the desktop's: notes what it is given.
const bin = path.join(directory, "bin");
fs.mkdirSync(bin);
fs.writeFileSync(path.join(bin, "browser"), `#!/bin/sh\necho "$1" >> ${directory}/opened\n`, { mode: 0o755 });
const environment = { ...environmentOf(directory, process.env.PAGES_TARGET), BROWSER: path.join(bin, "browser") };
forgetHistory();
const server = path.join(directory, "tmux");
const tmux = (...args) => execFileSync("tmux", ["-S", server, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
const command = (options) =>
  `${process.env.PORTKEEP ?? "portkeep"} dev --backend ${BACKEND} --listen 127.0.0.1:${port} ${options}; echo ended $?; stty -a`;
const begin = (options = "--open") => tmux(
  "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "50", "-c", project,
  ...Object.entries(environment).flatMap(([name, value]) => ["-e", `${name}=${value}`]), "sh", "-c", `${command(options)}; sleep 600`,
);
begin();
// Until the one before has gone, there can be no other at its place.
const beginAgain = (options) => until("another terminal", 30_000, () => {
  try { begin(options); return true; } catch { return false; }
});
const screen = () => tmux("capture-pane", "-p", "-e", "-S", "-500");
const shows = (what, deadline = BUILD) =>
  until(what, deadline, () => screen().includes(what)).catch((error) => {
    throw new Error(`${error.message}\n${screen()}`);
  });
const press = (key) => tmux("send-keys", key);
const edit = (from, to) => {
  const file = path.join(project, "src/main.rs");
  fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace(from, to));
};

await run([
  ["the keys are shown, and the browser is opened", async () => {
    await shows("keys: r reload   b rebuild   o open   l log level   q quit", 60_000);
    await shows("READY in", 600_000);
    // The file is there before its line.
    const opened = () => fs.existsSync(`${directory}/opened`) && fs.readFileSync(`${directory}/opened`, "utf8");
    await until("the browser is opened", BUILD, () => opened() && opened().endsWith("\n"));
    check(opened() === `http://127.0.0.1:${port}\n`, "what is opened");
  }],
  ["cargo shows its colours and its progress, which a pipe would not get", async () => {
    edit("// start", "missing!();");
    await shows("the build failed");
    check(/\x1b\[[0-9;]*m *Compiling/.test(screen()), `cargo's own colours\n${screen()}`);
    check(/\x1b\[[0-9;]*m *error/.test(screen()), "the colour of the error");
    edit("missing!();", "// start");
  }],
  ["b builds, r starts it again, o opens it, l shows less", async () => {
    await until("it serves", BUILD, () => /nothing to build|the same as before|generation 2 serves/.test(screen().split("the build failed")[1] ?? ""));
    // It is cargo's build, which compiles again what was compiled without cargo.
    const unchanged = () => screen().match(/(nothing to build|the same as before), generation \d+ serves on/g)?.length ?? 0;
    const builds = unchanged();
    press("b");
    await until("a build without a change", BUILD, () => unchanged() > builds);
    const before = Number([...screen().matchAll(/generation (\d+) serves/g)].at(-1)[1]);
    press("r");
    await until("a new generation", BUILD, () => screen().includes(`generation ${before + 1} serves`));
    press("o");
    await until("opened once more", BUILD, () => fs.readFileSync(`${directory}/opened`, "utf8").split("\n").length === 3);
    press("l");
    await shows("of the app's log: warnings and errors");
    check((await get(url)).status === 200, "it serves");
  }],
  ["b is not lost while a version starts", async () => {
    edit("const START: u64 = 0", "const START: u64 = 2000");
    const since = () => screen().split("main.rs changed, building").at(-1);
    // One look: between two of them the line may come from which they count.
    await until("the new version starts", BUILD, () => /^(?!.*serves).*built in/s.test(since()));
    press("b");
    await until("the build that was asked for", BUILD, () => /serves[^]*READY in[^]*(nothing to build|the same as before)/.test(since()));
  }],
  ["q ends it, and the terminal is as it was", async () => {
    press("q");
    await shows("ended 0");
    await until("stty", BUILD, () => / icanon /.test(screen()) && / echo /.test(screen()));
  }],
  ["with --build-on-key, a change waits for b", async () => {
    tmux("kill-server");
    await beginAgain("--build-on-key");
    await shows("READY in");
    edit('VERSION: &str = "one"', 'VERSION: &str = "two"');
    await shows("main.rs changed; b builds");
    check((await get(url)).body.toString() === "one", "what serves");
    press("b");
    await until("the new version answers", BUILD, async () => (await get(url)).body.toString() === "two");
    check(/changed; b builds[^]*building/.test(screen()), screen());
  }],
  ["a terminal that is closed ends it, and what it started", async () => {
    // The one before has the project until it has ended.
    press("q");
    await shows("ended 0");
    tmux("kill-server");
    await beginAgain();
    await shows("READY in");
    check((await get(url)).status === 200, "it serves");
    tmux("kill-server");
    await until("nobody has the port", 30_000, () => get(url).then(() => false, (error) => error.code === "ECONNREFUSED"));
  }],
].map(([name, body]) => [`terminal: ${name}`, body])).finally(() => {
  // The last test has closed it.
  try { tmux("kill-server"); } catch { /* as it should be */ }
  fs.rmSync(directory, { recursive: true, force: true });
});
