/**
 * The chat, as the page knows it: its conversations, which one is open, and the nick. It passes the events of the
 * client on to the conversations, and asks the client for what the views want. It knows nothing of the page.
 */

import { key as keyOf } from "./client/objects.js";
import { Conversation, conversationId } from "./conversation.js";
import { mentions } from "./markup.js";
import { ACTIONS, apply, describe, textOfParts } from "./moderation.js";
import { sentence, textOf } from "./texts.js";

/** Messages of the first page of a conversation, and of the older ones, which are asked for while somebody scrolls. */
const FIRST_PAGE = 50;
const OLDER_PAGE = 100;

/** Direct conversations whose messages are asked for at the start, if they have unread ones. The others wait. */
const DIRECTS = 20;

/** What a role may do, from the least to the most. */
export const ROLES = ["", "member", "moderator", "owner", "operator"];

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./client.js").Message} Message */
/** @typedef {import("./client.js").Page} Page */
/** @typedef {import("./client.js").Request} Request */
/** @typedef {import("./conversation.js").ConversationKind} ConversationKind */
/** @typedef {import("./conversation.js").MessageItem} MessageItem */
/** @typedef {import("./moderation.js").Action} Action */
/** @typedef {import("./moderation.js").OwnAction} OwnAction */
/** @typedef {{conversation: Conversation, item: MessageItem}} Said */
/** Something to be told in passing, with a button that does something about it.
 * @typedef {{text: string, action?: string, act?: () => void}} Note */

/**
 * @typedef {object} ChatEvents
 * @property {undefined} list the conversations, or what is unread in them
 * @property {Conversation | null} current another conversation is open
 * @property {undefined} me one's own nick, account or connection
 * @property {Said} said somebody has just sent a message
 * @property {MessageItem} deleted the text of a message was taken away
 * @property {Note} note
 * @property {Conversation} members the members of a room
 */

export class Chat {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  /** @type {Conversation | null} */
  current = null;
  /** @type {import("./client.js").State} */
  state = "connecting";
  reason = "";
  /** The time of the next attempt to connect, in milliseconds since 1970, while there is no connection. */
  nextTry = 0;

  #client;
  #memory;
  /** @type {Map<string, ((detail: any) => void)[]>} */
  #listeners = new Map();
  /** One's own messages that an earlier run of the page has sent, with the items that stand for them.
   * @type {Map<Request, [Conversation, MessageItem]>} */
  #restored = new Map();
  #isLooking = false;
  #isWelcome = false;
  /** The conversations whose older messages are asked for. @type {Set<Conversation>} */
  #loading = new Set();

  /**
   * @param {Client} client one that was not started
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

  /**
   * Call those that listen.
   *
   * @template {keyof ChatEvents} T
   * @param {T} type
   * @param {ChatEvents[T] extends undefined ? [] : [ChatEvents[T]]} details
   */
  tell(type, ...[detail]) {
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

  /** @param {string} nick */
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
    const listed = this.conversations.get(last);
    if (this.current === first && first?.id !== last && listed !== undefined) {
      this.show(listed);
    }
  }

  /** Show one's own message that an earlier run of the page has sent, and that has no ack. @param {Request} request */
  #restore(request) {
    const { kind, room, nick } = request;
    const name = room ?? nick;
    if (kind === "message" && name) {
      const conversation = this.#make(room ? "room" : "direct", name);
      this.#restored.set(request, [conversation, conversation.addOwn(this.nick, request.text ?? "")]);
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

  /** Open a conversation: join the room, or talk to a nick. @param {ConversationKind} kind @param {string} name */
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

  /** Find a conversation, or begin one. @param {ConversationKind} kind @param {string} name */
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

  /** Join a room, and load its newest messages. @param {Conversation} conversation */
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

  /** @param {Conversation} conversation @param {import("./client.js").PageOptions} options */
  #history(conversation, options) {
    return conversation.kind === "room"
      ? this.#client.history(conversation.name, options)
      : this.#client.directHistory(conversation.name, options);
  }

