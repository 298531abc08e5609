/**
 * The engine of a client: its connection, what arrives over it, and what a shell calls.
 *
 * It has no socket, no clock and no timer, and calls nothing of its shell: objects, the time (in seconds; only
 * differences count) and the program's requests go in, objects and events come out. `client.js` is the shell for a
 * WebSocket. The rules that keep the promises are in `exchange` (requests, messages and their order), `rooms`
 * (memberships, and how their logs are read) and `directs`.
 *
 * @module
 */

import { ClosedError, FOR_NOW, RequestError } from "./errors.js";
import { Directs } from "./directs.js";
import { Exchange } from "./exchange.js";
import { asObject, ENTRIES, fieldReader, key, readMessage, readNotice } from "./objects.js";
import { backoff, Pace } from "./pace.js";
import { actions } from "./requests.js";
import { Rooms } from "./rooms.js";

/** @typedef {import("./errors.js").ChatError} ChatError */
/** @typedef {import("./exchange.js").Saved} Saved */
/** @typedef {import("./objects.js").Obj} Obj */
/** @typedef {import("./requests.js").Action} Action */
/** @typedef {import("./requests.js").Request} Request */
/** @typedef {import("./rooms.js").Membership} Membership */

/** The state of a client's connection: the first one is being made; the server has said welcome; the connection was
 * lost or not made, and the next try comes after a pause; the client is closed for good.
 * @typedef {"connecting" | "connected" | "waiting" | "closed"} State */

/**
 * The identity with which a client says hello. `request` is the unsettled one that it comes from: if the server takes
 * it, the request has been served.
 *
 * @typedef {{nick: string, password?: string, request?: Request}} Credentials
 */

/** Seconds within which a server must answer a hello. A busy one needs some; something else never answers. */
export const WELCOME_TIME = 30;

/** Seconds of silence after which the client sends a ping. */
export const QUIET_TIME = 20;

/** Seconds within which something must arrive after a ping. They are counted from the ping and not from the last sign
 * of life, since a browser lets the timers of a page in the background run once a minute only. */
export const ANSWER_TIME = 40;

/** The same where there is a hint that the connection is gone: the machine was asleep, or has another network. */
export const PROBE_TIME = 5;

/** Seconds without a word of the server after which an unanswered request is a reason to ask whether it is there, and
 * seconds for the answer: somebody waits, and twice this is more than a busy server or a phone in a tunnel takes. */
export const LATE_TIME = 8;

/** Seconds within which a server must end the connection of a client that quits. */
export const QUIT_TIME = 5;

/** Seconds that a connection must last after its welcome before the backoff starts anew: a server that lets everybody
 * in and then ends each connection does not get a new one every second. */
export const STEADY_TIME = 10;

/** Seconds of `retry` above which a refusal is passed on to the program. A short pause for a rate limit concerns
 * nobody, but a person who is muted for an hour has to know. */
export const LONG_RETRY = 10;

/** The largest `retry` that is believed, a year. */
const LONGEST_RETRY = 366 * 86_400;

/** The codes with which the next hello would be refused too. (`nick-taken` is not one of them: the nick may be held by
 * the client's own last connection, whose death the server has not noticed.) */
const FOR_GOOD = new Set(["bad-message", "unknown-type", "bad-nick", "auth-failed", "denied", "banned", "replaced"]);

/** The kinds of requests that change with what the client says hello. */
const CREDENTIALS = new Set(["register", "login", "password"]);

const CLOSED = "the client is closed";
const ENDED = "the server ended the connection";
const UNREADABLE = "the server's answer cannot be read; it may be newer than this client";

const ignore = () => {};

