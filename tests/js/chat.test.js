/** The chat, as the page knows it: a real client on a socket whose other end is the test. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Chat } from "../../twisted_chat/web/page/chat.js";
import { Client } from "../../twisted_chat/web/page/client.js";
import { conversationId } from "../../twisted_chat/web/page/conversation.js";
import { Memory } from "../../twisted_chat/web/page/memory.js";
import { textOfParts } from "../../twisted_chat/web/page/moderation.js";
import { MemoryStorage, Surroundings } from "./fakes.js";

/** @typedef {Record<string, any>} Obj */
/** @typedef {(request: Obj) => Obj | null} Answer null for a request that gets none */
/** @typedef {import("../../twisted_chat/web/page/conversation.js").Conversation} Conversation */

const TIME = "2026-11-22T11:06:36.123Z";

/** A message of a room, as on the wire. @param {number} seq */
const message = (seq, fields = {}) => ({ type: "", msg: `text ${seq}`, author: "bob", room: "lobby", seq, time: TIME, ...fields });

/** What a server answers, by the type of the request: rooms whose log has the messages 1 to 10. @type {Record<string, Answer>} */
const ANSWERS = {
  join: ({ room }) => ({ type: "joined", room, topic: `topic of ${room}`, seq: 10, oldest: 1, count: 2 }),
  who: ({ room }) => ({ type: "members", room, members: ["alice", "bob"], count: 2 }),
  history: ({ room, to, before = 11, limit }) => {
    const place = room === undefined ? { room, to: "alice", author: to } : { room };
    const seqs = Array.from({ length: 10 }, (_, index) => index + 1).filter((seq) => seq < before);
    return { type: "history", room, to, messages: seqs.slice(-limit).map((seq) => message(seq, place)), more: seqs.length > limit };
  },
  directs: () => ({ type: "directs", directs: [] }),
};

/** A page whose client is connected. */
class Case {
  around = new Surroundings();
  /** @type {[string, any][]} */
  told = [];
  /** The types of what was asked. @type {string[]} */
  asked = [];
  /** @type {Record<string, Answer>} */
  answers = { ...ANSWERS };

  /** @param {Obj} [options] */
  constructor({ memory = new MemoryStorage(), storage, welcome = {}, nick = "alice" } = {}) {
    this.memory = memory;
    this.welcome = welcome;
    this.client = new Client("http://chat.example/chat", nick, { ...this.around.options, storage });
    this.chat = new Chat(this.client, new Memory(/** @type {any} */ (memory), nick));
    for (const type of /** @type {const} */ (["list", "current", "me", "said", "deleted", "note", "members"])) {
      this.chat.on(type, (/** @type {unknown} */ detail) => this.told.push([type, detail]));
    }
  }

  /** Come into the chat, as the page does. @param {string} [wanted] */
  async begin(wanted) {
    const started = this.client.start();
    this.around.socket.welcomes(this.welcome);
    await started;
    this.chat.begin(wanted);
    await this.serve();
    return this;
  }

  /** Answer what is asked until nothing is asked any more. */
  async serve() {
    for (let quiet = 0; quiet < 3; ) {
      this.around.passes(0);
      await new Promise((resolve) => setImmediate(resolve));
      const requests = this.around.socket.take();
      quiet = requests.length ? 0 : quiet + 1;
      for (const request of requests) {
        this.asked.push(request.type);
        const answer = this.answers[request.type]?.(request) ?? null;
        if (answer !== null) this.around.socket.hears({ id: request.id, ...answer });
      }
    }
  }

  /** Hear something of the server. @param {...Obj} objects */
  async hears(...objects) {
    for (const obj of objects) this.around.socket.hears(obj);
    await this.serve();
  }

  /** @param {string} name @param {"room" | "direct"} [kind] */
  find(name, kind = "room") {
    return /** @type {Conversation} */ (this.chat.conversations.get(conversationId(kind, name)));
  }

  get lobby() {
    return this.find("lobby");
  }

  /** @param {string} type */
  details(type) {
    return this.told.filter(([one]) => one === type).map(([, detail]) => detail);
  }

