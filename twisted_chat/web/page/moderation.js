/**
 * What moderators do, as it is told in a room: by others, or by oneself, whom the server only answers.
 */

import { key as keyOf } from "./client/objects.js";
import { formatDuration, shortTime } from "./times.js";

/** @typedef {import("./client.js").Events} Events */
/** @typedef {import("./conversation.js").Part} Part */

/** The events of the client that tell what a moderator has done. */
export const ACTIONS = /** @type {const} */ ([
  "kicked", "banned", "unbanned", "muted", "unmuted", "granted", "locked", "slowed",
]);

/** @typedef {(typeof ACTIONS)[number]} ActionType */
/** An event with its type.
 * @typedef {{[T in ActionType]: {type: T} & Events[T]}[ActionType]} Action */
/** An action of one's own, without its author, and without a reason if none was given.
 * @typedef {{[T in ActionType]: {type: T, msg?: string} & Omit<Events[T], "author" | "msg">}[ActionType]} OwnAction */

/** The author of what the server does itself. */
const SERVER = "server";

/**
 * Put an action in words, with its reason.
 *
 * @param {Action} action
 * @returns {Part[]}
 */
export function describe(action) {
  const parts = partsOf(action);
  return action.msg && !isOfServer(action) ? [...parts, ": ", { quote: action.msg }] : parts;
}

/**
 * True where the server puts somebody out because of a ban or a lock. Its text is for the one who is put out, and the
 * others are told of the ban or the lock.
 *
 * @param {Action} action
 */
function isOfServer({ type, author }) {
  return type === "kicked" && author === SERVER;
}

/** @param {Action} action @returns {Part[]} */
function partsOf(action) {
  const author = { nick: action.author };
  const where = action.room === undefined ? "the server" : "the room";
  switch (action.type) {
    case "kicked": {
      const nick = { nick: action.nick };
      return isOfServer(action) ? [nick, " was put out of the room"] : [author, " put ", nick, " out of the room"];
    }
    case "banned":
      return [author, " banned ", { nick: action.who }, action.room === undefined ? " from the server" : "", until(action.until)];
    case "unbanned":
      return [author, " lets ", { nick: action.who }, ` into ${where} again`];
    case "muted":
      return [author, " muted ", { nick: action.nick }, until(action.until)];
    case "unmuted":
      return [author, " lets ", { nick: action.nick }, " speak again"];
    case "granted":
      return action.role === "none"
        ? [author, " took away the role of ", { nick: action.nick }]
        : [author, " made ", { nick: action.nick }, ` ${/^[aeiou]/u.test(action.role) ? "an" : "a"} ${action.role} of ${where}`];
    case "locked":
      return [author, action.on ? " locked the room: only members may enter" : " unlocked the room"];
    case "slowed":
      return [author, action.seconds ? ` turned on slow mode: one message in ${formatDuration(action.seconds)}` : " turned off slow mode"];
  }
}

/** @param {string | undefined} time */
function until(time) {
  return time === undefined ? "" : ` until ${shortTime(time)}`;
}

/** The text of a notice. @param {Part[]} parts */
export function textOfParts(parts) {
  return parts.map((part) => (typeof part === "string" ? part : "nick" in part ? part.nick : part.quote)).join("");
}

/**
 * Note what an action changes in a room.
 *
 * @param {import("./conversation.js").Conversation} room
 * @param {Action} action
 * @param {(nick: string) => boolean} isMe
 */
export function apply(room, action, isMe) {
  switch (action.type) {
    case "kicked":
      // One's own loss of a room comes as an event of its own.
      if (!isMe(action.nick)) room.memberGone(action.nick);
      break;
    case "muted":
      room.muted.set(keyOf(action.nick), action.until === undefined ? Infinity : Date.parse(action.until));
      break;
    case "unmuted":
      room.muted.delete(keyOf(action.nick));
      break;
    case "granted":
      if (isMe(action.nick)) room.setRole(action.role);
      break;
    case "locked":
      room.locked = action.on;
      break;
    case "slowed":
      room.slow = action.seconds;
      break;
  }
}
