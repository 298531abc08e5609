/** The shell of the client: promises and events, the socket, the timers and the storage. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ChatError, Client, ClosedError, connect, keptLogin, OPEN_TIME, RequestError } from "../../twisted_chat/web/page/client.js";
import { ANSWER_TIME, PROBE_TIME, QUIET_TIME } from "../../twisted_chat/web/page/client/engine.js";
import { FakeSocket, MemoryStorage, noStorage, Surroundings } from "./fakes.js";

/** @typedef {Record<string, any>} Obj */

const URL_OF_CHAT = "http://chat.example/chat";

/** A case that is connected. @param {Obj} [options] */
async function connected({ nick = "alice", around = new Surroundings(), welcome = {}, ...options } = {}) {
  const client = new Client(URL_OF_CHAT, nick, { ...around.options, ...options });
  const events = /** @type {[string, any][]} */ ([]);
  for (const type of /** @type {const} */ (["acked", "failed", "state-changed", "message", "joined", "room-lost", "stop"])) {
    client.on(type, (detail) => events.push([type, detail]));
  }
  const started = client.start();
  const hello = around.socket.welcomes(welcome);
  await started;
  /** @param {string} type */
  const told = (type) => events.filter((event) => event[0] === type).map((event) => event[1]);
  return { client, around, hello, told };
}

/** A case that is in the lobby, too. @param {Obj} [options] */
async function joined(options) {
  const one = await connected(options);
  const joining = one.client.join("lobby");
  one.around.socket.joins();
  one.around.passes(0);
  return { ...one, room: await joining };
}

/** Lose the connection, and come back after the pause. @param {Surroundings} around */
function comeBack(around, { welcome = {} } = {}) {
  around.socket.ends();
  around.passes(1);
  return around.socket.welcomes(welcome);
}

/** Drop a client as a page that is closed does. @param {Surroundings} around */
const abandon = (around) => {
  around.sockets.splice(0);
  return new Surroundings();
};

