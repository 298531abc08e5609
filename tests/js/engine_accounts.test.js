/** Accounts, direct messages and order in rooms. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ClosedError, RequestError } from "../../twisted_chat/web/page/client/errors.js";
import { MAX_OWN } from "../../twisted_chat/web/page/client/log_reader.js";
import { actions } from "../../twisted_chat/web/page/client/requests.js";
import { EngineCase } from "./engine_case.js";

/** @typedef {Record<string, any>} Obj */

const WELCOME = { type: "welcome", server: "s", limits: {} };

/** @param {EngineCase} one @param {string} code */
function refuseHello(one, code, fields = {}) {
  one.hears({ type: "error", id: one.hello, code, msg: "no", ...fields });
}

/** A guest who is connected. */
function guest() {
  const one = new EngineCase();
  one.welcome();
  return one;
}

/**
 * An account that is connected, and whose partners are listed.
 *
 * @param {Record<string, number>} [partners]
 * @param {object} [options]
 */
function account(partners = {}, options = {}) {
  const one = new EngineCase({ password: "secret", ...options });
  one.welcome({ account: true });
  lists(one, partners);
  return one;
}

/** @param {EngineCase} one @param {Record<string, number>} partners */
function lists(one, partners) {
  const directs = Object.entries(partners).map(([nick, seq]) => ({ nick, seq }));
  const asked = one.sent();
  const [request] = asked.filter(({ type }) => type === "directs");
  one.objects = asked.filter((obj) => obj !== request);
  one.hears({ type: "directs", id: request.id, directs });
}

/** @param {EngineCase} one @param {Record<string, number>} partners */
function returns(one, partners) {
  one.lose();
  one.welcome({ account: true });
  lists(one, partners);
}

/** @param {EngineCase} one @param {number} seq @param {Obj} [fields] */
const direct = (one, seq, fields = {}) =>
  one.hears({ type: "", msg: String(seq), author: "bob", to: "alice", seq, ...fields });

/** @param {EngineCase} one @param {number[]} seqs @param {Obj} [fields] */
function page(one, seqs, { more = false, author = "bob" } = {}) {
  const messages = seqs.map((seq) => ({ type: "", msg: String(seq), author, to: "alice", seq }));
  return one.answers({ type: "history", to: "bob", messages, more });
}

/** @param {EngineCase} one */
const gotDirect = (one) => one.told("direct-message").map(({ seq }) => seq);

