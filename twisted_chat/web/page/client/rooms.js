/**
 * The rooms that a client is in, over any number of connections, and how it reads their logs.
 *
 * - A room is a log and a reader is a cursor in it. On each new connection the client joins with the newest entry that
 *   it has heard as `since`, so that nothing is missed or doubled.
 * - A message that may be one's own waits. After a reconnect, an unacked message may be in the log, under the client's
 *   nick. A message under that nick is not handed out before all unacked messages are acked, or refused.
 *
 * @module
 */

import { ClosedError, FOR_NOW, RequestError } from "./errors.js";
import { LogReader } from "./log_reader.js";
import { key, readEntry, withoutType } from "./objects.js";
import { Outbox } from "./outbox.js";
import { backoff, pauseBeforeRetry } from "./pace.js";

/** @typedef {import("./errors.js").ChatError} ChatError */
/** @typedef {import("./exchange.js").Exchange} Exchange */
/** @typedef {import("./objects.js").Obj} Obj */
/** @typedef {import("./requests.js").Request} Request */

/** The number of messages that is requested at once. The server sends as many as fit. */
export const PAGE = 500;

/** A room that the client is in, or wants to be in: what is known of it, the cursor in its log, and its outbox. */
export class Membership {
  /**
   * @param {string} name
   * @param {number | undefined} since
   */
  constructor(name, since) {
    this.name = name;
    this.key = key(name);
    this.topic = "";
    /** The number of members. */
    this.count = 0;
    /** The number of the oldest message that was kept when the client last joined. */
    this.oldest = 0;
    /** The role of the client's account; empty if there is none. */
    this.role = "";
    this.outbox = new Outbox();
    /** Reads on from the cursor. A room that is joined without `since` has none until the first `joined`. */
    this.reader = since === undefined ? null : new LogReader(since);
    /** Why the client is no longer in the room.
     * @type {ChatError | null} */
    this.error = null;
    /** True once the first join was answered. */
    this.entered = false;
    /** True once the program has asked to leave. */
    this.leaving = false;
    /** The number of refused joins in a row, since the client was last in the room. */
    this.tries = 0;
    this.joined = false;
    this.busy = false;
    this.resting = false;
    this.reading = false;
    this.away();
  }

  /**
   * Take another role in the room. An operator stays one.
   *
   * @param {unknown} role
   */
  setRole(role) {
    if (typeof role === "string" && this.role !== "operator") this.role = role === "none" ? "" : role;
  }

  /** Forget what belongs to a connection. */
  away() {
    /** True while the server has the client in the room, on this connection. */
    this.joined = false;
    /** True while a join or leave is in flight, or waits to be sent again. */
    this.busy = false;
    /** True while the server refuses the room for now. The client tries again after a pause. */
    this.resting = false;
    /** True while a page is read to move the cursor over the client's own messages. */
    this.reading = false;
  }
}

/** The rooms of one client. */
export class Rooms {
  #exchange;
  /** True once the server has said welcome, on this connection. */
  #isWelcome = false;
  /** The rooms for which there may be something to do, in order.
   * @type {Set<Membership>} */
  #touched = new Set();

  /** @param {Exchange} exchange */
  constructor(exchange) {
    this.#exchange = exchange;
    /** The rooms whose joins have to be answered, on a new connection, before anything else is sent.
     * @type {Set<Membership>} */
    this.returning = new Set();
    /** The client's nick, as the server has it. */
    this.nick = "";
  }

  // The connection

  /**
   * Called when the server has said welcome: all rooms are joined again.
   *
   * @param {string} nick
   */
  welcomed(nick) {
    this.nick = nick;
    this.#isWelcome = true;
    for (const membership of this.#exchange.memberships.values()) {
      this.returning.add(membership);
      this.touch(membership);
    }
  }

  /** Called when the connection is lost. */
  lost() {
    this.#isWelcome = false;
    this.returning.clear();
    for (const membership of this.#exchange.memberships.values()) {
      membership.away();
      this.touch(membership);
    }
  }

