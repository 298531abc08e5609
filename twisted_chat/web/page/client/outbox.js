/**
 * The unacked messages to one room or to one nick.
 *
 * Messages are sent in their order, a window at a time. One that the server refuses for now goes back to its place in
 * that order. One whose connection was lost before its ack is unsettled, since it may be in the log: it is sent again
 * with the same id, and the server deduplicates.
 *
 * @module
 */

/** @typedef {import("./requests.js").Request} Request */

/** The maximum number of messages in flight. It fills a long line (5,000 messages/s at a round trip of 50 ms), and what
 * has to be sent again after a reconnect is soon sent. */
export const WINDOW = 256;

/** Messages that wait to be sent, in order, and those in flight. */
export class Outbox {
  #window = WINDOW;
  /** @type {Request[]} */
  #waiting = [];
  /** @type {Map<string, Request>} */
  #flight = new Map();

  constructor() {
    /** True while the server has asked for a pause. */
    this.resting = false;
    /** The ids of the messages that may be in the log: in flight, or sent on a connection that was lost.
     * @type {Set<string>} */
    this.unacked = new Set();
  }

  /** True while everything is acked, or refused for good. */
  get isEmpty() {
    return this.#waiting.length === 0 && this.#flight.size === 0;
  }

  /** True while a message waits to be sent. */
  get hasWaiting() {
    return this.#waiting.length > 0;
  }

  /** The number of the next message that may be sent now; infinity if there is none. */
  get first() {
    const waits = this.resting || this.#waiting.length === 0 || this.#flight.size >= this.#window;
    return waits ? Infinity : this.#waiting[0].number;
  }

  /**
   * True while a message waits to be sent that was made before the request `number`.
   *
   * @param {number} number
   */
  hasBefore(number) {
    return this.#waiting.length > 0 && this.#waiting[0].number < number;
  }

  /**
   * True while a change of nick that was asked for as `number` has to wait.
   *
   * The server deduplicates by author and id, so every message that may be in the log has to be acked first. Earlier
   * messages that were not sent yet go first, too, if they can be sent now (`isOpen`).
   *
   * @param {number} number
   * @param {boolean} isOpen
   */
  holdsUp(number, isOpen) {
    return this.unacked.size > 0 || (isOpen && !this.resting && this.hasBefore(number));
  }

  /**
   * Put a message in its place in the order, which is nearly always the end.
   *
   * @param {Request} message
   */
  add(message) {
    let at = this.#waiting.length;
    while (at > 0 && this.#waiting[at - 1].number > message.number) at -= 1;
    this.#waiting.splice(at, 0, message);
    if (message.unsettled) this.unacked.add(message.id);
  }

  /** Take the `first` message, to send it. */
  take() {
    const message = /** @type {Request} */ (this.#waiting.shift());
    this.#flight.set(message.id, message);
    this.unacked.add(message.id);
    return message;
  }

  /**
   * Forget a message that was acked, or refused for good, or is not to be sent any more.
   *
   * @param {Request} message
   */
  forget(message) {
    if (!this.#flight.delete(message.id)) this.#waiting = this.#waiting.filter((one) => one !== message);
    this.unacked.delete(message.id);
    if (this.isEmpty) this.#window = WINDOW;
  }

  /**
   * Take back a message that the server cannot take now, to send it again after a rest.
   *
   * Until all are acked, messages then go one at a time: of several in flight, those after a refused one could be
   * taken, and come before it.
   *
   * @param {Request} message
   */
  putOff(message) {
    this.#flight.delete(message.id);
    if (!message.unsettled) this.unacked.delete(message.id);
    this.add(message);
    this.resting = true;
    this.#window = 1;
  }

  /** Called when the rest is over. */
  rested() {
    this.resting = false;
  }

  /** Called when the connection is lost. The messages in flight are unsettled then. */
  lost() {
    const flight = [...this.#flight.values()].sort((one, other) => one.number - other.number);
    for (const message of flight) message.unsettled = true;
    this.#waiting = [...flight, ...this.#waiting].sort((one, other) => one.number - other.number);
    this.#flight.clear();
    this.resting = false;
    this.#window = WINDOW;
  }
}
