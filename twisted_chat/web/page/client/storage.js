/**
 * What is kept in a storage such as `sessionStorage`: unacked messages, the token of the session and, if it is asked
 * for, the token of an account. Passwords never are.
 *
 * A storage may throw, as in a private window or when it is full, and may hold anything: then nothing is kept.
 *
 * @module
 */

import { key } from "./objects.js";

/** @typedef {import("./exchange.js").Saved} Saved */
/** @typedef {import("./requests.js").Request} Request */

/** The methods that are used of a storage.
 * @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">} AnyStorage */

/** The login of an account that was kept: a token takes the place of the password.
 * @typedef {{nick: string, password: string, label: string}} KeptLogin */

const PREFIX = "twisted-chat:";
const MESSAGE = `${PREFIX}message:`;
const TOKEN = `${PREFIX}session:`;
const LOGIN = `${PREFIX}login`;

// Lengths of the protocol, which no other server exceeds.

/** The fewest and most characters of a token of a session.
 * @type {[number, number]} */
const TOKEN_LENGTHS = [16, 64];
const LONGEST_PASSWORD = 1024;
const LONGEST_ID = 64;
/** Of a nick, a room or a label. The server compares names in another form, so that this is rather more. */
const LONGEST_NAME = 256;

/**
 * @template T
 * @param {() => T} use
 * @returns {T | null}
 */
function attempt(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

/**
 * Return what a storage has under a name, or null.
 *
 * @param {AnyStorage} storage
 * @param {string} name
 * @returns {any}
 */
function load(storage, name) {
  return attempt(() => JSON.parse(storage.getItem(name) ?? "null"));
}

/**
 * @param {AnyStorage} storage
 * @param {string} name
 * @param {unknown} value
 */
function save(storage, name, value) {
  attempt(() => storage.setItem(name, JSON.stringify(value)));
}

/**
 * True for a text of such a length as the server takes: whatever else is in a storage would be refused each time.
 *
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 */
function isText(value, least, most) {
  return typeof value === "string" && value.length >= least && value.length <= most;
}

/**
 * @param {AnyStorage} storage
 * @param {string} name
 */
function remove(storage, name) {
  attempt(() => storage.removeItem(name));
}

/**
 * Keep a message until it is acked, or refused.
 *
 * @param {AnyStorage} storage
 * @param {string} nick the nick under which it is sent: under another one, the server would not know it again
 * @param {Request} message
 */
export function saveMessage(storage, nick, { id, room, nick: to, text: msg }) {
  save(storage, MESSAGE + id, { nick: key(nick), room, to, msg });
}

/**
 * @param {AnyStorage} storage
 * @param {string} id
 */
export function removeMessage(storage, id) {
  remove(storage, MESSAGE + id);
}

/**
 * Return the messages that were kept for a nick, in the order in which they were made. What is no message is removed.
 *
 * @param {AnyStorage} storage
 * @param {string} nick
 * @returns {Saved[]}
 */
export function loadMessages(storage, nick) {
  const names = attempt(() => Array.from({ length: storage.length }, (_, index) => storage.key(index))) ?? [];
  const kept = names.filter((name) => name?.startsWith(MESSAGE)).sort(); // the ids sort by time
  return kept.flatMap((entry) => {
    const name = /** @type {string} */ (entry);
    const id = name.slice(MESSAGE.length);
    const { nick: author, room, to, msg } = load(storage, name) ?? {};
    const isPlace = [room, to].filter((place) => place !== undefined).length === 1 && isText(room ?? to, 1, LONGEST_NAME);
    if (!isPlace || !isText(msg, 1, Infinity) || !isText(author, 1, LONGEST_NAME) || !isText(id, 1, LONGEST_ID)) {
      remove(storage, name);
      return [];
    }
    return author === key(nick) ? [{ id, room, to, msg }] : [];
  });
}

/**
 * Return the token of the last session under a nick, with which the nick is taken over from a connection that has gone
 * silent; or the one that `make` returns, which is kept.
 *
 * @param {AnyStorage} storage
 * @param {string} nick
 * @param {() => string} make
 * @returns {string}
 */
export function sessionToken(storage, nick, make) {
  const kept = load(storage, TOKEN + key(nick));
  const token = isText(kept, ...TOKEN_LENGTHS) ? kept : make();
  saveToken(storage, nick, token);
  return token;
}

/**
 * Keep the token of the session under a nick.
 *
 * @param {AnyStorage} storage
 * @param {string} nick
 * @param {string} token
 */
export function saveToken(storage, nick, token) {
  save(storage, TOKEN + key(nick), token);
}

/**
 * Return the login that was kept; null if there is none.
 *
 * @param {AnyStorage} storage
 * @returns {KeptLogin | null}
 */
export function keptLogin(storage) {
  const kept = load(storage, LOGIN);
  if (kept === null) return null;
  const { nick, password, label } = kept;
  if (isText(nick, 1, LONGEST_NAME) && isText(password, 1, LONGEST_PASSWORD) && isText(label, 1, LONGEST_NAME)) {
    return { nick, password, label };
  }
  removeLogin(storage);
  return null;
}

/**
 * @param {AnyStorage} storage
 * @param {KeptLogin} login
 */
export function saveLogin(storage, login) {
  save(storage, LOGIN, login);
}

/**
 * Forget the login that was kept. The token stays valid: `Client.forgetLogin` ends it, too.
 *
 * @param {AnyStorage} storage
 */
export function removeLogin(storage) {
  remove(storage, LOGIN);
}