  /** What is remembered of the nick. */
  get kept() {
    this.chat.save();
    return JSON.parse(this.memory.getItem(`chat:of:${this.chat.nick}`) ?? "null");
  }
}

/** A case that has begun, with its memory written at the end of the test. @param {import("node:test").TestContext} t
 * @param {Obj} [options] */
async function begun(t, { wanted = undefined, answers = {}, ...options } = {}) {
  const one = new Case(options);
  t.after(() => one.chat.save());
  Object.assign(one.answers, answers);
  return one.begin(wanted);
}

/** A memory of an earlier visit. @param {Obj} kept */
function memoryOf(kept) {
  const memory = new MemoryStorage();
  memory.setItem("chat:of:alice", JSON.stringify(kept));
  return memory;
}

/** The texts of a conversation, in short. @param {Conversation} conversation */
const shown = (conversation) =>
  conversation.items.map((item) => {
    if (item.kind === "notice") return `* ${textOfParts(item.parts)}`;
    if (item.kind === "traffic") return `~ ${[...item.moves.values()].map(({ nick, last }) => `${nick} ${last}`).join(" ")}`;
    return item.state === "kept" ? item.text : `${item.text} (${item.state}${item.error ? `: ${item.error}` : ""})`;
  });

test("a first visit enters the lobby and has read all of it", async (t) => {
  const { chat, lobby, kept } = await begun(t);
  assert.deepEqual([...chat.conversations.keys()], ["room:lobby"]);
  assert.equal(chat.current, lobby);
  assert.equal(chat.state, "connected");
  assert.equal(chat.client.state, "connected");
  assert.deepEqual(shown(lobby), Array.from({ length: 10 }, (_, index) => `text ${index + 1}`));
  assert.deepEqual([lobby.topic, lobby.count, lobby.members, lobby.unread], ["topic of lobby", 2, ["alice", "bob"], 0]);
  assert.deepEqual(kept, { rooms: ["lobby"], read: { "room:lobby": 10 }, drafts: {}, closed: {}, current: "room:lobby" });
});

test("the rooms of the last visit are entered again, with what was said meanwhile unread", async (t) => {
  const memory = memoryOf({ rooms: ["lobby", "Garden"], read: { "room:garden": 7 }, drafts: { "room:garden": "half" }, current: "room:garden" });
  const one = await begun(t, { memory });
  const garden = one.find("garden");
  assert.equal(one.chat.current, garden);
  assert.deepEqual([garden.unread, garden.mentions, garden.draft], [3, 0, "half"]);
  assert.equal(garden.byKey(garden.marker ?? "")?.seq, 8);
  one.chat.look(garden, false, 9);
  assert.deepEqual([garden.unread, one.kept.read["room:garden"]], [1, 9]);
  one.chat.look(garden, true, 0);
  assert.deepEqual([garden.unread, one.kept.read["room:garden"]], [0, 10]);
  assert.equal(garden.byKey(garden.marker ?? "")?.seq, 8, "the marker stays where it is");
  one.chat.look(one.lobby, true, 0); // that was shown a moment ago
  assert.equal(one.chat.isLookingAt(one.lobby), false);
});

test("the room in the address is opened beside the others", async (t) => {
  const { chat } = await begun(t, { memory: memoryOf({ rooms: ["lobby"], current: "room:lobby" }), wanted: "Garden" });
  assert.deepEqual([...chat.conversations.keys()], ["room:lobby", "room:garden"]);
  assert.equal(chat.current?.name, "Garden");
});

test("a message is on its way until it is acked, and takes its place then", async (t) => {
  const one = await begun(t);
  one.chat.say("hello");
  assert.equal(shown(one.lobby).at(-1), "hello (sending)");
  const [said] = one.around.socket.take();
  assert.deepEqual([said.type, said.room, said.msg], ["", "lobby", "hello"]);
  await one.hears(message(11, { author: "carol" }), { type: "ack", id: said.id, room: "lobby", seq: 12, time: TIME });
  assert.deepEqual(shown(one.lobby).slice(-2), ["text 11", "hello"]);
  assert.equal(one.lobby.bySeq(12)?.own, true);
});

