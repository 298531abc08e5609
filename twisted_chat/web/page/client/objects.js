/**
 * The objects of the wire, and how the parts of them that the client knows are read.
 *
 * Whatever is read has its types checked, and unknown fields are left out. An object that cannot be read throws a
 * `TypeError`. Texts and names may hold anything that their authors wrote: show them as text, never as HTML.
 *
 * @module
 */

/** An object of the wire.
 * @typedef {Record<string, unknown>} Obj */

/**
 * A message to a room (`room`) or to one nick (`to`).
 *
 * @typedef {object} Message
 * @property {string} msg the text; empty if the message was deleted
 * @property {string} author
 * @property {string} [room]
 * @property {string} [to]
 * @property {number} [seq] the number in its log; direct messages of guests have none
 * @property {string} [time] in UTC, such as `2026-11-22T11:06:36.123Z`
 * @property {number} [deleted] the number of the entry that deleted it, if it was deleted
 */

/**
 * The deletion of the message `of` in a room, or among direct messages (`to`).
 *
 * @typedef {object} Deleted
 * @property {string} author
 * @property {number} of
 * @property {number} seq
 * @property {string} [room]
 * @property {string} [to]
 * @property {string} [time]
 */

/**
 * An entry of a log: a message or a deletion.
 *
 * @typedef {object} Entry
 * @property {"" | "delete"} type
 * @property {string} author
 * @property {number} seq
 * @property {string} [msg]
 * @property {number} [of]
 * @property {string} [room]
 * @property {string} [to]
 * @property {string} [time]
 * @property {number} [deleted]
 */

/** A part of a log, in order; `more` is true if it continues on the side that was asked for.
 * @typedef {{messages: Message[], more: boolean}} Page */
/** The members of a room: `count` in all, and at most 500 of them, sorted.
 * @typedef {{room: string, members: string[], count: number}} Members */
/** @typedef {{room: string, count: number, topic: string}} RoomInfo */
/** A partner of direct messages, with the newest number of their log.
 * @typedef {{nick: string, seq: number}} DirectInfo */
/** A token of an account, without its secret.
 * @typedef {{label: string, created: string, used?: string}} TokenInfo */
/** @typedef {{who: string, author: string, time: string, until?: string, msg: string}} BanInfo */
/** @typedef {{bans: BanInfo[], count: number}} Bans */
/**
 * An entry of the audit log: who did what (`type`, such as `kick`) to whom, when and why.
 *
 * @typedef {{seq: number, time: string, type: string, author: string, account?: string, room?: string,
 *   target?: string, value?: string, until?: string, msg: string}} ActionInfo
 */
/** @typedef {{actions: ActionInfo[], more: boolean}} Audit */

/** @typedef {"string" | "string?" | "text" | "integer" | "integer?" | "boolean" | "boolean?"} Kind a `text` is empty
 * where the field is missing */
/** @typedef {Record<string, Kind>} Fields */

const encoder = new TextEncoder();

/**
 * Return the bytes of an object on the wire.
 *
 * @param {Obj} obj
 */
export function sizeOf(obj) {
  return encoder.encode(JSON.stringify(obj)).length;
}

/**
 * True for a text that cannot be written in UTF-8, since it has half of a pair of UTF-16.
 *
 * @param {string} text
 */
export function isBroken(text) {
  return /\p{Surrogate}/u.test(text);
}

/**
 * Return the same key for two names that are one for the server.
 *
 * @param {string} name
 */
export function key(name) {
  return name.normalize("NFKC").toLowerCase();
}

/**
 * Return a value that must be an object, and no array.
 *
 * @param {unknown} value
 * @returns {Obj}
 */
export function asObject(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError("this is no object");
  return /** @type {Obj} */ (value);
}

/**
 * Return the fields of an object that have these types, and leave out the others.
 *
 * @param {Fields} fields
 * @param {Obj} obj
 * @returns {any}
 */
function pick(fields, obj) {
  /** @type {Obj} */
  const picked = {};
  for (const [name, kind] of Object.entries(fields)) {
    const value = Object.hasOwn(obj, name) ? obj[name] : undefined;
    if (value === undefined || value === null) {
      if (kind === "text") picked[name] = "";
      else if (!kind.endsWith("?")) throw new TypeError(`${name} is missing`);
    } else if (!isOf(kind, value)) {
      throw new TypeError(`${name} is not of the type ${kind}`);
    } else {
      picked[name] = value;
    }
  }
  return picked;
}

