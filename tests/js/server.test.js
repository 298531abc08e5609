/** The client and the real server, over real WebSockets. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Client, connect, RequestError } from "../../twisted_chat/web/page/client.js";
import { MemoryStorage } from "./fakes.js";
import { Server } from "./server.js";

/** @typedef {import("../../twisted_chat/web/page/client.js").Room} Room */

const PASSWORD = "correct horse battery";

/** Seconds before a client tries again: short, since the server is soon back. */
const retry = () => 0.1;

/** The storage as a page has it, which writes nothing any more once it is gone. */
class PageStorage extends MemoryStorage {
  isGone = false;

  /** @param {MemoryStorage} storage */
  constructor(storage) {
    super();
    this.items = storage.items;
  }

  /** @param {string} name */
  removeItem(name) {
    if (!this.isGone) super.removeItem(name);
  }
}

/** Close a client after a test, whatever its result. @param {import("node:test").TestContext} t @param {Client} client */
const closeAfter = (t, client) => t.after(() => client.close({ flush: false }));

/**
 * @param {import("node:test").TestContext} t
 * @param {Server} server
 * @param {string} nick
 * @param {import("../../twisted_chat/web/page/client.js").ClientOptions} options
 */
async function enter(t, server, nick, options) {
  const client = await connect(server.url, nick, options);
  closeAfter(t, client);
  return client;
}

/** Return when something is true. The events of the client say when to look. @param {Client} client @param {() => boolean} isTrue */
const until = (client, isTrue) =>
  new Promise((resolve) => {
    const look = () => isTrue() && resolve(null);
    for (const type of /** @type {const} */ (["message", "direct-message", "deleted", "acked", "joined", "member-joined", "granted", "invited", "room-lost", "state-changed"])) {
      client.on(type, look);
    }
    look();
  });

/** Read all of a room. @param {Room} room */
async function readAll(room) {
  const messages = [];
  for (let more = true; more; ) {
    const page = await room.history({ after: messages.at(-1)?.seq ?? 0, limit: 500 });
    messages.push(...page.messages);
    ({ more } = page);
  }
  return messages;
}

describe("a server that is killed and started again", () => {
  test("in a room nothing is missing, and nothing doubled", async (t) => {
    const COUNT = 400;
    const server = await Server.start(t);
    const options = { retry };
    const nicks = ["alice", "bob", "carol"];
    const clients = await Promise.all(nicks.map((nick) => enter(t, server, nick, options)));
    const rooms = await Promise.all(clients.map((client) => client.join("lobby")));
    const got = clients.map(() => /** @type {string[]} */ ([]));
    for (const [index, client] of clients.entries()) {
      client.on("message", ({ author, msg }) => got[index].push(`${author} ${msg}`));
    }
    const said = [0, 0];
    let acked = 0;
    let restarts = 0;
    /** Each ack makes its author say the next, so that there are always some in flight. @param {number} index */
    const next = (index) => {
      if (said[index] < COUNT) rooms[index].say(String(said[index]++));
    };
    /** @type {Promise<void>[]} */
    const restarting = [];
    for (const index of [0, 1]) {
      clients[index].on("acked", () => {
        acked += 1;
        if (acked % 200 === 0) {
          restarts += 1;
          restarting.push(server.restart());
        }
        next(index);
      });
      for (let i = 0; i < 20; i += 1) next(index);
    }
    await Promise.all(clients.map((client, index) => until(client, () => got[index].length >= COUNT * (index === 2 ? 2 : 1))));
    await Promise.all([0, 1].map((index) => until(clients[index], () => clients[index].waiting.length === 0)));
    await Promise.all(restarting);
    assert.equal(restarts, 4); // kill -9, each time with messages in flight
    const all = (/** @type {string} */ nick) => Array.from({ length: COUNT }, (_, i) => `${nick} ${i}`);
    assert.deepEqual(got[0], all("bob"));
    assert.deepEqual(got[1], all("alice"));
    const log = (await readAll(rooms[2])).map(({ author, msg }) => `${author} ${msg}`);
    assert.deepEqual(log.filter((line) => line.startsWith("alice")), all("alice"));
    assert.deepEqual(log.filter((line) => line.startsWith("bob")), all("bob"));
    assert.deepEqual(got[2], log);
    await Promise.all(clients.map((client) => client.close()));
  });

  test("between two accounts, too, while one of them is reloaded", async (t) => {
    const COUNT = 200;
    const server = await Server.start(t);
    const storage = new MemoryStorage();
    let page = new PageStorage(storage);
    let alice = await enter(t, server, "alice", { retry, storage: page });
    const bob = await enter(t, server, "bob", { retry });
    await Promise.all([alice.register(PASSWORD), bob.register(PASSWORD)]);
    await bob.directs(); // until a client knows its partners, it passes on only what it hears
    assert.deepEqual(bob.direct, {});
    const got = /** @type {string[]} */ ([]);
    const answers = /** @type {string[]} */ ([]);
    bob.on("direct-message", ({ msg }) => {
      got.push(msg);
      bob.tell("alice", `re: ${msg}`);
    });
    const hear = () => alice.on("direct-message", ({ author, msg }) => author === "bob" && answers.push(msg));
    let stop = hear();
    for (let i = 0; i < COUNT; i += 1) {
      alice.tell("bob", String(i));
      if (i % 70 === 35) await server.restart();
      if (i % 50 !== 49) continue;
      await alice.directs(); // the client knows its partners by then
      // A page that is reloaded hears nothing more, and the next one sends what was not acked.
      stop();
      page.isGone = true;
      const { direct } = alice;
      await alice.close({ flush: false });
      page = new PageStorage(storage);
      alice = new Client(server.url, "alice", { retry, storage: page, password: PASSWORD, direct: direct ?? undefined });
      closeAfter(t, alice);
      stop = hear();
      await alice.start();
    }
    await until(bob, () => got.length >= COUNT);
    await until(alice, () => answers.length >= COUNT);
    const all = Array.from({ length: COUNT }, (_, i) => String(i));
    assert.deepEqual(got, all);
    assert.deepEqual(answers, all.map((text) => `re: ${text}`));
    assert.deepEqual((await alice.directs()).map(({ nick, seq }) => [nick, seq]), [["bob", 2 * COUNT]]);
    await Promise.all([alice.close(), bob.close()]);
    assert.deepEqual([...storage.items.keys()], ["twisted-chat:session:alice"]);
  });
});