/** One client, without its sockets. */
export class Engine {
  #exchange;
  #rooms;
  #directs;
  #retry;
  #password;
  #token;
  /** The credentials for this connection's hello, until the server takes one of them.
   * @type {Credentials[]} */
  #credentials = [];
  #isConnected = false;
  #heard = 0;
  /** The time of the ping that has no answer yet.
   * @type {number | null} */
  #pinged = null;
  /** @type {Request | null} */
  #hello = null;
  /** Why the server refused the last hello, or ended the connection.
   * @type {RequestError | null} */
  #shutOut = null;
  /** The last error on this connection that answers no request.
   * @type {RequestError | null} */
  #complaint = null;
  #wasWelcome = false;
  /** True while a timer looks whether an answer is late. */
  #isWatching = false;
  #quitting = false;
  /** True while the connection is made anew for a login. */
  #isLoggingIn = false;
  /** The number of pauses since the last steady connection. */
  #tries = 0;

  /**
   * Prepare a client.
   *
   * @param {object} options
   * @param {string} options.nick
   * @param {() => string} options.newId returns a new id for a request, which no other client ever uses
   * @param {string} options.token the secret with which a client that reconnects takes over its nick from a silent
   *   connection
   * @param {string} [options.password] that of the nick's account, or a token of the account
   * @param {Readonly<Record<string, number>>} [options.direct] the newest number that the program has of the direct
   *   messages with each partner
   * @param {readonly Saved[]} [options.saved] the unacked messages of an earlier run, in their order
   * @param {(tries: number) => number} [options.retry] returns the seconds before the n-th try to reconnect
   */
  constructor({ nick, newId, token, password, direct, saved = [], retry = backoff }) {
    /** The client's nick, as the server has it. */
    this.nick = nick;
    /** The server's name and version. */
    this.server = "";
    /** The server's limits by their names.
     * @type {Readonly<Record<string, number>>} */
    this.limits = Object.freeze({});
    /** False if a guest can do nothing here but register or log in. */
    this.guests = true;
    /** True while the nick is an account of this client's owner. */
    this.account = false;
    /** @type {State} */
    this.state = "connecting";
    /** Why the shell has to end the connection now; null while it has not.
     * @type {string | null} */
    this.hangUp = null;
    /** After a lost connection, the seconds after which the shell has to reconnect. */
    this.pause = 0;
    this.#token = token;
    this.#password = password;
    this.#retry = retry;
    this.#exchange = new Exchange(newId, saved);
    this.#rooms = new Rooms(this.#exchange);
    this.#directs = new Directs(this.#exchange, nick, direct);
  }

  /** The rooms that the client is in, or wants to be in, by the keys of their names.
   * @returns {ReadonlyMap<string, Membership>} */
  get memberships() {
    return this.#exchange.memberships;
  }

  /** The newest number of the direct messages with each partner that was passed on, by nick; null until the partners are
   * known. */
  get direct() {
    return this.#directs.cursors;
  }

  /** Why the client is closed; null while it is not. */
  get error() {
    return this.#exchange.error;
  }

  /** True while `takeObjects` or `takeEvents` may have something. */
  get hasWork() {
    return this.#exchange.hasWork;
  }

  // Output to the shell

