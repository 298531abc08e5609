/**
 * The requests of a client, the functions that read their answers, and the actions: requests before they are made.
 *
 * @module
 */

import * as objects from "./objects.js";

/** @typedef {import("./objects.js").Obj} Obj */

/** The role of an account in a room.
 * @typedef {"owner" | "moderator" | "member" | "none"} Role */

/**
 * The properties of a kind of request: the type of its answer, the function that reads the answer, and the words for a
 * person when it is refused, which never contain the text.
 *
 * @typedef {object} Row
 * @property {string} answer
 * @property {(obj: Obj) => any} read
 * @property {(about: {room: string, nick: string | undefined, to: string}) => string} [refusal]
 * @property {boolean} [changes] true if something is lost without an answer
 */

const nothing = () => undefined;

/** All kinds of requests.
 * @type {Map<string, Row>} */
export const ROWS = new Map(Object.entries(/** @type {Record<string, Row>} */ ({
  message: { answer: "ack", read: objects.readAck, refusal: ({ to }) => `a message to ${to} was refused`, changes: true },
  topic: { answer: "topic", read: nothing, refusal: ({ room }) => `the topic of ${room} was not changed`, changes: true },
  nick: {
    answer: "nick", read: objects.fieldReader("nick", "string"),
    refusal: ({ nick }) => `the nick was not changed to ${nick}`, changes: true,
  },
  members: { answer: "members", read: objects.readMembers, refusal: ({ room }) => `the members of ${room} cannot be listed` },
  rooms: { answer: "rooms", read: objects.readRooms, refusal: () => "the rooms cannot be listed" },
  history: { answer: "history", read: objects.readPage, refusal: ({ to }) => `the history of ${to} cannot be read` },
  directs: { answer: "directs", read: objects.readDirects, refusal: () => "the direct conversations cannot be listed" },
  register: {
    answer: "registered", read: (obj) => !objects.fieldReader("pending", "boolean?")(obj),
    refusal: () => "the nick was not registered", changes: true,
  },
  login: { answer: "stop", read: nothing, refusal: ({ nick }) => `you are not logged in as ${nick}`, changes: true },
  password: { answer: "password", read: nothing, refusal: () => "the password was not changed", changes: true },
  token: {
    answer: "token", read: objects.fieldReader("token", "string"), refusal: () => "no token was made", changes: true,
  },
  tokens: { answer: "tokens", read: objects.readTokens, refusal: () => "the tokens cannot be listed" },
  "revoke-token": {
    answer: "token-revoked", read: nothing, refusal: () => "the token was not revoked", changes: true,
  },
  kick: { answer: "kick", read: nothing, refusal: ({ nick, room }) => `${nick} was not put out of ${room}`, changes: true },
  ban: { answer: "ban", read: nothing, refusal: ({ nick, room }) => `${nick} was not banned from ${room}`, changes: true },
  unban: {
    answer: "unban", read: nothing, refusal: ({ nick, room }) => `the ban of ${nick} from ${room} was not ended`,
    changes: true,
  },
  bans: { answer: "bans", read: objects.readBans, refusal: ({ room }) => `the bans from ${room} cannot be listed` },
  mute: { answer: "mute", read: nothing, refusal: ({ nick, room }) => `${nick} was not muted in ${room}`, changes: true },
  unmute: {
    answer: "unmute", read: nothing, refusal: ({ nick, room }) => `the mute of ${nick} in ${room} was not ended`,
    changes: true,
  },
  grant: {
    answer: "grant", read: nothing, refusal: ({ nick, room }) => `the role of ${nick} in ${room} was not changed`,
    changes: true,
  },
  lock: { answer: "lock", read: nothing, refusal: ({ room }) => `${room} was neither locked nor unlocked`, changes: true },
  invite: {
    answer: "invite", read: nothing, refusal: ({ nick, room }) => `${nick} was not invited to ${room}`, changes: true,
  },
  slow: { answer: "slow", read: nothing, refusal: ({ room }) => `the slow mode of ${room} was not changed`, changes: true },
  delete: { answer: "ack", read: objects.readAck, refusal: ({ to }) => `the message to ${to} was not deleted`, changes: true },
  "delete-all": {
    answer: "delete", read: objects.fieldReader("count", "integer"),
    refusal: ({ nick, room }) => `nothing of ${nick} was deleted in ${room}`, changes: true,
  },
  report: { answer: "report", read: nothing, refusal: ({ room }) => `the message in ${room} was not reported`, changes: true },
  audit: { answer: "audit", read: objects.readAudit, refusal: ({ room }) => `what was done in ${room} cannot be listed` },
  // Those of the engine's own.
  "read-on": { answer: "history", read: objects.readEntries },
  join: { answer: "joined", read: objects.readJoined, refusal: ({ room }) => `${room} cannot be joined` },
  leave: { answer: "left", read: nothing, refusal: ({ room }) => `${room} cannot be left` },
  hello: { answer: "welcome", read: objects.readWelcome },
  ping: { answer: "pong", read: nothing },
  quit: { answer: "stop", read: nothing },
})));