  /** @param {Conversation} conversation */
  async #loadNewest(conversation) {
    /** @type {Page} */
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

  /**
   * Ask for older messages. Returns true once there are more items, or none are left.
   *
   * @param {Conversation} conversation
   */
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

  /** @param {Conversation} conversation @param {Page} page */
  #addPage(conversation, { messages, more }) {
    const items = messages.map((message) => ({ ...this.#itemOf(message), seq: Number(message.seq) })); // all have one
    conversation.addPage(items, more);
  }

  /** Make an item of a message of the wire. @param {Message} message */
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

  /** @param {Conversation} conversation */
  isLookingAt(conversation) {
    return this.#isLooking && conversation === this.current;
  }

  /** @param {Conversation} conversation */
  #markIfLooking(conversation) {
    if (this.isLookingAt(conversation) && conversation.isLoaded) {
      this.#markRead(conversation);
    }
  }

  /** @param {Conversation} conversation */
  #markRead(conversation, seq = Infinity) {
    if (conversation.markRead(seq) && conversation.readSeq !== null) {
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
    if (conversation !== null) {
      conversation.unmark();
      this.#send(conversation, conversation.addOwn(this.nick, text));
    }
  }

  /** Send a message anew that was refused. @param {Conversation} conversation @param {MessageItem} item */
  retry(conversation, item) {
    conversation.retried(item);
    this.#send(conversation, item);
  }

  /** @param {Conversation} conversation @param {MessageItem} item */
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
    const { request } = answer;
    answer.then(
      () => this.#acked(conversation, item, request),
      (error) => conversation.failed(item, textOf(error)),
    );
  }

  /** @param {Conversation} conversation @param {MessageItem} item @param {Request} request */
  #acked(conversation, item, { seq, time }) {
    conversation.acked(item, seq, time ? new Date(time) : new Date());
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

  // The events of the client