describe("the connection", () => {
  test("the address is that of a WebSocket, and the client is kept when the server lets it in", async () => {
    const around = new Surroundings();
    const connecting = connect("https://chat.example/chat", "alice", { ...around.options, password: "secret" });
    assert.equal(around.socket.url, "wss://chat.example/chat");
    const hello = around.socket.welcomes({ nick: "Alice", account: true, guests: false, limits: { object: 500 } });
    assert.equal(hello.password, "secret");
    const client = await connecting;
    assert.deepEqual(
      [client.nick, client.account, client.guests, client.server, client.limits.object, client.state, client.error],
      ["Alice", true, false, "s", 500, "connected", null],
    );
    assert.equal(await client.start(), undefined); // it is started once
    assert.equal(around.sockets.length, 1);
  });

  test("what it uses of a browser or of Node.js is there", async () => {
    const client = new Client("ws://127.0.0.1:9/chat", "alice");
    client.start().catch(() => {});
    assert.equal(client.state, "connecting");
    await client.close({ flush: false });
    assert.equal(client.state, "closed");
  });

  test("one that is refused is told, and nothing goes on", async () => {
    const around = new Surroundings();
    const connecting = connect(URL_OF_CHAT, "alice", around.options);
    around.socket.open();
    around.socket.answers({ type: "error", code: "nick-taken", msg: "no" });
    const error = await connecting.then(() => null, (reason) => reason);
    assert.ok(error instanceof RequestError && error instanceof ChatError);
    assert.deepEqual([error.code, error.name, around.socket.isClosed, around.hasTimers], ["nick-taken", "RequestError", true, false]);
  });

  test("one that is lost is made again after a pause, and says why", async () => {
    const { around, told, client } = await connected();
    around.socket.ends();
    assert.equal(client.state, "waiting");
    around.passes(1);
    around.socket.ends(); // nobody is there
    around.passes(1);
    around.socket.open();
    around.socket.ends("too many");
    const reasons = told("state-changed").slice(1).map(({ reason }) => reason);
    assert.deepEqual(reasons, ["the connection was lost", "the server cannot be reached", "too many"]);
    assert.equal(around.sockets.length, 3);
  });

  test("one that is not made in time is given up", async () => {
    const { around, told } = await connected();
    around.socket.ends();
    around.passes(1);
    const slow = around.socket;
    around.passes(OPEN_TIME);
    assert.equal(told("state-changed").at(-1).reason, "there was no answer in time");
    assert.ok(slow.isClosed);
    slow.open(); // it comes all the same
    slow.hears({ type: "stop", msg: "not yours" });
    slow.ends("late");
    assert.deepEqual([slow.take(), told("stop")], [[], []]);
    around.passes(1);
    around.socket.welcomes();
    assert.equal(told("state-changed").at(-1).state, "connected");
  });

  test("a silent one is probed, and given up", async () => {
    const { around, client } = await connected();
    const { socket } = around;
    around.passes(1.5 * QUIET_TIME);
    assert.deepEqual(socket.take().map(({ type }) => type), ["ping"]);
    around.passes(ANSWER_TIME);
    assert.deepEqual([socket.isClosed, client.state], [true, "waiting"]);
  });

  test("what is no object of the protocol is passed over", async () => {
    const { around, client } = await connected();
    for (const data of ["{", "", "7", "null", "[]", new ArrayBuffer(3)]) around.socket.hearsData(data);
    around.socket.hears({ type: "ping" });
    assert.deepEqual([around.socket.take(), client.state], [[{ type: "pong" }], "connected"]);
  });

  test("a network that is back is used at once, and one that is gone is noticed", async () => {
    const { around, client } = await connected();
    around.hints.dispatchEvent(new Event("offline"));
    const [ping] = around.socket.take();
    assert.equal(ping.type, "ping");
    around.passes(PROBE_TIME);
    assert.equal(client.state, "waiting");
    around.hints.dispatchEvent(new Event("offline")); // there is nothing that could be probed
    assert.equal(around.sockets.length, 1);
    around.hints.dispatchEvent(new Event("online"));
    assert.equal(around.sockets.length, 2);
    around.socket.welcomes();
    around.hints.dispatchEvent(new Event("visibilitychange"));
    assert.deepEqual(around.socket.take().map(({ type }) => type), ["ping"]);
    around.passes(1); // the pause that was cut short
    assert.equal(around.sockets.length, 2);
  });

  test("a page that is hidden probes nothing", async () => {
    const { around } = await connected();
    Object.assign(globalThis, { document: { visibilityState: "hidden" } });
    around.hints.dispatchEvent(new Event("visibilitychange"));
    assert.deepEqual(around.socket.take(), []);
    Object.assign(globalThis, { document: { visibilityState: "visible" } });
    around.hints.dispatchEvent(new Event("visibilitychange"));
    assert.deepEqual(around.socket.take().map(({ type }) => type), ["ping"]);
    Reflect.deleteProperty(globalThis, "document");
  });

  test("after the machine was asleep the connection is probed", async () => {
    const { around, client } = await connected();
    around.passes(QUIET_TIME / 2);
    assert.deepEqual(around.socket.take(), []);
    around.ahead += 3600;
    around.socket.hears({ type: "presence", room: "lobby", count: 1 }); // otherwise the silence alone would be a reason
    around.passes(QUIET_TIME / 2);
    assert.deepEqual(around.socket.take().map(({ type }) => type), ["ping"]);
    around.passes(PROBE_TIME);
    assert.equal(client.state, "waiting");
  });

  test("a client that was not started, or is closed, does not connect", async () => {
    const around = new Surroundings();
    const client = new Client(URL_OF_CHAT, "alice", around.options);
    client.reconnect();
    await client.close();
    client.reconnect();
    await assert.rejects(client.start(), ClosedError);
    assert.equal(around.sockets.length, 0);
  });
});