test("a refused message says why, and is sent again when it is asked for", async (t) => {
  const one = await begun(t);
  one.answers[""] = () => ({ type: "error", code: "denied", msg: "not now", author: "server" });
  one.chat.say("hello");
  await one.serve();
  assert.match(shown(one.lobby).at(-1) ?? "", /^hello \(failed: Not now\)$/);
  one.answers[""] = () => ({ type: "ack", room: "lobby", seq: 11, time: TIME });
  const item = one.lobby.items.at(-1);
  assert.ok(item?.kind === "message");
  one.chat.retry(one.lobby, item);
  await one.serve();
  assert.deepEqual([shown(one.lobby).at(-1), item.state, item.seq], ["hello", "kept", 11]);
});

test("a message to a room that is not joined fails at once", async (t) => {
  const banned = { type: "error", code: "banned", msg: "you are banned", author: "server" };
  const one = await begun(t, { answers: { join: () => banned } });
  assert.match(one.lobby.trouble, /^You are banned$/);
  one.chat.say("hello");
  assert.deepEqual(shown(one.lobby), ["hello (failed: You are not in this room.)"]);
  one.answers.join = ANSWERS.join;
  one.chat.rejoin(one.lobby);
  await one.serve();
  assert.deepEqual([one.lobby.trouble, one.lobby.isJoined, shown(one.lobby).length], ["", true, 11]);
});

test("a message that an earlier run has sent is shown, and is acked in its place", async (t) => {
  const storage = new MemoryStorage();
  const first = await begun(t, { storage });
  first.chat.say("before the reload");
  const [said] = first.around.socket.take();
  const one = new Case({ storage, memory: first.memory });
  t.after(() => one.chat.save());
  one.answers[""] = ({ id }) => (id === said.id ? { type: "ack", room: "lobby", seq: 11, time: TIME } : null);
  await one.begin();
  assert.deepEqual(shown(one.lobby).slice(-2), ["text 10", "before the reload"]);
  assert.equal(one.lobby.bySeq(11)?.own, true);
});

test("what is said elsewhere is unread, and what is for oneself is counted apart", async (t) => {
  const one = await begun(t);
  one.chat.open("room", "garden");
  await one.serve();
  await one.hears(message(11), message(12, { msg: "alice: look" }), message(13, { author: "Alice" }));
  assert.deepEqual([one.lobby.unread, one.lobby.mentions], [2, 1]);
  assert.equal(one.lobby.byKey(one.lobby.marker ?? "")?.seq, 11);
  assert.deepEqual(one.details("said").map(({ item }) => item.mention), [false, true, false]);
  one.chat.look(one.find("garden"), true, 0);
  await one.hears(message(11, { room: "garden" }));
  assert.equal(one.find("garden").unread, 0);
  one.chat.show(one.lobby);
  assert.deepEqual([one.lobby.unread, one.kept.read], [2, { "room:lobby": 10, "room:garden": 11 }]);
  one.chat.markRead(one.lobby);
  assert.deepEqual([one.lobby.unread, one.lobby.marker, one.kept.read["room:lobby"]], [0, null, 13]);
});

test("members come, go and change their nicks", async (t) => {
  const one = await begun(t);
  await one.hears({ type: "join", author: "carol", room: "lobby" }, { type: "leave", author: "Bob", room: "lobby", msg: "" });
  assert.deepEqual([one.lobby.members, one.lobby.count], [["alice", "carol"], 2]);
  await one.hears({ type: "nick", author: "carol", nick: "aaron", room: "lobby" });
  assert.deepEqual(one.lobby.members, ["aaron", "alice"]);
  assert.deepEqual(shown(one.lobby).slice(-2), ["~ carol join Bob leave", "* carol is now aaron"]);
  await one.hears({ type: "presence", room: "lobby", count: 2317 });
  assert.equal(one.lobby.count, 2317);
  assert.ok(one.details("members").every((conversation) => conversation === one.lobby));
  await one.hears({ type: "join", author: "carol", room: "elsewhere" });
  assert.deepEqual([...one.chat.conversations.keys()], ["room:lobby"]);
});