describe("a conversation", () => {
  test("what a person does is understood", async (t) => {
    const server = await Server.start(t);
    const alice = await enter(t, server, "alice", { retry });
    const bob = await enter(t, server, "bob", { retry });
    const room = await alice.join("Garden");
    const his = await bob.join("garden");
    await until(alice, () => room.count === 2);
    assert.equal(await room.say("hello"), 1);
    await until(bob, () => his.seq === 1);
    assert.equal(await his.say("hi"), 2);
    await room.setTopic("weather");
    assert.deepEqual(await alice.rooms(), [{ room: "Garden", count: 2, topic: "weather" }]);
    assert.deepEqual(await room.who(), { room: "Garden", members: ["alice", "bob"], count: 2 });
    assert.equal(await room.delete(1), 3);
    await until(bob, () => his.seq === 3);
    const { messages, more } = await his.history();
    assert.deepEqual([messages.map(({ msg, deleted }) => [msg, deleted]), more], [[["", 3], ["hi", undefined]], false]);
    assert.deepEqual((await his.history({ before: 2 })).messages.length, 1);
    assert.equal(await alice.setNick("Carol"), "Carol");
    await room.leave();
    await assert.rejects(alice.tell("nobody", "x"), (error) => error instanceof RequestError && error.code === "no-such-nick");
    assert.equal(await bob.tell("Carol", "psst"), undefined);
    await assert.rejects(enter(t, server, "bob", { retry }), (error) => error instanceof RequestError && error.code === "nick-taken");
    await Promise.all([alice.close(), bob.close()]);
  });

  test("accounts and moderators' requests are understood", async (t) => {
    const server = await Server.start(t, "--operator", "root");
    const storage = new MemoryStorage();
    const root = await enter(t, server, "root", { retry });
    assert.equal(await root.register(PASSWORD), true);
    await root.keepLogin(storage);
    assert.equal((await root.tokens()).length, 1);
    const eve = await enter(t, server, "eve", { retry });
    assert.equal(await eve.register(PASSWORD), true);
    const room = await root.join("lobby");
    let hers = await eve.join("lobby");
    assert.equal(room.role, "operator");
    const granted = until(eve, () => hers.role === "member");
    await room.grant("eve", "member", "welcome");
    await granted;
    await hers.say("one");
    await hers.say("two");
    await hers.report(1, "this is spam");
    await room.slow(1);
    await room.slow(0);
    await room.mute("eve", 60, "enough");
    await assert.rejects(hers.say("three"), (error) => error instanceof RequestError && (error.retry ?? 0) > 10);
    await room.unmute("eve");
    await room.kick("eve", "out");
    await assert.rejects(hers.say("three"));
    hers = await eve.join("lobby");
    const banned = until(eve, () => hers.error !== null);
    await room.ban("eve", 60, "out");
    await banned; // she hears of it on a connection of her own, which may be after its answer
    assert.deepEqual((await room.bans()).bans.map(({ who, msg }) => [who, msg]), [["eve", "out"]]);
    await assert.rejects(eve.join("lobby"), (error) => error instanceof RequestError && error.code === "banned");
    await room.unban("eve");
    await room.grant("eve", "none");
    await room.lock();
    await assert.rejects(eve.join("lobby"), (error) => error instanceof RequestError && error.code === "denied");
    await room.invite("eve", "come");
    await eve.join("lobby");
    assert.equal(await room.deleteAll("eve", "spam"), 2);
    const { actions } = await room.audit();
    assert.ok(["grant", "mute", "kick", "ban", "lock", "invite", "delete"].every((type) => actions.some((action) => action.type === type)));
    await assert.rejects(eve.logIn("root", "wrong"), (error) => error instanceof RequestError && error.code === "auth-failed");
    assert.equal(eve.nick, "eve");
    assert.equal(await eve.logIn("root", PASSWORD), "root"); // an account may have several connections
    assert.deepEqual([eve.room("lobby")?.error, eve.account], [null, true]);
    await root.changePassword(PASSWORD, `${PASSWORD}!`);
    await root.forgetLogin(storage);
    assert.deepEqual(await root.tokens(), []);
    await Promise.all([root.close(), eve.close()]);
  });
});
