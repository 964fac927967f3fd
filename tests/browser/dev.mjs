// A running `portkeep dev` on a copy of app/: with a home of its own, or with the user manager (PORTKEEP_BACKEND=systemd).
import { execFile, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const here = import.meta.dirname;
const checkout = path.resolve(here, "../..");
// Kept between runs: what is tested is not how fast axum compiles.
export const target = process.env.PAGES_TARGET ?? path.join(checkout, "tests/.cache/pages-target");

const PORTKEEP = process.env.PORTKEEP ?? "portkeep";
// Where cargo finds `cargo portkeep`.
export const WITH_PORTKEEP = { PATH: `${path.dirname(PORTKEEP)}:${process.env.PATH}` };
export const BACKEND = process.env.PORTKEEP_BACKEND ?? "local";

// What a session sees. A user manager has one home, and one runtime directory.
export function environmentOf(directory, target) {
  const home = os.homedir();
  const places = BACKEND === "systemd" ? {} : { HOME: directory, XDG_RUNTIME_DIR: path.join(directory, "runtime") };
  return {
    ...process.env,
    CARGO_HOME: process.env.CARGO_HOME ?? path.join(home, ".cargo"),
    RUSTUP_HOME: process.env.RUSTUP_HOME ?? path.join(home, ".rustup"),
    CARGO_TARGET_DIR: target,
    ...places,
  };
}

// Where the app's directory of this boot is.
export const runDirectory = (directory) =>
  BACKEND === "systemd"
    ? path.join(process.env.XDG_RUNTIME_DIR, "portkeep/pages")
    : path.join(directory, "runtime/portkeep-local/pages");

// The history outlives a session, and generations are counted on: each test begins with the first.
export function forgetHistory(app = "pages") {
  if (BACKEND === "systemd") fs.rmSync(path.join(os.homedir(), ".local/state/portkeep", app), { recursive: true, force: true });
}

export const BUILD = 120_000;
const FIRST_BUILD = 600_000;

export async function until(what, deadline, probe) {
  const end = Date.now() + deadline;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${deadline} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 3));
  }
}

export const freePort = () =>
  new Promise((done) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

// One request on a connection of its own, without any retry.
export const get = (url, options = {}) =>
  new Promise((done, failed) => {
    const request = http.request(url, { agent: false, ...options }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }));
      response.on("error", failed);
    });
    request.setTimeout(60_000, () => request.destroy(new Error("no answer for a minute")));
    request.on("error", failed).end(options.body);
  });

export class Dev {
  static copyApp() {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "pages-"));
    fs.mkdirSync(path.join(directory, "runtime"), { mode: 0o700 });
    const project = path.join(directory, "pages");
    fs.cpSync(path.join(here, "app"), project, { recursive: true, filter: (name) => path.basename(name) !== "target" });
    const manifest = path.join(project, "Cargo.toml");
    const library = path.join(checkout, "crates/portkeep");
    fs.writeFileSync(manifest, fs.readFileSync(manifest, "utf8").replace("../../../crates/portkeep", library));
    return { directory, project };
  }

  // Without `listens`, it takes the port that the project has, and `url` is the caller's to find out.
  static async start(args = [], { environment = {}, prepare, backend = BACKEND, program = [PORTKEEP], listens = true, stdin = "ignore" } = {}) {
    const dev = new Dev();
    forgetHistory();
    Object.assign(dev, Dev.copyApp());
    dev.port = await freePort();
    dev.url = `http://127.0.0.1:${dev.port}`;
    prepare?.(dev);
    dev.output = "";
    dev.process = spawn(
      program[0],
      [...program.slice(1), "dev", "--backend", backend, ...(listens ? ["--listen", `127.0.0.1:${dev.port}`] : []), ...args],
      {
        cwd: dev.project,
        stdio: [stdin, "pipe", "pipe"],
        env: { ...environmentOf(dev.directory, target), ...environment },
      },
    );
    dev.process.stdout.on("data", (piece) => (dev.output += piece));
    dev.process.stderr.on("data", (piece) => (dev.output += piece));
    return dev;
  }

  static async serving(args, options) {
    const dev = await Dev.start(args, options);
    // A build that failed has no first generation.
    await dev.said("generation 1 serves", FIRST_BUILD).catch(async (error) => {
      await dev.stop();
      throw error;
    });
    return dev;
  }

  path(file) {
    return path.join(this.project, file);
  }

  // Replaces a part of a file, which must be there.
  edit(file, from, to) {
    const text = fs.readFileSync(this.path(file), "utf8");
    if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
    fs.writeFileSync(this.path(file), text.replace(from, to));
  }

  version(from, to) {
    this.edit("src/main.rs", `VERSION: &str = "${from}"`, `VERSION: &str = "${to}"`);
  }

  said(what, deadline = BUILD) {
    return until(`${what}\n${this.output}`, deadline, () => this.output.includes(what)).catch((error) => {
      throw new Error(`${error.message}\n--- it said:\n${this.output}`);
    });
  }

  // Another command of portkeep's, for the same app.
  run(...args) {
    return execFileSync(process.env.PORTKEEP ?? "portkeep", args, {
      encoding: "utf8",
      env: environmentOf(this.directory, target),
    });
  }

  // The JSON of another command, whatever it exits with, while everything here goes on.
  ask(...args) {
    return new Promise((done, failed) => {
      const options = { encoding: "utf8", env: environmentOf(this.directory, target) };
      execFile(PORTKEEP, args, options, (error, stdout, stderr) => {
        try {
          done(JSON.parse(stdout));
        } catch {
          failed(new Error(`${args.join(" ")}: ${error}\n${stdout}${stderr}`));
        }
      });
    });
  }

  // What is said from now on.
  hear() {
    const from = this.output.length;
    return (what, deadline = BUILD) =>
      until(what, deadline, () => this.output.slice(from).includes(what)).catch((error) => {
        throw new Error(`${error.message}\n--- it said:\n${this.output.slice(from)}`);
      });
  }

  async stop() {
    if (this.process.exitCode === null) {
      const ended = new Promise((done) => this.process.on("exit", done));
      this.process.kill("SIGINT");
      await ended;
    }
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

// With a session that serves, until `body` is over.
export async function withDev(args, body, options) {
  const dev = await Dev.serving(args, options);
  try {
    await body(dev);
  } catch (error) {
    error.message += `\n--- it said:\n${dev.output.slice(-4000)}`;
    throw error;
  } finally {
    await dev.stop();
  }
}