  /** Take the next step for each room that needs one. */
  work() {
    for (const membership of this.#touched) {
      this.#touched.delete(membership);
      this.#step(membership);
    }
  }

  /**
   * Note that there may be something to do for a room.
   *
   * @param {Membership} membership
   */
  touch(membership) {
    this.#touched.add(membership);
    this.#exchange.hasWork = true;
  }

  /**
   * Note that a request was answered. A message may have waited for that, since it could have been this one.
   *
   * @param {Request} request
   */
  touchOf({ membership }) {
    if (membership === null) return;
    this.touch(membership);
    this.#readOn(membership);
  }

  // Coming and going

  /**
   * Join a room that the client is not in yet. An event `entered` or `ended` is the result.
   *
   * @param {string} name
   * @param {number} [since]
   */
  join(name, since) {
    const membership = new Membership(name, since);
    const error = this.#exchange.error ?? this.#exchange.refusal;
    if (error !== null) {
      this.end(membership, error);
    } else {
      this.#exchange.memberships.set(membership.key, membership);
      this.#exchange.adopt(membership);
      this.touch(membership);
    }
    return membership;
  }

  /**
   * Leave a room once all messages to it are acked. An event `ended` follows.
   *
   * @param {Membership} membership
   */
  leave(membership) {
    membership.leaving = true;
    this.touch(membership);
  }