  /**
   * Return the objects to be sent now.
   *
   * @param {number} now
   */
  takeObjects(now) {
    this.#exchange.now = now;
    this.#exchange.hasWork = false;
    this.#rooms.work();
    if (this.state === "connected" && this.#rooms.returning.size === 0) this.#exchange.sendWaiting();
    this.#watch();
    return this.#exchange.takeObjects();
  }

  /**
   * Return the events since the last call: type and detail. Those of programs are described in `client.js`. Those for
   * the shell are `answered` (`request`, `result`), `failed` (`request`, `error`), `entered` and `ended` (`membership`,
   * `error`), `welcomed` and `closed` (`error`).
   */
  takeEvents() {
    return this.#exchange.takeEvents();
  }

  /** Return the time of the next `tick`; null if there is nothing to wait for. */
  due() {
    return this.#exchange.due();
  }

  /** The unanswered requests and messages, in the order of asking. */
  get waiting() {
    return [...this.#exchange.asked.values()];
  }

  /** The number of unanswered requests and messages. */
  get owed() {
    return this.#exchange.asked.size;
  }

  // Input from the shell

  /**
   * Called when a connection was made: the client says hello.
   *
   * @param {number} now
   */
  connected(now) {
    this.#exchange.now = this.#heard = now;
    this.#isConnected = true;
    if (this.error !== null) {
      this.#hangUpFor(CLOSED);
      return;
    }
    this.#exchange.pace = new Pace({}, now);
    this.#exchange.later(WELCOME_TIME, () => this.#checkWelcome());
    this.#exchange.later(QUIET_TIME / 2, () => this.#checkSilence());
    const unsettled = this.waiting.filter((request) => request.unsettled && CREDENTIALS.has(request.kind));
    this.#credentials = unsettled.map((request) => ({
      nick: request.nick ?? this.nick,
      password: request.password,
      request,
    }));
    this.#credentials.push({ nick: this.nick, password: this.#password });
    this.#sayHello();
  }

  /**
   * Take an object of the server. One that cannot be read is passed over: a newer server may send it.
   *
   * @param {unknown} obj
   * @param {number} now
   */
  received(obj, now) {
    this.#exchange.now = this.#heard = now;
    this.#pinged = null;
    if (this.error !== null || this.hangUp !== null) return;
    try {
      this.#take(asObject(obj));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /**
   * Do what is due.
   *
   * @param {number} now
   */
  tick(now) {
    this.#exchange.now = now;
    this.#exchange.tick();
  }

  /**
   * Called when a connection has ended, or could not be made, with the reason for a person.
   *
   * @param {string} reason
   * @param {number} now
   */
  lost(reason, now) {
    this.#exchange.now = now;
    const why = this.hangUp ?? reason;
    this.hangUp = null;
    this.#isConnected = false;
    this.#hello = this.#complaint = null;
    this.#pinged = null;
    this.#isWatching = false;
    this.#exchange.lost();
    this.#rooms.lost();
    this.#directs.lost();
    this.#tryAgain(why);
  }

  /**
   * Find out soon whether the connection still works. Called where there is a hint that it does not.
   *
   * @param {number} now
   */
  probe(now) {
    this.#exchange.now = now;
    if (this.state === "connected" && this.hangUp === null) this.#ping(PROBE_TIME);
  }

  /** Close the client: say goodbye, and hang up when the server has answered. Without a connection, close now. */
  quit() {
    this.#quitting = true;
    if (this.error !== null) return;
    if (this.state === "connected") {
      this.#exchange.askOwn("quit", { type: "quit" }, ignore, ignore);
      this.#exchange.later(QUIT_TIME, () => this.#hangUpFor(CLOSED));
    } else if (this.#isConnected) {
      this.#hangUpFor(CLOSED);
    } else {
      this.end(new ClosedError(CLOSED, { wanted: true }));
    }
  }

  /**
   * Close the client now. Every request and room gets the error.
   *
   * @param {ChatError} error
   */
  end(error) {
    if (this.error !== null) return;
    this.state = "closed";
    if (this.#isConnected) this.#hangUpFor(error.message);
    this.#exchange.end(error);
    for (const membership of [...this.memberships.values()]) this.#rooms.end(membership, error);
    this.#exchange.emit("state-changed", { state: "closed", reason: error.message });
    this.#exchange.emit("closed", { error });
  }

  // Requests of the program

  /**
   * Fail all further requests.
   *
   * @param {ChatError} error
   */
  refuse(error) {
    this.#exchange.refusal = error;
  }

  /**
   * Join a room that the client is not in yet. An event `entered` or `ended` is the result.
   *
   * @param {string} name
   * @param {number} [since]
   */
  join(name, since) {
    return this.#rooms.join(name, since);
  }

  /**
   * Leave a room once all messages to it are acked. An event `ended` follows.
   *
   * @param {Membership} membership
   */
  leave(membership) {
    this.#rooms.leave(membership);
  }

  /**
   * Send a message to a room. The answer is its number.
   *
   * @param {Membership} membership
   * @param {string} text
   */
  say(membership, text) {
    return this.#exchange.ask(actions.say(membership.name, text), membership);
  }

  /**
   * Ask for what an action stands for.
   *
   * @param {Action} action
   */
  ask(action) {
    return this.#exchange.ask(action);
  }

  /**
   * Take back a message. False if it was sent on this connection: then it may still arrive.
   *
   * @param {Request} request
   * @param {ChatError} error what it fails with
   */
  withdraw(request, error) {
    if (request.isSent || this.#exchange.asked.get(request.id) !== request) return false;
    this.#exchange.fail(request, error);
    this.#touch(request);
    return true;
  }

  // The connection

  #sayHello() {
    const { nick, password } = this.#credentials[0];
    const hello = { type: "hello", nick, token: this.#token, ...(password === undefined ? {} : { password }) };
    this.#hello = this.#exchange.askOwn(
      "hello",
      hello,
      (welcome) => this.#welcomed(welcome),
      (error) => this.#notWelcome(error),
    );
  }

  /** @param {ReturnType<typeof import("./objects.js").readWelcome>} welcome */
  #welcomed({ nick, server, limits, account, guests }) {
    const credentials = this.#credentials[0];
    const isOther = key(nick) !== key(this.nick);
    Object.assign(this, { nick, server, limits, account, guests, state: "connected" });
    this.#password = credentials.password;
    this.#exchange.limit = limits.object ?? this.#exchange.limit;
    this.#exchange.pace = new Pace(limits, this.#exchange.now);
    this.#exchange.later(STEADY_TIME, () => {
      this.#tries = 0;
    });
    if (isOther) this.#renamed();
    this.#rooms.welcomed(nick);
    this.#directs.welcomed(nick, account);
    this.#wasWelcome = true;
    this.#exchange.emit("state-changed", { state: "connected", reason: "" });
    this.#exchange.emit("welcomed", {});
    if (credentials.request !== undefined) this.#settle(credentials.request);
  }

  /** Called when the client has another nick. */
  #renamed() {
    this.#exchange.dropRestored(new ClosedError("the nick changed before the room was joined"));
  }

  /**
   * Answer a request whose credentials the server has taken: it was served.
   *
   * @param {Request} request
   */
  #settle(request) {
    const results = new Map(/** @type {[string, unknown][]} */ ([["login", this.nick], ["register", this.account]]));
    this.#exchange.forget(request);
    this.#exchange.emit("answered", { request, result: results.get(request.kind) });
  }

  /**
   * Called when the server refuses the hello. The other credentials are tried, if there are any.
   *
   * @param {RequestError} error
   */
  #notWelcome(error) {
    const { request } = this.#credentials[0];
    if (request === undefined || (request.kind !== "login" && error.code !== "auth-failed")) {
      this.#shut(error);
      return;
    }
    this.#credentials.shift();
    if (request.kind === "login") {
      const { code, text, retry, until } = error;
      this.#giveUp(request, new RequestError(code, text, { retry, until, request }));
    }
    this.#sayHello();
  }

  /**
   * Called when the server refuses the client.
   *
   * @param {RequestError} error
   */
  #shut(error) {
    this.#shutOut = error;
    const isTaken = error.code === "nick-taken" && this.#wasWelcome;
    const taken = `the nick ${this.nick} is still taken by your last connection, or by somebody else by now`;
    this.#hangUpFor(isTaken ? `${taken}: ${error.message}` : error.message);
  }

  /** @param {string} reason */
  #hangUpFor(reason) {
    this.hangUp ??= reason;
    this.#exchange.hasWork = true;
  }

  #checkWelcome() {
    if (this.state !== "connected") this.#hangUpFor(`the server did not answer within ${WELCOME_TIME} seconds`);
  }

  /** Send a ping to a silent server. */
  #checkSilence() {
    const isSilent = this.#exchange.now - this.#heard >= QUIET_TIME;
    if (isSilent && this.state === "connected" && this.#pinged === null) this.#ping(ANSWER_TIME);
    this.#exchange.later(QUIET_TIME / 2, () => this.#checkSilence());
  }

  /** Send a ping where an answer is late, and nothing else is heard: somebody waits for it. */
  #watch() {
    if (this.#isWatching || this.owed === 0 || this.state !== "connected") return;
    this.#isWatching = true;
    this.#exchange.later(LATE_TIME, () => {
      this.#isWatching = false;
      const isSilent = this.#exchange.now - this.#heard >= LATE_TIME;
      const isLate = isSilent && this.waiting.some(({ isSent }) => isSent);
      if (isLate && this.#pinged === null && this.hangUp === null) this.#ping(LATE_TIME);
    });
  }

  /**
   * Send a ping, and hang up if nothing arrives within some seconds.
   *
   * @param {number} seconds
   */
  #ping(seconds) {
    const pinged = this.#exchange.now;
    this.#pinged = pinged;
    this.#exchange.askOwn("ping", { type: "ping" }, ignore, ignore);
    this.#exchange.later(seconds, () => {
      if (this.#pinged === pinged) this.#hangUpFor(`nothing was heard of the server for ${seconds} seconds`);
    });
  }

  /**
   * Decide when to reconnect, or close the client.
   *
   * @param {string} reason
   */
  #tryAgain(reason) {
    const shutOut = this.#shutOut;
    this.#shutOut = null;
    if (this.error !== null) return;
    if (this.#quitting) {
      this.end(new ClosedError(CLOSED, { wanted: true }));
    } else if (shutOut !== null && !this.#wasWelcome && !FOR_NOW.has(shutOut.code)) {
      this.end(shutOut);
    } else if (shutOut !== null && FOR_GOOD.has(shutOut.code)) {
      const text = `the server does not let this client in again: ${shutOut.message}`;
      this.end(new ClosedError(text, { cause: shutOut }));
    } else {
      this.state = "waiting";
      this.#waitFor(reason, shutOut?.retry ?? 0);
    }
  }

  /**
   * @param {string} reason
   * @param {number} retry
   */
  #waitFor(reason, retry) {
    if (this.#isLoggingIn) {
      this.#isLoggingIn = false;
      this.pause = 0;
      return;
    }
    this.#tries += 1;
    this.pause = Math.max(this.#retry(this.#tries), retry);
    this.#exchange.emit("state-changed", { state: "waiting", reason, pause: this.pause });
  }

  // Received objects

  /** @param {Obj} obj */
  #take(obj) {
    const type = fieldReader("type", "string")(obj);
    const request = this.#exchange.find(obj.id);
    if (ENTRIES.has(type) && request === null) {
      this.#said(obj);
      return;
    }
    this.#rooms.note(obj);
    if (type === "error") this.#refused(obj, request);
    else if (type === "stop") this.#stopped(obj, request);
    else if (request !== null) this.#answered(request, obj);
    else if (type === "ping") this.#exchange.answerPing();
    else this.#noticed(obj);
  }

  /** @param {Obj} obj */
  #noticed(obj) {
    const notice = readNotice(obj);
    if (notice === null) return;
    const [event, detail] = notice;
    this.#exchange.emit(event, detail);
    if (event === "kicked" && key(detail.nick) === key(this.nick)) this.#rooms.putOut(detail);
  }

  /** @param {Obj} obj */
  #said(obj) {
    if (obj.to === undefined || obj.to === null) this.#rooms.heard(obj);
    else if (obj.seq === undefined || obj.seq === null) this.#exchange.emit("direct-message", readMessage(obj));
    else this.#directs.heard(obj);
  }

  /**
   * @param {Obj} obj
   * @param {Request | null} request
   */
  #stopped(obj, request) {
    if (request !== null && request.kind === "login") {
      this.#isLoggingIn = true;
      this.#hangUpFor("logging in");
      return;
    }
    const [event, detail] = /** @type {[string, {msg: string}]} */ (readNotice(obj));
    this.#exchange.emit(event, detail);
    const reason = detail.msg || ENDED;
    if (obj.code === "replaced") this.#shutOut = new RequestError("replaced", reason);
    else if (this.#complaint?.text === reason) this.#shutOut = this.#complaint; // it says why, with a code
    this.#hangUpFor(reason);
  }

  /**
   * @param {Request} request
   * @param {Obj} obj
   */
  #answered(request, obj) {
    if (obj.type !== request.row.answer) {
      const text = "the server answered something else than was asked for";
      this.#giveUp(request, new RequestError("internal", text, { request }));
      return;
    }
    let result;
    try {
      result = request.row.read(obj);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      this.#giveUp(request, new RequestError("internal", UNREADABLE, { request }));
      return;
    }
    if (request.answered !== null) {
      this.#exchange.own.delete(request.id);
      request.answered(result);
    } else {
      this.#succeed(request, result);
    }
  }

  /**
   * Take the answer to a request of the program.
   *
   * @param {Request} request
   * @param {any} result
   */
  #succeed(request, result) {
    if (request.row.answer === "ack") {
      Object.assign(request, result);
      if (request.seq !== undefined) request.membership?.reader?.acked(request.seq);
    } else if (request.kind === "nick") {
      this.nick = this.#rooms.nick = result;
      this.#renamed();
    } else if (request.kind === "register") {
      this.#password = request.password;
      this.account = result;
      this.#directs.welcomed(this.nick, this.account);
    } else if (request.kind === "password") {
      this.#password = request.password;
    }
    this.#exchange.forget(request);
    this.#exchange.emit("answered", { request, result: request.row.answer === "ack" ? request.seq : result });
    this.#touch(request);
  }

  /**
   * Note that a request was answered, for which a message may have waited, since it could have been this one.
   *
   * @param {Request} request
   */
  #touch(request) {
    this.#rooms.touchOf(request);
    const isEntry = request.row.answer === "ack";
    if (isEntry && request.membership === null && request.nick !== undefined) {
      this.#directs.acked(request.nick, request.seq);
    }
  }

  /**
   * Fail a request for good.
   *
   * @param {Request} request
   * @param {RequestError} error
   */
  #giveUp(request, error) {
    if (request.refused !== null) {
      this.#exchange.own.delete(request.id);
      request.refused(error);
    } else {
      this.#exchange.fail(request, error);
      this.#touch(request);
    }
  }

  /**
   * @param {Obj} obj
   * @param {Request | null} request
   */
  #refused(obj, request) {
    const { code, msg, retry, until } = obj;
    const isHello = request !== null && request === this.#hello;
    const error = new RequestError(
      typeof code === "string" ? code : "internal",
      typeof msg === "string" && msg !== "" ? msg : UNREADABLE,
      {
        retry: typeof retry === "number" && retry >= 0 && retry <= LONGEST_RETRY ? retry : undefined,
        until: typeof until === "string" ? until : undefined,
        request: isHello ? null : request,
      },
    );
    if (request === null && this.state !== "connected") {
      this.#shut(error);
    } else if (request === null) {
      this.#complaint = error;
      this.#noticed(obj);
    } else if (!isHello && passesOver(error, request)) {
      this.#exchange.putOff(request, error.retry);
      this.#rooms.putOff(request);
    } else {
      this.#giveUp(request, error);
    }
  }
}

/**
 * True for a refusal for now, after which the request is sent again without a word to the program.
 *
 * @param {RequestError} error
 * @param {Request} request
 */
function passesOver({ code, retry = 0 }, request) {
  if (code === "rate-limited") {
    const isNew = request.kind === "join" && request.membership !== null && !request.membership.entered;
    return retry <= LONG_RETRY || (request.isOwn && !isNew);
  }
  return code === "unavailable" && (request.isOwn || request.kind === "message");
}