/**
 * @param {Kind} kind
 * @param {unknown} value
 */
function isOf(kind, value) {
  if (kind.startsWith("integer")) return Number.isSafeInteger(value);
  return typeof value === (kind.startsWith("boolean") ? "boolean" : "string");
}

/**
 * Return a field that must be there, and be a list.
 *
 * @param {Obj} obj
 * @param {string} name
 * @returns {unknown[]}
 */
function listed(obj, name) {
  const list = obj[name];
  if (!Array.isArray(list)) throw new TypeError(`${name} is no list`);
  return list;
}

/**
 * @param {Fields} fields
 * @returns {(obj: Obj) => any}
 */
const reader = (fields) => (obj) => pick(fields, obj);

/**
 * @param {string} name
 * @param {Fields} fields
 * @returns {(obj: Obj) => any[]}
 */
const listReader = (name, fields) => (obj) => listed(obj, name).map((one) => pick(fields, asObject(one)));

/** @type {Fields} */
const PLACE = { author: "string", room: "string?", to: "string?", time: "string?" };
/** @type {Fields} */
const MESSAGE = { msg: "string", ...PLACE, seq: "integer?", deleted: "integer?" };
/** @type {Fields} */
const DELETION = { of: "integer", ...PLACE, seq: "integer" };

/** @type {(obj: Obj) => Message} */
export const readMessage = reader(MESSAGE);

/**
 * Read an entry of a log. Its type is known to be one of an entry.
 *
 * @param {Obj} obj
 * @returns {Entry}
 */
export function readEntry(obj) {
  const type = obj.type === "delete" ? "delete" : "";
  return { type, ...pick(type === "delete" ? DELETION : { ...MESSAGE, seq: "integer" }, obj) };
}

/**
 * Return an entry as programs get it.
 *
 * @param {Entry} entry
 * @returns {any}
 */
export function withoutType({ type, ...entry }) {
  return entry;
}

/** The types of objects that are entries of a log. */
export const ENTRIES = new Set(["", "delete"]);

/**
 * Read the entries of a page, the number of its last one, and whether the log continues. Entries of unknown types are
 * left out.
 *
 * @param {Obj} obj
 * @returns {{entries: Entry[], last: number, more: boolean}}
 */
export function readEntries(obj) {
  const objects = listed(obj, "messages").map(asObject);
  const entries = objects.filter(({ type = "" }) => ENTRIES.has(/** @type {string} */ (type))).map(readEntry);
  const last = objects.length === 0 ? 0 : fieldReader("seq", "integer")(objects[objects.length - 1]);
  return { entries, last, more: pick({ more: "boolean" }, obj).more };
}

/**
 * Read a page of a log as programs get it: its messages. Entries that are no messages are not in it.
 *
 * @param {Obj} obj
 * @returns {Page}
 */
export function readPage(obj) {
  const { entries, more } = readEntries(obj);
  return { messages: entries.filter(({ type }) => type === "").map(withoutType), more };
}

/**
 * @param {Obj} obj
 * @returns {Members}
 */
export function readMembers(obj) {
  const members = listed(obj, "members");
  if (!members.every((nick) => typeof nick === "string")) throw new TypeError("a nick is no string");
  return { members, ...pick({ room: "string", count: "integer" }, obj) };
}

/** @type {(obj: Obj) => RoomInfo[]} */
export const readRooms = listReader("rooms", { room: "string", count: "integer", topic: "string" });
/** @type {(obj: Obj) => DirectInfo[]} */
export const readDirects = listReader("directs", { nick: "string", seq: "integer" });
/** @type {(obj: Obj) => TokenInfo[]} */
export const readTokens = listReader("tokens", { label: "string", created: "string", used: "string?" });
/** @type {(obj: Obj) => BanInfo[]} */
const readBanList = listReader("bans", {
  who: "string", author: "string", time: "string", until: "string?", msg: "text",
});
/** @type {(obj: Obj) => ActionInfo[]} */
const readActions = listReader("actions", {
  seq: "integer", time: "string", type: "string", author: "string", account: "string?", room: "string?",
  target: "string?", value: "string?", until: "string?", msg: "text",
});

