/**
 * The engine over networks that break at any place, against a model of the server.
 *
 * Each trial is a list of random steps, from a seed that a failure shows. In the end everything is delivered, and then
 * nothing may be missing, doubled or out of order, on either side.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Engine } from "../../twisted_chat/web/page/client/engine.js";
import { actions } from "../../twisted_chat/web/page/client/requests.js";

/** @typedef {Record<string, any>} Obj */
/** @typedef {import("../../twisted_chat/web/page/client/rooms.js").Membership} Membership */

const STEPS = 400;

/** Seconds without anything new after which a trial has ended: longer than any pause. */
const QUIET = 60;

const PARTNERS = ["bob", "carol"];

/** Return a source of numbers from 0 to 1, the same for the same seed (mulberry32). @param {number} seed */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A log: that of the lobby, or of two accounts. It deduplicates by author and id. */
class Log {
  /** @type {Obj[]} */
  entries = [];

  /** Return the number of an entry, which is new or not. @param {Obj} entry */
  append(entry) {
    const known = this.entries.find(({ author, id }) => author === entry.author && id === entry.id);
    if (known !== undefined) return { seq: known.seq, isNew: false };
    const seq = this.entries.length + 1;
    const { of } = entry;
    if (of !== undefined) Object.assign(this.entries[of - 1], { msg: "", deleted: seq });
    this.entries.push({ ...entry, seq });
    return { seq, isNew: true };
  }

  /** The entries as they are sent. @param {number} after @param {number} limit */
  after(after, limit = Infinity) {
    return this.entries.filter(({ seq }) => seq > after).slice(0, limit).map(({ id, ...entry }) => entry);
  }
}

/** A server with one client, others who speak, and a network between them. */
class Trial {
  now = 0;
  isCalm = false;
  lobby = new Log();
  topic = "";
  /** The nick, as the server has it on this connection. */
  nick = "";
  inLobby = false;
  /** @type {Record<string, Log>} */
  direct = { bob: new Log(), carol: new Log() };
  /** From the client to the server, and back.
   * @type {Obj[]} */
  outgoing = [];
  /** @type {Obj[]} */
  incoming = [];
  /** What the program has got.
   * @type {Obj[]} */
  heard = [];
  /** The numbers of what the program has said, by text. @type {Map<string, number>} */
  acked = new Map();
  /** What was said where, in order. @type {{place: string, text: string}[]} */
  said = [];
  lastTopic = "";
  runs = 1;
  count = 0;
  #ids = 0;

  /** @param {number} seed @param {{refusing: number, again: boolean}} options */
  constructor(seed, { refusing, again }) {
    this.random = randomFrom(seed);
    this.refusing = refusing;
    this.canRunAgain = again;
    this.wantedNick = "alice";
    this.engine = this.makeEngine();
    this.connect();
    while (this.engine.direct === null) this.pass(); // what comes after the first list of partners is not to be missed
    this.room = this.engine.join("lobby", 0);
    this.turn();
  }