describe("closing", () => {
  test("it waits for what was asked for, and refuses what comes later", async () => {
    const { client, around } = await connected();
    const rooms = client.rooms();
    const closing = client.close();
    await assert.rejects(client.rooms(), (error) => error instanceof ClosedError && error.wanted);
    await assert.rejects(client.join("garden"), ClosedError);
    around.socket.answers({ type: "rooms", rooms: [] });
    assert.deepEqual(await rooms, []);
    await Promise.resolve();
    around.socket.answers({ type: "stop", msg: "bye" });
    await closing;
    assert.deepEqual([client.state, client.error?.message, around.hasTimers], ["closed", "the client is closed", false]);
    await client.close();
    around.hints.dispatchEvent(new Event("online"));
    assert.equal(around.sockets.length, 1);
  });

  test("or it does not wait, and what was not answered fails", async () => {
    const { client, around } = await connected();
    const rooms = client.rooms();
    const closing = client.close({ flush: false });
    const [, quit] = around.socket.take();
    around.socket.hears({ type: "stop", id: quit.id, msg: "bye" });
    await assert.rejects(rooms, ClosedError);
    await closing;
  });

  test("what waits for a server that lets nobody in does not keep it open for ever", async () => {
    const { client, around } = await joined();
    client.rooms().catch(() => {});
    around.socket.ends();
    const closing = client.close();
    const again = client.close();
    around.passes(1);
    around.socket.open();
    around.socket.answers({ type: "error", code: "banned", msg: "no" });
    await Promise.all([closing, again]);
    assert.equal(client.state, "closed");
  });
});

describe("rooms", () => {
  test("one that is joined has its facts, and its events", async () => {
    const { room, client, around, told } = await joined();
    assert.deepEqual(
      [room.name, room.topic, room.count, room.oldest, room.role, room.seq, room.error],
      ["lobby", "t", 2, 1, "", 10, null],
    );
    assert.deepEqual([client.joined, client.room("LOBBY"), client.room("garden")], [[room], room, undefined]);
    const got = /** @type {number[]} */ ([]);
    const stop = room.on("message", ({ seq = 0 }) => got.push(seq));
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "<b>", seq: 11 });
    around.socket.hears({ type: "", room: "garden", author: "bob", msg: "x", seq: 1 });
    stop();
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq: 12 });
    assert.deepEqual([got, told("message").map(({ seq }) => seq), room.seq], [[11], [11, 12], 12]);
    assert.equal(await client.join("lobby"), room);
    assert.deepEqual(around.socket.take(), []);
  });

  test("one that is not joined yet has no cursor", async () => {
    const { client } = await connected();
    client.join("lobby");
    assert.deepEqual([client.room("lobby")?.seq, client.joined], [0, []]);
  });

  test("it may be read from a number on", async () => {
    const { client, around } = await connected();
    const joining = client.join("lobby", { since: 7 });
    assert.equal(around.socket.joins().since, 7);
    assert.equal((await joining).seq, 7);
  });

  test("a listener that is added once the room is joined misses nothing, even if all comes at once", async () => {
    const { client, around } = await connected();
    const got = /** @type {(number | undefined)[]} */ ([]);
    const joining = (async () => {
      const room = await Promise.all([client.join("lobby", { since: 0 })]).then(([one]) => one);
      room.on("message", ({ seq }) => got.push(seq));
    })();
    around.socket.joins();
    for (const seq of [1, 2]) around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq });
    around.socket.hears({ type: "stop", msg: "bye" });
    assert.equal(client.state, "connected");
    await joining;
    assert.deepEqual(got, []);
    around.passes(0);
    assert.deepEqual([got, client.state], [[1, 2], "waiting"]);
    around.passes(1);
    around.socket.welcomes();
    assert.equal(around.socket.joins().since, 2);
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq: 3 });
    assert.deepEqual(got, [1, 2, 3]); // nobody has to wait for a room that is joined again
  });

  test("what is held when the connection is lost comes on the next one", async () => {
    const { client, around, told } = await connected();
    client.join("lobby", { since: 0 });
    around.socket.joins();
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq: 1 });
    comeBack(around);
    assert.deepEqual(told("message"), []);
    assert.equal(around.socket.joins().since, 0);
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq: 1 });
    assert.equal(told("message").length, 1);
  });

  test("one that refuses is told", async () => {
    const { client, around } = await connected();
    const joining = client.join("lobby");
    around.socket.answers({ type: "error", code: "banned", msg: "no" });
    await assert.rejects(joining, /lobby cannot be joined: no/);
    assert.equal(client.room("lobby"), undefined);
  });

  test("one that was left can be joined again, by several at once", async () => {
    const { client, room, around } = await joined();
    const leaving = room.leave();
    const again = [client.join("lobby"), client.join("lobby")];
    around.socket.answers({ type: "left", room: "lobby" });
    await leaving;
    await Promise.resolve();
    await Promise.resolve();
    around.socket.joins({ seq: 20 });
    around.passes(0);
    const [one, other] = await Promise.all(again);
    assert.equal(one, other);
    assert.notEqual(one, room);
    await room.leave(); // it was left already
    assert.deepEqual([client.joined, room.error instanceof ClosedError], [[one], true]);
  });

  test("one that is lost is told, and may be joined again", async () => {
    const { client, room, around, told } = await joined();
    around.socket.hears({ type: "kick", room: "lobby", author: "bob", nick: "alice", msg: "" });
    assert.deepEqual(told("room-lost").map(({ error }) => error.code), ["kicked"]);
    assert.ok(room.error instanceof RequestError);
    const joining = client.join("lobby");
    around.socket.joins();
    assert.notEqual(await joining, room);
  });

  test("it is joined again on the next connection with its cursor", async () => {
    const { around, told, room } = await joined();
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq: 11 });
    comeBack(around);
    assert.equal(around.socket.joins({ seq: 11 }).since, 11);
    assert.deepEqual(told("joined").map(({ again }) => again), [false, true]);
    assert.equal(room.error, null);
  });
});

