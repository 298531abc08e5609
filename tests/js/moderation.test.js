/** What moderators do, in words, and what it changes in a room. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../../twisted_chat/web/page/conversation.js";
import { apply, describe, textOfParts } from "../../twisted_chat/web/page/moderation.js";
import { shortTime } from "../../twisted_chat/web/page/times.js";

/** @typedef {import("../../twisted_chat/web/page/moderation.js").Action} Action */

const UNTIL = "2026-11-22T12:06:36.123Z";

/** An action of alice in the garden. @param {Record<string, unknown>} fields */
const action = (fields) => /** @type {Action} */ ({ author: "alice", room: "garden", nick: "bob", who: "bob", msg: "", ...fields });

/** @param {Record<string, unknown>} fields */
const told = (fields) => textOfParts(describe(action(fields)));

test("each action is told in the words of the terminal's client", () => {
  const until = shortTime(UNTIL);
  const told_by_type = [
    [{ type: "kicked" }, "alice put bob out of the room"],
    [{ type: "banned" }, "alice banned bob"],
    [{ type: "banned", until: UNTIL }, `alice banned bob until ${until}`],
    [{ type: "banned", room: undefined, until: UNTIL }, `alice banned bob from the server until ${until}`],
    [{ type: "unbanned" }, "alice lets bob into the room again"],
    [{ type: "unbanned", room: undefined }, "alice lets bob into the server again"],
    [{ type: "muted", until: UNTIL }, `alice muted bob until ${until}`],
    [{ type: "muted" }, "alice muted bob"],
    [{ type: "unmuted" }, "alice lets bob speak again"],
    [{ type: "granted", role: "owner" }, "alice made bob an owner of the room"],
    [{ type: "granted", role: "moderator" }, "alice made bob a moderator of the room"],
    [{ type: "granted", role: "none" }, "alice took away the role of bob"],
    [{ type: "granted", role: "member", room: undefined }, "alice made bob a member of the server"],
    [{ type: "locked", on: true }, "alice locked the room: only members may enter"],
    [{ type: "locked", on: false }, "alice unlocked the room"],
    [{ type: "slowed", seconds: 120 }, "alice turned on slow mode: one message in 2 minutes"],
    [{ type: "slowed", seconds: 0 }, "alice turned off slow mode"],
  ];
  for (const [fields, text] of told_by_type) {
    assert.equal(told(/** @type {Record<string, unknown>} */ (fields)), text);
    assert.equal(told({ .../** @type {object} */ (fields), msg: "why not" }), `${text}: why not`);
  }
});

test("nicks and reasons are other people's texts, apart from the words of the page", () => {
  assert.deepEqual(describe(action({ type: "kicked", msg: "<b>" })), [
    { nick: "alice" }, " put ", { nick: "bob" }, " out of the room", ": ", { quote: "<b>" },
  ]);
});

test("what the server says to those whom a ban puts out is not told to the others", () => {
  assert.equal(told({ type: "kicked", author: "server", msg: "you are banned" }), "bob was put out of the room");
});

test("a room knows whom it has lost, who is muted, whether it is locked or slow, and one's own role", () => {
  const room = new Conversation("room", "garden");
  Object.assign(room, { members: ["alice", "bob"], count: 2 });
  /** @param {Record<string, unknown>} fields */
  const done = (fields) => apply(room, action(fields), (nick) => nick === "me");
  done({ type: "kicked", nick: "Bob" });
  assert.deepEqual([room.members, room.count], [["alice"], 1]);
  done({ type: "kicked", nick: "me" });
  assert.equal(room.count, 1, "one's own loss of a room is an event of its own");
  done({ type: "muted", nick: "Bob", until: UNTIL });
  done({ type: "muted", nick: "eve" });
  assert.deepEqual([...room.muted], [["bob", Date.parse(UNTIL)], ["eve", Infinity]]);
  done({ type: "unmuted", nick: "BOB" });
  assert.deepEqual([...room.muted.keys()], ["eve"]);
  done({ type: "locked", on: true });
  done({ type: "slowed", seconds: 30 });
  assert.deepEqual([room.locked, room.slow], [true, 30]);
  done({ type: "granted", nick: "bob", role: "owner" });
  assert.equal(room.role, "");
  done({ type: "granted", nick: "me", role: "moderator" });
  assert.equal(room.role, "moderator");
  done({ type: "granted", nick: "me", role: "none" });
  assert.equal(room.role, "");
  room.role = "operator";
  done({ type: "granted", nick: "me", role: "member" });
  assert.equal(room.role, "operator", "an operator stays one");
  done({ type: "banned" });
  done({ type: "unbanned" });
  assert.deepEqual(room.items, [], "the notice is somebody else's to make");
});
