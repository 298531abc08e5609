/**
 * The direct messages between this client's account and others: each such conversation is a log, like that of a room.
 *
 * - On each connection the client asks for its partners and their newest numbers. Where there are newer messages than
 *   those that it has, it reads them from the log, so that nothing is missed or doubled. The log of a new partner is read
 *   from its beginning.
 * - On the first connection nothing is read that came before, unless the program says what it has (`cursors`).
 * - A message under one's own nick comes from another connection of the account. It waits while it may be one that this
 *   client has sent, and that is not acked yet.
 *
 * A direct message from or to a guest is not kept and has no number. The engine passes it on as it is.
 *
 * @module
 */

import { FOR_NOW } from "./errors.js";
import { LogReader } from "./log_reader.js";
import { key, readEntry, withoutType } from "./objects.js";
import { backoff } from "./pace.js";
import { PAGE } from "./rooms.js";

/** @typedef {import("./exchange.js").Exchange} Exchange */
/** @typedef {import("./objects.js").DirectInfo} DirectInfo */
/** @typedef {import("./objects.js").Entry} Entry */
/** @typedef {import("./objects.js").Obj} Obj */

/** The number of conversations whose cursors are kept, as many as a server lists. The ones used last stay. */
const MAX_PARTNERS = 500;

/** The number of live entries that are kept while older ones are read. Further ones are read from the log, too. */
const MAX_LATER = 1000;

/** The log of the direct messages with one partner. */
class DirectLog {
  /** The numbers of the client's own messages that were acked before it was known from where on the log is read.
   * @type {number[]} */
  #acked = [];

  /** @param {string} partner */
  constructor(partner) {
    this.partner = partner;
    /** Null until it is known from where on the log is read.
     * @type {LogReader | null} */
    this.reader = null;
    /** True while entries may be missing after the reader's edge. */
    this.behind = false;
    /** True while a page is requested. */
    this.reading = false;
    /** The live entries that came while it was behind.
     * @type {Entry[]} */
    this.later = [];
    /** The number of the newest entry that was heard, or acked, before this connection. */
    this.before = 0;
  }

