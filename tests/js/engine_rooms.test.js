/** Rooms and messages: each message arrives once and in order, over any number of connections. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ClosedError, RequestError } from "../../twisted_chat/web/page/client/errors.js";
import { MAX_OWN } from "../../twisted_chat/web/page/client/log_reader.js";
import { WINDOW } from "../../twisted_chat/web/page/client/outbox.js";
import { LONGEST_PAUSE } from "../../twisted_chat/web/page/client/pace.js";
import { actions } from "../../twisted_chat/web/page/client/requests.js";
import { PAGE } from "../../twisted_chat/web/page/client/rooms.js";
import { EngineCase } from "./engine_case.js";

/** @param {Record<string, any>} [fields] */
function welcome(fields = {}) {
  const one = new EngineCase();
  one.welcome(fields);
  return one;
}

/** A case whose client is in the lobby, whose newest number is 10. */
function inLobby() {
  const one = welcome();
  return { one, room: one.join() };
}

/** @param {Record<string, any>[]} objects */
const texts = (objects) => objects.map(({ msg, type }) => msg ?? type);

describe("a room", () => {
  test("what is said after the join comes, with what the server says of it", () => {
    const { one, room } = inLobby();
    assert.deepEqual([room.topic, room.count, room.oldest, room.role], ["t", 2, 1, ""]);
    one.message(11, { time: "now", extra: 1 });
    assert.deepEqual(one.told("message"), [{ msg: "11", author: "bob", room: "lobby", seq: 11, time: "now" }]);
    one.message(12, { deleted: 14, msg: "" });
    assert.deepEqual(one.told("message"), [{ msg: "", author: "bob", room: "lobby", seq: 12, deleted: 14 }]);
    one.message(5, { room: "elsewhere" });
    assert.deepEqual(one.got(), []);
    assert.equal(room.reader?.seq, 12);
  });

  test("what was said since comes first", () => {
    const one = welcome();
    const room = one.engine.join("Lobby", 7);
    assert.equal(one.joins(10).since, 7);
    for (const seq of [8, 10, 11]) one.message(seq);
    assert.deepEqual([one.got(), room.name], [[8, 10, 11], "lobby"]);
  });

  test("it is told each time that the client is in it", () => {
    const { one } = inLobby();
    assert.deepEqual(one.told("joined"), [
      { room: "lobby", topic: "t", seq: 10, oldest: 1, count: 2, role: "", again: false },
    ]);
    one.return();
    one.joins(12, { count: 7, role: "owner" });
    assert.deepEqual(one.told("joined").map(({ count, role, again }) => [count, role, again]), [[7, "owner", true]]);
  });

  test("before it is joined on a connection, nothing is heard there", () => {
    const { one } = inLobby();
    one.return();
    one.message(11);
    one.joins(12);
    assert.deepEqual(one.got(), []);
    for (const seq of [11, 12]) one.message(seq);
    assert.deepEqual(one.got(), [11, 12]);
  });

  test("it is joined again with the newest number that was heard, and what comes twice is passed over", () => {
    const { one } = inLobby();
    for (const seq of [11, 12, 12, 11, 13]) one.message(seq);
    one.return();
    assert.equal(one.joins(14).since, 13);
    for (const seq of [13, 14, 14]) one.message(seq);
    assert.deepEqual(one.got(), [11, 12, 13, 14]);
  });

  test("a first join that was not answered is sent anew", () => {
    const one = welcome();
    const room = one.engine.join("lobby");
    assert.deepEqual(one.sentTypes(), ["join"]);
    one.return();
    assert.equal("since" in one.joins(10), false);
    assert.equal(room.joined, true);
  });

  test("a new log is heard from its beginning", () => {
    const { one } = inLobby();
    one.message(11);
    one.got();
    one.return();
    assert.equal(one.joins(3).since, 11);
    assert.deepEqual(one.told("new-log"), [{ room: "lobby" }]);
    one.message(4); // comes again, with what was before it
    assert.equal(one.joins(4).since, 0);
    for (const seq of [1, 4]) one.message(seq);
    assert.deepEqual(one.got(), [1, 4]);
    one.return();
    assert.equal(one.joins(4).since, 4);
    assert.deepEqual(one.told("new-log"), []);
  });

  test("a new log is one although nobody else has said anything", () => {
    const one = welcome();
    const room = one.join("lobby", { seq: 0 });
    for (const seq of [1, 2]) {
      const { id } = one.say(room, "x");
      one.sent();
      one.ack(id, seq);
    }
    one.return();
    one.joins(1); // the server keeps nothing on disk, and bob was faster
    assert.equal(one.told("new-log").length, 1);
    assert.equal(one.joins(1).since, 0);
    one.message(1); // and not a message of the client's own, although one had this number
    assert.deepEqual(one.got(), [1]);
  });

  test("a log with odd numbers is no reason to ask again and again", () => {
    const one = welcome();
    one.engine.join("lobby", 0);
    one.joins(-1);
    assert.deepEqual(one.sent(), []);
  });

  test("a first join may be refused", () => {
    const one = welcome();
    const room = one.engine.join("lobby");
    one.refuses("bad-room");
    const [{ membership, error }] = one.told("ended");
    assert.deepEqual([membership, error.code, error.message], [room, "bad-room", "lobby cannot be joined: no"]);
    assert.deepEqual([one.told("room-lost"), one.engine.memberships.size], [[], 0]);
  });

  test("a join whose answer makes no sense is refused", () => {
    const one = welcome();
    one.engine.join("lobby");
    one.answers({ type: "joined", room: "lobby" });
    assert.equal(one.told("ended")[0].error.code, "internal");
    one.engine.join("lobby");
    one.answers({ type: "left", room: "lobby" });
    assert.match(one.told("ended")[0].error.message, /something else than was asked for/);
  });

  test("a first join that is unavailable now is sent again", () => {
    const one = welcome();
    one.engine.join("lobby");
    one.refuses("unavailable");
    one.passes(0.4);
    assert.deepEqual(one.sent(), []);
    one.passes(0.4);
    one.joins();
    assert.equal(one.told("entered").length, 1);
  });

  test("one that does not let the client in again is lost", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "hi");
    one.return();
    one.refuses("banned");
    const [lost] = one.told("room-lost");
    assert.deepEqual([lost.room, lost.error.code, one.result(said)], ["lobby", "banned", lost.error]);
    one.return();
    assert.deepEqual(one.sent(), []);
  });

  test("one that does not let it in for now is tried again, and holds up nothing else", () => {
    const { one, room } = inLobby();
    const garden = one.join("garden");
    one.return();
    const [lobby, other] = one.sent();
    one.hears({ type: "error", id: lobby.id, code: "full", msg: "no" });
    one.hears({ type: "joined", id: other.id, room: "garden", topic: "", seq: 10, oldest: 1, count: 1 });
    one.say(room, "to the lobby");
    one.say(garden, "to the garden");
    assert.deepEqual(texts(one.sent()), ["to the garden"]);
    one.passes(1);
    one.joins(10);
    assert.deepEqual(texts(one.sent()), ["to the lobby"]);
  });

  test("a join that comes too fast is sent again where the pause is short", () => {
    const { one } = inLobby();
    one.return();
    one.refuses("rate-limited", { retry: 2 });
    one.passes(1.9);
    assert.deepEqual(one.sent(), []);
    one.passes(0.1);
    one.joins();
    one.engine.join("garden");
    one.refuses("rate-limited", { retry: 3600 });
    assert.equal(one.told("ended")[0].error.retry, 3600);
  });

  test("one that is busy with its join is left after that", () => {
    const one = welcome();
    const room = one.engine.join("lobby");
    one.turn();
    one.engine.leave(room);
    one.joins();
    assert.equal(one.answers({ type: "left", room: "lobby" }).type, "leave");
    assert.equal(one.told("ended")[0].error.wanted, true);
  });

  test("it is left when all is acked", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "hi");
    const topic = one.ask(actions.setTopic("lobby", "new"));
    one.engine.leave(room);
    const refused = one.result(one.say(room, "too late"));
    assert.ok(refused instanceof ClosedError);
    assert.deepEqual(texts(one.sent()), ["hi", "new"]);
    one.ack(said.id, 11);
    assert.deepEqual(one.sent(), []);
    one.hears({ type: "topic", id: topic.id, room: "lobby", msg: "new", author: "alice" });
    one.refuses("not-joined"); // a leave that is refused is one
    assert.equal(one.told("ended").length, 1);
    assert.ok(one.result(one.say(room, "later")) instanceof ClosedError);
  });

  test("without a connection it is left at once", () => {
    const { one, room } = inLobby();
    one.lose();
    one.engine.leave(room);
    assert.equal(one.told("ended").length, 1);
    one.welcome();
    assert.deepEqual(one.sent(), []);
  });

  test("one that refuses for now can be left", () => {
    const { one, room } = inLobby();
    one.return();
    one.refuses("full");
    one.engine.leave(room);
    assert.equal(one.told("ended").length, 1);
    one.passes(LONGEST_PAUSE * 2);
    assert.deepEqual(one.sentTypes(), ["ping"]);
  });

  test("a first join that is to be sent again is not, if the room was left", () => {
    const one = welcome();
    const room = one.engine.join("lobby");
    one.refuses("unavailable");
    one.engine.leave(room);
    assert.equal(one.told("ended").length, 1);
    one.passes(60);
    assert.deepEqual(one.sentTypes(), ["ping"]);
  });

  test("the name of a property of objects is a room like any other", () => {
    const one = welcome();
    for (const name of ["__proto__", "constructor", "hasOwnProperty"]) {
      const room = one.join(name, { seq: 0 });
      const said = one.say(room, "hi");
      one.message(1, { room: name });
      assert.deepEqual(one.told("message").map((message) => message.room), [name]);
      one.ack(one.sent()[0].id, 2, { room: name });
      assert.equal(one.result(said), 2);
    }
  });
});

