/**
 * The real server, for the tests of the client: a process that can be killed and started again.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "chat"];

/** Return a port that is free. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  return port;
}

/** A server with a database of its own. */
export class Server {
  #folder = mkdtempSync(join(tmpdir(), "twisted-chat-"));
  /** @type {import("node:child_process").ChildProcess | null} */
  #process = null;
  #log = "";

  /** @param {number} port @param {string[]} options */
  constructor(port, options) {
    this.port = port;
    this.url = `ws://127.0.0.1:${port}/chat`;
    this.options = options;
  }

  /** Start a server, and have it stopped after a test. @param {import("node:test").TestContext} test @param {string[]} options */
  static async start(test, ...options) {
    const server = new Server(await freePort(), options);
    test.after(async () => {
      await server.kill();
      rmSync(server.#folder, { recursive: true });
    });
    await server.start();
    return server;
  }

  /** Start it, and wait until it listens. */
  async start() {
    const database = join(this.#folder, "chat.sqlite");
    const places = ["--port", "0", "--web", String(this.port), "--database", database];
    const python = process.env.PYTHON ?? "python3";
    const child = spawn(python, [...TWISTD, ...places, ...this.options], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    this.#log = "";
    const { stdout, stderr } = child;
    await new Promise((resolve, reject) => {
      const hears = (/** @type {Buffer} */ data) => {
        this.#log += data;
        if (this.#log.includes(`listening on 127.0.0.1:${this.port}`)) resolve(null);
      };
      stdout.on("data", hears);
      stderr.on("data", hears);
      child.once("exit", () => reject(new Error(`the server ended:\n${this.#log}`)));
    });
  }

  /** End it with SIGKILL: it writes nothing more. */
  async kill() {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async restart() {
    await this.kill();
    await this.start();
  }
}