  /** @param {number} seq */
  readFrom(seq) {
    this.reader = new LogReader(seq);
    for (const own of this.#acked.splice(0)) this.reader.acked(own);
    this.behind = false;
    this.later = [];
    return this.reader;
  }

  /** @param {number} seq */
  acked(seq) {
    if (this.reader === null) this.#acked.push(seq);
    else this.reader.acked(seq);
  }

  /**
   * Called when the connection is lost, or was not made yet. If nothing was heard of this log, nobody else has said
   * anything in it between the first of the client's own messages and now: it is read from there.
   */
  lost() {
    if (this.reader === null && this.#acked.length) this.readFrom(Math.min(...this.#acked));
    this.before = this.reader === null ? 0 : Math.max(this.reader.edge, this.reader.ownEdge);
    this.behind = true;
    this.reading = false;
    this.later = [];
  }
}

/** The direct conversations of one client. */
export class Directs {
  #exchange;
  #nick;
  /** By the keys of the partners, the one that was used last at the end.
   * @type {Map<string, DirectLog>} */
  #logs = new Map();
  /** True once all partners are known: a further one begins with an empty log. */
  #knowsPartners;
  /** True once the server has listed them on this connection: pages are read from then on. */
  #isCurrent = false;

  /**
   * @param {Exchange} exchange
   * @param {string} nick
   * @param {Readonly<Record<string, number>> | undefined} cursors the newest number that the program has of each partner
   *   of the nick, by nick
   */
  constructor(exchange, nick, cursors) {
    this.#exchange = exchange;
    this.#nick = nick;
    const known = Object.entries(cursors ?? {});
    this.#knowsPartners = cursors !== undefined && known.length < MAX_PARTNERS;
    for (const [partner, seq] of known) {
      const log = this.#log(partner);
      log.readFrom(seq);
      log.lost();
    }
  }

  /** The newest number of each partner that was passed on, by nick; null until the partners are known.
   * @returns {Record<string, number> | null} */
  get cursors() {
    if (!this.#knowsPartners) return null;
    const known = [...this.#logs.values()].flatMap(({ partner, reader }) => (reader ? [[partner, reader.seq]] : []));
    return Object.fromEntries(known);
  }

  // The connection

  /**
   * Called when the server has said welcome, or the nick has become an account.
   *
   * @param {string} nick
   * @param {boolean} account
   */
  welcomed(nick, account) {
    if (key(nick) !== key(this.#nick)) {
      this.#logs.clear(); // those of another account
      this.#knowsPartners = false;
    }
    this.#nick = nick;
    if (account) this.#list();
  }

  /** Ask for the partners and their newest numbers. */
  #list() {
    this.#exchange.askOwn(
      "directs",
      { type: "directs" },
      (directs) => this.#listed(directs),
      (error) => {
        if (FOR_NOW.has(error.code)) this.#exchange.later(backoff(3), () => this.#list());
      },
    );
  }

  /** @param {DirectInfo[]} directs */
  #listed(directs) {
    for (const { nick, seq } of directs) {
      const log = this.#logs.get(key(nick)) ?? this.#log(nick);
      if (log.reader === null && this.#knowsPartners) this.#begin(log);
      else if (log.reader === null || log.before > seq) log.readFrom(seq); // the latter is a new log
      else if (log.reader.edge === seq) this.#catchUp(log);
    }
    this.#knowsPartners = this.#isCurrent = true;
    for (const log of [...this.#logs.values()]) {
      if (log.reader === null) this.#begin(log);
      this.#readOn(log);
    }
  }

  /**
   * Begin to read the log of a new partner. Until it is listed, there may be more than is heard.
   *
   * @param {DirectLog} log
   */
  #begin(log) {
    const reader = log.readFrom(0);
    log.behind = !this.#isCurrent;
    return reader;
  }

  /** Called when the connection is lost. */
  lost() {
    this.#isCurrent = false;
    for (const log of this.#logs.values()) log.lost();
  }

  // Messages

  /**
   * Take an entry of a log, live or replayed.
   *
   * @param {Obj} obj
   */
  heard(obj) {
    const entry = readEntry(obj);
    const isOwn = key(entry.author) === key(this.#nick);
    const log = this.#log(isOwn ? /** @type {string} */ (entry.to) : entry.author);
    const reader = log.reader ?? (this.#knowsPartners ? this.#begin(log) : log.readFrom(entry.seq - 1));
    if (!log.behind) reader.heard(entry);
    else if (log.later.length < MAX_LATER) log.later.push(entry);
    this.#readOn(log);
  }

  /**
   * Called when a message to a partner was acked, or refused for good; `seq` is undefined if it has no number.
   *
   * @param {string} partner
   * @param {number | undefined} seq
   */
  acked(partner, seq) {
    if (seq !== undefined) {
      const log = this.#log(partner);
      if (log.reader === null && this.#knowsPartners) this.#begin(log);
      log.acked(seq);
    }
    const known = this.#logs.get(key(partner));
    if (known !== undefined) this.#readOn(known);
  }

  /**
   * Return the log of a partner, and keep it as the one used last.
   *
   * @param {string} partner
   */
  #log(partner) {
    const log = this.#logs.get(key(partner)) ?? new DirectLog(partner);
    this.#logs.delete(key(partner));
    this.#logs.set(key(partner), log);
    if (this.#logs.size > MAX_PARTNERS) this.#logs.delete(/** @type {string} */ (this.#logs.keys().next().value));
    return log;
  }

  /**
   * Pass on the entries that are known, and request those that are missing.
   *
   * @param {DirectLog} log
   */
  #readOn(log) {
    const { reader } = log;
    if (reader === null) return;
    const unacked = this.#exchange.unackedTo(log.partner);
    for (let entry; (entry = reader.take(this.#nick, unacked)) !== null; ) {
      this.#exchange.emit(entry.type === "delete" ? "deleted" : "direct-message", withoutType(entry));
    }
    if (this.#isCurrent && (log.behind || reader.isCrowded) && !log.reading) this.#fill(log, reader);
  }

  /**
   * Called when nothing is missing any more: the entries that came meanwhile are next.
   *
   * @param {DirectLog} log
   */
  #catchUp(log) {
    // Where there was no space for some of them, they are read from the log.
    log.behind = log.later.length === MAX_LATER;
    for (const entry of log.later.splice(0)) log.reader?.heard(entry);
  }

  /**
   * Read the next page of a log.
   *
   * @param {DirectLog} log
   * @param {LogReader} reader
   */
  #fill(log, reader) {
    log.reading = true;
    this.#exchange.askOwn(
      "read-on",
      { type: "history", to: log.partner, after: reader.edge, limit: PAGE },
      (page) => {
        log.reading = false;
        if (!reader.read(page) || !page.more) this.#catchUp(log);
        this.#readOn(log);
      },
      (error) => {
        if (FOR_NOW.has(error.code)) {
          this.#exchange.later(backoff(3), () => {
            log.reading = false;
            this.#readOn(log);
          });
        } else {
          this.#logs.delete(key(log.partner)); // such as an account that is gone
        }
      },
    );
  }
}
