/**
 * The errors of the client. Their texts are for people and never contain the text of a message.
 *
 * ChatError           the base class
 * ├── RequestError    a request was refused, with a `code`; the client goes on
 * └── ClosedError     the client is closed, or the room was left
 *
 * @module
 */

/** @typedef {import("./requests.js").Request} Request */

/** The codes with which a request may succeed later, such as the join of a room that the client was in. */
export const FOR_NOW = new Set(["rate-limited", "unavailable", "full", "internal"]);

/** The base class of all errors of the client. */
export class ChatError extends Error {
  /** @param {string} text */
  constructor(text) {
    super(text);
    this.name = this.constructor.name;
  }
}

/** A request was refused by the server, or by the client because the server would refuse it. */
export class RequestError extends ChatError {
  /**
   * @param {string} code one of the protocol's, or of a newer server's
   * @param {string} text the reason, and what to do
   * @param {{retry?: number, until?: string, request?: Request | null}} [more]
   */
  constructor(code, text, { retry, until, request = null } = {}) {
    super(request !== null && request.refusal ? `${request.refusal}: ${text}` : text);
    this.code = code;
    /** The server's words, without what was refused. */
    this.text = text;
    /** The seconds after which the request would be served, if the server has told them. */
    this.retry = retry;
    /** The end of a ban, as on the wire, if it has one. */
    this.until = until;
    /** The refused request; null if the server refused the client itself. */
    this.request = request;
  }
}

/** The client is closed, or the room was left. */
export class ClosedError extends ChatError {
  /**
   * @param {string} text
   * @param {{wanted?: boolean, cause?: ChatError}} [more]
   */
  constructor(text, { wanted = false, cause } = {}) {
    super(text);
    /** True if the program itself closed the client or left the room. */
    this.wanted = wanted;
    this.cause = cause;
  }
}
