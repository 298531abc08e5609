/**
 * A conversation, as the page shows it: the messages of a room or with one nick, in order, and what happened between
 * them. It knows nothing of the page; a view follows its changes.
 */

import { key as keyOf } from "./client/objects.js";

/**
 * @typedef {object} MessageItem
 * @property {"message"} kind
 * @property {string} key the same for as long as the item is there
 * @property {string} author
 * @property {string} text
 * @property {Date} time
 * @property {boolean} own
 * @property {number} [seq] its number in the log, once it is there
 * @property {"kept" | "sending" | "failed"} state
 * @property {string} [error] why it was not sent
 * @property {boolean} deleted
 * @property {boolean} mention it names the reader
 */
/** A part of a notice: words of the page, a nick, or a text that somebody has written.
 * @typedef {string | {nick: string} | {quote: string}} Part */
/** @typedef {{kind: "notice", key: string, time: Date, parts: Part[], seq?: undefined}} NoticeItem */
/** @typedef {{kind: "traffic", key: string, time: Date, moves: Map<string, Move>, seq?: undefined}} TrafficItem */
/** @typedef {"join" | "leave"} Direction */
/** @typedef {{nick: string, first: Direction, last: Direction}} Move */
/** @typedef {MessageItem | NoticeItem | TrafficItem} Item */
/** What a message is made of; all else is as in one of somebody else that has been kept.
 * @typedef {Pick<MessageItem, "author" | "text" | "time"> & Partial<MessageItem>} NewMessage */
/** @typedef {"room" | "direct"} ConversationKind */

/**
 * @typedef {{type: "insert", index: number, count: number} | {type: "remove", index: number, key: string}
 *   | {type: "update", index: number} | {type: "reset"} | {type: "state"}} Change `state`: something beside the items
 */

/** Items of a conversation that nobody looks at. More are asked for when they are looked at. */
const KEPT = 200;

export class Conversation {
  /** @type {Item[]} */
  items = [];
  topic = "";
  count = 0;
  role = "";
  /** @type {string[]} the members that are known, in the order of their names */
  members = [];
  /** True if the log has older messages than the first item. */
  hasOlder = true;
  /** True once the newest messages were loaded. */
  isLoaded = false;
  isJoined = false;
  /** Why the client is not in the room, for a person; empty while it is. */
  trouble = "";
  unread = 0;
  mentions = 0;
  /** The key of the first item that was new when the reader looked away, or `null`. @type {string | null} */
  marker = null;
  /** The number after which that is; there may be more before the first item. @type {number | null} */
  markedAfter = null;
  /** The number of the newest message that was read. @type {number | null} */
  readSeq = null;
  draft = "";
  /** True or false once somebody has locked or unlocked the room; the server does not tell before.
   * @type {boolean | null} */
  locked = null;
  /** Whom somebody has muted, and until when, in milliseconds: what is known of it here. @type {Map<string, number>} */
  muted = new Map();
  /** Seconds between two messages of a member, once somebody has set them; the server does not tell before.
   * @type {number | null} */
  slow = null;

  /** @type {Map<number, MessageItem>} */
  #bySeq = new Map();
  /** @type {Map<string, Item>} */
  #byKey = new Map();
  #keys = 0;
  /** @type {Set<(change: Change) => void>} */
  #listeners = new Set();