/**
 * A request before it is made.
 *
 * @typedef {object} Action
 * @property {string} kind
 * @property {Obj} obj the request on the wire, without an id; it may contain a secret
 * @property {string} [room]
 * @property {string} [nick]
 * @property {string} [text]
 * @property {string} [password] the password with which the client says hello from the answer on
 */

/** A request or message that was made. Its public properties are those before `number`. */
export class Request {
  /**
   * @param {Action} action
   * @param {string} id
   * @param {number} number
   */
  constructor({ kind, obj, room, nick, text, password }, id, number) {
    /** A key of `ROWS`, such as `message`. */
    this.kind = kind;
    /** The id that its answer carries on the wire. */
    this.id = id;
    /** The room that it is about, if any. */
    this.room = room;
    /** The recipient of a direct message, the new nick, or the nick that it is about. */
    this.nick = nick;
    /** The text of a message, or the new topic. */
    this.text = text;
    /** The number of a message in its log, once it is acked. A message that is not kept has none.
     * @type {number | undefined} */
    this.seq = undefined;
    /** The server's time of a message, as on the wire, once it is acked.
     * @type {string | undefined} */
    this.time = undefined;
    /** The place in the order in which requests were made. */
    this.number = number;
    /** The request on the wire. */
    this.obj = { ...obj, id };
    /** Bytes of the request on the wire. */
    this.size = 0;
    this.password = password;
    /** The room that it is about, if the client is in it, or wants to be.
     * @type {import("./rooms.js").Membership | null} */
    this.membership = null;
    /** True if it was sent on this connection and has no answer yet. */
    this.isSent = false;
    /** True while it is put off, unless it is a message: for those, the outbox rests. */
    this.isResting = false;
    /** True if it was in flight when a connection was lost, so that it may have been served. */
    this.unsettled = false;
    /** The number of times that the server has refused it for now. */
    this.tries = 0;
    /** Called with the answer to a request of the engine's own. Such a request belongs to one connection.
     * @type {((result: any) => void) | null} */
    this.answered = null;
    /** Called with the error of a request of the engine's own.
     * @type {((error: import("./errors.js").RequestError) => void) | null} */
    this.refused = null;
  }

  /** @returns {Row} */
  get row() {
    return /** @type {Row} */ (ROWS.get(this.kind));
  }

  /** True if something is lost without an answer, as with a message or a topic. The others are questions. */
  get changes() {
    return this.row.changes === true;
  }

  /** True for a request of the engine's own. */
  get isOwn() {
    return this.answered !== null;
  }

  /** The key of the room that it is about; empty if there is none. */
  get about() {
    return this.room === undefined ? "" : objects.key(this.room);
  }

  /** The words for a person when it is refused, before the server's reason. They never contain the text. */
  get refusal() {
    const room = this.room ?? "the server";
    return this.row.refusal?.({ room, nick: this.nick, to: this.nick ?? room }) ?? "";
  }
}

/**
 * Make an action from the fields of its request. Those that are empty are left out.
 *
 * @param {string} kind
 * @param {string | null} room
 * @param {Obj} fields
 * @returns {Action}
 */
function about(kind, room, fields) {
  const given = Object.entries({ room, ...fields }).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  const nick = /** @type {string | undefined} */ (fields.nick ?? fields.who);
  return { kind, obj: { type: kind, ...Object.fromEntries(given) }, room: room ?? undefined, nick };
}