describe("passwords", () => {
  test("the password is said with each hello", () => {
    const one = new EngineCase({ password: "secret" });
    for (let i = 0; i < 2; i += 1) {
      assert.equal(one.welcome({ account: true }).password, "secret");
      assert.equal(one.engine.account, true);
      one.lose();
    }
  });

  test("one that is wrong by now ends trying: to go on would be an attack", () => {
    const one = account();
    one.lose();
    one.connect();
    refuseHello(one, "auth-failed");
    one.lose();
    assert.equal(one.told("closed")[0].error.cause.code, "auth-failed");
  });

  test("a client that registers says the password from then on", () => {
    const one = guest();
    const registered = one.ask(actions.register("horse"));
    assert.equal(one.answers({ type: "registered", nick: "alice" }).password, "horse");
    assert.deepEqual([one.result(registered), one.engine.account], [true, true]);
    assert.deepEqual(one.sentTypes(), ["directs"]);
    one.lose();
    assert.equal(one.connect().password, "horse");
  });

  test("one that has to be let in is a guest until then", () => {
    const one = guest();
    const registered = one.ask(actions.register("horse"));
    one.answers({ type: "registered", nick: "alice", pending: true });
    assert.deepEqual([one.result(registered), one.engine.account, one.sent()], [false, false, []]);
  });

  test("a registration whose answer was lost is settled by the next hello", () => {
    const one = guest();
    const registered = one.ask(actions.register("horse"));
    one.sent();
    one.lose();
    const { password } = one.welcome({ account: true });
    assert.deepEqual([password, one.result(registered)], ["horse", true]);
    assert.deepEqual(one.sentTypes(), ["directs"]);
  });

  test("one that was not served is asked for again", () => {
    const one = guest();
    const registered = one.ask(actions.register("horse"));
    one.sent();
    one.lose();
    one.connect();
    refuseHello(one, "auth-failed");
    const [hello] = one.sent();
    assert.equal("password" in hello, false);
    one.hears({ ...WELCOME, id: hello.id, nick: "alice" });
    one.answers({ type: "registered", nick: "alice" });
    assert.equal(one.result(registered), true);
  });

  test("a hello with unsettled credentials may be refused for another reason", () => {
    const one = guest();
    const registered = one.ask(actions.register("horse"));
    one.sent();
    one.lose();
    one.connect();
    refuseHello(one, "full");
    assert.equal(one.engine.hangUp, "no");
    one.lose();
    assert.equal(one.connect().password, "horse");
    one.waits(registered);
  });

  test("a changed password is said from then on, also if the answer was lost", () => {
    const one = account();
    const changed = one.ask(actions.changePassword("secret", "new", false));
    assert.deepEqual(one.answers({ type: "password" }), {
      type: "password", old: "secret", new: "new", id: changed.id,
    });
    assert.equal(one.result(changed), undefined);
    const again = one.ask(actions.changePassword("new", "newest", true));
    assert.equal(one.sent()[0].revoke, true);
    one.lose();
    assert.equal(one.welcome({ account: true }).password, "newest");
    assert.equal(one.result(again), undefined);
    one.lose();
    assert.equal(one.connect().password, "newest");
  });

  test("tokens are made, listed and revoked", () => {
    const one = account();
    const made = one.ask(actions.makeToken("phone"));
    assert.deepEqual(one.answers({ type: "token", token: "tc_x", label: "phone" }), {
      type: "token", label: "phone", id: made.id,
    });
    assert.equal(one.result(made), "tc_x");
    const listed = one.ask(actions.tokens());
    one.answers({ type: "tokens", tokens: [{ label: "phone", created: "now" }] });
    assert.deepEqual(one.result(listed), [{ label: "phone", created: "now" }]);
    const revoked = one.ask(actions.revokeToken("phone"));
    assert.deepEqual(one.answers({ type: "token-revoked" }).label, "phone");
    assert.equal(one.result(revoked), undefined);
  });
});

describe("a login", () => {
  test("the client quits, and says hello as the other", () => {
    const one = guest();
    const room = one.join();
    const login = one.ask(actions.logIn("carol", "horse"));
    one.answers({ type: "stop", msg: "", author: "server" });
    assert.equal(one.engine.hangUp, "logging in");
    one.lose("logging in");
    assert.deepEqual([one.engine.state, one.engine.pause, one.told("stop")], ["waiting", 0, []]);
    one.engine.connected(one.now);
    const [hello] = one.sent();
    assert.deepEqual([hello.nick, hello.password], ["carol", "horse"]);
    one.hears({ ...WELCOME, id: hello.id, nick: "Carol", account: true });
    assert.deepEqual([one.result(login), one.engine.nick, one.engine.account], ["Carol", "Carol", true]);
    assert.deepEqual(one.sentTypes(), ["directs", "join"]);
    assert.equal(room.error, null);
  });

  test("one that is refused leaves everything as it was", () => {
    const one = guest();
    const login = one.ask(actions.logIn("carol", "wrong"));
    one.answers({ type: "stop", msg: "", author: "server" });
    one.lose();
    one.engine.connected(one.now);
    const [first] = one.sent();
    one.hears({ type: "error", id: first.id, code: "rate-limited", msg: "no", retry: 60 });
    const error = one.result(login);
    assert.ok(error instanceof RequestError);
    assert.deepEqual([error.message, error.retry], ["you are not logged in as carol: no", 60]);
    const [hello] = one.sent();
    assert.deepEqual([hello.nick, "password" in hello], ["alice", false]);
    one.hears({ ...WELCOME, id: hello.id, nick: "alice" });
    assert.deepEqual([one.engine.nick, one.engine.state], ["alice", "connected"]);
  });

  test("it waits for what was said under the old nick, and survives lost connections", () => {
    const one = guest();
    const room = one.join();
    const said = one.say(room, "hi");
    const login = one.ask(actions.logIn("carol", "horse"));
    assert.deepEqual(one.sentTypes(), [""]);
    one.return();
    one.joins();
    assert.deepEqual(one.sentTypes(), [""]);
    one.ack(said.id, 11);
    assert.deepEqual(one.sentTypes(), ["quit"]);
    one.lose();
    one.lose("nobody there");
    one.engine.connected(one.now);
    assert.equal(one.sent()[0].nick, "carol");
    one.waits(login);
  });

  test("messages of an earlier run to rooms that were not joined are not sent under the other nick", () => {
    const one = new EngineCase({ saved: [{ id: "old", room: "lobby", msg: "one" }] });
    one.welcome();
    one.ask(actions.logIn("carol", "horse"));
    one.answers({ type: "stop", msg: "" });
    one.lose();
    one.engine.connected(one.now);
    one.hears({ ...WELCOME, id: one.sent()[0].id, nick: "carol", account: true });
    assert.equal(one.told("failed")[0].request.id, "old");
  });
});