  /** @param {ConversationKind} kind @param {string} name */
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    this.id = conversationId(kind, name);
  }

  /** Call a function with each change. Returns a function that ends this. @param {(change: Change) => void} listener */
  follow(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tell the views of a change. @param {Change} [change] */
  tell(change = { type: "state" }) {
    for (const listener of [...this.#listeners]) {
      listener(change);
    }
  }

  /** The number of the newest message in the log that is known here; 0 without any. */
  get newestSeq() {
    return this.items.findLast((item) => item.seq !== undefined)?.seq ?? 0;
  }

  /** The number of the oldest one; `undefined` without any. */
  get oldestSeq() {
    return this.items.find((item) => item.seq !== undefined)?.seq;
  }

  /** Find a message by its number. @param {number} seq @returns {MessageItem | undefined} */
  bySeq(seq) {
    return this.#bySeq.get(seq);
  }

  /** Find an item by its key. @param {string} key @returns {Item | undefined} */
  byKey(key) {
    return this.#byKey.get(key);
  }

  /**
   * Add a message that has arrived. Returns `null` if it is there already.
   *
   * @param {NewMessage} message
   * @returns {MessageItem | null}
   */
  add(message) {
    if (message.seq !== undefined && this.#bySeq.has(message.seq)) {
      return null;
    }
    const item = this.#makeMessage(message);
    this.#insert(this.#placeOf(item.seq), [item]);
    return item;
  }

  /**
   * Add a page of older messages, or the newest ones. Those that are there already are left out.
   *
   * @param {(NewMessage & {seq: number})[]} messages
   * @param {boolean} more true if the log has older ones
   */
  addPage(messages, more) {
    const fresh = messages.filter(({ seq }) => !this.#bySeq.has(seq)).map((message) => this.#makeMessage(message));
    this.hasOlder = more;
    let from = 0;
    while (from < fresh.length) {
      // Usually one group: a page overlaps with what has arrived while it was asked for.
      const index = this.#placeOf(fresh[from].seq);
      const next = this.items.slice(index).find((item) => item.seq !== undefined)?.seq ?? Infinity;
      const end = fresh.findIndex(({ seq = 0 }, at) => at >= from && seq > next);
      const group = fresh.slice(from, end < 0 ? fresh.length : end);
      this.#insert(index, group);
      from += group.length;
    }
    if (this.markedAfter !== null) {
      this.#markAfter(this.markedAfter);
    }
    this.tell();
  }

  /** Add one's own message on its way. @param {string} author @param {string} text @param {Date} time */
  addOwn(author, text, time = new Date()) {
    const item = this.#makeMessage({ author, text, time, own: true, state: "sending" });
    this.#insert(this.items.length, [item]);
    return item;
  }

  /**
   * Give one's own message its place in the log.
   *
   * @param {MessageItem} item
   * @param {number | undefined} seq `undefined` if it is not kept
   * @param {Date} time
   */
  acked(item, seq, time) {
    const there = seq === undefined ? undefined : this.#bySeq.get(seq);
    this.#remove(item);
    if (there === undefined && !(seq === undefined && item.state === "kept")) {
      Object.assign(item, { seq, time, state: "kept", error: undefined });
      this.#insert(this.#placeOf(seq), [item]);
    }
  }

  /** Mark a message of the reader as refused. @param {MessageItem} item @param {string} error */
  failed(item, error) {
    Object.assign(item, { state: "failed", error });
    this.changed(item);
  }

  /** Send one's own message anew: it takes its place behind the others. @param {MessageItem} item */
  retried(item) {
    this.#remove(item);
    Object.assign(item, { state: "sending", error: undefined, time: new Date() });
    this.#insert(this.items.length, [item]);
  }

  /** Forget one's own message that was not sent. @param {MessageItem} item */
  discard(item) {
    this.#remove(item);
  }

  /** The text of a message was taken away. Returns the message, if it was known. @param {number} seq */
  delete(seq) {
    const item = this.#bySeq.get(seq);
    if (item !== undefined && !item.deleted) {
      Object.assign(item, { deleted: true, text: "", mention: false });
      this.changed(item);
    }
    return item;
  }

  /** Add a line about something that happened. @param {NoticeItem["parts"]} parts */
  notice(parts, time = new Date()) {
    const item = /** @type {NoticeItem} */ ({ kind: "notice", key: this.#newKey(), time, parts });
    this.#insert(this.#placeOf(undefined), [item]);
    return item;
  }

  /** Somebody came or went. Neighbours of this kind are one line. @param {string} nick @param {Direction} what */
  moved(nick, what, time = new Date()) {
    const index = this.#placeOf(undefined) - 1;
    const last = this.items[index];
    const key = keyOf(nick);
    if (last?.kind === "traffic") {
      const move = last.moves.get(key);
      last.moves.set(key, { nick, first: move?.first ?? what, last: what });
      last.time = time;
      this.changed(last);
      return;
    }
    /** @type {TrafficItem} */
    const item = { kind: "traffic", key: this.#newKey(), time, moves: new Map([[key, { nick, first: what, last: what }]]) };
    this.#insert(index + 1, [item]);
  }

  /** Tell the view that an item is not what it was. @param {Item} item */
  changed(item) {
    this.tell({ type: "update", index: this.items.indexOf(item) });
  }

  /** Forget all: the log is another one. */
  reset() {
    const pending = this.items.filter((item) => item.kind === "message" && item.state !== "kept");
    Object.assign(this, { items: pending, hasOlder: true, isLoaded: false, marker: null, markedAfter: null, readSeq: null });
    Object.assign(this, { unread: 0, mentions: 0 });
    this.#bySeq.clear();
    this.#byKey = new Map(pending.map((item) => [item.key, item]));
    this.tell({ type: "reset" });
  }

  /** Forget the oldest items, while nobody looks at the conversation. */
  trim() {
    const surplus = this.items.length - KEPT;
    if (surplus <= 0) {
      return;
    }
    for (const item of this.items.splice(0, surplus)) {
      this.#forget(item);
    }
    this.hasOlder = true;
    this.tell({ type: "reset" });
  }

  // Members

  /** Somebody has come into the room, or left it. @param {string} nick @param {Direction} what */
  memberMoved(nick, what) {
    this.moved(nick, what);
    this.count = Math.max(0, this.count + (what === "join" ? 1 : -1));
    this.#changeMembers(nick, what === "join" ? [nick] : []);
  }

  /** Somebody was put out of the room, which a notice of its own tells. @param {string} nick */
  memberGone(nick) {
    this.count = Math.max(0, this.count - 1);
    this.#changeMembers(nick, []);
  }

  /** A member has another nick. @param {string} old @param {string} nick */
  memberRenamed(old, nick) {
    this.#changeMembers(old, [nick]);
    this.notice([{ nick: old }, " is now ", { nick }]);
  }

  /** One's own role is another one. An operator stays one. @param {string} role */
  setRole(role) {
    if (this.role !== "operator") this.role = role === "none" ? "" : role;
  }

  /** @param {string} old @param {string[]} names in place of it */
  #changeMembers(old, names) {
    const others = this.members.filter((one) => keyOf(one) !== keyOf(old));
    this.members = [...others, ...names].sort(compareNames);
    this.tell();
  }

  // What is read

  /** Note a message of somebody else that the reader does not look at. @param {MessageItem} item */
  countUnread(item) {
    this.unread += 1;
    this.mentions += item.mention || this.kind === "direct" ? 1 : 0;
    if (this.marker === null || !this.#byKey.has(this.marker)) {
      this.#markAfter(Math.max(this.readSeq ?? 0, this.markedAfter ?? 0), item);
    }
    this.tell();
  }

  /**
   * All is read, or all up to a number. The marker stays where it is until `unmark`. Returns true if this is news.
   *
   * @param {number} [seq]
   */
  markRead(seq = Infinity) {
    const newest = this.newestSeq;
    if (seq < newest) {
      if (seq <= (this.readSeq ?? 0)) return false;
      this.readSeq = seq;
      this.recount();
      return true;
    }
    if (this.unread === 0 && this.mentions === 0 && (this.readSeq ?? -1) >= newest) {
      return false;
    }
    Object.assign(this, { unread: 0, mentions: 0, readSeq: Math.max(newest, this.readSeq ?? 0) });
    this.tell();
    return true;
  }

  /** Count what is unread after the number that was remembered. */
  recount() {
    const { readSeq } = this;
    if (readSeq === null) {
      return;
    }
    const unread = this.items.filter((item) => item.kind === "message").filter((item) => isNewAfter(item, readSeq));
    this.unread = unread.length;
    this.mentions = this.kind === "direct" ? unread.length : unread.filter((item) => item.mention).length;
    if (unread.length && this.markedAfter === null) {
      this.#markAfter(readSeq);
    }
    this.tell();
  }

  /** True if there may be new messages before the first item, too. */
  get hasMoreUnread() {
    return this.markedAfter !== null && this.hasOlder && (this.oldestSeq ?? 0) > this.markedAfter + 1;
  }

  /** Mark the first unread message again, where the reader comes back to what was only read in part. */
  markAgain() {
    if (this.unread > 0 && this.markedAfter === null) {
      const others = this.items.filter((item) => item.kind === "message" && !item.own && !item.deleted);
      this.#markAfter(this.readSeq ?? 0, others.at(-this.unread));
    }
  }

  /** Take the marker away. */
  unmark() {
    this.markedAfter = null;
    this.#setMarker(null);
  }

  /**
   * Mark the first new message after a number.
   *
   * @param {number} seq
   * @param {Item} [item] what is marked if there is no such message: one without a number
   */
  #markAfter(seq, item) {
    this.markedAfter = seq;
    this.#setMarker((this.items.find((one) => isNewAfter(one, seq)) ?? item)?.key ?? null);
  }

  /** @param {string | null} key */
  #setMarker(key) {
    const items = [this.#byKey.get(this.marker ?? ""), this.#byKey.get(key ?? "")];
    if (this.marker !== key) {
      this.marker = key;
      for (const item of items) if (item !== undefined) this.changed(item);
    }
  }

  // The places of items

  #newKey() {
    return `i${this.#keys++}`;
  }

  /** @param {NewMessage} message @returns {MessageItem} */
  #makeMessage(message) {
    return { kind: "message", key: this.#newKey(), own: false, state: "kept", deleted: false, mention: false, ...message };
  }

  /**
   * Find the place of a message among those with a number; without one, it is the last of what is not on its way.
   *
   * @param {number | undefined} seq
   */
  #placeOf(seq) {
    let index = this.items.length;
    /** @param {Item} item */
    const isLater = (item) =>
      item.seq === undefined ? item.kind === "message" && item.state !== "kept" : item.seq > (seq ?? Infinity);
    let place = index;
    while (index > 0) {
      const item = this.items[index - 1];
      if (isLater(item)) {
        place = index - 1;
      } else if (item.seq !== undefined || seq === undefined) {
        break; // everything before it is earlier
      }
      index--;
    }
    return place;
  }

  /** @param {number} index @param {Item[]} items */
  #insert(index, items) {
    this.items.splice(index, 0, ...items);
    for (const item of items) {
      this.#byKey.set(item.key, item);
      if (item.kind === "message" && item.seq !== undefined) {
        this.#bySeq.set(item.seq, item);
      }
    }
    this.tell({ type: "insert", index, count: items.length });
  }

  /** @param {Item} item */
  #remove(item) {
    const index = this.items.indexOf(item);
    if (index >= 0) {
      this.items.splice(index, 1);
      this.#forget(item);
      this.tell({ type: "remove", index, key: item.key });
    }
  }

  /** @param {Item} item */
  #forget(item) {
    this.#byKey.delete(item.key);
    if (item.seq !== undefined) {
      this.#bySeq.delete(item.seq);
    }
  }
}

