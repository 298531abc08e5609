/**
 * What is offered while somebody writes: emoji behind a colon, and nicks behind an `@`.
 */

import { key as keyOf } from "./client/objects.js";
import { searchEmoji } from "./emoji.js";

/** @typedef {{emoji: string, name: string, text: string} | {nick: string, text: string}} Suggestion what would be
 * inserted is the `text` */
/** What is offered, in place of a part of the text that is written. Often nothing.
 * @typedef {{entries: Suggestion[], from: number, to: number}} Offer */

/** Suggestions at once: as many as fit above the box of a phone. */
export const MOST = 7;

/** Characters before the cursor that are looked at: more than the longest name, of an emoji or a person, has. */
const LOOKED_AT = 64;

/** Messages, the newest first, whose authors are offered before the other members. */
const SPEAKERS = 200;

/** @type {Offer} */
export const NOTHING = { entries: [], from: 0, to: 0 };

/**
 * Find what to offer at a place of a text.
 *
 * @param {string} text
 * @param {number} at where the cursor is
 * @param {() => Iterable<string>} nicks returns the nicks that may be meant, the likeliest first
 * @returns {Offer}
 */
export function suggest(text, at, nicks) {
  const before = text.slice(Math.max(0, at - LOOKED_AT), at);
  const emoji = /(?<![\p{L}\p{N}:]):([a-z0-9_+-]{2,})$/iu.exec(before);
  if (emoji !== null) {
    const entries = searchEmoji(emoji[1], MOST).map((found) => ({ ...found, text: `${found.emoji} ` }));
    return { entries, from: at - emoji[0].length, to: at };
  }
  const nick = /(?<![\p{L}\p{N}])@([\p{L}\p{N}\p{M}_.-]*)$/u.exec(before);
  if (nick !== null) {
    const wanted = keyOf(nick[1]);
    const found = [...nicks()].filter((one) => keyOf(one).startsWith(wanted)).slice(0, MOST);
    return { entries: found.map((one) => ({ nick: one, text: `@${one} ` })), from: at - nick[0].length, to: at };
  }
  return NOTHING;
}

/**
 * Return the nicks that somebody in a conversation may mean: those who spoke last, and then the other members.
 *
 * @param {import("./conversation.js").Conversation} conversation
 * @param {(nick: string) => boolean} isMe
 */
export function nicksOf({ items, members, kind, name }, isMe) {
  const speakers = items.filter((item) => item.kind === "message").map(({ author }) => author).reverse();
  /** @type {Map<string, string>} */
  const known = new Map();
  for (const nick of [...speakers.slice(0, SPEAKERS), ...members, ...(kind === "direct" ? [name] : [])]) {
    if (!known.has(keyOf(nick)) && !isMe(nick)) known.set(keyOf(nick), nick);
  }
  return known.values();
}