test("a room that one is put out of stays, with the reason", async (t) => {
  const one = await begun(t);
  await one.hears({ type: "kick", author: "bob", room: "lobby", nick: "alice", msg: "it is late" });
  assert.deepEqual([one.lobby.isJoined, one.lobby.members, one.lobby.count], [false, [], 0]);
  assert.match(one.lobby.trouble, /^You were put out of the room by bob: it is late/);
  assert.deepEqual(one.kept.rooms, []);
});

test("what moderators do is a line in the room, and changes what is known of it", async (t) => {
  const one = await begun(t);
  await one.hears(
    { type: "kick", author: "carol", room: "lobby", nick: "bob", msg: "" },
    { type: "mute", author: "carol", room: "lobby", nick: "eve", msg: "loud" },
    { type: "grant", author: "carol", room: "lobby", nick: "alice", role: "moderator", msg: "" },
    { type: "slow", author: "carol", room: "lobby", seconds: 30, msg: "" },
    { type: "lock", author: "carol", room: "lobby", on: true, msg: "" },
  );
  assert.deepEqual([one.lobby.members, one.lobby.count, one.lobby.slow, one.lobby.locked], [["alice"], 1, 30, true]);
  assert.deepEqual([one.chat.may(one.lobby, "moderator"), one.chat.may(one.lobby, "owner")], [true, false]);
  one.chat.acted({ type: "unmuted", room: "lobby", nick: "eve" });
  assert.equal(one.lobby.muted.size, 0);
  assert.deepEqual(shown(one.lobby).slice(-6), [
    "* carol put bob out of the room", "* carol muted eve: loud", "* carol made alice a moderator of the room",
    "* carol turned on slow mode: one message in 30 seconds", "* carol locked the room: only members may enter",
    "* alice lets eve speak again",
  ]);
  one.chat.acted({ type: "banned", who: "eve" });
  assert.equal(one.details("note")[0].text, "alice banned eve from the server");
});

test("an invitation and a report are notes that lead to their room", async (t) => {
  const one = await begun(t);
  await one.hears(
    { type: "invite", author: "bob", room: "den", nick: "alice", msg: "come in" },
    { type: "report", author: "bob", room: "garden", of: 42, time: TIME, msg: "an insult" },
  );
  const [invitation, report] = one.details("note");
  assert.equal(invitation.text, "bob invites you to the room den: come in");
  assert.equal(report.text, "bob reports message 42 in garden: an insult");
  invitation.act();
  report.act();
  await one.serve();
  assert.deepEqual([one.chat.current?.name, one.find("den").isJoined, one.find("garden").isJoined], ["garden", true, true]);
});

test("a direct message opens its conversation, also one that was closed", async (t) => {
  const one = await begun(t);
  const direct = { type: "", msg: "psst", author: "bob", to: "alice", time: TIME };
  await one.hears(direct);
  const bob = one.find("bob", "direct");
  assert.deepEqual([shown(bob), bob.unread, bob.mentions, one.chat.current], [["psst"], 1, 1, one.lobby]);
  await one.chat.close(bob);
  assert.deepEqual([...one.chat.conversations.keys()], ["room:lobby"]);
  assert.deepEqual(Object.keys(one.kept.closed), ["direct:bob"]);
  await one.hears({ ...direct, msg: "again" });
  assert.deepEqual([shown(one.find("bob", "direct")), one.kept.closed], [["again"], {}]);
  await one.hears({ ...direct, author: "alice", to: "carol", msg: "mine, from elsewhere" });
  assert.equal(one.find("carol", "direct").unread, 0);
});