describe("notices", () => {
  test("members, topic and role are kept up to date, and told", () => {
    const { one, room } = inLobby();
    const notices = [
      ["join", { author: "carol" }, "member-joined"],
      ["leave", { author: "carol", msg: "bye" }, "member-left"],
      ["nick", { author: "bob", nick: "bo" }, "nick-changed"],
      ["topic", { author: "bob", msg: "new" }, "topic-changed"],
      ["presence", { count: 2317 }, "presence"],
      ["kick", { author: "bob", nick: "eve", msg: "" }, "kicked"],
      ["grant", { author: "bob", nick: "Alice", role: "moderator", msg: "" }, "granted"],
    ];
    for (const [type, fields, event] of /** @type {[string, object, string][]} */ (notices)) {
      one.hears({ type, room: "lobby", ...fields });
      assert.deepEqual(one.told(event), [{ room: "lobby", ...fields }]);
    }
    assert.deepEqual([room.count, room.topic, room.role], [2316, "new", "moderator"]);
    one.hears({ type: "leave", room: "lobby", author: "bob" });
    assert.deepEqual(one.told("member-left"), [{ room: "lobby", author: "bob", msg: "" }]);
  });

  test("a role can be taken away, and an operator stays one", () => {
    const { one, room } = inLobby();
    const grant = (/** @type {unknown} */ role, nick = "alice") =>
      one.hears({ type: "grant", author: "bob", room: "lobby", nick, role });
    grant("owner");
    grant("none", "carol");
    grant(7);
    assert.equal(room.role, "owner");
    grant("none");
    assert.equal(room.role, "");
    one.return();
    one.joins(10, { role: "operator" });
    grant("member");
    assert.equal(room.role, "operator");
  });

  test("those of other rooms change nothing", () => {
    const { one, room } = inLobby();
    one.hears({ type: "join", author: "carol", room: "garden" });
    assert.deepEqual([room.count, one.told("member-joined").length], [2, 1]);
  });

  test("what makes no sense is passed over", () => {
    const { one, room } = inLobby();
    for (const obj of [
      null, 7, "x", [], {}, { type: 7 }, { type: "new" }, { type: "__proto__" }, { type: "join" },
      { type: "presence", room: "lobby", count: "7" }, { type: "topic", room: "lobby", msg: 7 },
      { type: "", room: "lobby" }, { type: "", room: "lobby", msg: "x", author: "bob", seq: "11" },
      { type: "", room: "lobby", msg: "x", author: "bob", seq: 1e300 },
      { type: "", room: 7, msg: "x", author: "bob", seq: 11 },
      { type: "delete", room: "lobby", author: "bob", seq: 11 },
      { type: "", to: "alice", msg: 7 }, { type: "ack", id: "unknown" }, { type: "lock", on: "yes" },
    ]) one.engine.received(obj, one.now);
    one.turn();
    assert.deepEqual(one.events.filter(([type]) => !["state-changed", "welcomed", "entered", "joined"].includes(type)), []);
    assert.equal(room.topic, "t");
    one.message(11);
    assert.deepEqual(one.got(), [11]);
  });

  test("a fault of the client itself is not hidden", () => {
    const { one } = inLobby();
    const broken = {
      type: "join",
      room: "lobby",
      get author() {
        throw new RangeError("broken");
      },
    };
    assert.throws(() => one.engine.received(broken, one.now), RangeError);
  });

  test("a client that is put out stays out", () => {
    const { one, room } = inLobby();
    one.hears({ type: "kick", author: "bob", room: "lobby", nick: "Alice", msg: "calm down" });
    const [{ error }] = one.told("room-lost");
    assert.deepEqual([error.code, error.message], ["kicked", "you were put out of the room by bob: calm down"]);
    assert.equal(one.result(one.say(room, "hi")), error);
    one.return();
    assert.deepEqual(one.sent(), []);
    one.hears({ type: "kick", author: "bob", room: "lobby", nick: "alice" });
    assert.deepEqual(one.told("room-lost"), []);
  });

  test("a ban or a lock puts out in the words of the server", () => {
    for (const [author, msg, text] of [
      ["server", "you are banned", "you are banned"],
      ["server", "", "you were put out of the room by server"],
      ["bob", "", "you were put out of the room by bob"],
    ]) {
      const { one } = inLobby();
      one.hears({ type: "kick", author, room: "lobby", nick: "alice", msg });
      assert.equal(one.told("room-lost")[0].error.message, text);
    }
  });
});

