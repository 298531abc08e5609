/** The small parts of the client: ids, names, the rate limit, and what is kept. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { newIds, secret } from "../../twisted_chat/web/page/client/ids.js";
import { isBroken, key } from "../../twisted_chat/web/page/client/objects.js";
import { backoff, LONGEST_PAUSE, Pace, pauseBeforeRetry } from "../../twisted_chat/web/page/client/pace.js";
import { actions, Request } from "../../twisted_chat/web/page/client/requests.js";
import * as storages from "../../twisted_chat/web/page/client/storage.js";
import { MemoryStorage } from "./fakes.js";

describe("ids", () => {
  test("they are UUIDs of version 7", () => {
    const id = newIds(() => 0x0123456789ab)();
    assert.match(id, /^01234567-89ab-7000-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.match(newIds()(), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("each is greater than the last, whatever the clock does", () => {
    const times = [5, 5, 5, 3, 9, 9, 4];
    const next = newIds(() => times[0]);
    const ids = times.map(() => {
      const id = next();
      times.push(/** @type {number} */ (times.shift()));
      return id.slice(0, 18);
    });
    assert.deepEqual(ids, [...ids].sort());
    assert.equal(new Set(ids).size, ids.length);
  });

  test("a full counter goes on with the next millisecond", () => {
    const next = newIds(() => 1);
    const ids = Array.from({ length: 4098 }, () => next().slice(0, 18));
    assert.deepEqual([ids[4095], ids[4096], ids[4097]], ["00000000-0001-7fff", "00000000-0002-7000", "00000000-0002-7001"]);
  });

  test("a secret has as many bytes as are asked for, and is another each time", () => {
    assert.match(secret(16), /^[0-9a-f]{32}$/);
    assert.notEqual(secret(16), secret(16));
  });
});

describe("names", () => {
  test("those that differ in case or width only are one", () => {
    for (const name of ["lobby", "Lobby", "ｌｏｂｂｙ", "LOBBY"]) assert.equal(key(name), "lobby");
    assert.notEqual(key("straße"), key("strasse"));
    assert.equal(key("e\u0301"), key("é"));
  });

  test("half of a pair is no text", () => {
    assert.deepEqual(["😀", "a\ud83d", "\ude00b", ""].map(isBroken), [false, true, true, false]);
  });
});

describe("pace", () => {
  test("without a rate there is no pause", () => {
    const pace = new Pace({}, 0);
    for (let i = 0; i < 100; i += 1) pace.spend(1e6);
    assert.equal(pace.pause(0), 0);
  });

  test("a part of the burst may be sent at once, and then a part of the rate", () => {
    const pace = new Pace({ rate: 100, burst: 10 }, 0);
    for (let i = 0; i < 8; i += 1) {
      assert.equal(pace.pause(0), 0);
      pace.spend(10);
    }
    const pause = pace.pause(0);
    assert.ok(pause > 0.05 && pause < 0.07);
    assert.ok(pace.pause(-1000) > 0);
    assert.equal(pace.pause(1), 0);
  });

  test("pauses double up to half a minute, with up to half as much again", () => {
    for (const [tries, least] of [[1, 0.5], [2, 1], [3, 2], [7, LONGEST_PAUSE], [1000, LONGEST_PAUSE]]) {
      const pause = backoff(tries);
      assert.ok(pause >= least && pause <= 1.5 * least, `${tries}: ${pause}`);
    }
    assert.deepEqual([pauseBeforeRetry(5, 3), pauseBeforeRetry(5, 0)], [3, 0.01]);
    assert.ok(pauseBeforeRetry(1, undefined) >= 0.5);
  });
});

describe("a storage", () => {
  const message = (/** @type {string} */ id, action = actions.say("lobby", "hi")) => new Request(action, id, 1);

  test("messages are kept for their nick, in their order", () => {
    const storage = new MemoryStorage();
    storages.saveMessage(storage, "Alice", message("2"));
    storages.saveMessage(storage, "alice", message("1", actions.tell("bob", "psst")));
    storages.saveMessage(storage, "carol", message("3"));
    storages.saveMessage(storage, "alice", message("4"));
    storages.removeMessage(storage, "4");
    assert.deepEqual(storages.loadMessages(storage, "ALICE"), [
      { id: "1", room: undefined, to: "bob", msg: "psst" }, { id: "2", room: "lobby", to: undefined, msg: "hi" },
    ]);
  });

  test("what somebody else has put there is passed over", () => {
    const storage = new MemoryStorage();
    storage.setItem("theme", "dark");
    const sound = { nick: "alice", room: "lobby", msg: "hi" };
    const places = [{ room: { a: 1 }, to: "bob" }, { to: "bob" }, { room: undefined }, { room: "x".repeat(257) }];
    const broken = [...places, { room: "" }, { msg: undefined }, { msg: "" }, { nick: undefined }];
    const values = ["{", "null", "7", ...broken.map((fields) => JSON.stringify({ ...sound, ...fields }))];
    for (const [i, value] of values.entries()) storage.setItem(`twisted-chat:message:${i}`, value);
    storage.setItem(`twisted-chat:message:${"x".repeat(65)}`, JSON.stringify(sound));
    storage.setItem("twisted-chat:message:", JSON.stringify(sound));
    storage.setItem("twisted-chat:message:other", JSON.stringify({ ...sound, nick: "bob" }));
    assert.deepEqual(storages.loadMessages(storage, "alice"), []);
    assert.deepEqual([...storage.items.keys()], ["theme", "twisted-chat:message:other"], "it is removed");
    for (const login of ["7", { password: 7 }, { password: "x".repeat(1025) }, { nick: "" }, { label: null }]) {
      const kept = typeof login === "string" ? login : { nick: "alice", password: "x", label: "y", ...login };
      storage.setItem("twisted-chat:login", JSON.stringify(kept));
      assert.equal(storages.keptLogin(storage), null);
      assert.equal(storage.getItem("twisted-chat:login"), null);
    }
    for (const token of [7, "x".repeat(15), "x".repeat(65)]) {
      storage.setItem("twisted-chat:session:alice", JSON.stringify(token));
      assert.equal(storages.sessionToken(storage, "alice", () => "made"), "made");
    }
  });

  test("the token of a session is kept for its nick", () => {
    const storage = new MemoryStorage();
    const [one, two, three] = ["1", "2", "3"].map((digit) => digit.repeat(32));
    assert.equal(storages.sessionToken(storage, "alice", () => one), one);
    assert.equal(storages.sessionToken(storage, "Alice", () => two), one);
    assert.equal(storages.sessionToken(storage, "bob", () => three), three);
  });

  test("one that throws keeps nothing, and ends nothing", () => {
    const thrower = () => {
      throw new Error("SecurityError");
    };
    const storage = /** @type {any} */ ({ getItem: thrower, setItem: thrower, removeItem: thrower, key: thrower });
    Object.defineProperty(storage, "length", { get: thrower });
    storages.saveMessage(storage, "alice", message("1"));
    storages.removeMessage(storage, "1");
    storages.saveLogin(storage, { nick: "alice", password: "x", label: "y" });
    storages.removeLogin(storage);
    assert.deepEqual([storages.loadMessages(storage, "alice"), storages.keptLogin(storage)], [[], null]);
    assert.equal(storages.sessionToken(storage, "alice", () => "made"), "made");
  });
});
