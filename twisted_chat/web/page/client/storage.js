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
 * Return the messages that were kept for a nick, in the order in which they were made.
 *
 * @param {AnyStorage} storage
 * @param {string} nick
 * @returns {Saved[]}
 */
export function loadMessages(storage, nick) {
  const names = attempt(() => Array.from({ length: storage.length }, (_, index) => storage.key(index))) ?? [];
  const kept = names.filter((name) => name?.startsWith(MESSAGE)).sort(); // the ids sort by time
  return kept.flatMap((name) => {
    const saved = load(storage, /** @type {string} */ (name));
    const isSound = typeof saved?.msg === "string" && [saved.room, saved.to].some((place) => typeof place === "string");
    if (!isSound || saved.nick !== key(nick)) return [];
    const { room, to, msg } = saved;
    return [{ id: /** @type {string} */ (name).slice(MESSAGE.length), room, to, msg }];
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
  const token = typeof kept === "string" ? kept : make();
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
  const isSound = [kept?.nick, kept?.password, kept?.label].every((part) => typeof part === "string");
  return isSound ? { nick: kept.nick, password: kept.password, label: kept.label } : null;
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