/**
 * @param {Obj} obj
 * @returns {Bans}
 */
export function readBans(obj) {
  return { bans: readBanList(obj), ...pick({ count: "integer" }, obj) };
}

/**
 * @param {Obj} obj
 * @returns {Audit}
 */
export function readAudit(obj) {
  return { actions: readActions(obj), ...pick({ more: "boolean" }, obj) };
}

/**
 * A room that was joined: its newest number, the oldest one that is kept, its members, and the `role` of this client's
 * account in it, which is empty if there is none, or `operator`.
 *
 * @typedef {{room: string, topic: string, seq: number, oldest: number, count: number, role: string}} Joined
 */

/** @type {(obj: Obj) => Joined} */
export const readJoined = reader({
  room: "string", topic: "string", seq: "integer", oldest: "integer", count: "integer", role: "text",
});

/** @type {(obj: Obj) => {seq?: number, time?: string}} */
export const readAck = reader({ seq: "integer?", time: "string?" });

/** The largest limit of a server that is believed: more is no limit, and would not stay exact in sums. */
const LARGEST = 2 ** 50;

/**
 * @param {Obj} obj
 * @returns {{nick: string, server: string, account: boolean, guests: boolean, limits: Readonly<Record<string, number>>}}
 */
export function readWelcome(obj) {
  const { account = false, guests = true, ...names } = pick(
    { nick: "string", server: "string", account: "boolean?", guests: "boolean?" },
    obj,
  );
  const given = Object.entries(asObject(obj.limits));
  if (!given.every(([, limit]) => Number.isSafeInteger(limit) && Number(limit) >= 0 && Number(limit) <= LARGEST)) {
    throw new TypeError("a limit is no number, or too large");
  }
  const limits = /** @type {Record<string, number>} */ (Object.fromEntries(given));
  return { ...names, account, guests, limits: Object.freeze(limits) };
}

/**
 * Return the function that reads one field of an answer.
 *
 * @param {string} name
 * @param {Kind} kind
 * @returns {(obj: Obj) => any}
 */
export const fieldReader = (name, kind) => (obj) => pick({ [name]: kind }, obj)[name];

/** The objects that the server sends without a request, by their types: the event that each becomes, and its fields.
 * @type {Map<string, [string, Fields]>} */
const NOTICES = new Map(Object.entries(/** @type {Record<string, [string, Fields]>} */ ({
  join: ["member-joined", { author: "string", room: "string" }],
  leave: ["member-left", { author: "string", room: "string", msg: "text" }],
  nick: ["nick-changed", { author: "string", nick: "string", room: "string?" }],
  topic: ["topic-changed", { author: "string", room: "string", msg: "string" }],
  presence: ["presence", { room: "string", count: "integer" }],
  kick: ["kicked", { author: "string", room: "string", nick: "string", msg: "text" }],
  ban: ["banned", { author: "string", who: "string", room: "string?", until: "string?", msg: "text" }],
  unban: ["unbanned", { author: "string", who: "string", room: "string?", msg: "text" }],
  mute: ["muted", { author: "string", room: "string", nick: "string", until: "string?", msg: "text" }],
  unmute: ["unmuted", { author: "string", room: "string", nick: "string", msg: "text" }],
  grant: ["granted", { author: "string", nick: "string", role: "string", room: "string?", msg: "text" }],
  lock: ["locked", { author: "string", room: "string", on: "boolean", msg: "text" }],
  slow: ["slowed", { author: "string", room: "string", seconds: "integer", msg: "text" }],
  invite: ["invited", { author: "string", room: "string", nick: "string", msg: "text" }],
  report: ["reported", { author: "string", room: "string", of: "integer", time: "string", msg: "text" }],
  stop: ["stop", { msg: "text" }],
  error: ["error", { code: "string", msg: "string" }],
})));

/**
 * Read an object that the server sends without a request, as an event. Null if its type is not known here.
 *
 * @param {Obj} obj
 * @returns {[string, any] | null}
 */
export function readNotice(obj) {
  const known = NOTICES.get(/** @type {string} */ (obj.type));
  return known === undefined ? null : [known[0], pick(known[1], obj)];
}