describe("messages", () => {
  test("the answer is the number, and the request has the time", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "hi");
    const [sent] = one.sent();
    assert.deepEqual(sent, { type: "", room: "lobby", msg: "hi", id: said.id });
    one.ack(sent.id, 12, { time: "now" });
    assert.deepEqual([one.result(said), said.seq, said.time, one.engine.owed], [12, 12, "now", 0]);
    one.ack(sent.id, 13);
    assert.equal(said.seq, 12);
  });

  test("one that is said before the room is joined waits", () => {
    const one = welcome();
    const room = one.engine.join("lobby");
    one.say(room, "hi");
    one.joins();
    assert.deepEqual(texts(one.sent()), ["hi"]);
  });

  test("no more are in flight than are soon sent again", () => {
    const { one, room } = inLobby();
    const said = Array.from({ length: WINDOW + 2 }, (_, i) => one.say(room, String(i)));
    assert.equal(one.sent().length, WINDOW);
    one.ack(said[0].id, 11);
    assert.deepEqual(texts(one.sent()), [String(WINDOW)]);
    one.return();
    one.joins(11);
    assert.deepEqual(texts(one.sent()).slice(0, 2), ["1", "2"]);
  });

  test("what was not acked is sent again with the same id, before what is new", () => {
    const { one, room } = inLobby();
    const first = one.say(room, "one");
    const [sent] = one.sent();
    one.lose();
    one.say(room, "two");
    one.welcome();
    one.joins();
    const again = one.sent();
    assert.deepEqual([again[0], texts(again)], [sent, ["one", "two"]]);
    one.ack(sent.id, 11);
    assert.equal(one.result(first), 11);
  });

  test("one's own that is replayed waits for its ack, and does not come", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "mine");
    one.sent();
    one.return();
    one.joins(13);
    one.message(11);
    one.message(12, { author: "alice" });
    one.message(13);
    assert.deepEqual(one.got(), [11]);
    one.say(room, "later"); // comes after these in the log, so nothing waits for it
    one.ack(said.id, 12);
    assert.deepEqual(one.got(), [13]);
  });

  test("what comes from another connection of the account is no message of one's own", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "mine");
    one.message(11, { author: "alice" });
    assert.deepEqual(one.got(), []);
    one.ack(said.id, 12);
    assert.deepEqual(one.got(), [11]);
  });

  test("what a refused message held up goes on", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "mine");
    one.message(11, { author: "alice" });
    one.hears({ type: "error", id: said.id, code: "denied", msg: "no" });
    assert.deepEqual([one.result(said).message, one.got()], ["a message to lobby was refused: no", [11]]);
  });

  test("one that the server cannot keep now is sent again, in order and one at a time", () => {
    const { one, room } = inLobby();
    const [first, second] = ["one", "two", "three"].map((text) => one.say(room, text));
    one.sent();
    one.hears({ type: "error", id: first.id, code: "unavailable", msg: "no" });
    one.hears({ type: "error", id: second.id, code: "unavailable", msg: "no" });
    assert.deepEqual(one.sent(), []);
    one.ack(first.id, 99); // an answer to what waits to be sent again is none
    one.waits(first, second);
    one.passes(1);
    assert.deepEqual(texts(one.sent()), []); // `three` is still in flight
    one.ack("4", 11); // the id of `three`: after hello and join, `one` and `two`
    one.ack("5", 11);
    assert.deepEqual(texts(one.sent()), ["one"]);
    one.ack(first.id, 12);
    assert.deepEqual([texts(one.sent()), one.result(first)], [["two"], 12]);
    one.ack(second.id, 13);
    assert.equal(one.result(second), 13);
  });

  test("one that came too fast is sent again, and holds up only its room", () => {
    const { one, room } = inLobby();
    const garden = one.join("garden");
    const said = one.say(room, "one");
    one.refuses("rate-limited", { retry: 3 });
    one.say(room, "two");
    one.say(garden, "flowers");
    assert.deepEqual(texts(one.sent()), ["flowers"]);
    one.passes(3);
    assert.deepEqual(texts(one.sent()), ["one"]);
    one.lose();
    one.welcome();
    for (const join of one.sent()) {
      one.hears({ type: "joined", id: join.id, room: join.room, topic: "", seq: 10, oldest: 1, count: 1 });
    }
    assert.deepEqual(texts(one.sent()), ["one", "two", "flowers"]);
    one.waits(said);
  });

  test("a long pause, as of somebody who is muted, is told", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "one");
    one.refuses("rate-limited", { retry: 600 });
    assert.deepEqual([one.result(said).code, one.result(said).retry], ["rate-limited", 600]);
  });

  test("a pause of nothing does not keep both sides busy", () => {
    const { one, room } = inLobby();
    one.say(room, "one");
    one.refuses("rate-limited", { retry: 0 });
    assert.deepEqual(one.sent(), []);
    one.passes(0.01);
    assert.deepEqual(texts(one.sent()), ["one"]);
  });

  test("an ack without a number, and one that makes no sense", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "one");
    one.answers({ type: "ack", seq: "x" });
    assert.match(one.result(said).message, /cannot be read/);
    const other = one.say(room, "two");
    one.answers({ type: "ack" });
    assert.equal(one.result(other), undefined);
  });

  test("they do not come faster than the server takes them", () => {
    const one = welcome({ limits: { rate: 10, burst: 10 } });
    const room = one.join(); // with the ping and the hello, a part of the burst
    for (let i = 0; i < 20; i += 1) one.say(room, String(i));
    const first = one.sent().length;
    assert.ok(first > 4 && first < 9, String(first));
    one.passes(0.04);
    assert.deepEqual(one.sent(), []);
    one.passes(1);
    const second = one.sent().length;
    assert.ok(second > 6 && second < 11, String(second));
    one.passes(-100); // a clock that goes back grants nothing
    assert.deepEqual(one.sent(), []);
  });

  test("long ones take more of the rate", () => {
    const one = welcome({ limits: { object: 16384, rate: 10, burst: 11 } });
    const room = one.join();
    for (let i = 0; i < 9; i += 1) one.say(room, "x".repeat(9000));
    assert.equal(one.sent().length, 3);
  });

  test("what is too long or no text is refused here", () => {
    const { one, room } = inLobby();
    const long = one.result(one.say(room, "ж".repeat(500)));
    assert.deepEqual([long.code, one.sent()], ["too-long", []]);
    assert.match(long.message, /^a message to lobby was refused: this has 1,\d\d\d bytes on the wire; at most 1,000 /);
    for (const text of ["\ud800", "\udc00x"]) assert.equal(one.result(one.say(room, text)).code, "bad-message");
    one.say(room, "😀");
    assert.deepEqual(texts(one.sent()), ["😀"]);
  });

  test("one of just the limit is sent", () => {
    const { one, room } = inLobby();
    const rest = JSON.stringify({ type: "", room: "lobby", msg: "", id: "4" }).length;
    one.say(room, "x".repeat(1000 - rest));
    assert.equal(one.sent().length, 1);
    assert.equal(one.result(one.say(room, "x".repeat(1001 - rest))).code, "too-long");
  });

  test("one that was not sent can be taken back", () => {
    const { one, room } = inLobby();
    const sent = one.say(room, "one");
    one.sent();
    const error = new ClosedError("taken back");
    assert.equal(one.engine.withdraw(sent, error), false);
    one.lose();
    const waiting = one.say(room, "two");
    assert.equal(one.engine.withdraw(waiting, error), true);
    assert.equal(one.engine.withdraw(waiting, error), false);
    assert.equal(one.result(waiting), error);
    one.welcome();
    one.joins();
    assert.deepEqual(texts(one.sent()), ["one"]);
  });

  test("where nobody else speaks, the cursor moves over one's own", () => {
    const { one, room } = inLobby();
    let seq = 10;
    const say = (/** @type {number} */ count) => {
      for (let i = 0; i < count; i += 1) {
        const said = one.say(room, "x");
        one.sent();
        one.ack(said.id, (seq += 1));
      }
    };
    say(MAX_OWN);
    assert.deepEqual(one.sent(), []);
    const last = one.say(room, "x");
    one.sent();
    one.ack(last.id, (seq += 1));
    const own = Array.from({ length: MAX_OWN }, (_, i) => (
      { type: "", msg: "x", author: "alice", room: "lobby", seq: 11 + i }
    ));
    const asked = one.answers({ type: "history", room: "lobby", messages: own, more: true });
    assert.deepEqual([asked.type, asked.after, asked.limit], ["history", 10, PAGE]);
    assert.deepEqual([one.got(), room.reader?.seq, one.sent()], [[], 10 + MAX_OWN, []]);
    one.return();
    assert.equal(one.joins(seq).since, 10 + MAX_OWN);
  });

  test("a page for that may be refused, or show that the log was trimmed", () => {
    const { one, room } = inLobby();
    for (let i = 0; i <= MAX_OWN; i += 1) {
      const said = one.say(room, "x");
      one.ack(said.id, 11 + i);
    }
    const pages = () => one.sent().filter(({ type }) => type === "history");
    const [page] = pages();
    one.hears({ type: "error", id: page.id, code: "unavailable", msg: "no" });
    one.passes(1);
    const [again] = pages();
    one.hears({ type: "history", id: again.id, messages: "none" }); // makes no sense
    one.passes(4);
    const [third] = pages();
    one.hears({ type: "history", id: third.id, room: "lobby", messages: [], more: true });
    assert.deepEqual(pages(), []);
    one.message(600);
    assert.deepEqual([one.got(), room.reader?.seq], [[600], 600]);
  });

  test("an entry of an unknown type is passed over, in pages too", () => {
    const { one, room } = inLobby();
    one.hears({ type: "dance", room: "lobby", author: "bob", seq: 11 });
    for (let i = 0; i <= MAX_OWN; i += 1) one.ack(one.say(room, "x").id, 12 + i);
    one.turn();
    const page = one.sent().find(({ type }) => type === "history");
    const dance = { type: "dance", room: "lobby", author: "bob", seq: 700 };
    one.hears({ type: "history", id: page?.id, room: "lobby", messages: [dance], more: false });
    one.return();
    assert.equal(one.joins(700).since, 700);
  });
});

