/**
 * The chat, as the page knows it: its conversations, which one is open, and the nick. It passes the events of the
 * client on to the conversations, and asks the client for what the views want. It knows nothing of the page.
 */

import { key as keyOf } from "./client/objects.js";
import { Conversation, conversationId } from "./conversation.js";
import { mentions } from "./markup.js";
import { sentence, textOf } from "./texts.js";
import { shortTime } from "./times.js";

/** Messages of the first page of a conversation, and of the older ones, which are asked for while somebody scrolls. */
const FIRST_PAGE = 50;
const OLDER_PAGE = 100;

/** Direct conversations whose messages are asked for at the start, if they have unread ones. The others wait. */
const DIRECTS = 20;

/** The author of what the server does itself. */
const SERVER = "server";

/** What a role may do, from the least to the most. */
export const ROLES = ["", "member", "moderator", "owner", "operator"];

/**
 * @typedef {object} ChatEvents
 * @property {undefined} list the conversations, or what is unread in them
 * @property {Conversation | null} current another conversation is open
 * @property {undefined} me one's own nick, account or connection
 * @property {{conversation: Conversation, item: object}} said somebody has just sent a message
 * @property {object} deleted the text of a message was taken away
 * @property {{text: string, action?: string, act?: () => void}} note something to be told in passing
 * @property {Conversation} members the members of a room
 */

export class Chat {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  /** @type {Conversation | null} */
  current = null;
  state = "connecting";
  reason = "";
  /** The time of the next attempt to connect, in milliseconds since 1970, while there is no connection. */
  nextTry = 0;

  #client;
  #memory;
  #listeners = new Map();
  #order = new Map();
  #restored = new Map();
  #isLooking = false;
  #isWelcome = false;
  #loading = new Set();

  /**
   * @param {import("./client.js").Client} client one that was not started
   * @param {import("./memory.js").Memory} memory
   */
  constructor(client, memory) {
    this.#client = client;
    this.#memory = memory;
    this.on("me", () => this.#isWelcome && memory.moveTo(this.nick));
    this.#followClient();
  }

  get client() {
    return this.#client;
  }

  get nick() {
    return this.#client.nick;
  }

  get account() {
    return this.#client.account;
  }

  /** @template {keyof ChatEvents} T @param {T} type @param {(detail: ChatEvents[T]) => void} listener */
  on(type, listener) {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  tell(type, detail) {
    for (const listener of this.#listeners.get(type) ?? []) {
      listener(detail);
    }
  }

  /** Write what is remembered, since the page may be closed. */
  save() {
    this.#memory.save();
  }

  /** Forget what is remembered of this nick. */
  forget() {
    this.#memory.forget();
  }

  isMe(nick) {
    return keyOf(nick) === keyOf(this.nick);
  }

  // The beginning

  /**
   * Open the conversations that were open the last time. The client is welcome.
   *
   * @param {string} [wanted] a room to open, as the address of the page names it
   */
  async begin(wanted) {
    this.#isWelcome = true;
    for (const request of this.#client.waiting) {
      this.#restore(request);
    }
    const rooms = this.#memory.rooms.length || wanted ? this.#memory.rooms : ["lobby"];
    for (const name of new Map([...rooms, ...(wanted ? [wanted] : [])].map((name) => [keyOf(name), name])).values()) {
      this.#enter(this.#make("room", name));
    }
    const last = wanted ? conversationId("room", wanted) : this.#memory.current;
    const first = this.conversations.get(last) ?? this.conversations.values().next().value ?? null;
    this.show(first);
    await this.#listDirects();
    if (this.current === first && first?.id !== last && this.conversations.has(last)) {
      this.show(this.conversations.get(last));
    }
  }

  /** Show one's own message that an earlier run of the page has sent, and that has no ack. */
  #restore(request) {
    if (request.kind === "message") {
      const conversation = this.#make(request.room ? "room" : "direct", request.room ?? request.nick);
      this.#restored.set(request, [conversation, conversation.addOwn(this.nick, request.text)]);
    }
  }

  async #listDirects() {
    if (!this.account) {
      return;
    }
    let directs;
    try {
      directs = await this.#client.directs();
    } catch {
      return; // the connection is gone for good, and says so itself
    }
    let asked = 0;
    for (const { nick, seq } of directs) {
      const id = conversationId("direct", nick);
      if ((this.#memory.closed[id] ?? -1) >= seq) {
        continue;
      }
      const conversation = this.#make("direct", nick);
      conversation.readSeq ??= this.#memory.isKnown ? 0 : seq;
      if (seq > conversation.readSeq && asked++ < DIRECTS) {
        this.#loadNewest(conversation);
      }
    }
    this.tell("list");
  }

  // Conversations

  /** Open a conversation: join the room, or talk to a nick. @param {"room" | "direct"} kind @param {string} name */
  open(kind, name) {
    const conversation = this.#make(kind, name);
    if (kind === "room" && !conversation.isJoined) {
      this.#enter(conversation);
    }
    delete this.#memory.closed[conversation.id];
    this.show(conversation);
    return conversation;
  }

  /** Show a conversation that is open. @param {Conversation | null} conversation */
  show(conversation) {
    if (conversation === this.current) {
      return;
    }
    const before = this.current;
    this.current = conversation;
    this.#isLooking = false;
    before?.unmark();
    before?.trim();
    conversation?.markAgain();
    if (conversation?.kind === "direct" && !conversation.isLoaded) {
      this.#loadNewest(conversation);
    }
    if (conversation?.kind === "room" && conversation.isJoined) {
      this.askMembers(conversation);
    }
    this.#memory.current = conversation?.id ?? "";
    this.#memory.changed();
    this.tell("current", conversation);
    this.tell("list");
  }

  /** Leave a room, or close a direct conversation. @param {Conversation} conversation */
  async close(conversation) {
    if (conversation.kind === "direct") {
      this.#memory.closed[conversation.id] = conversation.newestSeq;
    } else {
      await this.#client.room(conversation.name)?.leave();
    }
    this.conversations.delete(conversation.id);
    delete this.#memory.drafts[conversation.id];
    this.#rememberRooms();
    if (this.current === conversation) {
      this.show(this.conversations.values().next().value ?? null);
    }
    this.tell("list");
  }

  #make(kind, name) {
    const id = conversationId(kind, name);
    let conversation = this.conversations.get(id);
    if (conversation === undefined) {
      conversation = new Conversation(kind, name);
      conversation.readSeq = this.#memory.read[id] ?? null;
      conversation.draft = this.#memory.drafts[id] ?? "";
      conversation.follow((change) => change.type === "state" && this.tell("list"));
      this.conversations.set(id, conversation);
      this.tell("list");
    }
    return conversation;
  }

