/**
 * The places that somebody may mean who types a few letters: conversations, rooms of the server, and people.
 */

import { key } from "./client/objects.js";
import { compareNames, conversationId } from "./conversation.js";

/** Places that are offered at once: more than anybody reads. */
const MOST = 100;

/**
 * @typedef {object} Place
 * @property {"room" | "direct"} kind
 * @property {string} name
 * @property {string} more what stands beside the name
 * @property {boolean} [isNew] true for a name that nobody is known to have: it is only what was typed
 */

/**
 * Find places for a text. One that may be a person's nick is offered as a person first: whoever means a person must not
 * make a public room of the nick by accident.
 *
 * @param {string} typed a `#` at the beginning stands for a room, a `@` for a person
 * @param {object} known
 * @param {Iterable<import("./conversation.js").Conversation>} known.conversations
 * @param {import("./conversation.js").Conversation | null} known.current the open one, which needs not be found
 * @param {{room: string, count: number, topic: string}[]} known.rooms those of the server
 * @param {string} known.nick one's own
 * @returns {Place[]}
 */
export function findPlaces(typed, { conversations, current, rooms, nick }) {
  const sign = /^[#@]/u.exec(typed.trim())?.[0];
  const text = typed.trim().replace(/^[#@]/u, "");
  const wanted = key(text);
  /** @type {Map<string, Place>} */
  const places = new Map();
  /** @type {(kind: "room" | "direct", name: string, more?: string) => void} */
  const add = (kind, name, more = "") => {
    const id = conversationId(kind, name);
    if (!places.has(id)) places.set(id, { kind, name, more });
  };
  const open = [...conversations];
  for (const { kind, name, unread } of [...open].sort((one, other) => other.unread - one.unread)) {
    add(kind, name, unread ? `${unread} unread` : "");
  }
  for (const { room, count, topic } of rooms) {
    add("room", room, `${count.toLocaleString()} ${count === 1 ? "member" : "members"}${topic ? ` · ${topic}` : ""}`);
  }
  for (const person of peopleOf(open, current)) {
    if (key(person) !== key(nick)) add("direct", person);
  }
  /** @param {Place} place */
  const isOffered = ({ kind }) => sign === undefined || (kind === "room") === (sign === "#");
  const found = [...places.values()].filter((place) => isOffered(place) && key(place.name).includes(wanted));
  if (text === "") {
    return found.filter(({ kind, name }) => conversationId(kind, name) !== current?.id).slice(0, MOST);
  }
  /** @param {Place} place */
  const rank = ({ kind, name }) => {
    if (key(name) === wanted) return kind === "direct" ? 0 : 1;
    return key(name).startsWith(wanted) ? 2 : 3;
  };
  found.sort((one, other) => rank(one) - rank(other)).splice(MOST);
  const fresh = /** @type {Place[]} */ ([
    { kind: "room", name: text, more: "make this room", isNew: true },
    { kind: "direct", name: text, more: "send a direct message", isNew: true },
  ]);
  return found.concat(
    fresh.filter(
      (place) =>
        isOffered(place) &&
        !places.has(conversationId(place.kind, text)) &&
        !(place.kind === "direct" && wanted === key(nick)),
    ),
  );
}

/**
 * Return the nicks that are known: members of the rooms and authors of messages, those of the open conversation first.
 *
 * @param {import("./conversation.js").Conversation[]} conversations
 * @param {import("./conversation.js").Conversation | null} current
 * @returns {string[]}
 */
function peopleOf(conversations, current) {
  const ordered = current === null ? conversations : [current, ...conversations.filter((one) => one !== current)];
  const people = ordered.flatMap(({ members, items }) => [
    ...[...members].sort(compareNames),
    ...items.flatMap((item) => (item.kind === "message" ? [item.author] : [])),
  ]);
  return [...new Map(people.map((person) => [key(person), person])).values()];
}