test("an account's partners are listed: those with unread messages are loaded, and closed ones stay away", async (t) => {
  const directs = [{ nick: "bob", seq: 10 }, { nick: "carol", seq: 4 }, { nick: "dave", seq: 5 }, { nick: "erin", seq: 7 }];
  const one = await begun(t, {
    memory: memoryOf({ rooms: ["lobby"], read: { "direct:bob": 8, "direct:carol": 4 }, closed: { "direct:dave": 5, "direct:erin": 6 }, current: "direct:bob" }),
    welcome: { account: true },
    answers: { directs: () => ({ type: "directs", directs }) },
  });
  assert.deepEqual([...one.chat.conversations.keys()], ["room:lobby", "direct:bob", "direct:carol", "direct:erin"]);
  assert.equal(one.chat.current, one.find("bob", "direct"));
  assert.deepEqual(["bob", "carol", "erin"].map((nick) => one.find(nick, "direct").unread), [2, 0, 10]);
  assert.deepEqual(["bob", "carol", "erin"].map((nick) => one.find(nick, "direct").isLoaded), [true, false, true]);
});

test("older messages are loaded once at a time, and a refusal ends that", async (t) => {
  const many = Array.from({ length: 300 }, (_, index) => message(index + 1));
  /** @type {Answer} */
  const history = ({ before = 301, limit }) => {
    const older = many.filter(({ seq }) => seq < before);
    return { type: "history", room: "lobby", messages: older.slice(-limit), more: older.length > limit };
  };
  const one = await begun(t, { answers: { history } });
  assert.deepEqual([one.lobby.items.length, one.lobby.oldestSeq, one.lobby.hasOlder], [50, 251, true]);
  const first = one.chat.loadOlder(one.lobby);
  assert.equal(await one.chat.loadOlder(one.lobby), false);
  await one.serve();
  assert.equal(await first, true);
  assert.deepEqual([one.lobby.items.length, one.lobby.oldestSeq], [150, 151]);
  one.answers.history = () => ({ type: "error", code: "denied", msg: "no more of that", author: "server" });
  const refused = one.chat.loadOlder(one.lobby);
  await one.serve();
  assert.equal(await refused, true);
  assert.equal(one.lobby.hasOlder, false);
  assert.match(one.details("note")[0].text, /^Older messages cannot be read\. No more of that$/);
  assert.equal(await one.chat.loadOlder(one.lobby), false);
});

test("unread messages are counted as far as they are loaded", async (t) => {
  const many = Array.from({ length: 300 }, (_, index) => message(index + 1, { msg: index % 100 ? "" : "alice!" }));
  /** @type {Answer} */
  const history = ({ before = 301, limit }) => {
    const older = many.filter(({ seq }) => seq < before);
    return { type: "history", room: "lobby", messages: older.slice(-limit), more: older.length > limit };
  };
  const one = await begun(t, { answers: { history }, memory: memoryOf({ rooms: ["lobby"], read: { "room:lobby": 180 } }) });
  assert.deepEqual([one.lobby.unread, one.lobby.mentions, one.lobby.hasMoreUnread], [50, 0, true]);
  const older = one.chat.loadOlder(one.lobby);
  await one.serve();
  await older;
  assert.deepEqual([one.lobby.unread, one.lobby.mentions, one.lobby.hasMoreUnread], [120, 1, false]);
  assert.equal(one.lobby.byKey(one.lobby.marker ?? "")?.seq, 181);
});

test("what cannot be read or listed leaves the rest as it is", async (t) => {
  const refused = () => ({ type: "error", code: "denied", msg: "no", author: "server" });
  const answers = { directs: refused, who: refused, history: (/** @type {Obj} */ request) => (request.to ? refused() : ANSWERS.history(request)) };
  const one = await begun(t, { welcome: { account: true }, answers });
  assert.deepEqual([[...one.chat.conversations.keys()], one.lobby.members, one.lobby.count], [["room:lobby"], [], 2]);
  const guest = one.chat.open("direct", "bob"); // whose messages are not kept
  await one.serve();
  assert.deepEqual([guest.isLoaded, guest.hasOlder, guest.items], [true, false, []]);
  one.asked.length = 0;
  await one.chat.askMembers(guest);
  one.chat.show(guest); // that is shown already
  await one.serve();
  assert.deepEqual(one.asked, []);
});

test("a message is shown and told once", async (t) => {
  const one = await begun(t);
  const open = one.chat.loadOlder(one.lobby); // nothing is older
  assert.equal(await open, false);
  one.lobby.add({ author: "bob", text: "of a page that came first", time: new Date(), seq: 11 });
  await one.hears(message(11));
  assert.deepEqual(one.details("said"), []);
  assert.equal(shown(one.lobby).at(-1), "of a page that came first");
});

