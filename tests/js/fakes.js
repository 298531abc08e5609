/**
 * What surrounds a client, for its tests: a storage, a clock with timers, and WebSockets without a network.
 *
 * @module
 */

import assert from "node:assert/strict";

/** @typedef {Record<string, any>} Obj */

/** A storage like `sessionStorage`. */
export class MemoryStorage {
  /** @type {Map<string, string>} */
  items = new Map();

  get length() {
    return this.items.size;
  }

  /** @param {number} index */
  key(index) {
    return [...this.items.keys()][index] ?? null;
  }

  /** @param {string} name */
  getItem(name) {
    return this.items.get(name) ?? null;
  }

  /** @param {string} name @param {string} value */
  setItem(name, value) {
    this.items.set(name, value);
  }

  /** @param {string} name */
  removeItem(name) {
    this.items.delete(name);
  }
}

/** A storage that may not be used, as in a private window. */
export const noStorage = new Proxy(new MemoryStorage(), {
  get() {
    throw new Error("this storage may not be used");
  },
});

/** A WebSocket whose other end is the test. */
export class FakeSocket extends EventTarget {
  /** What was sent and not taken yet.
   * @type {Obj[]} */
  sent = [];
  isClosed = false;

  /** @param {URL} url */
  constructor(url) {
    super();
    this.url = String(url);
  }

  /** @param {string} text */
  send(text) {
    assert.ok(!this.isClosed);
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  open() {
    this.dispatchEvent(new Event("open"));
  }

  /** @param {Obj} obj */
  hears(obj) {
    this.hearsData(JSON.stringify(obj));
  }

  /** @param {unknown} data */
  hearsData(data) {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }

  /** @param {string} [reason] */
  ends(reason = "") {
    this.dispatchEvent(Object.assign(new Event("close"), { reason }));
  }

  /** Take what was sent. */
  take() {
    return this.sent.splice(0);
  }

  /**
   * Answer the only request that was sent; return it.
   *
   * @param {Obj} fields
   */
  answers(fields) {
    const [request, ...others] = this.take();
    assert.deepEqual(others, []);
    assert.ok(request !== undefined, "nothing was asked");
    this.hears({ id: request.id, ...fields });
    return request;
  }

  /** @param {Obj} [fields] */
  welcomes(fields = {}) {
    this.open();
    const [hello] = this.take();
    assert.equal(hello.type, "hello");
    this.hears({ type: "welcome", id: hello.id, nick: hello.nick, server: "s", limits: {}, ...fields });
    return hello;
  }

  /** @param {Obj} [fields] */
  joins(fields = {}) {
    const joined = { type: "joined", room: "lobby", topic: "t", seq: 10, oldest: 1, count: 2, ...fields };
    const request = this.answers(joined);
    assert.equal(request.type, "join");
    return request;
  }
}

/** The surroundings of a client: `options` is passed to it. */
export class Surroundings {
  now = 1000;
  /** What the clock of the day is ahead. */
  ahead = 1e9;
  /** @type {FakeSocket[]} */
  sockets = [];
  hints = new EventTarget();
  /** @type {Map<object, {at: number, run: () => void}>} */
  #timers = new Map();

  get options() {
    const { sockets } = this;
    return {
      WebSocket: /** @type {any} */ (class extends FakeSocket {
        /** @param {URL} url */
        constructor(url) {
          super(url);
          sockets.push(this);
        }
      }),
      hints: this.hints,
      now: () => this.now,
      today: () => this.now + this.ahead,
      /** @param {() => void} run @param {number} milliseconds */
      setTimeout: (run, milliseconds) => {
        const timer = {};
        this.#timers.set(timer, { at: this.now + milliseconds / 1000, run });
        return timer;
      },
      /** @param {object} timer */
      clearTimeout: (timer) => this.#timers.delete(timer),
      retry: () => 1,
    };
  }

  /** The newest socket. */
  get socket() {
    return /** @type {FakeSocket} */ (this.sockets.at(-1));
  }

  get hasTimers() {
    return this.#timers.size > 0;
  }

  /** Let time pass, and run what is due. @param {number} seconds */
  passes(seconds) {
    const end = this.now + seconds;
    for (;;) {
      const [due] = [...this.#timers].filter(([, { at }]) => at <= end + 1e-6).sort((a, b) => a[1].at - b[1].at);
      if (due === undefined) break;
      const [timer, { at, run }] = due;
      this.#timers.delete(timer);
      this.now = Math.max(this.now, at);
      run();
    }
    this.now = end;
  }
}