describe("direct messages", () => {
  test("those of guests come as they are, and are acked without a number", () => {
    const one = guest();
    one.hears({ type: "", msg: "psst", author: "bob", to: "alice", time: "now" });
    assert.deepEqual(one.told("direct-message"), [{ msg: "psst", author: "bob", to: "alice", time: "now" }]);
    const told = one.ask(actions.tell("bob", "psst"));
    assert.deepEqual(one.answers({ type: "ack", to: "bob", time: "now" }), {
      type: "", to: "bob", msg: "psst", id: told.id,
    });
    assert.deepEqual([one.result(told), told.time, one.engine.direct], [undefined, "now", null]);
  });

  test("a nick that refuses for now holds up no other", () => {
    const one = guest();
    one.ask(actions.tell("bob", "one"));
    one.refuses("unavailable");
    one.ask(actions.tell("bob", "two"));
    one.ask(actions.tell("carol", "three"));
    assert.deepEqual(one.sent().map(({ msg }) => msg), ["three"]);
    one.passes(1);
    assert.deepEqual(one.sent().map(({ msg }) => msg), ["one"]);
  });

  test("one to nobody fails, and the next goes on", () => {
    const one = guest();
    const first = one.ask(actions.tell("bob", "one"));
    one.refuses("no-such-nick");
    assert.equal(one.result(first).code, "no-such-nick");
    one.ask(actions.tell("Bob", "two"));
    assert.equal(one.sent().length, 1);
  });

  test("between accounts they come once and in order, over lost connections", () => {
    const one = account({ bob: 7 });
    for (const seq of [8, 9, 9, 8]) direct(one, seq);
    assert.deepEqual([gotDirect(one), one.engine.direct], [[8, 9], { bob: 9 }]);
    returns(one, { bob: 12 });
    direct(one, 13);
    assert.deepEqual(gotDirect(one), []);
    assert.deepEqual(page(one, [10, 11], { more: true }).after, 9);
    assert.deepEqual(page(one, [12, 13]).after, 11);
    assert.deepEqual(gotDirect(one), [10, 11, 12, 13]);
    direct(one, 14);
    assert.deepEqual([gotDirect(one), one.sent()], [[14], []]);
  });

  test("where nothing is new, nothing is read", () => {
    const one = account({ bob: 7 });
    returns(one, { bob: 7 });
    direct(one, 8);
    assert.deepEqual([one.sent(), gotDirect(one)], [[], [8]]);
  });

  test("what comes before the partners are listed on a new connection waits for what was missed", () => {
    const one = account({ bob: 7 });
    one.lose();
    one.welcome({ account: true });
    direct(one, 9);
    assert.deepEqual(gotDirect(one), []);
    lists(one, { bob: 9 });
    page(one, [8, 9]);
    assert.deepEqual(gotDirect(one), [8, 9]);
  });

  test("what came meanwhile is not read where nothing was missed", () => {
    const one = account({ bob: 7 });
    one.lose();
    one.welcome({ account: true });
    direct(one, 8);
    lists(one, { bob: 7 }); // an answer from before the message
    assert.deepEqual([gotDirect(one), one.sent()], [[8], []]);
  });

  test("more than can be kept meanwhile is read from the log", () => {
    const one = account({ bob: 0 });
    returns(one, { bob: 2000 });
    const [asked] = one.sent();
    for (let seq = 1; seq <= 1001; seq += 1) direct(one, 2000 + seq);
    const message = (/** @type {number} */ seq) => ({ type: "", msg: "x", author: "bob", to: "alice", seq });
    one.hears({ type: "history", id: asked.id, to: "bob", messages: [message(2000)], more: false });
    assert.equal(gotDirect(one).length, 1001);
    assert.equal(page(one, [3001]).after, 3000);
    assert.deepEqual([gotDirect(one), one.sent()], [[3001], []]);
  });

  test("the program may say from where on", () => {
    const one = account({ bob: 7 }, { direct: { bob: 5, carol: 3 } });
    const [bob, carol] = one.sent();
    assert.deepEqual([bob.to, bob.after, carol.to, carol.after], ["bob", 5, "carol", 3]);
    one.hears({ type: "history", id: carol.id, to: "carol", messages: [], more: false });
    one.hears({ type: "error", id: bob.id, code: "denied", msg: "no such account" });
    assert.deepEqual(one.engine.direct, { carol: 3 });
  });

  test("somebody new is read from the beginning", () => {
    const one = account({ bob: 7 });
    direct(one, 1, { author: "carol" });
    direct(one, 2, { author: "carol" });
    assert.deepEqual(gotDirect(one), [1, 2]);
    returns(one, { bob: 7, carol: 2, dave: 3 });
    const [asked] = one.sent(); // dave wrote for the first time while the client was away
    assert.deepEqual([asked.to, asked.after], ["dave", 0]);
    direct(one, 4, { author: "dave" });
    const messages = [1, 2, 3].map((seq) => ({ type: "", msg: "x", author: "dave", to: "alice", seq }));
    one.hears({ type: "history", id: asked.id, to: "dave", messages, more: false });
    assert.deepEqual(gotDirect(one), [1, 2, 3, 4]);
    assert.deepEqual(one.engine.direct, { bob: 7, carol: 2, dave: 4 });
  });

  test("somebody new who writes before the partners are listed anew is read from the beginning", () => {
    const one = account({ bob: 7 });
    one.lose();
    one.welcome({ account: true });
    direct(one, 2, { author: "carol" });
    assert.deepEqual(gotDirect(one), []);
    lists(one, { bob: 7, carol: 2 });
    const [asked] = one.sent();
    const messages = [1, 2].map((seq) => ({ type: "", msg: "x", author: "carol", to: "alice", seq }));
    one.hears({ type: "history", id: asked.id, to: "carol", messages, more: false });
    assert.deepEqual(gotDirect(one), [1, 2]);
  });

  test("a program that knows its partners misses nothing of new ones", () => {
    const one = account({ bob: 7, carol: 1 }, { direct: { bob: 7 } });
    const [asked] = one.sent();
    assert.deepEqual([asked.to, asked.after], ["carol", 0]);
  });

  test("before the partners are known, a message is one all the same", () => {
    const one = new EngineCase({ password: "secret" });
    one.welcome({ account: true });
    direct(one, 8);
    assert.deepEqual(gotDirect(one), [8]);
    lists(one, { bob: 8 });
    assert.deepEqual([one.sent(), gotDirect(one)], [[], []]);
  });

  test("one's own do not come, and what another connection of the account says does", () => {
    const one = account({ bob: 7 });
    const told = one.ask(actions.tell("bob", "mine"));
    direct(one, 8, { author: "alice", to: "bob" });
    assert.deepEqual(gotDirect(one), []); // it may be this one
    one.ack(one.sent()[0].id, 9, { to: "bob" });
    assert.deepEqual([one.result(told), gotDirect(one)], [9, [8]]);
    direct(one, 10);
    assert.deepEqual([gotDirect(one), one.engine.direct], [[10], { bob: 10 }]);
    returns(one, { bob: 10 });
    assert.deepEqual(one.sent(), []);
  });

  test("one's own ack from before the partners were known is remembered", () => {
    const one = new EngineCase({ password: "secret" });
    one.welcome({ account: true });
    one.ask(actions.tell("bob", "mine"));
    const sent = one.sent();
    const mine = sent.find(({ type }) => type === "");
    one.objects = sent.filter((obj) => obj !== mine);
    one.ack(mine?.id, 8, { to: "bob" });
    lists(one, { bob: 7 });
    direct(one, 9);
    returns(one, { bob: 10 });
    page(one, [10]);
    assert.deepEqual(gotDirect(one), [9, 10]);
  });

  test("a connection that is lost before the partners are known costs nothing of those who were met on it", () => {
    const one = new EngineCase({ password: "secret" });
    one.welcome({ account: true });
    for (const nick of ["bob", "dave"]) one.ask(actions.tell(nick, "hi"));
    const [toBob, toDave] = one.sent().filter(({ type }) => type === "");
    one.objects = [];
    one.ack(toBob.id, 8, { to: "bob" });
    one.ack(toDave.id, 1, { to: "dave" });
    direct(one, 3, { author: "carol" });
    one.lose();
    assert.equal(one.engine.direct, null);
    one.welcome({ account: true });
    direct(one, 11);
    lists(one, { bob: 11, carol: 5, dave: 1, erin: 9 });
    const asked = one.sent();
    assert.deepEqual(asked.map(({ to, after }) => [to, after]), [["carol", 3], ["bob", 8]]);
    for (const [{ id, to }, seqs] of /** @type {const} */ ([[asked[0], [4, 5]], [asked[1], [9, 10, 11]]])) {
      const messages = seqs.map((seq) => ({ type: "", msg: "x", author: to, to: "alice", seq }));
      one.hears({ type: "history", id, to, messages, more: false });
    }
    direct(one, 10, { author: "erin" });
    assert.deepEqual(gotDirect(one), [3, 4, 5, 9, 10, 11, 10]);
    assert.deepEqual(one.engine.direct, { carol: 5, dave: 1, bob: 11, erin: 10 });
  });

  test("one's first to somebody, and where nobody else speaks, the cursor moves", () => {
    const one = account();
    for (let seq = 1; seq <= MAX_OWN + 1; seq += 1) {
      const told = one.ask(actions.tell("bob", "x"));
      one.objects = one.objects.filter(({ type }) => type !== "");
      one.ack(told.id, seq, { to: "bob" });
    }
    assert.equal(page(one, [1, MAX_OWN + 1], { author: "alice", more: true }).after, 0);
    assert.deepEqual([gotDirect(one), one.engine.direct], [[], { bob: MAX_OWN + 1 }]);
  });

  test("a page that is unavailable, or makes no sense, is asked for again", () => {
    const one = account({ bob: 7 });
    returns(one, { bob: 9 });
    one.refuses("unavailable");
    one.passes(4);
    one.answers({ type: "history", messages: [{ seq: 8 }], more: false });
    one.passes(4);
    page(one, [8, 9]);
    assert.deepEqual(gotDirect(one), [8, 9]);
  });

  test("a page that brings nothing is the end, whatever it says", () => {
    const one = account({ bob: 7 });
    returns(one, { bob: 9 });
    page(one, [7], { more: true });
    assert.deepEqual(one.sent(), []);
  });

  test("a log whose numbers start again is read from its end", () => {
    const one = account({ bob: 7 });
    returns(one, { bob: 2 });
    direct(one, 3);
    assert.deepEqual([one.sent(), gotDirect(one), one.engine.direct], [[], [3], { bob: 3 }]);
  });

  test("a deletion comes in its place", () => {
    const one = account({ bob: 7 });
    one.hears({ type: "delete", author: "bob", to: "alice", of: 3, seq: 8 });
    assert.deepEqual(one.told("deleted"), [{ author: "bob", to: "alice", of: 3, seq: 8 }]);
    const deletion = one.ask(actions.deleteDirect("bob", 2));
    assert.deepEqual(one.answers({ type: "ack", to: "bob", seq: 9 }), {
      type: "delete", to: "bob", of: 2, id: deletion.id,
    });
    assert.deepEqual([one.result(deletion), deletion.refusal], [9, "the message to bob was not deleted"]);
  });

  test("older ones can be read", () => {
    const one = account({ bob: 7 });
    const reading = one.ask(actions.directHistory("bob", { before: 7, limit: 2 }));
    const asked = page(one, [5, 6]);
    assert.deepEqual(asked, { type: "history", to: "bob", before: 7, limit: 2, id: asked.id });
    assert.deepEqual(one.result(reading).messages.map((/** @type {Obj} */ { seq }) => seq), [5, 6]);
  });

  test("the partners can be listed", () => {
    const one = account();
    const listed = one.ask(actions.directs());
    one.answers({ type: "directs", directs: [{ nick: "bob", seq: 7 }] });
    assert.deepEqual(one.result(listed), [{ nick: "bob", seq: 7 }]);
  });

  test("another account has other conversations", () => {
    const one = account({ bob: 7 });
    one.ask(actions.logIn("carol", "horse"));
    one.answers({ type: "stop", msg: "" });
    one.lose();
    one.engine.connected(one.now);
    one.hears({ ...WELCOME, id: one.sent()[0].id, nick: "carol", account: true });
    lists(one, { dave: 1 });
    assert.deepEqual(one.engine.direct, { dave: 1 });
  });

  test("partners that cannot be listed now are asked for again, and an older server has none", () => {
    const one = new EngineCase({ password: "secret" });
    one.welcome({ account: true });
    one.refuses("internal");
    one.passes(4);
    one.refuses("unknown-type");
    one.passes(60);
    assert.deepEqual(one.sentTypes(), ["ping"]);
  });

  test("the conversations that were used last are kept", () => {
    const one = account(Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`n${i}`, 1])));
    const cursors = one.engine.direct ?? {};
    assert.deepEqual([Object.keys(cursors).length, "n0" in cursors, "n500" in cursors], [500, false, true]);
  });

  test("a partner may have any name", () => {
    const one = account();
    direct(one, 1, { author: "__proto__" });
    direct(one, 1, { author: "constructor" });
    assert.deepEqual(gotDirect(one), [1, 1]);
    assert.deepEqual(Object.keys(one.engine.direct ?? {}), ["__proto__", "constructor"]);
  });
});