  /** @param {Membership} membership */
  #step(membership) {
    if (membership.error !== null) return;
    if (membership.leaving && membership.outbox.isEmpty && !this.#asksAbout(membership)) {
      this.#leave(membership);
    } else if (this.#isWelcome && !membership.joined && !membership.busy && !membership.resting) {
      this.#join(membership);
    }
  }

  /**
   * True while a request about a room waits to be sent, or one that changes it may have to be sent again.
   *
   * @param {Membership} membership
   */
  #asksAbout(membership) {
    return [...this.#exchange.asked.values()].some(
      (request) => request.membership === membership && (request.changes || !request.isSent),
    );
  }

  /**
   * Called when a request was refused for now, and is sent again later.
   *
   * @param {Request} request
   */
  putOff(request) {
    if (request.kind === "join") this.#rest(/** @type {Membership} */ (request.membership));
  }

  /**
   * Note that a room refuses for now. Only requests about it wait.
   *
   * @param {Membership} membership
   */
  #rest(membership) {
    membership.resting = true;
    this.returning.delete(membership);
    this.#exchange.hasWork = true;
  }

  /** @param {Membership} membership */
  #join(membership) {
    const since = membership.reader === null ? {} : { since: membership.reader.edge };
    membership.busy = true;
    this.#exchange.askOwn(
      "join",
      { type: "join", room: membership.name, ...since },
      (joined) => this.#joined(membership, joined),
      (error) => this.#notJoined(membership, error),
      membership,
    );
  }

  /**
   * @param {Membership} membership
   * @param {import("./objects.js").Joined} joined
   */
  #joined(membership, joined) {
    const { room, topic, seq, oldest, count, role } = joined;
    Object.assign(membership, { name: room, topic, oldest, count, role, busy: false, tries: 0 });
    if (membership.reader === null) {
      membership.reader = new LogReader(seq);
    } else if (membership.reader.isNewLog(seq)) {
      // The log is a new one (a server that keeps nothing on disk was started again): nothing of it was heard.
      membership.reader = new LogReader(0);
      this.#exchange.emit("new-log", { room });
      this.#join(membership);
      return;
    }
    membership.joined = true;
    this.returning.delete(membership);
    this.touch(membership);
    const again = membership.entered;
    membership.entered = true;
    this.#exchange.emit("entered", { membership });
    this.#exchange.emit("joined", { ...joined, again });
    this.#readOn(membership);
  }

  /**
   * @param {Membership} membership
   * @param {RequestError} error
   */
  #notJoined(membership, error) {
    if (!membership.entered || !FOR_NOW.has(error.code)) {
      this.#lose(membership, error);
      return;
    }
    membership.tries += 1;
    membership.busy = false;
    this.#rest(membership);
    this.#exchange.later(pauseBeforeRetry(membership.tries, error.retry), () => {
      membership.resting = false;
      this.touch(membership);
    });
  }

  /** @param {Membership} membership */
  #leave(membership) {
    const over = () =>
      this.end(membership, new ClosedError(`the room ${membership.name} was left`, { wanted: true }));
    if (membership.joined && !membership.busy) {
      membership.busy = true;
      this.#exchange.askOwn("leave", { type: "leave", room: membership.name }, over, over, membership);
    } else if (!membership.joined && (!membership.busy || membership.resting)) {
      over();
    }
  }

  /**
   * Called when the server refuses a room, or its log, for good.
   *
   * @param {Membership} membership
   * @param {RequestError} error
   */
  #lose(membership, error) {
    if (membership.entered) this.#exchange.emit("room-lost", { room: membership.name, error });
    this.end(membership, error);
  }

  /**
   * End a membership: the room was left or refused, or the client is closed.
   *
   * @param {Membership} membership
   * @param {ChatError} error
   */
  end(membership, error) {
    membership.error = error;
    membership.joined = false;
    if (this.#exchange.memberships.get(membership.key) === membership) {
      this.#exchange.memberships.delete(membership.key);
    }
    this.returning.delete(membership);
    this.#exchange.drop(membership, error);
    this.#exchange.emit("ended", { membership, error });
  }

  // Messages and notices

  /**
   * Return the room of this name that the client is in, or wants to be in.
   *
   * @param {unknown} name
   */
  find(name) {
    return typeof name === "string" ? this.#exchange.memberships.get(key(name)) ?? null : null;
  }

  /**
   * Note what an object says about a room.
   *
   * @param {Obj} obj
   */
  note({ type, room, count, msg, nick, role }) {
    const membership = this.find(room);
    if (membership === null) return;
    if (type === "join") membership.count += 1;
    else if (type === "leave" || type === "kick") membership.count -= 1;
    else if (type === "presence" && typeof count === "number") membership.count = count;
    else if (type === "topic" && typeof msg === "string") membership.topic = msg;
    else if (type === "grant" && typeof nick === "string" && key(nick) === key(this.nick)) membership.setRole(role);
  }

  /**
   * Called when the client was put out of a room, which it does not join again by itself.
   *
   * @param {{room: string, author: string, msg: string}} notice
   */
  putOut({ room, author, msg }) {
    const membership = this.find(room);
    if (membership === null) return;
    const text = `you were put out of the room by ${author}`;
    const why = msg === "" ? text : `${text}: ${msg}`;
    this.#lose(membership, new RequestError("kicked", msg !== "" && author === "server" ? msg : why));
  }

  /**
   * Take an entry of a room's log, live or replayed.
   *
   * @param {Obj} obj
   */
  heard(obj) {
    const entry = readEntry(obj);
    const membership = this.find(entry.room);
    if (membership === null || !membership.joined || membership.reader === null) return;
    membership.reader.heard(entry);
    this.#readOn(membership);
  }

  /**
   * Hand out what is known of a log, in order.
   *
   * @param {Membership} membership
   */
  #readOn(membership) {
    const { reader, outbox } = membership;
    if (reader === null || membership.error !== null) return;
    for (let entry; (entry = reader.take(this.nick, outbox.unacked)) !== null; ) {
      const event = entry.type === "delete" ? "deleted" : "message";
      this.#exchange.emit(event, withoutType({ ...entry, room: membership.name }));
    }
    if (membership.joined && reader.isCrowded && !membership.reading) this.#readOwn(membership, reader);
  }

  /**
   * Read a page that moves the cursor over the client's own messages.
   *
   * @param {Membership} membership
   * @param {LogReader} reader
   */
  #readOwn(membership, reader) {
    membership.reading = true;
    this.#exchange.askOwn(
      "read-on",
      { type: "history", room: membership.name, after: reader.edge, limit: PAGE },
      (page) => {
        membership.reading = false;
        reader.read(page);
        this.#readOn(membership);
      },
      () => this.#exchange.later(backoff(3), () => {
        membership.reading = false;
        this.#readOn(membership);
      }),
      membership,
    );
  }
}