describe("deletions", () => {
  test("one is an entry of the log, and comes in its place", () => {
    const { one } = inLobby();
    one.hears({ type: "delete", author: "bob", room: "lobby", of: 7, seq: 11, time: "now" });
    assert.deepEqual(one.told("deleted"), [{ author: "bob", room: "lobby", of: 7, seq: 11, time: "now" }]);
    one.return();
    assert.equal(one.joins(11).since, 11);
  });

  test("a message that is deleted before it is passed on has no text", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "mine");
    one.message(11, { author: "alice" });
    one.message(12);
    one.hears({ type: "delete", author: "bob", room: "lobby", of: 12, seq: 13 });
    one.hears({ type: "delete", author: "bob", room: "lobby", of: 3, seq: 14 });
    one.ack(said.id, 15);
    assert.deepEqual(one.told("message").map(({ seq, msg, deleted }) => [seq, msg, deleted]), [
      [11, "11", undefined], [12, "", 13],
    ]);
    assert.deepEqual(one.told("deleted").map(({ of }) => of), [12, 3]);
  });

  test("one's own is acked, and does not come out of the log", () => {
    const { one } = inLobby();
    const deletion = one.ask(actions.delete("lobby", 7, "a typo"));
    const [sent] = one.sent();
    assert.deepEqual(sent, { type: "delete", room: "lobby", of: 7, msg: "a typo", id: deletion.id });
    one.ack(sent.id, 11);
    one.message(12);
    assert.deepEqual([one.result(deletion), deletion.seq, one.told("deleted"), one.got()], [11, 11, [], [12]]);
  });
});