  async #enter(conversation) {
    try {
      const room = await this.#client.join(conversation.name);
      conversation.name = room.name;
      await this.#loadNewest(conversation);
    } catch (error) {
      conversation.trouble = textOf(error);
      conversation.isLoaded = true;
      conversation.hasOlder = false;
      conversation.tell();
    }
  }

  /** Join a room again that one was put out of. @param {Conversation} conversation */
  rejoin(conversation) {
    conversation.trouble = "";
    conversation.reset();
    conversation.readSeq = this.#memory.read[conversation.id] ?? null;
    return this.#enter(conversation);
  }

  #rememberRooms() {
    const rooms = [...this.conversations.values()].filter(({ kind, isJoined }) => kind === "room" && isJoined);
    this.#memory.rooms = rooms.map(({ name }) => name);
    this.#memory.changed();
  }

  // The log

  #history(conversation, options) {
    return conversation.kind === "room"
      ? this.#client.history(conversation.name, options)
      : this.#client.directHistory(conversation.name, options);
  }

  async #loadNewest(conversation) {
    let page = { messages: [], more: false };
    if (conversation.kind === "room" || this.account) {
      try {
        page = await this.#history(conversation, { limit: FIRST_PAGE });
      } catch (error) {
        if (conversation.kind === "room") throw error;
        // Otherwise the partner is a guest: such messages are not kept.
      }
    }
    this.#addPage(conversation, page);
    if (conversation.readSeq === null) {
      this.#markRead(conversation);
    } else {
      conversation.recount(); // before a reader who looks at it makes all of it read
    }
    conversation.isLoaded = true;
    conversation.tell();
    this.#markIfLooking(conversation);
  }

  /** Ask for older messages. Returns true once there are more items, or none are left. */
  async loadOlder(conversation) {
    const before = conversation.oldestSeq;
    if (!conversation.isLoaded || !conversation.hasOlder || this.#loading.has(conversation)) {
      return false;
    }
    this.#loading.add(conversation);
    try {
      const options = { limit: OLDER_PAGE, ...(before === undefined ? {} : { before }) };
      this.#addPage(conversation, await this.#history(conversation, options));
      if (conversation.unread > 0) {
        conversation.recount();
      }
    } catch (error) {
      conversation.hasOlder = false;
      conversation.tell();
      this.tell("note", { text: `Older messages cannot be read. ${textOf(error)}` });
    } finally {
      this.#loading.delete(conversation);
    }
    return true;
  }

  #addPage(conversation, { messages, more }) {
    conversation.addPage(messages.map((message) => this.#itemOf(message)), more);
  }

  /** Make an item of a message of the wire. */
  #itemOf({ msg, author, seq, time, deleted }) {
    const own = this.isMe(author);
    return {
      seq,
      author,
      text: msg,
      time: time === undefined ? new Date() : new Date(time),
      own,
      deleted: deleted !== undefined,
      mention: !own && mentions(msg, this.nick),
    };
  }

  // What is read

  /**
   * The reader looks at a part of a conversation. What has been in sight is read.
   *
   * @param {Conversation | null} conversation the one that is shown, which is not the open one for a moment
   * @param {boolean} isLooking true at the newest messages: all is read then, also what comes
   * @param {number} seen the number of the newest message in sight; 0 if there is none
   */
  look(conversation, isLooking, seen) {
    if (conversation === null || conversation !== this.current) {
      return;
    }
    this.#isLooking = isLooking;
    if (isLooking) {
      this.#markIfLooking(conversation);
    } else if (conversation.isLoaded && !conversation.hasMoreUnread) {
      this.#markRead(conversation, seen);
    }
  }

  isLookingAt(conversation) {
    return this.#isLooking && conversation === this.current;
  }

  #markIfLooking(conversation) {
    if (this.isLookingAt(conversation) && conversation.isLoaded) {
      this.#markRead(conversation);
    }
  }

  #markRead(conversation, seq = Infinity) {
    if (conversation.markRead(seq)) {
      this.#memory.read[conversation.id] = conversation.readSeq;
      this.#memory.changed();
    }
  }

  /** Take the marker of unread messages away, and count none. @param {Conversation} conversation */
  markRead(conversation) {
    this.#markRead(conversation);
    conversation.unmark();
  }

  /** Remember what was typed and not sent. @param {Conversation} conversation @param {string} text */
  keepDraft(conversation, text) {
    conversation.draft = text;
    if (text) {
      this.#memory.drafts[conversation.id] = text;
    } else {
      delete this.#memory.drafts[conversation.id];
    }
    this.#memory.changed();
  }

  // Talking

  /** Send a message to the open conversation. @param {string} text */
  say(text) {
    const conversation = this.current;
    conversation.unmark();
    this.#send(conversation, conversation.addOwn(this.nick, text));
  }

  /** Send a message anew that was refused. */
  retry(conversation, item) {
    conversation.retried(item);
    this.#send(conversation, item);
  }

  #send(conversation, item) {
    const { kind, name } = conversation;
    const room = kind === "room" ? this.#client.room(name) : undefined;
    let answer;
    try {
      if (kind === "room" && room === undefined) throw new Error("You are not in this room.");
      answer = room === undefined ? this.#client.tell(name, item.text) : room.say(item.text);
    } catch (error) {
      conversation.failed(item, textOf(error));
      return;
    }
    answer.then(
      () => this.#acked(conversation, item, answer.request),
      (error) => conversation.failed(item, textOf(error)),
    );
  }

  #acked(conversation, item, { seq, time }) {
    conversation.acked(item, seq, time === undefined ? new Date() : new Date(time));
    this.#markIfLooking(conversation);
  }

  // Members

  /** Ask who is in a room. @param {Conversation} conversation */
  async askMembers(conversation) {
    if (conversation.kind !== "room") {
      return;
    }
    try {
      const { members, count } = await this.#client.who(conversation.name);
      Object.assign(conversation, { members, count });
      this.tell("members", conversation);
      conversation.tell();
    } catch {
      // One is not in the room any more, or the connection is gone: both are shown elsewhere.
    }
  }

  #moved(name, nick, what) {
    const conversation = this.#roomNamed(name);
    if (conversation === undefined) {
      return;
    }
    conversation.moved(nick, what);
    conversation.count = Math.max(0, conversation.count + (what === "join" ? 1 : -1));
    const others = conversation.members.filter((one) => keyOf(one) !== keyOf(nick));
    conversation.members = what === "join" ? sortedNames([...others, nick]) : others;
    this.tell("members", conversation);
    conversation.tell();
  }

  // The events of the client

  #roomNamed(name) {
    return this.conversations.get(conversationId("room", name));
  }

  #followClient() {
    const client = this.#client;
    client.on("state-changed", ({ state, reason, pause }) => {
      const wait = pause === undefined ? 0 : Date.now() + pause * 1000;
      Object.assign(this, { state, reason: reason || (state === "connected" ? "" : this.reason), nextTry: wait });
      this.tell("me");
    });
    client.on("stop", ({ msg }) => {
      this.reason = msg;
    });
    client.on("error", ({ msg }) => this.tell("note", { text: sentence(msg) }));
    client.on("acked", (request) => this.#settleRestored(request, (conversation, item) => this.#acked(conversation, item, request)));
    client.on("failed", ({ request, error }) =>
      this.#settleRestored(request, (conversation, item) => conversation.failed(item, textOf(error))),
    );
    this.#followMessages(client);
    this.#followRooms(client);
    this.#followOrder(client);
  }

  #settleRestored(request, settle) {
    const restored = this.#restored.get(request);
    if (restored !== undefined) {
      this.#restored.delete(request);
      settle(...restored);
    }
  }

  #followMessages(client) {
    client.on("message", (message) => this.#said(this.#roomNamed(message.room), message));
    client.on("direct-message", (message) => {
      const conversation = this.#make("direct", this.isMe(message.author) ? message.to : message.author);
      delete this.#memory.closed[conversation.id];
      conversation.readSeq ??= 0;
      this.#said(conversation, message);
    });
    client.on("deleted", ({ room, author, to, of }) => {
      const partner = this.isMe(author) ? to : author;
      const id = room === undefined ? conversationId("direct", partner) : conversationId("room", room);
      this.deleted(this.conversations.get(id), of);
    });
  }

  /** The text of a message was taken away. @param {Conversation | undefined} conversation @param {number} seq */
  deleted(conversation, seq) {
    const item = conversation?.delete(seq);
    if (item !== undefined) {
      this.tell("deleted", item);
    }
  }

  #said(conversation, message) {
    const item = conversation?.add(this.#itemOf(message));
    if (!item) {
      return;
    }
    if (this.isLookingAt(conversation)) {
      this.#markIfLooking(conversation);
    } else if (!item.own && !item.deleted && (item.seq === undefined || item.seq > (conversation.readSeq ?? 0))) {
      conversation.countUnread(item);
    }
    this.tell("said", { conversation, item });
  }

  #followRooms(client) {
    client.on("joined", ({ room, topic, count, role = "", again }) => {
      const conversation = this.#make("room", room);
      Object.assign(conversation, { name: room, topic, count, role, isJoined: true, trouble: "" });
      this.#rememberRooms();
      if (conversation === this.current || again) {
        this.askMembers(conversation);
      }
      conversation.tell();
    });
    client.on("room-lost", ({ room, error }) => {
      const conversation = this.#roomNamed(room);
      if (conversation !== undefined) {
        Object.assign(conversation, { isJoined: false, members: [], count: 0, role: "", trouble: textOf(error) });
        this.#rememberRooms();
        this.tell("members", conversation);
        conversation.tell();
      }
    });
    client.on("new-log", ({ room }) => {
      const conversation = this.#roomNamed(room);
      conversation?.reset();
      Object.assign(conversation ?? {}, { isLoaded: true, hasOlder: false, readSeq: 0 });
      conversation?.notice(["The messages of this room begin again: the server went back to a backup or was emptied."]);
    });
    client.on("member-joined", ({ room, author }) => this.#moved(room, author, "join"));
    client.on("member-left", ({ room, author }) => this.#moved(room, author, "leave"));
    client.on("presence", ({ room, count }) => {
      const conversation = this.#roomNamed(room);
      Object.assign(conversation ?? {}, { count });
      conversation?.tell();
    });
    client.on("nick-changed", ({ room, author, nick }) => this.#renamed(room, author, nick));
    client.on("topic-changed", ({ room, author, msg }) => this.setTopic(this.#roomNamed(room), author, msg));
    client.on("invited", ({ room, author, msg }) => {
      const text = `${author} invites you to the room ${room}${msg ? `: ${msg}` : ""}`;
      this.tell("note", { text, action: "Join", act: () => this.open("room", room) });
    });
  }

  #renamed(room, author, nick) {
    const conversation = room === undefined ? undefined : this.#roomNamed(room);
    if (conversation === undefined) {
      this.tell("me");
      return;
    }
    const others = conversation.members.filter((one) => keyOf(one) !== keyOf(author));
    conversation.members = sortedNames([...others, nick]);
    conversation.notice([{ nick: author }, " is now ", { nick }]);
    this.tell("members", conversation);
  }

  /** The topic of a room is another one. @param {Conversation | undefined} conversation */
  setTopic(conversation, author, topic) {
    if (conversation !== undefined) {
      conversation.topic = topic;
      conversation.notice(topic ? [{ nick: author }, " set the topic: ", { quote: topic }] : [{ nick: author }, " removed the topic"]);
      conversation.tell();
    }
  }

  /**
   * What moderators do is a line in the room, or a note if it concerns the whole server. What one does oneself is
   * answered, and not sent: `happened` shows it like what others do.
   */
  #followOrder(client) {
    const on = (type, listener) => {
      this.#order.set(type, listener);
      client.on(type, listener);
    };
    const told = (room, parts, reason = "") => {
      const all = reason ? [...parts, ": ", { quote: reason }] : parts;
      const conversation = room === undefined ? undefined : this.#roomNamed(room);
      if (conversation !== undefined) {
        conversation.notice(all);
      } else {
        this.tell("note", { text: all.map((part) => part.nick ?? part.quote ?? part).join("") });
      }
    };
    const until = (time) => (time === undefined ? "" : ` until ${shortTime(time)}`);
    on("kicked", ({ room, author, nick, msg }) => {
      const isBan = author === SERVER; // whose text is for the one who is banned; `banned` tells the others why
      if (isBan) told(room, [{ nick }, " was put out of the room"]);
      else told(room, [{ nick }, " was put out of the room by ", { nick: author }], msg);
      if (!this.isMe(nick)) this.#gone(room, nick);
    });
    on("banned", ({ room, author, who, until: end, msg }) =>
      told(room, [{ nick: author }, " banned ", { nick: who }, until(end)], msg),
    );
    on("unbanned", ({ room, author, who, msg }) => told(room, [{ nick: author }, " ended the ban of ", { nick: who }], msg));
    on("muted", ({ room, author, nick, until: end, msg }) => {
      this.#roomNamed(room)?.muted.set(keyOf(nick), end === undefined ? Infinity : Date.parse(end));
      told(room, [{ nick: author }, " muted ", { nick }, until(end)], msg);
    });
    on("unmuted", ({ room, author, nick, msg }) => {
      this.#roomNamed(room)?.muted.delete(keyOf(nick));
      told(room, [{ nick: author }, " lets ", { nick }, " speak again"], msg);
    });
    on("granted", ({ room, author, nick, role, msg }) => {
      told(room, [{ nick: author }, role === "none" ? " took the role from " : ` made `, { nick }, role === "none" ? "" : ` ${role}`], msg);
      const conversation = room === undefined ? undefined : this.#roomNamed(room);
      if (conversation !== undefined && this.isMe(nick)) this.setRole(conversation, role);
    });
    on("locked", ({ room, author, on, msg }) => {
      Object.assign(this.#roomNamed(room) ?? {}, { locked: on });
      told(room, [{ nick: author }, on ? " locked the room: only members may enter" : " unlocked the room"], msg);
    });
    on("slowed", ({ room, author, seconds, msg }) => {
      Object.assign(this.#roomNamed(room) ?? {}, { slow: seconds });
      const text = seconds ? ` turned on slow mode: one message in ${seconds} s` : " turned off slow mode";
      told(room, [{ nick: author }, text], msg);
    });
    on("reported", ({ room, author, of, msg }) =>
      told(undefined, [{ nick: author }, ` reports message ${of} in ${room}`], msg),
    );
  }

  /** Show what one has done oneself. @param {string} type the event that others get @param {object} detail */
  happened(type, detail) {
    this.#order.get(type)({ author: this.nick, msg: "", ...detail });
  }

  #gone(room, nick) {
    const conversation = this.#roomNamed(room);
    if (conversation !== undefined) {
      conversation.members = conversation.members.filter((one) => keyOf(one) !== keyOf(nick));
      conversation.count = Math.max(0, conversation.count - 1);
      this.tell("members", conversation);
      conversation.tell();
    }
  }

  /** One's own role in a room is another one. @param {Conversation} conversation @param {string} role */
  setRole(conversation, role) {
    if (conversation.role !== "operator") {
      conversation.role = role === "none" ? "" : role;
      conversation.tell();
    }
  }

  /** True if one's role in a room is at least this one. @param {Conversation} conversation @param {string} role */
  may(conversation, role) {
    return ROLES.indexOf(conversation.role) >= ROLES.indexOf(role);
  }
}

/** Names in the order in which people look for them. @param {string[]} names */
export function sortedNames(names) {
  return names.toSorted((one, other) => one.localeCompare(other));
}