describe("order", () => {
  test("each action is a request, and has its answer", () => {
    const one = guest();
    const base = { room: "den" };
    for (const [action, request, answer = {}] of /** @type {[any, Obj, Obj?][]} */ ([
      [actions.kick("den", "eve", "calm down"), { type: "kick", ...base, nick: "eve", msg: "calm down" }],
      [actions.ban("den", "eve", 60, ""), { type: "ban", ...base, who: "eve", seconds: 60 }],
      [actions.ban(null, "192.0.2.0/24", null, "spam"), { type: "ban", who: "192.0.2.0/24", msg: "spam" }],
      [actions.unban("den", "eve", ""), { type: "unban", ...base, who: "eve" }],
      [actions.mute("den", "eve", 0, ""), { type: "mute", ...base, nick: "eve", seconds: 0 }],
      [actions.unmute("den", "eve", ""), { type: "unmute", ...base, nick: "eve" }],
      [actions.grant("den", "bob", "owner", ""), { type: "grant", ...base, nick: "bob", role: "owner" }],
      [actions.lock("den", false, ""), { type: "lock", ...base, on: false }],
      [actions.invite("den", "bob", ""), { type: "invite", ...base, nick: "bob" }],
      [actions.slow("den", 0, ""), { type: "slow", ...base, seconds: 0 }],
      [actions.report("den", 42, "an insult"), { type: "report", ...base, of: 42, msg: "an insult" }],
    ])) {
      const asked = one.ask(action);
      const { id, ...sent } = one.answers({ ...request, author: "alice", ...answer });
      assert.deepEqual([sent, one.result(asked)], [request, undefined]);
      assert.notEqual(asked.refusal, "");
    }
  });

  test("all that somebody said is deleted in one request", () => {
    const one = guest();
    const deleted = one.ask(actions.deleteAll(null, "eve", ""));
    assert.deepEqual(one.answers({ type: "delete", by: "eve", count: 12 }), {
      type: "delete", by: "eve", id: deleted.id,
    });
    assert.deepEqual([one.result(deleted), deleted.refusal], [12, "nothing of eve was deleted in the server"]);
    one.ask(actions.deleteAll("den", "eve", "spam"));
    const { id, ...sent } = one.answers({ type: "delete", by: "eve", count: 1 });
    assert.deepEqual(sent, { type: "delete", room: "den", by: "eve", msg: "spam" });
  });

  test("lists are read", () => {
    const one = guest();
    const bans = one.ask(actions.bans("den", ""));
    const ban = { who: "eve", author: "al", time: "now" };
    assert.deepEqual(one.answers({ type: "bans", bans: [ban], count: 1 }).room, "den");
    assert.deepEqual(one.result(bans), { bans: [{ ...ban, msg: "" }], count: 1 });
    const audit = one.ask(actions.audit(null, { before: 8 }));
    const action = { seq: 7, time: "now", type: "kick", author: "al", room: "den", target: "eve", msg: "x" };
    const asked = one.answers({ type: "audit", actions: [action], more: false });
    assert.deepEqual([asked.before, asked.limit, "room" in asked], [8, 50, false]);
    assert.deepEqual(one.result(audit), { actions: [action], more: false });
    const who = one.ask(actions.who("den", "bob"));
    assert.equal(one.answers({ type: "members", room: "den", members: ["carol"], count: 2 }).after, "bob");
    assert.deepEqual(one.result(who), { room: "den", members: ["carol"], count: 2 });
  });

  test("what is done in a room is asked for in order, one at a time", () => {
    const one = guest();
    const [mute, unmute] = [actions.mute("den", "eve", 60, ""), actions.unmute("den", "eve", "")].map((a) => one.ask(a));
    assert.equal(one.answers({ type: "mute", author: "alice" }).type, "mute");
    assert.equal(one.answers({ type: "unmute", author: "alice" }).type, "unmute");
    assert.deepEqual([one.result(mute), one.result(unmute)], [undefined, undefined]);
  });

  test("what others do is told", () => {
    const one = guest();
    for (const [type, event, fields] of /** @type {[string, string, Obj][]} */ ([
      ["ban", "banned", { author: "al", who: "eve", until: "then", msg: "" }],
      ["unban", "unbanned", { author: "al", who: "eve", room: "den", msg: "" }],
      ["mute", "muted", { author: "al", room: "den", nick: "eve", msg: "x" }],
      ["unmute", "unmuted", { author: "al", room: "den", nick: "eve", msg: "" }],
      ["lock", "locked", { author: "al", room: "den", on: true, msg: "" }],
      ["slow", "slowed", { author: "al", room: "den", seconds: 5, msg: "" }],
      ["invite", "invited", { author: "al", room: "den", nick: "alice", msg: "" }],
      ["report", "reported", { author: "al", room: "den", of: 3, time: "now", msg: "" }],
      ["error", "error", { code: "x", msg: "y" }],
    ])) {
      one.hears({ type, ...fields });
      assert.deepEqual(one.told(event), [fields]);
    }
  });
});

test("an error of the end is one of the room", () => {
  const one = guest();
  const room = one.join();
  one.engine.end(new ClosedError("enough"));
  assert.equal(room.error?.message, "enough");
});
