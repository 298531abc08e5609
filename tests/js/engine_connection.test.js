/** The connection of a client: hello, welcome, silence, loss and return. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  ANSWER_TIME, Engine, LATE_TIME, PROBE_TIME, QUIET_TIME, QUIT_TIME, STEADY_TIME, WELCOME_TIME,
} from "../../twisted_chat/web/page/client/engine.js";
import { ClosedError, RequestError } from "../../twisted_chat/web/page/client/errors.js";
import { actions } from "../../twisted_chat/web/page/client/requests.js";
import { EngineCase, newIds } from "./engine_case.js";

/** A case whose client is connected. */
function welcome(options = {}) {
  const one = new EngineCase(options);
  one.welcome();
  return one;
}

/** @param {EngineCase} one @param {object} fields */
function refuseHello(one, fields) {
  one.connect();
  one.hears({ type: "error", id: one.hello, msg: "no", author: "server", ...fields });
}

describe("hello", () => {
  test("it comes first, and the welcome is told", () => {
    const one = new EngineCase();
    one.engine.connected(one.now);
    const [hello] = one.sent();
    assert.deepEqual(hello, { type: "hello", nick: "alice", token: "t".repeat(32), id: hello.id });
    one.hears({ type: "welcome", id: hello.id, nick: "Alice", server: "s", limits: { object: 100 } });
    assert.deepEqual([one.engine.nick, one.engine.server, { ...one.engine.limits }], ["Alice", "s", { object: 100 }]);
    assert.deepEqual([one.engine.state, one.engine.account, one.engine.guests], ["connected", false, true]);
    assert.deepEqual(one.told("state-changed"), [{ state: "connected", reason: "" }]);
    assert.equal(one.told("welcomed").length, 1);
    one.hears({ type: "welcome", id: hello.id, nick: "eve", server: "s", limits: {} });
    assert.deepEqual([one.engine.nick, one.told("welcomed").length], ["Alice", 0]);
  });

  test("a server without guests says so", () => {
    const one = new EngineCase();
    one.welcome({ guests: false });
    assert.equal(one.engine.guests, false);
  });

  test("nothing is asked before the welcome", () => {
    const one = new EngineCase();
    const rooms = one.ask({ kind: "rooms", obj: { type: "rooms" } });
    one.engine.join("lobby");
    one.engine.connected(one.now);
    const [hello, ...others] = one.sent();
    assert.deepEqual([hello.type, others], ["hello", []]);
    one.hears({ type: "welcome", id: hello.id, nick: "alice", server: "s", limits: {} });
    one.joins(); // what is asked for may depend on it
    one.waits(rooms);
    one.answers({ type: "rooms", rooms: [] });
    assert.deepEqual(one.result(rooms), []);
  });

  test("one that is refused for good at first is the end", () => {
    const one = new EngineCase();
    refuseHello(one, { code: "nick-taken" });
    assert.equal(one.engine.hangUp, "no");
    one.lose();
    const [{ error }] = one.told("closed");
    assert.ok(error instanceof RequestError);
    assert.deepEqual([error.code, error.message, error.request, one.engine.state], ["nick-taken", "no", null, "closed"]);
    assert.deepEqual(one.told("state-changed"), [{ state: "closed", reason: "no" }]);
  });

  test("one that is refused for now is said again after the pause that the server asks for", () => {
    for (const code of ["rate-limited", "unavailable", "full", "internal"]) {
      const one = new EngineCase();
      refuseHello(one, { code, retry: 7 });
      one.lose();
      assert.deepEqual([one.engine.state, one.engine.pause], ["waiting", 7]);
      assert.deepEqual(one.told("state-changed"), [{ state: "waiting", reason: "no", pause: 7 }]);
    }
  });

  test("a server may refuse a connection before the hello", () => {
    const one = new EngineCase();
    one.connect();
    one.hears({ type: "error", code: "full", msg: "too many", author: "server" });
    assert.equal(one.engine.hangUp, "too many");
  });

  test("a refusal with odd fields is one all the same", () => {
    for (const fields of [{ code: 7, msg: 8 }, { msg: "" }, { retry: -1 }, { retry: "3" }, { retry: 1e300 }]) {
      const one = new EngineCase();
      one.connect();
      one.hears({ type: "error", id: one.hello, ...fields });
      assert.match(String(one.engine.hangUp), /cannot be read/);
      one.lose();
      assert.deepEqual([one.engine.state, one.engine.pause], ["waiting", 1]); // as `internal`
    }
  });

  test("a welcome that makes no sense is a refusal", () => {
    const sound = { nick: "alice", server: "s", limits: {} };
    for (const fields of [
      { nick: 1 }, { server: null }, { limits: [] }, { limits: null }, { limits: { object: "1" } },
      { limits: { object: -1 } }, { limits: { object: 2 ** 60 } }, { account: 1 },
    ]) {
      const one = new EngineCase();
      one.connect();
      one.hears({ type: "welcome", id: one.hello, ...sound, ...fields });
      assert.match(String(one.engine.hangUp), /cannot be read/, JSON.stringify(fields));
    }
  });

  test("a name of a limit cannot change other objects", () => {
    const one = new EngineCase();
    one.connect();
    one.hears(JSON.parse(
      `{"type": "welcome", "id": "${one.hello}", "nick": "a", "server": "s", "limits": {"__proto__": 5, "object": 9}}`,
    ));
    assert.deepEqual([one.engine.state, one.engine.limits.object, /** @type {any} */ ({}).object], ["connected", 9, undefined]);
  });

  test("a server that says nothing is given up", () => {
    const one = new EngineCase();
    one.connect();
    one.passes(WELCOME_TIME - 1);
    assert.equal(one.engine.hangUp, null);
    one.passes(1);
    assert.match(String(one.engine.hangUp), /did not answer/);
    const other = welcome();
    other.passes(WELCOME_TIME);
    assert.equal(other.engine.hangUp, null);
  });
});

