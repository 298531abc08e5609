/**
 * A client of twisted_chat for the browser and for Node.js (22 or newer), without dependencies.
 *
 *     import { connect } from "/client.js";
 *
 *     const client = await connect("/chat", "alice", { storage: sessionStorage });
 *     const room = await client.join("lobby");
 *     room.on("message", ({ author, msg }) => console.log(`${author}: ${msg}`));
 *     await room.say("hello");
 *
 * It reconnects by itself, sends unacked messages again, and continues each room from its cursor: a message sent through
 * it arrives exactly once, and a program that reads a room gets each message once and in order, over any number of
 * lost connections. Requests that are made without a connection wait for the next one.
 *
 * **Events.** `Client` and `Room` are `EventTarget`s. `on(type, listener)` calls the listener with the `detail` of each
 * event; `Events` below lists the types. A room gets those that have its name as `room`, and a client gets all.
 *
 * **Answers.** What asks the server something returns a promise with the `request` as a property. It is rejected with a
 * `RequestError`, which has a `code` of the protocol, or with a `ClosedError`.
 *
 * **One's own messages** do not come back as events. `room.say` returns a promise of the message's number. `acked` and
 * `failed` say the same of each message, also of those that a page has sent before it was reloaded: they are kept in
 * the `storage`, sent again when their room is joined, and in `client.waiting` from the start.
 *
 * Texts and names are the authors' and may hold anything. Nothing here evaluates them or makes HTML of them.
 *
 * @module
 */

import { Engine } from "./client/engine.js";
import { ChatError, ClosedError, RequestError } from "./client/errors.js";
import { newIds, secret } from "./client/ids.js";
import { key } from "./client/objects.js";
import { actions } from "./client/requests.js";
import * as storages from "./client/storage.js";

export { ChatError, ClosedError, Engine, key, RequestError };
export const { keptLogin } = storages;

/** @typedef {import("./client/objects.js").Audit} Audit */
/** @typedef {import("./client/objects.js").Bans} Bans */
/** @typedef {import("./client/objects.js").Deleted} Deleted */
/** @typedef {import("./client/objects.js").DirectInfo} DirectInfo */
/** @typedef {import("./client/objects.js").Joined} Joined */
/** @typedef {import("./client/objects.js").Members} Members */
/** @typedef {import("./client/objects.js").Message} Message */
/** @typedef {import("./client/objects.js").Page} Page */
/** @typedef {import("./client/objects.js").RoomInfo} RoomInfo */
/** @typedef {import("./client/objects.js").TokenInfo} TokenInfo */
/** @typedef {import("./client/requests.js").Action} Action */
/** @typedef {import("./client/requests.js").PageOptions} PageOptions */
/** @typedef {import("./client/requests.js").Request} Request */
/** @typedef {import("./client/requests.js").Role} Role */
/** @typedef {import("./client/rooms.js").Membership} Membership */
/** @typedef {import("./client/engine.js").State} State */
/** @typedef {import("./client/storage.js").AnyStorage} AnyStorage */

/** The answer to a request: a promise that has the request.
 * @template T
 * @typedef {Promise<T> & {request: Request}} Answer */

/**
 * The events, by their types, with the `detail` of each.
 *
 * @typedef {object} Events
 * @property {Message} message somebody sent a message to a room; the text is empty if it has been `deleted`
 * @property {Message} direct-message somebody sent a message to this nick alone, or this account did elsewhere
 * @property {Deleted} deleted somebody deleted the message `of`; it comes in its place among the messages
 * @property {Request} acked the server has a message of this client, which has its `seq` and `time` now
 * @property {{request: Request, error: ChatError}} failed a message of this client was refused, or will not be sent
 * @property {Joined & {again: boolean}} joined the client is in a room; `again` after a lost connection, when the list
 *   of members may have changed
 * @property {{author: string, room: string}} member-joined
 * @property {{author: string, room: string, msg: string}} member-left
 * @property {{author: string, nick: string, room?: string}} nick-changed `author` is `nick` from now on
 * @property {{author: string, room: string, msg: string}} topic-changed
 * @property {{room: string, count: number}} presence a large room has `count` members now
 * @property {{author: string, room: string, nick: string, msg: string}} kicked
 * @property {{author: string, who: string, room?: string, until?: string, msg: string}} banned
 * @property {{author: string, who: string, room?: string, msg: string}} unbanned
 * @property {{author: string, room: string, nick: string, until?: string, msg: string}} muted
 * @property {{author: string, room: string, nick: string, msg: string}} unmuted
 * @property {{author: string, nick: string, role: string, room?: string, msg: string}} granted
 * @property {{author: string, room: string, on: boolean, msg: string}} locked
 * @property {{author: string, room: string, seconds: number, msg: string}} slowed
 * @property {{author: string, room: string, nick: string, msg: string}} invited
 * @property {{author: string, room: string, of: number, time: string, msg: string}} reported
 * @property {{room: string}} new-log the numbers of a room start again: the server went back to a backup, or keeps
 *   nothing on disk and was restarted; the client reads the log from its beginning
 * @property {{room: string, error: RequestError}} room-lost the client was put out of a room (the `code` is `kicked`),
 *   or is not let back in; it does not try again by itself
 * @property {{state: State, reason: string, pause?: number}} state-changed `pause` are the seconds until the next try
 * @property {{msg: string}} stop the server says why it ends the connection
 * @property {{code: string, msg: string}} error an error that answers no request
 */