describe("what waits", () => {
  test("everything is sent after the rooms are joined, in the order of asking", () => {
    const { one, room } = inLobby();
    one.lose();
    one.ask(actions.rooms());
    one.say(room, "one");
    one.ask(actions.who("lobby", ""));
    one.say(room, "two");
    one.ask(actions.tell("bob", "psst"));
    one.welcome();
    one.joins();
    assert.deepEqual(texts(one.sent()), ["rooms", "one", "who", "two", "psst"]);
  });

  test("what is asked about a room waits until it is joined", () => {
    const one = welcome();
    one.engine.join("lobby");
    one.ask(actions.history("lobby", {}));
    one.ask(actions.history("garden", {}));
    const [join, history] = one.sent();
    assert.deepEqual([join.type, history.room], ["join", "garden"]);
    one.hears({ type: "joined", id: join.id, room: "lobby", topic: "", seq: 1, oldest: 1, count: 1 });
    assert.equal(one.sent()[0].room, "lobby");
  });

  test("what is asked about a room that is lost is asked all the same", () => {
    const { one } = inLobby();
    one.lose();
    const history = one.ask(actions.history("lobby", {}));
    one.welcome();
    one.refuses("banned");
    one.refuses("banned");
    assert.equal(one.result(history).code, "banned");
  });

  test("a topic waits for the messages before it, and a question does not", () => {
    const { one, room } = inLobby();
    for (let i = 0; i <= WINDOW; i += 1) one.say(room, String(i));
    one.ask(actions.setTopic("lobby", "new"));
    one.ask(actions.who("lobby", ""));
    const sent = one.sent();
    assert.deepEqual([sent.length, sent.at(-1)?.type], [WINDOW, ""]);
    one.ack(sent[0].id, 11);
    assert.deepEqual(texts(one.sent()), [String(WINDOW), "new", "who"]);
  });

  test("the last topic wins, even if the first one is put off", () => {
    const { one } = inLobby();
    const first = one.ask(actions.setTopic("lobby", "first"));
    const second = one.ask(actions.setTopic("lobby", "second"));
    one.refuses("rate-limited", { retry: 1 });
    one.passes(1);
    assert.equal(one.answers({ type: "topic", room: "lobby", msg: "first", author: "alice" }).msg, "first");
    assert.equal(one.answers({ type: "topic", room: "lobby", msg: "second", author: "alice" }).msg, "second");
    assert.deepEqual([one.result(first), one.result(second)], [undefined, undefined]);
  });

  test("what is put off keeps its place, and is sent at once on the next connection", () => {
    const { one, room } = inLobby();
    one.ask(actions.setTopic("lobby", "new"));
    one.refuses("rate-limited", { retry: 5 });
    one.say(room, "after it");
    one.ask(actions.who("lobby", ""));
    assert.deepEqual(one.sent(), []);
    one.return();
    one.joins();
    assert.deepEqual(texts(one.sent()), ["new", "after it", "who"]);
  });
});