/** The actions. Where a room may be null, the request is about the whole server, and for its operators. */
export const actions = {
  /** @param {string} room @param {string} text */
  say: (room, text) => ({ kind: "message", obj: { type: "", room, msg: text }, room, text }),
  /** @param {string} nick @param {string} text */
  tell: (nick, text) => ({ kind: "message", obj: { type: "", to: nick, msg: text }, nick, text }),
  /** @param {string} room @param {string} text */
  setTopic: (room, text) => ({ kind: "topic", obj: { type: "topic", room, msg: text }, room, text }),
  /** @param {string} nick */
  setNick: (nick) => ({ kind: "nick", obj: { type: "nick", nick }, nick }),
  /** @param {string} room @param {string} after */
  who: (room, after) => ({ kind: "members", obj: { type: "who", room, after }, room }),
  rooms: () => ({ kind: "rooms", obj: { type: "rooms" } }),
  directs: () => ({ kind: "directs", obj: { type: "directs" } }),
  /** @param {string} room @param {PageOptions} options */
  history: (room, options) => ({ ...about("history", room, { limit: 50, ...options }) }),
  /** @param {string} nick @param {PageOptions} options */
  directHistory: (nick, options) => ({ ...about("history", null, { to: nick, limit: 50, ...options }), nick }),

  /** @param {string} password */
  register: (password) => ({ kind: "register", obj: { type: "register", password }, password }),
  /** @param {string} nick @param {string} password */
  logIn: (nick, password) => ({ kind: "login", obj: { type: "quit" }, nick, password }),
  /** @param {string} old @param {string} password @param {boolean} revoke */
  changePassword: (old, password, revoke) => ({
    kind: "password", obj: { type: "password", old, new: password, ...(revoke ? { revoke } : {}) }, password,
  }),
  /** @param {string} label */
  makeToken: (label) => ({ kind: "token", obj: { type: "token", label } }),
  tokens: () => ({ kind: "tokens", obj: { type: "tokens" } }),
  /** @param {string} label */
  revokeToken: (label) => ({ kind: "revoke-token", obj: { type: "revoke-token", label } }),

  /** @param {string} room @param {string} nick @param {string} reason */
  kick: (room, nick, reason) => about("kick", room, { nick, msg: reason }),
  /** @param {string | null} room @param {string} who @param {number | null} seconds @param {string} reason */
  ban: (room, who, seconds, reason) => about("ban", room, { who, seconds, msg: reason }),
  /** @param {string | null} room @param {string} who @param {string} reason */
  unban: (room, who, reason) => about("unban", room, { who, msg: reason }),
  /** @param {string | null} room @param {string} after */
  bans: (room, after) => about("bans", room, { after }),
  /** @param {string} room @param {string} nick @param {number | null} seconds @param {string} reason */
  mute: (room, nick, seconds, reason) => about("mute", room, { nick, seconds, msg: reason }),
  /** @param {string} room @param {string} nick @param {string} reason */
  unmute: (room, nick, reason) => about("unmute", room, { nick, msg: reason }),
  /** @param {string | null} room @param {string} nick @param {Role} role @param {string} reason */
  grant: (room, nick, role, reason) => about("grant", room, { nick, role, msg: reason }),
  /** @param {string} room @param {boolean} on @param {string} reason */
  lock: (room, on, reason) => about("lock", room, { on, msg: reason }),
  /** @param {string} room @param {string} nick @param {string} reason */
  invite: (room, nick, reason) => about("invite", room, { nick, msg: reason }),
  /** @param {string} room @param {number} seconds @param {string} reason */
  slow: (room, seconds, reason) => about("slow", room, { seconds, msg: reason }),
  /** @param {string} room @param {number} of @param {string} reason */
  delete: (room, of, reason) => about("delete", room, { of, msg: reason }),
  /** @param {string} nick @param {number} of */
  deleteDirect: (nick, of) => ({ kind: "delete", obj: { type: "delete", to: nick, of }, nick }),
  /** @param {string | null} room @param {string} by @param {string} reason */
  deleteAll: (room, by, reason) => {
    const { obj } = about("delete", room, { by, msg: reason });
    return { kind: "delete-all", obj, room: room ?? undefined, nick: by };
  },
  /** @param {string} room @param {number} of @param {string} reason */
  report: (room, of, reason) => about("report", room, { of, msg: reason }),
  /** @param {string | null} room @param {{before?: number, limit?: number}} options */
  audit: (room, options) => about("audit", room, { limit: 50, ...options }),
};

/** Which part of a log is asked for: the newest entries before a number, the oldest after one, or the newest of all.
 * @typedef {{before?: number, after?: number, limit?: number}} PageOptions */