test("a conversation that nobody looks at keeps its newest items only", async (t) => {
  const one = await begun(t);
  for (let seq = 11; seq <= 310; seq++) one.around.socket.hears(message(seq));
  await one.serve();
  assert.equal(one.lobby.items.length, 310);
  one.chat.open("room", "garden");
  assert.deepEqual([one.lobby.items.length, one.lobby.hasOlder], [200, true]);
  await one.serve();
});

test("deleted messages lose their texts", async (t) => {
  const one = await begun(t);
  await one.hears({ type: "delete", author: "bob", room: "lobby", of: 9, seq: 11, time: TIME });
  assert.deepEqual(shown(one.lobby).slice(-2), ["", "text 10"]);
  assert.deepEqual(one.details("deleted"), [one.lobby.bySeq(9)]);
  one.chat.deletedAll(one.lobby, "BOB");
  assert.ok(shown(one.lobby).every((text) => text === ""));
  assert.equal(one.details("deleted").length, 11);
});

test("a log that begins again is told", async (t) => {
  const one = await begun(t);
  one.answers.join = ({ room }) => ({ type: "joined", room, topic: "", seq: 0, oldest: 0, count: 1 });
  one.answers.history = ({ room }) => ({ type: "history", room, messages: [], more: false });
  one.around.socket.ends();
  assert.equal(one.chat.state, "waiting");
  one.around.passes(1);
  one.around.socket.welcomes();
  await one.serve();
  assert.match(shown(one.lobby).join(), /^\* The messages of this room begin again/);
  await one.hears(message(1));
  assert.equal(shown(one.lobby).at(-1), "text 1");
});

test("leaving a room shows another conversation, and forgets the room and its draft", async (t) => {
  const one = await begun(t);
  one.answers.leave = ({ room }) => ({ type: "left", room });
  const garden = one.chat.open("room", "garden");
  one.chat.keepDraft(garden, "half");
  await one.serve();
  assert.deepEqual([one.kept.rooms, one.kept.drafts], [["lobby", "garden"], { "room:garden": "half" }]);
  const left = one.chat.close(garden);
  await one.serve();
  await left;
  assert.equal(one.chat.current, one.lobby);
  assert.deepEqual([one.kept.rooms, one.kept.drafts], [["lobby"], {}]);
  one.chat.keepDraft(one.lobby, "a");
  one.chat.keepDraft(one.lobby, "");
  assert.deepEqual(one.kept.drafts, {});
});

test("one's own topic and nick are shown as those of others are", async (t) => {
  const one = await begun(t);
  one.answers.topic = ({ room, msg }) => ({ type: "topic", author: "alice", room, msg });
  one.answers.nick = ({ nick }) => ({ type: "nick", author: "alice", nick });
  const changed = one.chat.changeTopic(one.lobby, "small talk");
  await one.serve();
  await changed;
  assert.equal(one.lobby.topic, "small talk");
  await one.hears({ type: "topic", author: "bob", room: "lobby", msg: "" });
  assert.deepEqual(shown(one.lobby).slice(-2), ["* alice set the topic: small talk", "* bob removed the topic"]);
  const renamed = one.chat.changeNick("al");
  await one.serve();
  await renamed;
  assert.equal(one.chat.nick, "al");
  assert.equal(one.memory.getItem("chat:of:alice"), null);
  assert.deepEqual(one.kept.rooms, ["lobby"]);
  one.chat.forget();
  assert.equal(one.memory.getItem("chat:of:al"), null);
});

test("what the server says of no request is a note", async (t) => {
  const one = await begun(t);
  await one.hears({ type: "error", code: "internal", msg: "something broke", author: "server" });
  assert.deepEqual(one.details("note"), [{ text: "Something broke" }]);
  await one.hears({ type: "stop", msg: "the server is shut down", author: "server" });
  assert.equal(one.chat.reason, "the server is shut down");
});