describe("a change of nick", () => {
  test("the answer is the nick in the server's spelling", () => {
    const { one } = inLobby();
    const renamed = one.ask(actions.setNick("AL"));
    one.answers({ type: "nick", author: "alice", nick: "al" });
    assert.deepEqual([one.result(renamed), one.engine.nick], ["al", "al"]);
    one.lose();
    assert.equal(one.connect().nick, "al");
  });

  test("it waits for all that was said under the old one, and the next waits for it", () => {
    const { one, room } = inLobby();
    const said = one.say(room, "one");
    const told = one.ask(actions.tell("bob", "psst"));
    one.ask(actions.setNick("al"));
    one.say(room, "two");
    one.ask(actions.setNick("ally"));
    assert.deepEqual(texts(one.sent()), ["one", "psst"]);
    one.ack(said.id, 11);
    assert.deepEqual(one.sent(), []);
    one.ack(told.id);
    const rename = one.answers({ type: "nick", author: "alice", nick: "al" });
    assert.equal(rename.nick, "al");
    const [second] = one.sent();
    assert.equal(second.msg, "two");
    one.ack(second.id, 12);
    assert.equal(one.sent()[0].nick, "ally");
  });

  test("one that came too fast, or was not answered, is sent again", () => {
    const { one } = inLobby();
    const renamed = one.ask(actions.setNick("al"));
    one.refuses("rate-limited", { retry: 1 });
    one.ask(actions.rooms());
    assert.deepEqual(one.sent(), []);
    one.passes(1);
    assert.deepEqual(one.sentTypes(), ["nick"]);
    one.return();
    one.joins();
    one.answers({ type: "nick", author: "alice", nick: "al" });
    assert.equal(one.result(renamed), "al");
    assert.deepEqual(one.sentTypes(), ["rooms"]);
  });

  test("a room that refuses for now does not hold up the others while it waits", () => {
    const { one, room } = inLobby();
    one.say(room, "unacked");
    one.sent();
    one.return();
    one.refuses("full");
    one.ask(actions.setNick("al"));
    one.ask(actions.rooms());
    assert.deepEqual(one.sentTypes(), ["rooms"]);
  });
});

