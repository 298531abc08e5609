/**
 * Requests and messages over any number of connections: those that are sent now, and those that wait.
 *
 * - A message is sent again with the same id until it is acked (`outbox`); the server deduplicates.
 * - What waits is sent in the order of asking. A room or a nick that refuses for now holds up what is about it, and
 *   nothing else. Of several topics of a room one is in flight at a time, since the last one has to win.
 * - A change of nick is sent when all messages under the old nick are acked, since the server deduplicates by author
 *   and id. Later requests wait for it. A login to another account is one, too: the client quits, and says hello anew.
 *
 * @module
 */

import { ClosedError, RequestError } from "./errors.js";
import { isBroken, key, sizeOf } from "./objects.js";
import { Outbox } from "./outbox.js";
import { Pace, pauseBeforeRetry } from "./pace.js";
import { actions, Request } from "./requests.js";

/** @typedef {import("./errors.js").ChatError} ChatError */
/** @typedef {import("./objects.js").Obj} Obj */
/** @typedef {import("./requests.js").Action} Action */
/** @typedef {import("./rooms.js").Membership} Membership */

/** A message of an earlier run of the program, which may be in the log.
 * @typedef {{id: string, room?: string, to?: string, msg: string}} Saved */

/** The maximum size of an object in bytes, until the server's `limits` are known. */
const MAX_OBJECT = 16_384;

/** The kinds of requests that change the nick: they are sent when all messages under the old one are acked. */
const RENAMING = new Set(["nick", "login"]);

/** The unanswered requests of one client, and the timers of its connection. */
export class Exchange {
  #newId;
  #number = 0;
  /** The outboxes of direct messages, by the key of the nick.
   * @type {Map<string, Outbox>} */
  #direct = new Map();
  /** The outboxes with messages that wait to be sent, each with its room, if it has one.
   * @type {Map<Outbox, Membership | null>} */
  #posting = new Map();
  /** The messages of an earlier run to rooms that were not joined yet, by the keys of the rooms.
   * @type {Map<string, Request[]>} */
  #restored = new Map();
  /** The change of nick, or the login to another account, that is in flight.
   * @type {Request | null} */
  #renaming = null;
  /** The changes of rooms that are in flight, without the messages, by the keys of the rooms.
   * @type {Map<string, Request>} */
  #changing = new Map();
  /** While all that waits is sent, the numbers of the first requests that have to wait, by what they are about.
   * @type {Map<string, number>} */
  #held = new Map();
  /** True while messages wait because of the rate limit. */
  #paused = false;
  /** @type {Obj[]} */
  #objects = [];
  /** @type {[string, any][]} */
  #events = [];
  /** In the order of their times.
   * @type {{at: number, run: () => void}[]} */
  #timers = [];

  /**
   * @param {() => string} newId
   * @param {readonly Saved[]} saved in the order in which they were made
   */
  constructor(newId, saved) {
    this.#newId = newId;
    /** The time in seconds, as the shell passed it in last. */
    this.now = 0;
    /** True while there may be something to send, or an event. */
    this.hasWork = false;
    /** Why nothing can be asked any more.
     * @type {ChatError | null} */
    this.error = null;
    /** Why the program can make no further requests.
     * @type {ChatError | null} */
    this.refusal = null;
    /** The maximum size of a request in bytes, on the wire. */
    this.limit = MAX_OBJECT;
    this.pace = new Pace({}, 0);
    /** The rooms that the client is in, or wants to be in, by the keys of their names.
     * @type {Map<string, Membership>} */
    this.memberships = new Map();
    /** The program's unanswered requests by id, in the order of asking.
     * @type {Map<string, Request>} */
    this.asked = new Map();
    /** The engine's own unanswered requests on this connection, by id.
     * @type {Map<string, Request>} */
    this.own = new Map();
    /** The requests of `asked` that wait to be sent, in the order of asking, without the messages.
     * @type {Request[]} */
    this.queue = [];
    for (const message of saved) this.#restore(message);
  }

  /** @param {Saved} saved */
  #restore({ id, room, to, msg }) {
    const action = room === undefined ? actions.tell(/** @type {string} */ (to), msg) : actions.say(room, msg);
    const request = new Request(action, id, ++this.#number);
    request.size = sizeOf(request.obj);
    request.unsettled = true;
    this.asked.set(id, request);
    if (room === undefined) this.#post(request);
    else this.#restored.set(key(room), [...(this.#restored.get(key(room)) ?? []), request]);
  }