  /** @param {{saved?: any[], direct?: Record<string, number>}} [before] */
  makeEngine(before = {}) {
    const newId = () => `${this.runs} ${++this.#ids}`;
    return new Engine({ nick: this.wantedNick, newId, token: "t", password: "p", retry: () => 0.1, ...before });
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  choice(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  // The client

  turn() {
    while (this.engine.hasWork) {
      this.outgoing.push(...this.engine.takeObjects(this.now));
      for (const [type, detail] of this.engine.takeEvents()) this.take(type, detail);
    }
  }

  /** @param {string} type @param {any} detail */
  take(type, detail) {
    if (["message", "direct-message", "deleted"].includes(type)) this.heard.push({ ...detail });
    else if (type === "answered" && detail.request.kind === "message") this.acked.set(detail.request.text, detail.result);
    else assert.ok(!["failed", "ended", "closed", "new-log"].includes(type), `${type} ${JSON.stringify(detail)}`);
  }

  say() {
    const text = `text ${this.said.length}`;
    this.said.push({ place: "lobby", text });
    this.engine.say(this.room, text);
    this.turn();
  }

  tell() {
    const text = `text ${this.said.length}`;
    const place = this.choice(PARTNERS);
    this.said.push({ place, text });
    this.engine.ask(actions.tell(place, text));
    this.turn();
  }

  setTopic() {
    this.lastTopic = `topic ${++this.count}`;
    this.engine.ask(actions.setTopic("lobby", this.lastTopic));
    this.turn();
  }

  /** End the program, and start it again with what it has stored. */
  runAgain() {
    if (!this.canRunAgain || this.engine.direct === null) return;
    const { direct, waiting } = this.engine;
    const saved = waiting
      .filter(({ kind }) => kind === "message")
      .map(({ id, room, nick, text }) => ({ id, room, to: nick, msg: text ?? "" }));
    const since = this.room.reader?.seq ?? 0;
    this.disconnect();
    this.runs += 1;
    this.engine = this.makeEngine({ saved, direct });
    this.room = this.engine.join("lobby", since);
    this.connect();
  }

  // The network

  connect() {
    this.engine.connected(this.now);
    this.turn();
  }

  disconnect() {
    this.nick = "";
    this.inLobby = false;
    this.outgoing = [];
    this.incoming = [];
  }

  cut() {
    this.disconnect();
    this.engine.lost("cut", this.now);
    this.turn();
    // What the client says before it has a connection, and attempts that fail.
    while (this.random() < 0.3) this.choice([() => this.say(), () => this.tell(), () => this.speak()])();
    if (this.random() < 0.3) this.engine.lost("nobody there", this.now);
    this.connect();
    // The first connection of a run has to be made.
    if (this.random() < 0.3) this.cut();
  }

  deliver() {
    for (const obj of this.incoming.splice(0, 1 + Math.floor(this.random() * 5))) {
      this.engine.received(JSON.parse(JSON.stringify(obj)), this.now);
      this.turn();
    }
  }

  serve() {
    for (const request of this.outgoing.splice(0, 1 + Math.floor(this.random() * 5))) this.handle(request);
  }

  // The server

  /** @param {Obj} request */
  handle(request) {
    const { type, id } = request;
    if (type !== "hello" && type !== "pong" && !this.isCalm && this.random() < this.refusing) {
      // A topic that is unavailable is passed on to the program, which would not set it again here.
      const code = type === "topic" ? "rate-limited" : this.choice(["rate-limited", "unavailable"]);
      this.incoming.push({ type: "error", id, code, msg: "not now", ...(this.random() < 0.5 ? { retry: 0.1 } : {}) });
      return;
    }
    const answer = this.answer(request);
    if (answer !== null) this.incoming.push({ id, ...answer });
    if (type === "join") this.replay(request);
  }

  /** @param {Obj} request @returns {Obj | null} */
  answer(request) {
    const { type, nick, msg, to, after, limit } = request;
    switch (type) {
      case "hello":
        this.nick = nick;
        return { type: "welcome", nick, server: "s", limits: {}, account: true };
      case "directs": {
        const known = Object.entries(this.direct).filter(([, log]) => log.entries.length > 0);
        return { type: "directs", directs: known.map(([partner, { entries }]) => ({ nick: partner, seq: entries.length })) };
      }
      case "join":
        this.inLobby = true;
        return { type: "joined", room: "lobby", topic: this.topic, seq: this.lobby.entries.length, oldest: 1, count: 2 };
      case "topic":
        this.topic = msg;
        return { type: "topic", room: "lobby", author: this.nick, msg };
      case "nick":
        this.nick = nick;
        return { type: "nick", author: this.nick, nick };
      case "history": {
        const found = (to === undefined ? this.lobby : this.direct[to]).after(after);
        const few = Math.min(limit, 1 + Math.floor(this.random() * 5)); // as many as fit
        return { type: "history", messages: found.slice(0, few), more: found.length > few };
      }
      case "ping":
        return { type: "pong" };
      case "":
        return { type: "ack", seq: this.append({ author: this.nick, msg, id: request.id }, to ?? "lobby").seq };
      default:
        assert.equal(type, "pong");
        return null;
    }
  }

  /** @param {Obj} join */
  replay({ since }) {
    const entries = this.lobby.after(since).map((entry) => this.shown(entry, "lobby"));
    this.incoming.push(...entries);
  }

  /** @param {Obj} entry @param {string} place */
  append(entry, place) {
    const log = place === "lobby" ? this.lobby : this.direct[place];
    return log.append(place === "lobby" ? entry : { ...entry, to: entry.author === place ? "alice" : place });
  }

  /** @param {Obj} entry @param {string} place */
  shown(entry, place) {
    return { type: entry.of === undefined ? "" : "delete", ...entry, ...(place === "lobby" ? { room: "lobby" } : {}) };
  }

  /** Somebody else appends something, which the client gets if it is there. @param {Obj} entry @param {string} place */
  others(entry, place) {
    const id = `other ${++this.count}`;
    const { seq } = this.append({ ...entry, id }, place);
    const log = place === "lobby" ? this.lobby : this.direct[place];
    const isHere = place === "lobby" ? this.inLobby : this.nick !== "";
    if (isHere) this.incoming.push(this.shown(log.after(seq - 1)[0], place));
  }

  speak() {
    this.others({ author: "bob", msg: `hello ${this.count}` }, "lobby");
  }

  whisper() {
    const partner = this.choice(PARTNERS);
    this.others({ author: partner, msg: `hello ${this.count}` }, partner);
  }

  delete() {
    const mine = this.lobby.entries.filter(({ author, of, deleted }) => author === "bob" && !of && !deleted);
    if (mine.length > 0) this.others({ author: "bob", of: this.choice(mine).seq }, "lobby");
  }

  ping() {
    this.incoming.push({ type: "ping" });
  }

  // Steps

  step() {
    const often = [
      () => this.deliver(), () => this.deliver(), () => this.serve(), () => this.serve(),
      () => this.speak(), () => this.say(), () => this.tell(), () => this.whisper(),
    ];
    const rare = [() => this.cut(), () => this.setTopic(), () => this.delete(), () => this.ping(), () => this.runAgain()];
    this.choice(this.random() < 0.1 ? rare : often)();
    this.passTime(this.random() * 0.2);
  }

  /** @param {number} seconds */
  passTime(seconds) {
    this.now += seconds;
    this.engine.tick(this.now);
    this.turn();
    assert.equal(this.engine.hangUp, null);
  }

  pass() {
    this.serve();
    this.deliver();
    this.passTime(0.2);
  }

  finish() {
    this.isCalm = true;
    for (let quiet = 0; quiet < QUIET; quiet += 0.2) {
      const before = this.heard.length + this.acked.size;
      this.pass();
      if (this.heard.length + this.acked.size > before) quiet = 0;
    }
  }
}

/** @param {Trial} trial */
function check(trial) {
  const { heard, said, acked, lobby, engine } = trial;
  assert.equal(engine.owed, 0);
  for (const [place, log] of Object.entries({ lobby, ...trial.direct })) {
    const here = heard.filter(({ room, author, to }) =>
      place === "lobby" ? room === "lobby" : room === undefined && [author, to].includes(place));
    const theirs = log.entries.filter(({ author }) => author !== "alice");
    const got = here.filter(({ author }) => author !== "alice");
    assert.deepEqual(got.map(({ seq }) => seq), theirs.map(({ seq }) => seq), place);
    assert.deepEqual(got.map(({ of }) => of), theirs.map(({ of }) => of), place);
    for (const [index, { msg }] of got.entries()) {
      assert.ok(msg === theirs[index].msg || theirs[index].deleted !== undefined); // it was deleted later
    }
    const own = log.entries.filter(({ author }) => author === "alice");
    // Of several in flight, those after a refused one may come before it.
    const inOrder = trial.refusing === 0 ? (/** @type {string[]} */ texts) => texts : (/** @type {string[]} */ texts) => texts.sort();
    const texts = said.filter((one) => one.place === place).map(({ text }) => text);
    assert.deepEqual(inOrder(own.map(({ msg }) => msg)), inOrder(texts), place);
    for (const { msg, seq } of own) if (trial.runs === 1) assert.equal(acked.get(msg), seq);
  }
  // What another run of the program has said may come, as from another connection.
  if (trial.runs === 1) assert.deepEqual(heard.filter(({ author }) => author === "alice"), []);
  if (trial.runs === 1) assert.equal(trial.topic, trial.lastTopic);
}

describe("over a network that breaks at any place, nothing is missing and nothing doubled", () => {
  for (const [name, options] of Object.entries({
    "where the server serves": { refusing: 0, again: false },
    "where it refuses every third request for now": { refusing: 0.3, again: false },
    "where the program is started again with what it has stored": { refusing: 0, again: true },
    "where it is started again, and the server refuses every tenth request": { refusing: 0.1, again: true },
  })) {
    test(name, () => {
      let [heard, acked, runs] = [0, 0, 0];
      for (let seed = 0; seed < 60; seed += 1) {
        const trial = new Trial(seed, options);
        try {
          for (let step = 0; step < STEPS; step += 1) trial.step();
          trial.finish();
          check(trial);
          heard += trial.heard.length;
          acked += trial.acked.size;
          runs += trial.runs;
        } catch (error) {
          throw new Error(`the trial with the seed ${seed} failed`, { cause: error });
        }
      }
      assert.ok(heard > 60 * 60 && acked > 60 * 60, `${heard} were heard and ${acked} acked`);
      assert.equal(runs > 2 * 60, options.again);
    });
  }
});