describe("the end of a connection", () => {
  test("the loss and the return are told", () => {
    const one = welcome();
    one.told("state-changed");
    one.lose("the cable");
    one.lose("the wall");
    one.welcome();
    assert.deepEqual(one.told("state-changed"), [
      { state: "waiting", reason: "the cable", pause: 1 },
      { state: "waiting", reason: "the wall", pause: 1 },
      { state: "connected", reason: "" },
    ]);
  });

  test("pauses grow until a connection has lasted", () => {
    /** @type {number[]} */
    const tries = [];
    const one = new EngineCase({ retry: (count) => tries.push(count) });
    one.engine.lost("nobody there", one.now); // the first connection is tried for, too
    one.return();
    one.return();
    one.passes(STEADY_TIME);
    one.lose();
    assert.deepEqual(tries, [1, 2, 3, 1]);
  });

  test("the usual pauses are used if a program has none", () => {
    const engine = new Engine({ nick: "alice", newId: newIds(), token: "t" });
    engine.lost("nobody there", 0);
    assert.ok(engine.pause >= 0.5 && engine.pause <= 0.75);
  });

  test("a nick that is still taken is told, and tried again", () => {
    const one = welcome();
    one.lose();
    refuseHello(one, { code: "nick-taken" });
    one.lose();
    const [, , { state, reason }] = one.told("state-changed");
    assert.equal(state, "waiting");
    assert.match(reason, /still taken by your last connection.*: no$/);
  });

  test("a client that is not let in again is closed", () => {
    const one = welcome();
    one.lose();
    refuseHello(one, { code: "banned", until: "tomorrow" });
    one.lose();
    const [{ error }] = one.told("closed");
    assert.ok(error instanceof ClosedError);
    assert.equal(error.message, "the server does not let this client in again: no");
    assert.deepEqual([error.wanted, error.cause?.code, error.cause?.until], [false, "banned", "tomorrow"]);
  });

  test("a client that is banned does not try to come back", () => {
    const one = welcome();
    one.hears({ type: "error", code: "banned", msg: "you are banned", author: "server" });
    assert.deepEqual(one.told("error"), [{ code: "banned", msg: "you are banned" }]);
    one.hears({ type: "stop", msg: "you are banned", author: "server" });
    one.lose();
    assert.equal(one.told("closed")[0].error.cause.code, "banned");
  });

  test("an error that does not end the connection does not close the client", () => {
    const one = welcome();
    one.hears({ type: "error", code: "banned", msg: "somewhere else", author: "server" });
    one.hears({ type: "stop", msg: "good night", author: "server" });
    assert.equal(one.engine.hangUp, "good night");
    one.lose();
    assert.equal(one.engine.state, "waiting");
  });

  test("a connection that another one has replaced does not come back", () => {
    const one = welcome();
    one.hears({ type: "stop", msg: "a new connection of yours", author: "server", code: "replaced" });
    assert.deepEqual(one.told("stop"), [{ msg: "a new connection of yours" }]);
    one.lose();
    assert.equal(one.told("closed")[0].error.cause.code, "replaced");
  });

  test("a stop without words is one", () => {
    const one = welcome();
    one.hears({ type: "stop" });
    assert.equal(one.engine.hangUp, "the server ended the connection");
    one.hears({ type: "stop", msg: "again" });
    assert.equal(one.told("stop").length, 1); // nothing is read from a connection that is to be ended
  });

  test("an object that was not sent is not for the next connection", () => {
    const one = welcome();
    one.engine.received({ type: "ping" }, one.now);
    one.engine.lost("the cable", one.now);
    one.connect();
  });

  test("an answer that comes over the next connection is none", () => {
    const one = welcome();
    const rooms = one.ask({ kind: "rooms", obj: { type: "rooms" } });
    const [asked] = one.sent();
    one.lose();
    one.connect();
    one.hears({ type: "rooms", rooms: [], id: asked.id });
    one.waits(rooms);
  });
});