  // Output

  /** Return the objects to be sent. */
  takeObjects() {
    return this.#objects.splice(0);
  }

  /** Return the events since the last call. */
  takeEvents() {
    return this.#events.splice(0);
  }

  /**
   * Add an event for the shell.
   *
   * @param {string} type
   * @param {any} detail
   */
  emit(type, detail) {
    this.#events.push([type, detail]);
    this.hasWork = true;
  }

  // Time

  /**
   * Call a function after a pause, unless the connection is lost before.
   *
   * @param {number} seconds
   * @param {() => void} run
   */
  later(seconds, run) {
    const at = this.now + seconds;
    const after = this.#timers.findIndex((timer) => timer.at > at);
    this.#timers.splice(after < 0 ? this.#timers.length : after, 0, { at, run });
  }

  /** Return the time of the next `tick`; null if there is nothing to wait for. */
  due() {
    return this.#timers.length > 0 ? this.#timers[0].at : null;
  }

  /** Do what is due. */
  tick() {
    while (this.#timers.length > 0 && this.#timers[0].at <= this.now) {
      /** @type {{run: () => void}} */ (this.#timers.shift()).run();
      this.hasWork = true;
    }
  }

  /** Called when the connection is lost. The program's requests are sent again on the next one. */
  lost() {
    this.#paused = false;
    this.#timers = [];
    this.#objects = [];
    this.own.clear();
    this.#renaming = null;
    this.#changing.clear();
    this.#posting.clear();
    for (const outbox of this.#direct.values()) outbox.lost();
    for (const { outbox } of this.memberships.values()) outbox.lost();
    this.queue = [];
    for (const request of this.asked.values()) {
      request.unsettled ||= request.isSent;
      request.isSent = request.isResting = false;
      if (request.kind === "message") {
        const outbox = this.#outbox(request);
        if (outbox !== null) this.#posting.set(outbox, request.membership);
      } else if (request.kind !== "login" || !request.unsettled) {
        this.queue.push(request); // an unsettled login is made by the next hello
      }
    }
  }

  /**
   * Fail all requests, now and later.
   *
   * @param {ChatError} error
   */
  end(error) {
    this.error = error;
    this.#timers = [];
    for (const request of this.asked.values()) this.emit("failed", { request, error });
    this.asked.clear();
  }

  /**
   * Take the messages of an earlier run to a room that is joined.
   *
   * @param {Membership} membership
   */
  adopt(membership) {
    for (const request of this.#restored.get(membership.key) ?? []) {
      request.membership = membership;
      this.#post(request);
    }
    this.#restored.delete(membership.key);
  }

  /**
   * Fail the messages to a room that the client has left, and forget the engine's own requests about it.
   *
   * @param {Membership} membership
   * @param {ChatError} error
   */
  drop(membership, error) {
    for (const [id, request] of this.own) if (request.membership === membership) this.own.delete(id);
    for (const request of [...this.asked.values()]) {
      if (request.kind === "message" && request.membership === membership) this.fail(request, error);
    }
    this.#posting.delete(membership.outbox);
  }

  /**
   * Fail the messages of an earlier run to rooms that were not joined: under another nick, the server would not know
   * them again.
   *
   * @param {ChatError} error
   */
  dropRestored(error) {
    for (const request of [...this.#restored.values()].flat()) this.fail(request, error);
  }

  // Making requests

  /**
   * Make a request of the program, and queue it. One that the server would refuse to read fails at once.
   *
   * @param {Action} action
   * @param {Membership | null} [membership] the room that it is about, if it is not the one that the client is in
   */
  ask(action, membership = null) {
    const request = new Request(action, this.#newId(), ++this.#number);
    request.membership = membership ?? (action.room === undefined ? null : this.memberships.get(key(action.room)) ?? null);
    this.hasWork = true;
    const problem = this.#problem(request);
    if (problem !== null) {
      this.emit("failed", { request, error: problem });
      return request;
    }
    this.asked.set(request.id, request);
    if (request.kind === "message") this.#post(request);
    else this.queue.push(request);
    return request;
  }

  /** @param {Request} request */
  #post(request) {
    const outbox = /** @type {Outbox} */ (this.#outbox(request));
    outbox.add(request);
    this.#posting.set(outbox, request.membership);
  }

  /** @param {Request} request */
  #problem(request) {
    const error = this.error ?? this.refusal;
    if (error !== null) return error;
    const { membership } = request;
    if (membership !== null && request.kind === "message" && (membership.leaving || membership.error !== null)) {
      return membership.error ?? new ClosedError(`the room ${membership.name} was left`);
    }
    if (Object.values(request.obj).some((value) => typeof value === "string" && isBroken(value))) {
      return new RequestError("bad-message", "this cannot be written in UTF-8", { request });
    }
    request.size = sizeOf(request.obj);
    if (request.size <= this.limit) return null;
    const [size, limit] = [request.size, this.limit].map((bytes) => bytes.toLocaleString("en"));
    const text = `this has ${size} bytes on the wire; at most ${limit} are allowed`;
    return new RequestError("too-long", text, { request });
  }

  /**
   * Send a request of the engine's own, now. It is forgotten when the connection is lost.
   *
   * @param {string} kind
   * @param {Obj} obj
   * @param {(result: any) => void} answered
   * @param {(error: RequestError) => void} refused
   * @param {Membership | null} [membership]
   */
  askOwn(kind, obj, answered, refused, membership = null) {
    const request = new Request({ kind, obj, room: membership?.name }, this.#newId(), 0);
    request.membership = membership;
    request.answered = answered;
    request.refused = refused;
    this.own.set(request.id, request);
    this.#send(request);
    return request;
  }

  // Sending

  /** @param {Request} request */
  #send(request) {
    request.isSent = true;
    this.pace.spend(request.size);
    this.#objects.push(request.obj);
    this.hasWork = true;
  }

  /** Answer a ping of the server. */
  answerPing() {
    this.#objects.push({ type: "pong" });
    this.hasWork = true;
  }

  /** Send all that may be sent now. */
  sendWaiting() {
    this.#held.clear();
    let last = this.#renaming === null ? Infinity : this.#renaming.number;
    for (const request of [...this.queue]) {
      if (request.number > last) break;
      this.#sendMessages(request.number);
      if (RENAMING.has(request.kind)) {
        if (!request.isResting && !this.#holdsUpRename(request.number)) {
          this.#renaming = request;
          this.#sendQueued(request);
        } else if (this.#isStuck()) {
          continue;
        }
        last = request.number;
        break;
      }
      if (!this.#hasToWait(request)) this.#sendQueued(request);
      else if (!this.#held.has(request.about)) this.#held.set(request.about, request.number);
    }
    this.#sendMessages(last);
  }

  /** @param {Request} request */
  #sendQueued(request) {
    if (request.changes && !RENAMING.has(request.kind)) this.#changing.set(request.about, request);
    this.queue.splice(this.queue.indexOf(request), 1);
    this.#send(request);
  }

  /**
   * True while a request is put off, or something has to go first that was asked for earlier.
   *
   * @param {Request} request
   */
  #hasToWait(request) {
    const { membership } = request;
    if (request.isResting || this.#held.has(request.about)) return true;
    if (membership !== null && !membership.joined && membership.error === null) return true;
    const isBehind = membership !== null && membership.outbox.hasBefore(request.number);
    return request.changes && (this.#changing.has(request.about) || isBehind);
  }

  /** @param {number} number */
  #holdsUpRename(number) {
    return (
      [...this.#direct.values()].some((outbox) => outbox.holdsUp(number, true)) ||
      [...this.memberships.values()].some(({ outbox, joined }) => outbox.holdsUp(number, joined))
    );
  }

  /** True while a room that refuses for now has unacked messages. Then only the change of nick waits. */
  #isStuck() {
    return [...this.memberships.values()].some(({ outbox, joined }) => outbox.unacked.size > 0 && !joined);
  }

  /**
   * Send the messages numbered below `last`, as far as they may be sent now.
   *
   * @param {number} last
   */
  #sendMessages(last) {
    const posting = [...this.#posting].filter(
      ([outbox, membership]) =>
        outbox.first < this.#lastFor(membership, last) && (membership === null || membership.joined),
    );
    posting.sort(([one], [other]) => one.first - other.first);
    for (const [outbox, membership] of posting) {
      const until = this.#lastFor(membership, last);
      while (outbox.first < until && !this.#mustPause()) this.#send(outbox.take());
      if (!outbox.hasWaiting) this.#posting.delete(outbox);
    }
  }

  /**
   * Return the number up to which messages may be sent, of `last` and that of a request that holds them up.
   *
   * @param {Membership | null} membership
   * @param {number} last
   */
  #lastFor(membership, last) {
    return membership === null ? last : Math.min(last, this.#held.get(membership.key) ?? last);
  }

  /** True while the next message would exceed the rate limit. A timer ends the pause. */
  #mustPause() {
    const seconds = this.#paused ? 0 : this.pace.pause(this.now);
    if (seconds > 0) {
      this.#paused = true;
      this.later(seconds, () => {
        this.#paused = false;
      });
    }
    return this.#paused;
  }

  // Answers

  /**
   * Return the ids of the messages to one nick that may be in the log.
   *
   * @param {string} nick
   * @returns {ReadonlySet<string>}
   */
  unackedTo(nick) {
    return this.#direct.get(key(nick))?.unacked ?? new Set();
  }

  /**
   * Return the request that an answer is for, if it was sent on this connection.
   *
   * @param {unknown} id
   */
  find(id) {
    if (typeof id !== "string") return null;
    const request = this.own.get(id) ?? this.asked.get(id);
    return request !== undefined && request.isSent ? request : null;
  }

  /**
   * Return the outbox of a message; null for one of an earlier run to a room that is not joined.
   *
   * @param {Request} request
   */
  #outbox(request) {
    if (request.membership !== null) return request.membership.outbox;
    if (request.room !== undefined) return null;
    const nick = key(request.nick ?? "");
    let outbox = this.#direct.get(nick);
    if (outbox === undefined) this.#direct.set(nick, (outbox = new Outbox()));
    return outbox;
  }

  /**
   * Forget a request of the program that was answered or refused, or is not to be sent any more.
   *
   * @param {Request} request
   */
  forget(request) {
    this.asked.delete(request.id);
    if (request.kind !== "message") {
      this.queue = this.queue.filter((one) => one !== request);
      this.#settle(request);
      return;
    }
    const outbox = this.#outbox(request);
    if (outbox === null) {
      const others = (this.#restored.get(request.about) ?? []).filter((one) => one !== request);
      this.#restored.set(request.about, others);
    } else {
      outbox.forget(request);
      if (outbox.isEmpty && request.membership === null) this.#direct.delete(key(request.nick ?? ""));
      if (!outbox.hasWaiting) this.#posting.delete(outbox);
    }
  }

  /**
   * Fail a request of the program.
   *
   * @param {Request} request
   * @param {ChatError} error
   */
  fail(request, error) {
    this.forget(request);
    this.emit("failed", { request, error });
  }

  /**
   * Continue with the requests that waited for the answer to a request.
   *
   * @param {Request} request
   */
  #settle(request) {
    if (request === this.#renaming) this.#renaming = null;
    else if (this.#changing.get(request.about) === request) this.#changing.delete(request.about);
  }

  /**
   * Send a request again after a pause, in its place in the order of asking.
   *
   * @param {Request} request
   * @param {number | undefined} retry
   */
  putOff(request, retry) {
    request.tries += 1;
    let again;
    if (request.isOwn) {
      again = () => this.#sendOwnAgain(request);
    } else if (request.kind === "message") {
      const outbox = /** @type {Outbox} */ (this.#outbox(request));
      outbox.putOff(request);
      this.#posting.set(outbox, request.membership);
      request.isSent = false;
      again = () => outbox.rested();
    } else {
      this.#settle(request);
      request.isSent = false;
      request.isResting = true;
      this.queue.push(request);
      this.queue.sort((one, other) => one.number - other.number);
      again = () => {
        request.isResting = false;
      };
    }
    this.later(pauseBeforeRetry(request.tries, retry), again);
  }

  /** @param {Request} request */
  #sendOwnAgain(request) {
    if (!this.own.has(request.id)) return;
    if (request.membership !== null) request.membership.resting = false; // a room that rests has refused its join
    this.#send(request);
  }
}
