/**
 * The real server, for the tests of the client: a process that can be killed and started again.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "chat"];

/** A server with a database of its own, and a place for browsers, which keeps its port when it is started again. */
export class Server {
  #folder = mkdtempSync(join(tmpdir(), "twisted-chat-"));
  /** @type {import("node:child_process").ChildProcess | null} */
  #process = null;
  #log = "";

  #port = 0;

  /** @param {string[]} options */
  constructor(options) {
    this.options = options;
  }

  get url() {
    return `ws://127.0.0.1:${this.#port}/chat`;
  }

  /** Start a server, and have it stopped after a test. @param {import("node:test").TestContext} test @param {string[]} options */
  static async start(test, ...options) {
    const server = new Server(options);
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
    const places = ["--port", "0", "--web", String(this.#port), "--database", database];
    const python = process.env.PYTHON ?? "python3";
    const child = spawn(python, [...TWISTD, ...places, ...this.options], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    this.#log = "";
    const { stdout, stderr } = child;
    await new Promise((resolve, reject) => {
      const hears = (/** @type {Buffer} */ data) => {
        this.#log += data;
        const [, web] = this.#log.matchAll(/listening on 127\.0\.0\.1:(\d+)\n/g);
        if (web === undefined) return;
        this.#port = Number(web[1]);
        resolve(null);
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