describe("silence", () => {
  test("a silent server is pinged, and then given up", () => {
    const one = welcome();
    one.passes(QUIET_TIME / 2);
    assert.deepEqual(one.sent(), []);
    one.passes(QUIET_TIME / 2);
    assert.deepEqual(one.sentTypes(), ["ping"]);
    one.passes(ANSWER_TIME - 1);
    assert.deepEqual([one.sent(), one.engine.hangUp], [[], null]);
    one.passes(1);
    assert.match(String(one.engine.hangUp), /nothing was heard/);
  });

  test("one that answers is pinged again after as much silence", () => {
    const one = welcome();
    for (let i = 0; i < 3; i += 1) {
      one.passes(QUIET_TIME);
      one.answers({ type: "pong" });
      one.passes(QUIET_TIME / 2);
      assert.deepEqual(one.sent(), []);
      one.passes(QUIET_TIME / 2);
      one.answers({ type: "pong" });
    }
    assert.equal(one.engine.hangUp, null);
  });

  test("timers that come once a minute, as in a hidden page, end no connection that works", () => {
    const one = welcome();
    for (let minute = 0; minute < 5; minute += 1) {
      one.passes(60);
      assert.deepEqual([one.sentTypes(), one.engine.hangUp], [["ping"], null]);
      one.hears({ type: "pong" });
    }
  });

  test("a ping that is refused is an answer", () => {
    const one = welcome();
    one.passes(QUIET_TIME);
    one.refuses("rate-limited", { retry: 60 });
    one.passes(1);
    assert.equal(one.engine.hangUp, null);
  });

  test("no ping is sent before the welcome", () => {
    const one = new EngineCase();
    one.connect();
    one.passes(QUIET_TIME);
    assert.deepEqual(one.sent(), []);
  });

  test("pings of the server are answered", () => {
    const one = welcome();
    one.hears({ type: "ping" });
    assert.deepEqual(one.sent(), [{ type: "pong" }]);
  });

  test("a connection that may be gone is probed", () => {
    const one = welcome();
    one.engine.probe(one.now);
    assert.deepEqual(one.sentTypes(), ["ping"]);
    one.passes(PROBE_TIME);
    assert.match(String(one.engine.hangUp), /for 5 seconds/);
    one.engine.probe(one.now); // it is given up already
    assert.deepEqual(one.sent(), []);
  });

  test("one that answers the probe stays", () => {
    const one = welcome();
    one.engine.probe(one.now);
    one.answers({ type: "pong" });
    one.passes(PROBE_TIME);
    assert.equal(one.engine.hangUp, null);
  });

  test("a server that owes an answer is asked sooner whether it is there", () => {
    const one = welcome();
    one.ask(actions.rooms());
    assert.deepEqual(one.sentTypes(), ["rooms"]);
    one.passes(LATE_TIME);
    assert.deepEqual(one.sentTypes(), ["ping"]);
    one.passes(LATE_TIME);
    assert.match(String(one.engine.hangUp), /for 8 seconds/);
  });

  test("one that says something else is there", () => {
    const one = welcome();
    one.ask(actions.rooms());
    one.sent();
    one.passes(LATE_TIME - 1);
    one.hears({ type: "ping" });
    one.passes(1);
    assert.deepEqual(one.sent(), [{ type: "pong" }]);
    one.passes(LATE_TIME);
    assert.deepEqual(one.sentTypes(), ["ping"]);
  });

  test("without a connection there is nothing to probe", () => {
    const one = welcome();
    one.lose();
    one.engine.probe(one.now);
    assert.deepEqual([one.sent(), one.engine.hangUp], [[], null]);
  });
});