  /** @param {string} name */
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
    this.#followModerators(client);
  }

  /** @param {Request} request @param {(conversation: Conversation, item: MessageItem) => void} settle */
  #settleRestored(request, settle) {
    const restored = this.#restored.get(request);
    if (restored !== undefined) {
      this.#restored.delete(request);
      settle(...restored);
    }
  }

  /** The partner of a direct message, or of its deletion. @param {{author: string, to?: string}} entry */
  #partnerOf({ author, to = "" }) {
    return this.isMe(author) ? to : author;
  }

  /** @param {Client} client */
  #followMessages(client) {
    client.on("message", (message) => this.#said(this.#roomNamed(message.room ?? ""), message));
    client.on("direct-message", (message) => {
      const conversation = this.#make("direct", this.#partnerOf(message));
      delete this.#memory.closed[conversation.id];
      conversation.readSeq ??= 0;
      this.#said(conversation, message);
    });
    client.on("deleted", (entry) => {
      const { room, of } = entry;
      const id = room === undefined ? conversationId("direct", this.#partnerOf(entry)) : conversationId("room", room);
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

  /** Show a message that somebody has just sent. @param {Conversation | undefined} conversation @param {Message} message */
  #said(conversation, message) {
    const item = conversation?.add(this.#itemOf(message));
    if (!conversation || !item) {
      return;
    }
    if (this.isLookingAt(conversation)) {
      this.#markIfLooking(conversation);
    } else if (!item.own && !item.deleted && (item.seq === undefined || item.seq > (conversation.readSeq ?? 0))) {
      conversation.countUnread(item);
    }
    this.tell("said", { conversation, item });
  }

  /** Follow one's own coming to rooms and being put out, and what is said of a room. @param {Client} client */
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
      if (conversation !== undefined) {
        conversation.reset();
        Object.assign(conversation, { isLoaded: true, hasOlder: false, readSeq: 0 });
        conversation.notice(["The messages of this room begin again: the server went back to a backup or was emptied."]);
      }
    });
    client.on("topic-changed", ({ room, author, msg }) => this.#topicChanged(this.#roomNamed(room), author, msg));
    this.#followMembers(client);
  }

  /** Follow who is in the rooms. @param {Client} client */
  #followMembers(client) {
    /** @type {(room: string | undefined, change: (conversation: Conversation) => void) => void} */
    const changed = (room, change) => {
      const conversation = room === undefined ? undefined : this.#roomNamed(room);
      if (conversation !== undefined) {
        change(conversation);
        this.tell("members", conversation);
      }
    };
    client.on("member-joined", ({ room, author }) => changed(room, (one) => one.memberMoved(author, "join")));
    client.on("member-left", ({ room, author }) => changed(room, (one) => one.memberMoved(author, "leave")));
    client.on("presence", ({ room, count }) =>
      changed(room, (one) => {
        one.count = count;
        one.tell();
      }),
    );
    client.on("nick-changed", ({ room, author, nick }) => {
      if (room === undefined) this.tell("me");
      else changed(room, (one) => one.memberRenamed(author, nick));
    });
    client.on("invited", ({ room, author, msg }) => {
      const text = `${author} invites you to the room ${room}${msg ? `: ${msg}` : ""}`;
      this.tell("note", { text, action: "Join", act: () => this.open("room", room) });
    });
  }

  /**
   * Show that somebody has set the topic of a room.
   *
   * @param {Conversation | undefined} conversation
   * @param {string} author
   * @param {string} topic
   */
  #topicChanged(conversation, author, topic) {
    if (conversation !== undefined) {
      conversation.topic = topic;
      conversation.notice(topic ? [{ nick: author }, " set the topic: ", { quote: topic }] : [{ nick: author }, " removed the topic"]);
      conversation.tell();
    }
  }

  /** Follow what moderators do. @param {Client} client */
  #followModerators(client) {
    for (const type of ACTIONS) {
      client.on(type, (event) => this.#acted(/** @type {Action} */ ({ type, ...event })));
    }
    client.on("reported", ({ room, author, of, msg }) => {
      const text = `${author} reports message ${of} in ${room}${msg ? `: ${msg}` : ""}`;
      this.tell("note", { text, action: "Open the room", act: () => this.open("room", room) });
    });
  }

  /** Show what a moderator has done: a line in the room, or a note if it concerns the whole server. @param {Action} action */
  #acted(action) {
    const parts = describe(action);
    const conversation = action.room === undefined ? undefined : this.#roomNamed(action.room);
    if (conversation === undefined) {
      this.tell("note", { text: textOfParts(parts) });
      return;
    }
    conversation.notice(parts);
    apply(conversation, action, (nick) => this.isMe(nick));
    this.tell("members", conversation);
    conversation.tell();
  }

  /** Show what one has done oneself: the server answers that, and only tells the others. @param {OwnAction} action */
  acted(action) {
    this.#acted(/** @type {Action} */ ({ author: this.nick, msg: "", ...action }));
  }

  /** All messages of somebody in a room were deleted. @param {Conversation} room @param {string} nick */
  deletedAll(room, nick) {
    for (const item of room.items) {
      if (item.kind === "message" && item.seq !== undefined && keyOf(item.author) === keyOf(nick)) this.deleted(room, item.seq);
    }
  }

  /** Set the topic of a room. @param {Conversation} room @param {string} topic */
  async changeTopic(room, topic) {
    await this.#client.setTopic(room.name, topic);
    this.#topicChanged(room, this.nick, topic);
  }

  /** Take another nick. @param {string} nick */
  async changeNick(nick) {
    await this.#client.setNick(nick);
    this.tell("me");
    if (this.current !== null) this.askMembers(this.current);
  }

  /** True if one's role in a room is at least this one. @param {Conversation} conversation @param {string} role */
  may(conversation, role) {
    return ROLES.indexOf(conversation.role) >= ROLES.indexOf(role);
  }
}
