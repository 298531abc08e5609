import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation, conversationId, placeAfter, summarize } from "../../twisted_chat/web/page/conversation.js";

const NOW = Date.UTC(2026, 10, 22, 11, 6, 36);
const at = (minutes) => new Date(NOW + minutes * 60_000);

let room;
let changes;

beforeEach(() => {
  room = new Conversation("room", "lobby");
  changes = [];
  room.follow((change) => changes.push(change));
});

const message = (seq, author = "bob") => ({ seq, author, text: `text ${seq}`, time: at(0) });

/** What the items are, in short. */
function shown() {
  return room.items.map((item) => {
    if (item.kind !== "message") return item.kind;
    return item.state === "kept" ? item.seq ?? item.text : `${item.text} ${item.state}`;
  });
}

test("messages are in the order of their numbers, and once", () => {
  for (const seq of [3, 5, 4, 5, 1]) room.add(message(seq));
  assert.deepEqual(shown(), [1, 3, 4, 5]);
  assert.equal(room.add(message(3)), null);
  assert.deepEqual([room.oldestSeq, room.newestSeq], [1, 5]);
});

test("pages go before and between, also if they overlap", () => {
  for (const seq of [10, 11, 14]) room.add(message(seq));
  room.addPage([8, 9, 10, 12, 13].map((seq) => message(seq)), true);
  assert.deepEqual(shown(), [8, 9, 10, 11, 12, 13, 14]);
  changes.length = 0;
  room.addPage([5, 6, 7].map((seq) => message(seq)), false);
  assert.deepEqual(changes[0], { type: "insert", index: 0, count: 3 }, "one change for the view");
  assert.equal(room.hasOlder, false);
  room.addPage([15, 16].map((seq) => message(seq)), false);
  assert.deepEqual(shown(), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
});

test("one's own message takes its place when it is acked", () => {
  room.add(message(1));
  const own = room.addOwn("alice", "mine", at(0));
  room.add(message(2));
  room.notice(["somebody did something"]);
  assert.deepEqual(shown(), [1, 2, "notice", "mine sending"]);
  room.acked(own, 4, at(1));
  assert.deepEqual(shown(), [1, 2, "notice", 4]);
  room.add(message(3));
  assert.deepEqual(shown(), [1, 2, "notice", 3, 4]);
  assert.equal(room.bySeq(4), own);
});

test("an acked message that was replayed already is there once", () => {
  const own = room.addOwn("alice", "mine", at(0));
  room.add(message(7, "alice"));
  room.acked(own, 7, at(1));
  assert.deepEqual(shown(), [7]);
});

test("a message that is not kept stays where it was sent", () => {
  room.add({ author: "bob", text: "one", time: at(0) });
  const own = room.addOwn("alice", "two", at(0));
  room.acked(own, undefined, at(0));
  room.add({ author: "bob", text: "three", time: at(0) });
  assert.deepEqual(shown(), ["one", "two", "three"]);
});

test("a refused message can be sent anew, or discarded", () => {
  const [one, two] = ["one", "two"].map((text) => room.addOwn("alice", text, at(0)));
  room.failed(one, "too long");
  assert.deepEqual(shown(), ["one failed", "two sending"]);
  room.retried(one);
  assert.deepEqual(shown(), ["two sending", "one sending"]);
  assert.equal(one.error, undefined);
  room.discard(two);
  room.discard(two);
  assert.deepEqual(shown(), ["one sending"]);
});

test("a deleted message loses its text", () => {
  room.add({ ...message(1), mention: true });
  changes.length = 0;
  for (const seq of [1, 1, 2]) room.delete(seq);
  assert.deepEqual(changes, [{ type: "update", index: 0 }]);
  const [{ text, deleted, mention }] = room.items;
  assert.deepEqual([text, deleted, mention], ["", true, false]);
});

test("comings and goings are one line until somebody speaks", () => {
  room.moved("bob", "join");
  room.moved("carol", "join");
  room.moved("Bob", "leave");
  room.moved("dave", "leave");
  room.moved("dave", "join");
  room.addOwn("alice", "mine", at(0));
  room.moved("erin", "leave");
  assert.deepEqual(shown(), ["traffic", "mine sending"]);
  assert.deepEqual(summarize(room.items[0].moves), [
    { names: ["carol"], more: 0, words: "joined" },
    { names: ["erin"], more: 0, words: "left" },
    { names: ["Bob"], more: 0, words: "joined and left" },
    { names: ["dave"], more: 0, words: "came back" },
  ]);
  room.add(message(1));
  for (let number = 0; number < 8; number++) room.moved(`n${number}`, "join");
  assert.deepEqual(shown(), ["traffic", 1, "traffic", "mine sending"]);
  const [{ names, more }] = summarize(room.items[2].moves);
  assert.deepEqual([names.length, more], [5, 3]);
});

test("the marker is before the first message that was not read", () => {
  const [first, second] = [room.add(message(1)), room.add(message(2))];
  room.markRead();
  assert.deepEqual([room.readSeq, room.unread], [2, 0]);
  const third = room.add({ ...message(3), mention: true });
  room.countUnread(third);
  room.countUnread(room.add(message(4)));
  assert.deepEqual([room.unread, room.mentions, room.marker], [2, 1, third.key]);
  assert.equal(room.markRead(), true);
  assert.equal(room.markRead(), false);
  assert.deepEqual([room.unread, room.mentions, room.marker, room.readSeq], [0, 0, third.key, 4]);
  room.unmark();
  room.countUnread(second);
  assert.equal(room.marker, second.key);
  assert.notEqual(first.key, second.key);
});

test("what is unread after a reload follows from the remembered number", () => {
  room.readSeq = 5;
  room.addPage([4, 5, 6, 7, 8].map((seq) => message(seq, seq === 6 ? "alice" : "bob")), true);
  room.bySeq(6).own = true;
  room.recount();
  assert.deepEqual([room.unread, room.marker, room.hasMoreUnread], [2, room.bySeq(7).key, false]);
  const other = new Conversation("room", "den");
  other.readSeq = 1;
  other.addPage([7, 8].map((seq) => message(seq)), true);
  other.recount();
  assert.deepEqual([other.marker, other.hasMoreUnread], [other.bySeq(7).key, true]);
  other.markRead();
  assert.equal(other.hasMoreUnread, true, "they are read once they were in sight, but the first of them was not");
  other.addPage([1, 2, 3].map((seq) => message(seq)), false);
  assert.deepEqual([other.marker, other.hasMoreUnread], [other.bySeq(2).key, false], "the marker moves to the first");
  other.unmark();
  assert.deepEqual([other.marker, other.hasMoreUnread], [null, false]);
  const fresh = new Conversation("room", "shed");
  fresh.add(message(1));
  fresh.recount();
  assert.equal(fresh.unread, 0, "nothing was read yet: nothing is news");
});

test("what was in sight is read, and the rest is marked again for whoever comes back", () => {
  room.addPage([1, 2, 3, 4, 5].map((seq) => ({ ...message(seq), mention: seq === 4 })), false);
  room.readSeq = 1;
  room.recount();
  assert.deepEqual([room.markRead(3), room.readSeq, room.unread, room.mentions], [true, 3, 2, 1]);
  assert.equal(room.marker, room.bySeq(2).key, "the marker stands");
  assert.deepEqual([room.markRead(3), room.markRead(2), room.markRead(0), room.readSeq], [false, false, false, 3]);
  room.unmark();
  room.markAgain();
  assert.equal(room.marker, room.bySeq(4).key);
  assert.deepEqual([room.markRead(5), room.unread, room.readSeq], [true, 0, 5]);
  room.unmark();
  room.markAgain();
  assert.equal(room.marker, null);
  const guest = new Conversation("direct", "bob");
  const items = ["one", "two", "three"].map((text) => guest.add({ author: "bob", text, time: at(0) }));
  for (const item of items.slice(1)) guest.countUnread(item);
  guest.unmark();
  guest.markAgain();
  assert.equal(guest.marker, items[1].key, "also where messages have no numbers");
});

test("each unread direct message counts as a mention", () => {
  const direct = new Conversation("direct", "bob");
  direct.countUnread(direct.add(message(1)));
  assert.deepEqual([direct.unread, direct.mentions], [1, 1]);
});

test("a new log begins again, and keeps what is on its way", () => {
  room.add(message(1));
  room.markRead();
  room.addOwn("alice", "mine", at(0));
  room.reset();
  assert.deepEqual([shown(), room.readSeq, room.isLoaded], [["mine sending"], null, false]);
  room.add(message(1));
  assert.deepEqual(shown(), [1, "mine sending"]);
});

test("a conversation that nobody looks at keeps its newest messages", () => {
  room.addPage(Array.from({ length: 300 }, (_, number) => message(number + 1)), false);
  room.trim();
  assert.deepEqual([room.items.length, room.oldestSeq, room.hasOlder, room.bySeq(1)], [200, 101, true, undefined]);
  changes.length = 0;
  room.trim();
  assert.deepEqual(changes, []);
});

test("conversations are the same for names that are the same", () => {
  assert.equal(conversationId("room", "Lobby"), conversationId("room", "lobby"));
  assert.notEqual(conversationId("room", "bob"), conversationId("direct", "bob"));
});

test("runs of one author end at a day, at the marker, and after a pause", () => {
  const dayKey = (time) => time.toISOString().slice(0, 10);
  const [one, two] = [room.add(message(1)), room.add(message(2, "BOB"))];
  const place = (item, previous, marker = null) => placeAfter(item, previous, marker, dayKey);
  assert.deepEqual(place(one, undefined), { isNewDay: true, isUnread: false, isContinued: false });
  assert.deepEqual(place(two, one), { isNewDay: false, isUnread: false, isContinued: true });
  assert.deepEqual(place(two, one, two.key), { isNewDay: false, isUnread: true, isContinued: false });
  assert.equal(place({ ...two, time: at(6) }, one).isContinued, false);
  assert.equal(place({ ...two, author: "eve" }, one).isContinued, false);
  assert.equal(place({ ...two, time: at(60 * 24) }, one).isNewDay, true);
  assert.equal(place(two, room.notice(["x"], at(0))).isContinued, false);
});