describe("requests", () => {
  test("each one is a request, has its answer, and says what it is", async () => {
    const { client, room, around } = await joined();
    const audit = { actions: [], more: false };
    const page = { messages: [], more: false };
    const members = { room: "lobby", members: ["alice"], count: 1 };
    /** @type {[() => Promise<any> & {request: any}, Obj, Obj, any][]} */
    const table = [
      [() => room.history({ before: 5, limit: 2 }), { type: "history", room: "lobby", before: 5, limit: 2 }, { type: "history", ...page }, page],
      [() => client.history("lobby"), { type: "history", room: "lobby", limit: 50 }, { type: "history", ...page }, page],
      [() => client.directHistory("bob"), { type: "history", to: "bob", limit: 50 }, { type: "history", ...page }, page],
      [() => client.directs(), { type: "directs" }, { type: "directs", directs: [] }, []],
      [() => client.rooms(), { type: "rooms" }, { type: "rooms", rooms: [] }, []],
      [() => room.who(), { type: "who", room: "lobby", after: "" }, { type: "members", ...members }, members],
      [() => client.who("lobby"), { type: "who", room: "lobby", after: "" }, { type: "members", ...members }, members],
      [() => room.setTopic("new"), { type: "topic", room: "lobby", msg: "new" }, { type: "topic" }, undefined],
      [() => client.tell("bob", "hi"), { type: "", to: "bob", msg: "hi" }, { type: "ack" }, undefined],
      [() => room.delete(3, "why"), { type: "delete", room: "lobby", of: 3, msg: "why" }, { type: "ack", seq: 4 }, 4],
      [() => client.delete("lobby", 3), { type: "delete", room: "lobby", of: 3 }, { type: "ack", seq: 4 }, 4],
      [() => client.deleteDirect("bob", 3), { type: "delete", to: "bob", of: 3 }, { type: "ack", seq: 4 }, 4],
      [() => room.deleteAll("eve"), { type: "delete", room: "lobby", by: "eve" }, { type: "delete", count: 2 }, 2],
      [() => client.deleteAll(null, "eve"), { type: "delete", by: "eve" }, { type: "delete", count: 2 }, 2],
      [() => room.report(3), { type: "report", room: "lobby", of: 3 }, { type: "report" }, undefined],
      [() => client.report("lobby", 3), { type: "report", room: "lobby", of: 3 }, { type: "report" }, undefined],
      [() => room.kick("eve"), { type: "kick", room: "lobby", nick: "eve" }, { type: "kick" }, undefined],
      [() => client.kick("lobby", "eve"), { type: "kick", room: "lobby", nick: "eve" }, { type: "kick" }, undefined],
      [() => room.ban("eve", 60), { type: "ban", room: "lobby", who: "eve", seconds: 60 }, { type: "ban" }, undefined],
      [() => client.ban(null, "eve"), { type: "ban", who: "eve" }, { type: "ban" }, undefined],
      [() => room.unban("eve"), { type: "unban", room: "lobby", who: "eve" }, { type: "unban" }, undefined],
      [() => client.unban(null, "eve"), { type: "unban", who: "eve" }, { type: "unban" }, undefined],
      [() => room.bans(), { type: "bans", room: "lobby" }, { type: "bans", bans: [], count: 0 }, { bans: [], count: 0 }],
      [() => client.bans(null), { type: "bans" }, { type: "bans", bans: [], count: 0 }, { bans: [], count: 0 }],
      [() => room.mute("eve"), { type: "mute", room: "lobby", nick: "eve" }, { type: "mute" }, undefined],
      [() => client.mute("lobby", "eve"), { type: "mute", room: "lobby", nick: "eve" }, { type: "mute" }, undefined],
      [() => room.unmute("eve"), { type: "unmute", room: "lobby", nick: "eve" }, { type: "unmute" }, undefined],
      [() => client.unmute("lobby", "eve"), { type: "unmute", room: "lobby", nick: "eve" }, { type: "unmute" }, undefined],
      [() => room.grant("eve", "member"), { type: "grant", room: "lobby", nick: "eve", role: "member" }, { type: "grant" }, undefined],
      [() => client.grant(null, "eve", "none"), { type: "grant", nick: "eve", role: "none" }, { type: "grant" }, undefined],
      [() => room.lock(), { type: "lock", room: "lobby", on: true }, { type: "lock" }, undefined],
      [() => client.lock("lobby", false), { type: "lock", room: "lobby", on: false }, { type: "lock" }, undefined],
      [() => room.invite("eve"), { type: "invite", room: "lobby", nick: "eve" }, { type: "invite" }, undefined],
      [() => client.invite("lobby", "eve"), { type: "invite", room: "lobby", nick: "eve" }, { type: "invite" }, undefined],
      [() => room.slow(5), { type: "slow", room: "lobby", seconds: 5 }, { type: "slow" }, undefined],
      [() => client.slow("lobby", 0), { type: "slow", room: "lobby", seconds: 0 }, { type: "slow" }, undefined],
      [() => room.audit(), { type: "audit", room: "lobby", limit: 50 }, { type: "audit", ...audit }, audit],
      [() => client.audit(null, { before: 9 }), { type: "audit", limit: 50, before: 9 }, { type: "audit", ...audit }, audit],
      [() => client.register("horse"), { type: "register", password: "horse" }, { type: "registered", pending: true }, false],
      [() => client.changePassword("horse", "cow"), { type: "password", old: "horse", new: "cow" }, { type: "password" }, undefined],
      [() => client.changePassword("cow", "ox", true), { type: "password", old: "cow", new: "ox", revoke: true }, { type: "password" }, undefined],
      [() => client.tokens(), { type: "tokens" }, { type: "tokens", tokens: [] }, []],
      [() => client.revokeToken("old"), { type: "revoke-token", label: "old" }, { type: "token-revoked" }, undefined],
      [() => client.makeToken("new"), { type: "token", label: "new" }, { type: "token", token: "abc" }, "abc"],
    ];
    for (const [ask, asked, answer, result] of table) {
      const answered = ask();
      assert.deepEqual(client.waiting, [answered.request]);
      const { id, ...fields } = around.socket.answers(answer);
      assert.deepEqual([fields, id, await answered], [asked, answered.request.id, result], asked.type);
    }
    assert.equal(client.direct, null);
  });

  test("one that is refused has a code", async () => {
    const { room, around } = await joined();
    const refused = room.setTopic("x");
    around.socket.answers({ type: "error", code: "denied", msg: "you may not" });
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof RequestError);
      assert.deepEqual([error.code, error.message, error.request], ["denied", "the topic of lobby was not changed: you may not", refused.request]);
      return true;
    });
  });

  test("a login is another connection under another nick", async () => {
    const { client, around, room } = await joined();
    const login = client.logIn("carol", "horse");
    around.socket.answers({ type: "stop", msg: "bye" });
    around.passes(0);
    around.socket.welcomes({ nick: "Carol", account: true });
    assert.equal(await login, "Carol");
    assert.deepEqual([client.nick, client.account, around.sockets.length, room.error], ["Carol", true, 2, null]);
  });

  test("a listener may ask for something", async () => {
    const { client, around, room } = await joined();
    const said = /** @type {Promise<number>[]} */ ([]);
    room.on("message", ({ msg }) => said.push(room.say(`re: ${msg}`)));
    around.socket.hears({ type: "", room: "lobby", author: "bob", msg: "x", seq: 11 });
    around.socket.answers({ type: "ack", seq: 12 });
    assert.deepEqual([await Promise.all(said), client.waiting], [[12], []]);
  });
});

