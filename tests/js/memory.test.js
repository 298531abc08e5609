import assert from "node:assert/strict";
import { test } from "node:test";

import { Memory, openStorage, readJson, writeJson } from "../../twisted_chat/web/page/memory.js";
import { MemoryStorage } from "./fakes.js";

/** A storage that throws, as in a private window, or when it is full. */
class Closed extends MemoryStorage {
  getItem() {
    throw new Error("no");
  }

  setItem() {
    throw new Error("full");
  }

  removeItem() {
    throw new Error("no");
  }
}

test("what is remembered of a nick is there in the next run, however the nick is written", () => {
  const storage = new MemoryStorage();
  const memory = new Memory(storage, "Alice");
  assert.equal(memory.isKnown, false);
  memory.rooms = ["lobby", "garden"];
  memory.read["room:lobby"] = 7;
  memory.drafts["room:garden"] = "half a";
  memory.closed["direct:bob"] = 3;
  memory.current = "room:garden";
  memory.save();
  const { rooms, read, drafts, closed, current, isKnown } = new Memory(storage, "alice");
  assert.deepEqual([rooms, read, drafts], [["lobby", "garden"], { "room:lobby": 7 }, { "room:garden": "half a" }]);
  assert.deepEqual([closed, current, isKnown], [{ "direct:bob": 3 }, "room:garden", true]);
  assert.equal(new Memory(storage, "bob").isKnown, false);
});

test("changes are written together", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const storage = new MemoryStorage();
  const memory = new Memory(storage, "alice");
  let writes = 0;
  const { setItem } = MemoryStorage.prototype;
  storage.setItem = (...args) => (writes++, setItem.apply(storage, args));
  for (let seq = 1; seq <= 50; seq++) {
    memory.read["room:lobby"] = seq;
    memory.changed();
  }
  assert.equal(writes, 0);
  context.mock.timers.tick(1000);
  assert.deepEqual([writes, new Memory(storage, "alice").read], [1, { "room:lobby": 50 }]);
  context.mock.timers.tick(10_000);
  assert.equal(writes, 1);
});

test("it moves with its nick, and is forgotten", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const storage = new MemoryStorage();
  const memory = new Memory(storage, "alice");
  memory.rooms = ["den"];
  memory.save();
  memory.moveTo("al");
  memory.moveTo("AL");
  assert.deepEqual([new Memory(storage, "alice").isKnown, new Memory(storage, "al").rooms], [false, ["den"]]);
  memory.changed();
  memory.forget();
  context.mock.timers.tick(10_000);
  assert.equal(storage.items.size, 0, "what was to be written soon is not");
});

test("what somebody else has put into the storage is left out", () => {
  const storage = new MemoryStorage();
  const bad = { rooms: ["a", 1], read: { a: "7" }, drafts: [1], closed: null, current: 7 };
  for (const value of ["{", "7", "null", '"text"', JSON.stringify(bad)]) {
    storage.setItem("chat:of:alice", value);
    const { rooms, read, drafts, closed, current } = new Memory(storage, "alice");
    assert.deepEqual({ rooms, read, drafts, closed, current }, { rooms: [], read: {}, drafts: {}, closed: {}, current: "" });
  }
});

test("without a storage, or with one that throws, nothing is kept and nothing breaks", () => {
  for (const storage of [null, new Closed()]) {
    const memory = new Memory(storage, "alice");
    memory.rooms = ["lobby"];
    memory.save();
    memory.moveTo("al");
    memory.forget();
    writeJson(storage, "name", 1);
    assert.equal(readJson(storage, "name"), null);
  }
  assert.equal(openStorage("noSuchStorage"), null);
});

test("a storage that may not be used is none", () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  const get = () => {
    throw new Error("not for this page");
  };
  Object.defineProperty(globalThis, "localStorage", { get, configurable: true });
  try {
    assert.equal(openStorage("localStorage"), null);
  } finally {
    if (before === undefined) Reflect.deleteProperty(globalThis, "localStorage");
    else Object.defineProperty(globalThis, "localStorage", before);
  }
});