/** Seconds within which a connection must be made. */
export const OPEN_TIME = 10;

/** Seconds by which the clock of the day must get ahead of the timers' clock, which stops while a machine is asleep,
 * before the connection is probed. */
const ASLEEP = 5;

const CLOSED = "the client is closed";

/** An `EventTarget` whose events are `CustomEvent`s with the details of `Events`. */
class Emitter extends EventTarget {
  /**
   * Call a function with the detail of each event of a type. Returns the function that ends this.
   *
   * @template {keyof Events} T
   * @param {T} type
   * @param {(detail: Events[T]) => void} listener
   * @returns {() => void}
   */
  on(type, listener) {
    /** @param {Event} event */
    const call = (event) => listener(/** @type {CustomEvent} */ (event).detail);
    this.addEventListener(type, call);
    return () => this.removeEventListener(type, call);
  }
}

/**
 * The parts of a promise that is settled later.
 *
 * @template T
 */
class Later {
  constructor() {
    /** @type {(value: T) => void} */
    this.resolve = () => {};
    /** @type {(error: ChatError) => void} */
    this.reject = () => {};
    /** @type {Promise<T>} */
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/**
 * A room that the client is in. Where there is a `reason`, it is for the people concerned.
 *
 * Its methods are those of `Client` without the name of the room.
 */
export class Room extends Emitter {
  #client;
  #membership;

  /**
   * Made by `Client.join`.
   *
   * @param {Client} client
   * @param {Membership} membership
   * @param {{say: (text: string) => Answer<number>, leave: () => Promise<void>}} how
   */
  constructor(client, membership, { say, leave }) {
    super();
    this.#client = client;
    this.#membership = membership;
    /** Send a message. The answer is its number. */
    this.say = say;
    /** Leave the room once all messages to it are acked. */
    this.leave = leave;
  }

  /** The name, in the spelling in which it was first written. */
  get name() {
    return this.#membership.name;
  }

  /** The topic, as far as the client knows it. */
  get topic() {
    return this.#membership.topic;
  }

  /** The number of members, as far as the client knows it. */
  get count() {
    return this.#membership.count;
  }

  /** The number of the oldest message that was kept when the client last joined. */
  get oldest() {
    return this.#membership.oldest;
  }

  /** The role of the client's account here: `member`, `moderator`, `owner`, `operator`, or empty. */
  get role() {
    return this.#membership.role;
  }

  /** The cursor: the number up to which all messages of others came as events. A later run can join with it as
   * `since`. */
  get seq() {
    return this.#membership.reader?.seq ?? 0;
  }

  /** Why the client is not in the room any more; null while it is, or returns to it. */
  get error() {
    return this.#membership.error;
  }

  /** @param {PageOptions} [options] */
  history(options) {
    return this.#client.history(this.name, options);
  }

  /** @param {string} [after] */
  who(after) {
    return this.#client.who(this.name, after);
  }

  /** @param {string} text */
  setTopic(text) {
    return this.#client.setTopic(this.name, text);
  }

  /** @param {number} of @param {string} [reason] */
  delete(of, reason) {
    return this.#client.delete(this.name, of, reason);
  }

  /** @param {string} by @param {string} [reason] */
  deleteAll(by, reason) {
    return this.#client.deleteAll(this.name, by, reason);
  }

  /** @param {number} of @param {string} [reason] */
  report(of, reason) {
    return this.#client.report(this.name, of, reason);
  }

  /** @param {string} nick @param {string} [reason] */
  kick(nick, reason) {
    return this.#client.kick(this.name, nick, reason);
  }

  /** @param {string} who @param {number | null} [seconds] @param {string} [reason] */
  ban(who, seconds, reason) {
    return this.#client.ban(this.name, who, seconds, reason);
  }

  /** @param {string} who @param {string} [reason] */
  unban(who, reason) {
    return this.#client.unban(this.name, who, reason);
  }

  /** @param {string} [after] */
  bans(after) {
    return this.#client.bans(this.name, after);
  }

  /** @param {string} nick @param {number | null} [seconds] @param {string} [reason] */
  mute(nick, seconds, reason) {
    return this.#client.mute(this.name, nick, seconds, reason);
  }

  /** @param {string} nick @param {string} [reason] */
  unmute(nick, reason) {
    return this.#client.unmute(this.name, nick, reason);
  }

  /** @param {string} nick @param {Role} role @param {string} [reason] */
  grant(nick, role, reason) {
    return this.#client.grant(this.name, nick, role, reason);
  }

  /** @param {boolean} [on] @param {string} [reason] */
  lock(on, reason) {
    return this.#client.lock(this.name, on, reason);
  }

  /** @param {string} nick @param {string} [reason] */
  invite(nick, reason) {
    return this.#client.invite(this.name, nick, reason);
  }

  /** @param {number} seconds @param {string} [reason] */
  slow(seconds, reason) {
    return this.#client.slow(this.name, seconds, reason);
  }

  /** @param {{before?: number, limit?: number}} [options] */
  audit(options) {
    return this.#client.audit(this.name, options);
  }
}

/**
 * A room, and what waits for it: to be entered, or to have ended.
 *
 * @typedef {{membership: Membership, room: Room, entered: Later<Room>, ended: Later<void>}} Known
 */

/** What a client uses of its surroundings; a test can hand in others.
 *
 * @typedef {object} Surroundings
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {Pick<EventTarget, "addEventListener">} [hints] sends `online`, `offline` and `visibilitychange`, as a window
 * @property {() => number} [now] returns seconds of a clock that is never set
 * @property {() => number} [today] returns the seconds of the clock of the day
 * @property {(run: () => void, milliseconds: number) => unknown} [setTimeout]
 * @property {(timer: any) => void} [clearTimeout]
 */

/**
 * @typedef {object} ClientOptions
 * @property {string} [password] the password of the nick's account, or a token of the account
 * @property {AnyStorage} [storage] keeps unacked messages over a reload, and the token of the session, with which the
 *   nick is taken over from a connection that has gone silent: `sessionStorage`, so that each tab has its own
 * @property {Record<string, number>} [direct] the newest number of the direct messages with each account, by nick, that
 *   an earlier run has got (`Client.direct`)
 * @property {(tries: number) => number} [retry] returns the seconds before the n-th try to reconnect
 */

/** A timer of which there is one at a time. */
class Timer {
  #surroundings;
  /** @type {unknown} */
  #timer = null;

  /** @param {Required<Pick<Surroundings, "setTimeout" | "clearTimeout">>} surroundings */
  constructor(surroundings) {
    this.#surroundings = surroundings;
  }

  get isRunning() {
    return this.#timer !== null;
  }

  /**
   * Call a function after some seconds, in place of the one before.
   *
   * @param {number} seconds
   * @param {() => void} run
   */
  begin(seconds, run) {
    this.end();
    // Rounded up: a timer that comes a moment too early would find nothing to do, and be set again.
    this.#timer = this.#surroundings.setTimeout(run, Math.ceil(seconds * 1000));
  }

  end() {
    if (this.#timer !== null) this.#surroundings.clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** A client, which stays connected until it is closed. */
export class Client extends Emitter {
  #engine;
  #url;
  #options;
  #surroundings;
  #token;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Ends the attempt to connect, or makes the next one. */
  #redial;
  #tick;
  /** Runs while what was received waits until the program has taken the rooms that it has joined for the first time.
   * Several messages may come at once in Node.js, and a listener that is added after `await join()` has to get them all. */
  #hold;
  /** @type {unknown[]} */
  #held = [];
  /** The rooms that were joined before.
   * @type {WeakSet<Membership>} */
  #taken = new WeakSet();
  /** What the clock of the day is ahead of the timers' clock, in seconds. */
  #ahead = 0;
  #isTurning = false;
  #isStarted = false;
  #hints = new AbortController();
  /** @type {Later<void>} */
  #welcome = new Later();
  /** @type {Later<void>} */
  #closed = new Later();
  /** Called when nothing is unanswered any more.
   * @type {Later<void> | null} */
  #flushed = null;
  /** @type {Map<Request, Later<any>>} */
  #answers = new Map();
  /** The rooms, until the program has been told that they have ended.
   * By the keys of their names.
   * @type {Map<string, Known>} */
  #rooms = new Map();

  /**
   * Prepare a client, which connects with `start`.
   *
   * @param {string | URL} url where the WebSocket is, such as `wss://chat.example/chat`, or `/chat` in a page
   * @param {string} nick
   * @param {ClientOptions & Surroundings} [options]
   */
  constructor(url, nick, options = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#options = options;
    this.#surroundings = {
      now: () => performance.now() / 1000,
      today: () => Date.now() / 1000,
      setTimeout: globalThis.setTimeout.bind(globalThis),
      clearTimeout: globalThis.clearTimeout.bind(globalThis),
      WebSocket: globalThis.WebSocket,
      hints: /** @type {Pick<EventTarget, "addEventListener"> | undefined} */ (
        "addEventListener" in globalThis ? globalThis : undefined
      ),
      ...options,
    };
    this.#redial = new Timer(this.#surroundings);
    this.#tick = new Timer(this.#surroundings);
    this.#hold = new Timer(this.#surroundings);
    const { storage, password, direct, retry } = options;
    const makeToken = () => secret(16);
    this.#token = storage === undefined ? makeToken() : storages.sessionToken(storage, nick, makeToken);
    this.#engine = new Engine({
      nick,
      newId: newIds(),
      token: this.#token,
      password,
      direct,
      retry,
      saved: storage === undefined ? [] : storages.loadMessages(storage, nick),
    });
    this.#welcome.promise.catch(() => {}); // `start` may never have been called
  }

  /** The client's nick, in the server's spelling. */
  get nick() {
    return this.#engine.nick;
  }

  /** True while the client is logged in to the account of its nick. */
  get account() {
    return this.#engine.account;
  }

  /** False if a guest can do nothing on this server but register or log in. */
  get guests() {
    return this.#engine.guests;
  }

  /** The name and version of the server. */
  get server() {
    return this.#engine.server;
  }

  /** The limits of the server, by name. */
  get limits() {
    return this.#engine.limits;
  }

  /** @returns {State} */
  get state() {
    return this.#engine.state;
  }

  /** Why the client is closed; null while it is not. */
  get error() {
    return this.#engine.error;
  }

  /** The newest number of the direct messages with each account, by nick, for the next run's `direct`. Null for a guest,
   * and until the server has listed the partners. */
  get direct() {
    return this.#engine.direct;
  }

  /** The rooms that the client is in. */
  get joined() {
    return [...this.#rooms.values()].filter(({ membership }) => membership.entered).map(({ room }) => room);
  }

  /** The unanswered requests and messages (`kind` is `message`), in the order of asking. Without a connection they wait
   * for the next one. */
  get waiting() {
    return this.#engine.waiting;
  }

  // The connection

  /** Connect. The promise is kept when the server has let the client in, and broken if it refuses it for good. */
  start() {
    if (!this.#isStarted && this.#engine.error === null) {
      this.#isStarted = true;
      this.#ahead = this.#drift();
      this.#heedHints();
      this.#dial();
    }
    return this.#welcome.promise;
  }

  /** Try to connect now, if the client waits to do so; otherwise find out soon whether the connection still works. */
  reconnect() {
    if (!this.#isStarted || this.#engine.error !== null) return;
    if (this.#socket === null) this.#dial();
    else this.#engine.probe(this.#surroundings.now());
    this.#turn();
  }

  /**
   * Close the client once everything asked so far is answered or, with `flush: false`, now. Later requests fail.
   *
   * @param {{flush?: boolean}} [options]
   */
  async close({ flush = true } = {}) {
    this.#engine.refuse(new ClosedError(CLOSED, { wanted: true }));
    if (flush && this.#engine.owed > 0) {
      this.#flushed ??= new Later();
      await this.#flushed.promise;
    }
    this.#engine.quit();
    this.#turn();
    await this.#closed.promise;
  }

  // Requests

  /**
   * Join a room. Messages come from now on, or all after the number `since`.
   *
   * @param {string} name
   * @param {{since?: number}} [options]
   * @returns {Promise<Room>}
   */
  async join(name, { since } = {}) {
    let known = this.#rooms.get(key(name));
    while (known !== undefined && (known.membership.leaving || known.membership.error !== null)) {
      await known.ended.promise;
      known = this.#rooms.get(key(name)); // somebody else who waited for that may have joined it again
    }
    if (known === undefined) {
      const membership = this.#engine.join(name, since);
      const room = new Room(this, membership, {
        say: (text) => this.#answer(() => this.#engine.say(membership, text)),
        leave: () => this.#leave(membership),
      });
      known = { membership, room, entered: new Later(), ended: new Later() };
      this.#rooms.set(membership.key, known);
      this.#turn();
    }
    return known.entered.promise;
  }

  /**
   * Return the room of this name that the client is in, or wants to be in.
   *
   * @param {string} name
   */
  room(name) {
    return this.#rooms.get(key(name))?.room;
  }

  /** @param {Membership} membership */
  async #leave(membership) {
    const known = this.#rooms.get(membership.key);
    if (known === undefined || known.membership !== membership) return;
    this.#engine.leave(membership);
    this.#turn();
    await known.ended.promise;
  }

  /**
   * Send a message to one nick. The answer is its number between accounts; otherwise it is not kept and has none.
   *
   * @param {string} nick
   * @param {string} text
   * @returns {Answer<number | undefined>}
   */
  tell(nick, text) {
    return this.#ask(actions.tell(nick, text));
  }

  /**
   * Take back a message that waits to be sent. False if it is on its way. One that was sent on a lost connection may
   * have arrived.
   *
   * @param {Request} request
   */
  withdraw(request) {
    const withdrawn = this.#engine.withdraw(request, new ClosedError("the message was taken back", { wanted: true }));
    this.#turn();
    return withdrawn;
  }

  /**
   * Read a part of a room's log: the newest messages (before the number `before`), or the oldest after `after`.
   *
   * @param {string} room
   * @param {PageOptions} [options]
   * @returns {Answer<Page>}
   */
  history(room, options = {}) {
    return this.#ask(actions.history(room, options));
  }

  /**
   * The same for the direct messages with an account.
   *
   * @param {string} nick
   * @param {PageOptions} [options]
   * @returns {Answer<Page>}
   */
  directHistory(nick, options = {}) {
    return this.#ask(actions.directHistory(nick, options));
  }

  /** List the accounts with whom this one has direct messages.
   * @returns {Answer<DirectInfo[]>} */
  directs() {
    return this.#ask(actions.directs());
  }

  /** List the rooms.
   * @returns {Answer<RoomInfo[]>} */
  rooms() {
    return this.#ask(actions.rooms());
  }

  /**
   * List the members of a room, at most 500 of them after the nick `after`.
   *
   * @param {string} room
   * @param {string} [after]
   * @returns {Answer<Members>}
   */
  who(room, after = "") {
    return this.#ask(actions.who(room, after));
  }

  /**
   * Set the topic of a room. An empty one removes it.
   *
   * @param {string} room
   * @param {string} text
   * @returns {Answer<void>}
   */
  setTopic(room, text) {
    return this.#ask(actions.setTopic(room, text));
  }

  /**
   * Take another nick. The answer is the nick in the server's spelling.
   *
   * @param {string} nick
   * @returns {Answer<string>}
   */
  setNick(nick) {
    return this.#ask(actions.setNick(nick));
  }

  // Accounts

  /**
   * Make the nick an account with this password. The answer is false if an operator has to let it in first.
   *
   * @param {string} password
   * @returns {Answer<boolean>}
   */
  register(password) {
    return this.#ask(actions.register(password));
  }

  /**
   * Log in to an account with its password or a token: connect anew under its nick, and join the rooms again. The
   * answer is the nick in the server's spelling. If the server refuses, everything stays as it was.
   *
   * @param {string} nick
   * @param {string} password
   * @returns {Answer<string>}
   */
  logIn(nick, password) {
    return this.#ask(actions.logIn(nick, password));
  }

  /**
   * Change the password of the account. With `revoke`, its tokens and its other connections end.
   *
   * @param {string} old
   * @param {string} password
   * @param {boolean} [revoke]
   * @returns {Answer<void>}
   */
  changePassword(old, password, revoke = false) {
    return this.#ask(actions.changePassword(old, password, revoke));
  }

  /**
   * Make a token, a secret that logs in like the password. An older one with the same label ends.
   *
   * @param {string} label
   * @returns {Answer<string>}
   */
  makeToken(label) {
    return this.#ask(actions.makeToken(label));
  }

  /** List the tokens of the account: their labels, and when each was made and last used.
   * @returns {Answer<TokenInfo[]>} */
  tokens() {
    return this.#ask(actions.tokens());
  }

  /**
   * End a token.
   *
   * @param {string} label
   * @returns {Answer<void>}
   */
  revokeToken(label) {
    return this.#ask(actions.revokeToken(label));
  }

  /**
   * Keep the account logged in: make a token, and put it into a storage, where `keptLogin` finds it.
   *
   * @param {AnyStorage} storage such as `localStorage`
   * @param {string} [label] the beginning of the token's label; the rest is random, since each browser has its own
   */
  async keepLogin(storage, label = "browser") {
    const own = `${label} ${secret(2)}`;
    storages.saveLogin(storage, { nick: this.nick, password: await this.makeToken(own), label: own });
  }

  /**
   * Forget the login that was kept, and end its token.
   *
   * @param {AnyStorage} storage
   */
  async forgetLogin(storage) {
    const kept = keptLogin(storage);
    storages.removeLogin(storage);
    if (kept !== null) await this.revokeToken(kept.label);
  }

  // Order. Where a room may be null, the request is about the whole server, and for its operators.

  /**
   * Put somebody out of a room. They may come back.
   *
   * @param {string} room
   * @param {string} nick
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  kick(room, nick, reason = "") {
    return this.#ask(actions.kick(room, nick, reason));
  }

  /**
   * Keep a nick or an account out, for so many seconds or until `unban`. Operators may name an address or a network.
   *
   * @param {string | null} room
   * @param {string} who
   * @param {number | null} [seconds]
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  ban(room, who, seconds = null, reason = "") {
    return this.#ask(actions.ban(room, who, seconds, reason));
  }

  /**
   * End a ban.
   *
   * @param {string | null} room
   * @param {string} who
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  unban(room, who, reason = "") {
    return this.#ask(actions.unban(room, who, reason));
  }

  /**
   * List the bans: their `count`, and up to 500 of them after the one of `after`, sorted.
   *
   * @param {string | null} room
   * @param {string} [after]
   * @returns {Answer<Bans>}
   */
  bans(room, after = "") {
    return this.#ask(actions.bans(room, after));
  }

  /**
   * Let somebody read but not speak, for so many seconds or until `unmute`.
   *
   * @param {string} room
   * @param {string} nick
   * @param {number | null} [seconds]
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  mute(room, nick, seconds = null, reason = "") {
    return this.#ask(actions.mute(room, nick, seconds, reason));
  }

  /**
   * Let somebody speak again.
   *
   * @param {string} room
   * @param {string} nick
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  unmute(room, nick, reason = "") {
    return this.#ask(actions.unmute(room, nick, reason));
  }

  /**
   * Give an account a role in a room. On the server, `member` lets in an account that waits for approval, and `none`
   * shuts one out.
   *
   * @param {string | null} room
   * @param {string} nick
   * @param {Role} role
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  grant(room, nick, role, reason = "") {
    return this.#ask(actions.grant(room, nick, role, reason));
  }

  /**
   * Let only members and invited nicks enter; with `on` false, everybody.
   *
   * @param {string} room
   * @param {boolean} [on]
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  lock(room, on = true, reason = "") {
    return this.#ask(actions.lock(room, on, reason));
  }

  /**
   * Let somebody enter a room that is locked, and tell them.
   *
   * @param {string} room
   * @param {string} nick
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  invite(room, nick, reason = "") {
    return this.#ask(actions.invite(room, nick, reason));
  }

  /**
   * Let each member send one message in so many seconds; 0 ends that.
   *
   * @param {string} room
   * @param {number} seconds
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  slow(room, seconds, reason = "") {
    return this.#ask(actions.slow(room, seconds, reason));
  }

  /**
   * Delete the text of a message: one's own or, for moderators, anybody's. The answer is the deletion's number.
   *
   * @param {string} room
   * @param {number} of
   * @param {string} [reason]
   * @returns {Answer<number>}
   */
  delete(room, of, reason = "") {
    return this.#ask(actions.delete(room, of, reason));
  }

  /**
   * Delete the text of one's own message among the direct messages with an account.
   *
   * @param {string} nick
   * @param {number} of
   * @returns {Answer<number>}
   */
  deleteDirect(nick, of) {
    return this.#ask(actions.deleteDirect(nick, of));
  }

  /**
   * Delete the texts of all messages of somebody. The answer is their number, once all of them are deleted.
   *
   * @param {string | null} room
   * @param {string} by
   * @param {string} [reason]
   * @returns {Answer<number>}
   */
  deleteAll(room, by, reason = "") {
    return this.#ask(actions.deleteAll(room, by, reason));
  }

  /**
   * Report a message to the operators.
   *
   * @param {string} room
   * @param {number} of
   * @param {string} [reason]
   * @returns {Answer<void>}
   */
  report(room, of, reason = "") {
    return this.#ask(actions.report(room, of, reason));
  }

  /**
   * Read who did what to whom, and why, before a number of the audit log: the newest first.
   *
   * @param {string | null} room
   * @param {{before?: number, limit?: number}} [options]
   * @returns {Answer<Audit>}
   */
  audit(room, options = {}) {
    return this.#ask(actions.audit(room, options));
  }

  // How

  /**
   * @param {Action} action
   * @returns {Answer<any>}
   */
  #ask(action) {
    return this.#answer(() => this.#engine.ask(action));
  }

  /**
   * @param {() => Request} ask
   * @returns {Answer<any>}
   */
  #answer(ask) {
    const request = ask();
    const later = new Later();
    this.#answers.set(request, later);
    if (request.kind === "message") {
      later.promise.catch(() => {}); // `failed` tells of it, too
      this.#save(request);
    }
    this.#turn();
    return Object.assign(later.promise, { request });
  }

  /** @param {Request} request */
  #save(request) {
    const { storage } = this.#options;
    if (storage !== undefined) storages.saveMessage(storage, this.nick, request);
  }

  /** Called when the client has another nick: what is kept is kept under that. */
  #renamed() {
    const { storage } = this.#options;
    if (storage !== undefined) storages.saveToken(storage, this.nick, this.#token);
    for (const request of this.waiting) if (request.kind === "message") this.#save(request);
  }

  /** Do all that there is to do: what the engine is told makes it send objects and emit events. */
  #turn() {
    if (this.#isTurning) return; // a listener asks for something: the turn goes on with it
    this.#isTurning = true;
    try {
      while (this.#engine.hasWork) {
        for (const obj of this.#engine.takeObjects(this.#surroundings.now())) this.#socket?.send(JSON.stringify(obj));
        if (this.#engine.hangUp !== null) this.#lost("");
        for (const [type, detail] of this.#engine.takeEvents()) this.#handle(type, detail);
      }
    } finally {
      this.#isTurning = false;
    }
    if (this.#engine.owed === 0) this.#flushed?.resolve();
    this.#schedule();
  }

  // The socket

  #dial() {
    this.#redial.end();
    const socket = new this.#surroundings.WebSocket(this.#url);
    this.#socket = socket;
    this.#redial.begin(OPEN_TIME, () => this.#lost("there was no answer in time"));
    let isOpen = false;
    /** @param {() => void} handle */
    const ifCurrent = (handle) => {
      if (this.#socket !== socket) return;
      handle();
      this.#turn();
    };
    socket.addEventListener("open", () => ifCurrent(() => {
      isOpen = true;
      this.#redial.end();
      this.#engine.connected(this.#surroundings.now());
    }));
    socket.addEventListener("message", ({ data }) => ifCurrent(() => this.#received(data)));
    // Why a connection was not made is kept from scripts.
    socket.addEventListener("close", ({ reason }) => ifCurrent(() => {
      this.#lost(reason || (isOpen ? "the connection was lost" : "the server cannot be reached"));
    }));
  }

  /** @param {unknown} data */
  #received(data) {
    if (this.#hold.isRunning) {
      this.#held.push(data);
      return;
    }
    let obj;
    try {
      obj = JSON.parse(/** @type {string} */ (data));
    } catch {
      return; // no object of the protocol
    }
    this.#engine.received(obj, this.#surroundings.now());
    this.#turn(); // before the next object, since that may have to wait
  }

  /** Take what was received while the program was to take its rooms. */
  #release() {
    this.#hold.end();
    while (this.#held.length > 0 && !this.#hold.isRunning) this.#received(this.#held.shift());
  }

  /**
   * Called when the connection has ended, or has to. The handshake that closes a dead one would take minutes.
   *
   * @param {string} reason
   */
  #lost(reason) {
    this.#redial.end();
    this.#hold.end();
    this.#held = []; // it comes again on the next connection
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#engine.lost(reason, this.#surroundings.now());
    if (this.#engine.state === "waiting") this.#redial.begin(this.#engine.pause, () => this.#dial());
    this.#turn();
  }

  // Time

  /** Wait for the time at which the engine has something to do. */
  #schedule() {
    const due = this.#engine.due();
    if (due === null) this.#tick.end();
    else this.#tick.begin(Math.max(0, due - this.#surroundings.now()), () => this.#ticks());
  }

  #ticks() {
    const ahead = this.#drift();
    const hasSlept = ahead - this.#ahead > ASLEEP;
    this.#ahead = ahead;
    this.#engine.tick(this.#surroundings.now());
    if (hasSlept) this.#engine.probe(this.#surroundings.now());
    this.#turn();
  }

  #drift() {
    return this.#surroundings.today() - this.#surroundings.now();
  }

  /** Listen to what the browser knows of the network. */
  #heedHints() {
    const { signal } = this.#hints;
    const { hints } = this.#surroundings;
    hints?.addEventListener("online", () => this.reconnect(), { signal });
    hints?.addEventListener("offline", () => this.#socket !== null && this.reconnect(), { signal });
    hints?.addEventListener("visibilitychange", () => {
      if (globalThis.document?.visibilityState !== "hidden") this.reconnect();
    }, { signal });
  }

  // Events

  /**
   * Take an event of the engine.
   *
   * @param {string} type
   * @param {any} detail
   */
  #handle(type, detail) {
    if (type === "answered" || type === "failed") this.#answered(detail);
    else if (type === "entered") this.#entered(detail.membership);
    else if (type === "ended") this.#ended(detail);
    else if (type === "welcomed") this.#welcome.resolve();
    else if (type === "closed") this.#ends(detail.error);
    else this.#dispatch(type, detail.room, detail);
  }

  /** @param {{request: Request, result?: any, error?: ChatError}} answer */
  #answered({ request, result, error }) {
    const later = this.#answers.get(request);
    this.#answers.delete(request);
    if (error === undefined) later?.resolve(result);
    else later?.reject(error);
    if (error === undefined && (request.kind === "nick" || request.kind === "login")) this.#renamed();
    if (request.kind !== "message") return;
    const { storage } = this.#options;
    // Where the server closed the client, the next one sends what is kept.
    const isKept = error instanceof ClosedError && !error.wanted;
    if (storage !== undefined && !isKept) storages.removeMessage(storage, request.id);
    if (error === undefined) this.#dispatch("acked", request.room, request);
    else this.#dispatch("failed", request.room, { request, error });
  }

  /** @param {Membership} membership */
  #entered({ key }) {
    const { membership, entered, room } = /** @type {Known} */ (this.#rooms.get(key));
    if (!this.#taken.has(membership)) this.#hold.begin(0, () => this.#release());
    this.#taken.add(membership);
    entered.resolve(room);
  }

  /** @param {{membership: Membership, error: ChatError}} detail */
  #ended({ membership, error }) {
    const { entered, ended } = /** @type {Known} */ (this.#rooms.get(membership.key));
    this.#rooms.delete(membership.key);
    entered.reject(error);
    ended.resolve();
  }

  /** @param {ChatError} error */
  #ends(error) {
    this.#hints.abort();
    this.#redial.end();
    this.#hold.end();
    this.#socket?.close();
    this.#socket = null;
    this.#welcome.reject(error);
    this.#flushed?.resolve();
    this.#closed.resolve();
  }

  /**
   * Dispatch an event to the room that it is about, and to the listeners of the client.
   *
   * @param {string} type
   * @param {string | undefined} name
   * @param {any} detail
   */
  #dispatch(type, name, detail) {
    const room = name === undefined ? undefined : this.room(name);
    room?.dispatchEvent(new CustomEvent(type, { detail }));
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Make a client that the server has let in.
 *
 * @param {string | URL} url
 * @param {string} nick
 * @param {ClientOptions & Surroundings} [options]
 */
export async function connect(url, nick, options) {
  const client = new Client(url, nick, options);
  await client.start();
  return client;
}