describe("requests", () => {
  test("one that has no answer is sent again with the same id", () => {
    const one = welcome();
    const rooms = one.ask(actions.rooms());
    const [sent] = one.sent();
    one.return();
    assert.deepEqual(one.answers({ type: "rooms", rooms: [{ room: "lobby", count: 2, topic: "t", new: 1 }] }), sent);
    assert.deepEqual(one.result(rooms), [{ room: "lobby", count: 2, topic: "t" }]);
  });

  test("a refusal says what was refused, and never what was said", () => {
    const one = welcome();
    const secret = "do not show this";
    for (const [action, words] of /** @type {[any, string][]} */ ([
      [actions.tell("bob", secret), "a message to bob was refused"],
      [actions.setTopic("lobby", secret), "the topic of lobby was not changed"],
      [actions.register(secret), "the nick was not registered"],
      [actions.changePassword(secret, secret, true), "the password was not changed"],
      [actions.ban(null, "eve", 60, secret), "eve was not banned from the server"],
      [actions.directHistory("bob", {}), "the history of bob cannot be read"],
    ])) {
      const request = one.ask(action);
      one.refuses("denied");
      const error = one.result(request);
      assert.ok(error instanceof RequestError);
      assert.deepEqual([error.message, error.text, error.request], [`${words}: no`, "no", request]);
    }
  });

  test("that something is unavailable is told to who asks", () => {
    const one = welcome();
    const rooms = one.ask(actions.rooms());
    one.refuses("unavailable");
    assert.equal(one.result(rooms).code, "unavailable");
  });

  test("an answer of another type fails the request", () => {
    const one = welcome();
    const rooms = one.ask(actions.rooms());
    one.answers({ type: "members", members: [] });
    assert.match(one.result(rooms).message, /something else than was asked for/);
  });

  test("an answer that makes no sense fails its request", () => {
    for (const [action, answer] of /** @type {[any, any][]} */ ([
      [actions.rooms(), { type: "rooms", rooms: 7 }],
      [actions.rooms(), { type: "rooms", rooms: [7] }],
      [actions.rooms(), { type: "rooms", rooms: [{ room: "x" }] }],
      [actions.who("lobby", ""), { type: "members", room: "lobby", members: [7], count: 1 }],
      [actions.history("lobby", {}), { type: "history", messages: [{ msg: "x" }], more: false }],
      [actions.history("lobby", {}), { type: "history", messages: [], more: 7 }],
      [actions.bans(null, ""), { type: "bans", bans: [{}], count: 0 }],
      [actions.audit(null, {}), { type: "audit", actions: [null], more: false }],
      [actions.makeToken("x"), { type: "token" }],
    ])) {
      const one = welcome();
      const request = one.ask(action);
      one.answers(answer);
      assert.match(one.result(request).message, /cannot be read/, JSON.stringify(answer));
    }
  });

  test("pages have messages only, in their newest form, and go both ways", () => {
    const one = welcome();
    const reading = one.ask(actions.history("lobby", { before: 9, limit: 3 }));
    const deletion = { type: "delete", author: "al", room: "lobby", of: 7, seq: 8 };
    const deleted = { type: "", msg: "", author: "bob", room: "lobby", seq: 7, deleted: 8 };
    const plain = { msg: "x", author: "bob", room: "lobby", seq: 6 };
    const asked = one.answers({ type: "history", room: "lobby", messages: [plain, deleted, deletion], more: true });
    assert.deepEqual([asked.before, asked.limit, "after" in asked], [9, 3, false]);
    const { type: _, ...rest } = deleted;
    assert.deepEqual(one.result(reading), { messages: [plain, rest], more: true });
    one.ask(actions.history("lobby", { after: 0 }));
    const [forward] = one.sent();
    assert.deepEqual([forward.after, forward.limit, "before" in forward], [0, 50, false]);
  });
});