/** True for a message of somebody else after a number. @param {Item} item @param {number} seq */
function isNewAfter(item, seq) {
  return item.kind === "message" && !item.own && !item.deleted && item.seq !== undefined && item.seq > seq;
}

/** Put names in the order in which people look for them. @param {string} one @param {string} other */
export function compareNames(one, other) {
  return one.localeCompare(other);
}

/**
 * The key of a conversation, the same for names that are the same for the server.
 *
 * @param {ConversationKind} kind
 * @param {string} name
 */
export function conversationId(kind, name) {
  return `${kind}:${keyOf(name)}`;
}

// How items follow each other

/** Milliseconds after which a message of the same author begins a new run: long enough for a thought, not for a talk. */
const RUN = 5 * 60 * 1000;

/**
 * Tell how an item is shown after the one before it.
 *
 * @param {Item} item
 * @param {Item | undefined} previous
 * @param {string | null} marker the key of the first unread item
 * @param {(time: Date) => string} dayKey
 */
export function placeAfter(item, previous, marker, dayKey) {
  const isNewDay = previous === undefined || dayKey(previous.time) !== dayKey(item.time);
  const isUnread = item.key === marker;
  const isRun =
    item.kind === "message" &&
    previous?.kind === "message" &&
    keyOf(previous.author) === keyOf(item.author) &&
    Math.abs(item.time.getTime() - previous.time.getTime()) < RUN;
  return { isNewDay, isUnread, isContinued: isRun && !isNewDay && !isUnread };
}

/** Names of a line of comings and goings. More are counted: a line stays a line. */
const NAMED = 5;

/**
 * Put comings and goings in words: `alice and bob joined`, `carol left`, `dave was here`, `erin came back`.
 *
 * @param {Map<string, Move>} moves
 * @returns {{names: string[], more: number, words: string}[]}
 */
export function summarize(moves) {
  const kinds = { joinjoin: "joined", leaveleave: "left", joinleave: "joined and left", leavejoin: "came back" };
  const all = [...moves.values()];
  return Object.entries(kinds)
    .map(([kind, words]) => {
      const names = all.filter(({ first, last }) => first + last === kind).map(({ nick }) => nick);
      return { names: names.slice(0, NAMED), more: Math.max(0, names.length - NAMED), words };
    })
    .filter(({ names }) => names.length);
}
