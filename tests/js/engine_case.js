/**
 * An engine whose server is the test: what the tests of the engine have in common.
 *
 * @module
 */

import assert from "node:assert/strict";

import { Engine } from "../../twisted_chat/web/page/client/engine.js";

/** @typedef {Record<string, any>} Obj */

/** Return ids that a test can write down: "1", "2", ... */
export function newIds() {
  let count = 0;
  return () => String(++count);
}

/** The limits of the server, where a test says nothing else. */
const LIMITS = { object: 1000, rate: 0, burst: 100 };

/** An engine, and its clock, its network and its program. */
export class EngineCase {
  /** @param {Partial<ConstructorParameters<typeof Engine>[0]>} [options] */
  constructor(options = {}) {
    this.now = 1000;
    this.engine = new Engine({ nick: "alice", newId: newIds(), token: "t".repeat(32), retry: () => 1, ...options });
    /** @type {Obj[]} */
    this.objects = [];
    /** @type {[string, any][]} */
    this.events = [];
    /** The answers to requests, or their errors. */
    this.results = new Map();
    this.hello = "";
  }

  // The connection

  connect() {
    this.engine.connected(this.now);
    const [hello] = this.sent();
    assert.deepEqual([hello.type, hello.nick], ["hello", this.engine.nick]);
    this.hello = hello.id;
    return hello;
  }

  /** @param {Obj} [fields] */
  welcome(fields = {}) {
    const hello = this.connect();
    const { limits, ...more } = fields;
    this.hears({
      type: "welcome", id: this.hello, nick: this.engine.nick, server: "s", protocol: 1,
      limits: { ...LIMITS, ...limits }, ...more,
    });
    return hello;
  }

  /** @param {string} [reason] */
  lose(reason = "the cable") {
    this.engine.lost(reason, this.now);
    this.turn();
    this.objects = [];
  }

  /** Lose the connection, and make another one. */
  return() {
    this.lose();
    this.welcome();
  }

  turn() {
    while (this.engine.hasWork) {
      this.objects.push(...this.engine.takeObjects(this.now));
      for (const [type, detail] of this.engine.takeEvents()) {
        this.events.push([type, detail]);
        if (type === "answered") this.results.set(detail.request, detail.result);
        else if (type === "failed") this.results.set(detail.request, detail.error);
      }
    }
  }

  /** Take what was sent since the last time. */
  sent() {
    this.turn();
    return this.objects.splice(0);
  }

  sentTypes() {
    return this.sent().map(({ type }) => type);
  }

  /** @param {Obj} obj */
  hears(obj) {
    this.engine.received(obj, this.now);
    this.turn();
  }

  /** @param {number} seconds */
  passes(seconds) {
    this.now += seconds;
    this.engine.tick(this.now);
    this.turn();
  }

  /**
   * Answer the one request that was sent; return it.
   *
   * @param {Obj} fields
   */
  answers(fields) {
    const sent = this.sent();
    assert.equal(sent.length, 1, JSON.stringify(sent));
    this.hears({ id: sent[0].id, ...fields });
    return sent[0];
  }

  /**
   * Refuse the one request that was sent; return it.
   *
   * @param {string} [code]
   * @param {Obj} [fields]
   */
  refuses(code = "denied", fields = {}) {
    return this.answers({ type: "error", code, msg: "no", author: "server", ...fields });
  }

  /**
   * Take the details of the events of a type.
   *
   * @param {string} type
   */
  told(type) {
    this.turn();
    const told = this.events.filter((event) => event[0] === type).map((event) => event[1]);
    this.events = this.events.filter((event) => event[0] !== type);
    return told;
  }

  /**
   * Give the answer to a request, or its error.
   *
   * @param {import("../../twisted_chat/web/page/client/requests.js").Request} request
   */
  result(request) {
    this.turn();
    assert.ok(this.results.has(request), "there is no answer yet");
    return this.results.get(request);
  }

  /** @param {import("../../twisted_chat/web/page/client/requests.js").Request[]} requests */
  waits(...requests) {
    this.turn();
    for (const request of requests) {
      assert.ok(!this.results.has(request));
      assert.ok(this.engine.waiting.includes(request));
    }
  }

  /**
   * Ask for something; what is sent for it is taken with `sent`.
   *
   * @param {import("../../twisted_chat/web/page/client/requests.js").Action} action
   */
  ask(action) {
    const request = this.engine.ask(action);
    this.turn();
    return request;
  }

  // Rooms

  /**
   * @param {import("../../twisted_chat/web/page/client/rooms.js").Membership} room
   * @param {string} text
   */
  say(room, text) {
    const request = this.engine.say(room, text);
    this.turn();
    return request;
  }

  /**
   * Answer the one join that was sent; return it.
   *
   * @param {number} [seq]
   * @param {Obj} [fields]
   */
  joins(seq = 10, fields = {}) {
    const request = this.answers({ type: "joined", room: "lobby", topic: "t", seq, oldest: 1, count: 2, ...fields });
    assert.equal(request.type, "join");
    return request;
  }

  /**
   * @param {string} [name]
   * @param {{since?: number, seq?: number}} [options]
   */
  join(name = "lobby", { since, seq = 10 } = {}) {
    const room = this.engine.join(name, since);
    this.joins(seq, { room: name });
    return room;
  }

  /**
   * @param {number} seq
   * @param {Obj} [fields]
   */
  message(seq, fields = {}) {
    this.hears({ type: "", msg: String(seq), author: "bob", room: "lobby", seq, ...fields });
  }

  /**
   * @param {string} id
   * @param {number} [seq]
   * @param {Obj} [fields]
   */
  ack(id, seq, fields = {}) {
    this.hears({ type: "ack", id, room: "lobby", seq, ...fields });
  }

  /** Take the numbers of the messages that the program got. */
  got() {
    return this.told("message").map(({ seq }) => seq);
  }
}