describe("messages of an earlier run", () => {
  const SAVED = [
    { id: "old-1", room: "Lobby", msg: "one" }, { id: "old-2", to: "bob", msg: "psst" },
    { id: "old-3", room: "lobby", msg: "two" }, { id: "old-4", room: "garden", msg: "flowers" },
  ];

  test("they are sent when their room is joined, with the same ids, before what is new", () => {
    const one = new EngineCase({ saved: SAVED });
    assert.deepEqual(one.engine.waiting.map(({ id, kind }) => [id, kind]), SAVED.map(({ id }) => [id, "message"]));
    one.welcome();
    assert.deepEqual(one.sent().map(({ id, to }) => [id, to]), [["old-2", "bob"]]);
    const room = one.engine.join("lobby");
    one.say(room, "three");
    one.joins();
    assert.deepEqual(texts(one.sent()), ["one", "two", "three"]);
    one.return();
    one.joins();
    assert.deepEqual(texts(one.sent()), ["one", "two", "three", "psst"]);
    one.ack("old-1", 7);
    assert.equal(one.told("answered")[0].result, 7);
  });

  test("one that is replayed before its ack does not come", () => {
    const one = new EngineCase({ saved: SAVED });
    one.welcome();
    one.sent();
    one.engine.join("lobby", 4);
    one.joins(7);
    one.message(5, { author: "alice" });
    one.message(6, { author: "alice" });
    one.message(7);
    assert.deepEqual(one.got(), []);
    one.ack("old-1", 5);
    one.ack("old-3", 6);
    assert.deepEqual(one.got(), [7]);
  });

  test("under another nick they are not sent", () => {
    const one = new EngineCase({ saved: SAVED.slice(2) });
    one.welcome();
    const renamed = one.ask(actions.setNick("al"));
    one.answers({ type: "nick", author: "alice", nick: "al" });
    assert.equal(one.result(renamed), "al");
    assert.deepEqual(one.told("failed").map(({ request, error }) => [request.id, error.wanted]), [
      ["old-3", false], ["old-4", false],
    ]);
    one.engine.join("garden");
    one.joins();
    assert.deepEqual(one.sent(), []);
  });

  test("one to a room that was not joined can be taken back", () => {
    const one = new EngineCase({ saved: SAVED });
    const [first, , third] = one.engine.waiting;
    assert.equal(one.engine.withdraw(first, new ClosedError("taken back")), true);
    one.welcome();
    one.sent();
    one.engine.join("lobby");
    one.joins();
    assert.deepEqual(one.sent().map(({ id }) => id), [third.id]);
  });
});