describe("the end of a client", () => {
  test("it says goodbye", () => {
    const one = welcome();
    one.engine.quit();
    one.answers({ type: "stop", msg: "", author: "server" });
    assert.equal(one.engine.hangUp, "the server ended the connection");
    one.lose();
    const [{ error }] = one.told("closed");
    assert.deepEqual([error instanceof ClosedError, error.wanted], [true, true]);
    one.engine.quit();
    one.engine.end(new ClosedError("again"));
    assert.deepEqual([one.told("closed"), one.engine.due()], [[], null]);
  });

  test("a server that does not answer a goodbye is left", () => {
    const one = welcome();
    one.engine.quit();
    one.passes(QUIT_TIME);
    assert.equal(one.engine.hangUp, "the client is closed");
  });

  test("without a connection there is nobody to say goodbye to", () => {
    const one = welcome();
    one.lose();
    one.engine.quit();
    assert.equal(one.told("closed")[0].error.wanted, true);
  });

  test("before the welcome nobody is told goodbye", () => {
    const one = new EngineCase();
    one.connect();
    one.engine.quit();
    assert.deepEqual([one.sent(), one.engine.hangUp], [[], "the client is closed"]);
    one.lose();
    assert.equal(one.engine.state, "closed");
  });

  test("a connection that comes after the end is ended", () => {
    const one = new EngineCase();
    one.engine.end(new ClosedError("enough"));
    one.turn();
    one.engine.connected(one.now);
    assert.deepEqual([one.sent(), one.engine.hangUp], [[], "the client is closed"]);
    one.hears({ type: "ping" });
    assert.deepEqual(one.sent(), []);
    one.lose();
    assert.equal(one.told("closed").length, 1);
  });

  test("the end fails all that waits, and all that comes", () => {
    const one = welcome();
    const room = one.join();
    const said = one.say(room, "hi");
    const error = new ClosedError("enough");
    one.engine.end(error);
    assert.equal(one.engine.hangUp, "enough");
    assert.equal(one.result(said), error);
    assert.deepEqual(one.told("ended"), [{ membership: room, error }]);
    assert.equal(one.result(one.say(room, "there?")), error);
    assert.equal(one.result(one.ask({ kind: "rooms", obj: { type: "rooms" } })), error);
    const garden = one.engine.join("garden");
    assert.deepEqual(one.told("ended"), [{ membership: garden, error }]);
    assert.deepEqual([one.engine.owed, one.engine.memberships.size], [0, 0]);
  });

  test("a client that is being closed takes nothing more", () => {
    const one = welcome();
    const error = new ClosedError("enough");
    const before = one.ask({ kind: "rooms", obj: { type: "rooms" } });
    one.engine.refuse(error);
    assert.equal(one.result(one.ask({ kind: "rooms", obj: { type: "rooms" } })), error);
    one.engine.join("lobby");
    assert.equal(one.told("ended")[0].error, error);
    one.answers({ type: "rooms", rooms: [] });
    assert.deepEqual(one.result(before), []);
  });
});
