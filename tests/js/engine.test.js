import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EngineCase } from "./engine_case.js";

describe("hello", () => {
  test("it says hello first, and tells of the welcome", () => {
    const one = new EngineCase();
    one.engine.connected(one.now);
    const [hello] = one.sent();
    assert.deepEqual([hello.type, hello.nick, hello.token, "password" in hello], ["hello", "alice", "t".repeat(32), false]);
    one.hears({ type: "welcome", id: hello.id, nick: "Alice", server: "s", limits: { object: 100 } });
    assert.deepEqual([one.engine.nick, one.engine.server, { ...one.engine.limits }], ["Alice", "s", { object: 100 }]);
    assert.deepEqual(one.told("state-changed"), [{ state: "connected", reason: "" }]);
    assert.equal(one.told("welcomed").length, 1);
  });
});

describe("messages", () => {
  test("a message is acked with its number, and its author does not hear it", () => {
    const one = new EngineCase();
    one.welcome();
    const room = one.join();
    const said = one.engine.say(room, "hi");
    const [sent] = one.sent();
    assert.deepEqual(sent, { type: "", room: "lobby", msg: "hi", id: said.id });
    one.message(11);
    one.ack(sent.id, 12, { time: "now" });
    one.message(13);
    assert.deepEqual([one.result(said), said.seq, said.time], [12, 12, "now"]);
    assert.deepEqual(one.got(), [11, 13]);
  });

  test("an unacked message is sent again on the next connection, and replayed to nobody", () => {
    const one = new EngineCase();
    one.welcome();
    const room = one.join();
    const said = one.engine.say(room, "hi");
    const [sent] = one.sent();
    one.return();
    assert.equal(one.joins(12).since, 10);
    one.message(11, { author: "alice" });
    one.message(12);
    assert.deepEqual(one.got(), []);
    assert.deepEqual(one.sent(), [sent]);
    one.ack(sent.id, 11);
    assert.deepEqual([one.result(said), one.got()], [11, [12]]);
  });
});