describe("messages", () => {
  test("the answer is the number, and an event says so", async () => {
    const { room, around, told } = await joined();
    const said = room.say("hello");
    around.socket.answers({ type: "ack", seq: 11, time: "now" });
    assert.equal(await said, 11);
    assert.deepEqual(told("acked"), [said.request]);
    assert.deepEqual([said.request.seq, said.request.time, said.request.text], [11, "now", "hello"]);
  });

  test("one that fails is told by an event, so that nobody has to wait for its answer", async () => {
    const { room, around, told } = await joined();
    const { request } = room.say("hello");
    around.socket.answers({ type: "error", code: "muted", msg: "no" });
    const [failed] = told("failed");
    assert.deepEqual([failed.request, failed.error.code], [request, "muted"]);
  });

  test("one that waits can be taken back", async () => {
    const { client, room, around } = await joined();
    const sent = room.say("one");
    assert.equal(client.withdraw(sent.request), false);
    around.socket.ends();
    assert.equal(client.withdraw(sent.request), true);
    assert.equal(client.withdraw(sent.request), false);
    await assert.rejects(sent, (error) => error instanceof ClosedError && error.wanted);
    around.passes(1);
    around.socket.welcomes();
    around.socket.joins();
    assert.deepEqual(around.socket.take(), []);
  });

  test("one that was not acked is sent again with the same id, also after a reload", async () => {
    const storage = new MemoryStorage();
    const before = await joined({ storage });
    before.room.say("one");
    const direct = before.client.tell("bob", "two");
    const first = before.around.socket.take();
    before.around.socket.hears({ type: "error", id: first[1].id, code: "no-such-nick", msg: "no" });
    await assert.rejects(direct);
    comeBack(before.around);
    before.around.socket.joins();
    const [again] = before.around.socket.take();
    assert.deepEqual(again, first[0]);

    const { client, around, hello, told } = await connected({ storage, around: abandon(before.around) });
    assert.equal(hello.token, before.hello.token);
    assert.deepEqual(client.waiting.map(({ kind, room, text }) => [kind, room, text]), [["message", "lobby", "one"]]);
    client.join("lobby");
    around.socket.joins();
    around.passes(0);
    const [last] = around.socket.take();
    assert.deepEqual(last, first[0]);
    around.socket.hears({ type: "ack", id: last.id, seq: 11 });
    assert.deepEqual([told("acked").map(({ id }) => id), client.waiting], [[last.id], []]);
    assert.deepEqual([...storage.items.keys()], ["twisted-chat:session:alice"]);
  });

  test("under another nick, what waits is kept for that", async () => {
    const storage = new MemoryStorage();
    const { client, room, around, hello } = await joined({ storage });
    const renamed = client.setNick("carol");
    const [nick] = around.socket.take();
    room.say("one");
    assert.deepEqual(around.socket.take(), []); // it waits for the nick
    around.socket.hears({ type: "nick", id: nick.id, nick: "Carol" });
    assert.equal(await renamed, "Carol");
    const next = await connected({ storage, around: abandon(around), nick: "carol" });
    assert.deepEqual(next.client.waiting.map(({ text }) => text), ["one"]);
    assert.equal(next.hello.token, hello.token);
    assert.deepEqual((await connected({ storage })).client.waiting, []);
  });

  test("a nick is changed without a storage, too", async () => {
    const { client, around } = await connected();
    const renamed = client.setNick("carol");
    around.socket.answers({ type: "nick", nick: "carol" });
    assert.equal(await renamed, "carol");
  });

  test("what the server's end of the client leaves is sent by the next one, and what the program's end leaves is not", async () => {
    for (const [isKept, end] of /** @type {[boolean, (one: any) => void][]} */ ([
      [true, ({ around }) => {
        around.socket.hears({ type: "stop", code: "replaced", msg: "another tab" });
        around.socket.ends();
      }],
      [false, ({ client, around }) => {
        client.close({ flush: false });
        around.socket.ends();
      }],
    ])) {
      const storage = new MemoryStorage();
      const one = await joined({ storage });
      one.room.say("one");
      end(one);
      assert.equal(one.client.state, "closed");
      assert.equal(one.told("failed").length, 1);
      assert.equal((await connected({ storage })).client.waiting.length, isKept ? 1 : 0);
    }
  });

  test("a storage that may not be used ends nothing", async () => {
    const { room, around, client } = await joined({ storage: noStorage });
    const said = room.say("hello");
    around.socket.answers({ type: "ack", seq: 11 });
    assert.equal(await said, 11);
    await assert.doesNotReject(async () => {
      const keeping = client.keepLogin(noStorage);
      around.socket.answers({ type: "token", token: "abc" });
      await keeping;
      await client.forgetLogin(noStorage);
    });
    assert.equal(keptLogin(noStorage), null);
  });
});

describe("a login that is kept", () => {
  test("it is a token, and never the password", async () => {
    const storage = new MemoryStorage();
    const { client, around } = await connected({ storage, password: "horse" });
    const keeping = client.keepLogin(storage, "phone");
    const { label } = around.socket.answers({ type: "token", token: "abc" });
    await keeping;
    assert.match(label, /^phone [0-9a-f]{4}$/);
    assert.deepEqual(keptLogin(storage), { nick: "alice", password: "abc", label });
    assert.ok(![...storage.items.values()].some((item) => item.includes("horse")));
    const forgetting = client.forgetLogin(storage);
    assert.equal(keptLogin(storage), null);
    assert.equal(around.socket.answers({ type: "token-revoked" }).label, label);
    await forgetting;
  });
});

test("a socket of the tests is one that is closed once", () => {
  const socket = new FakeSocket(new URL("ws://chat.example"));
  socket.close();
  assert.throws(() => socket.send("{}"));
});
