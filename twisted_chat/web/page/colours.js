/**
 * A colour for each nick, the same in every session. `style.css` has the colours, `.hue-0` to `.hue-11`, for a light
 * and for a dark page.
 *
 * More than twelve could not be told from each other where all of them have to be read on the same ground. In a room of
 * more than a few people some share one, so half of all avatars are rings: two people have the same colour and the same
 * kind of avatar once in 24 times.
 */

import { key as keyOf } from "./client/objects.js";

export const HUES = 12;

/**
 * Return the class of the colour of a nick. Nicks that are the same for the server have the same one.
 *
 * @param {string} nick
 */
export function hueOf(nick) {
  return `hue-${hashOf(nick) % HUES}`;
}

/**
 * Return the class of the avatar of a nick: filled, or a ring.
 *
 * @param {string} nick
 */
export function styleOf(nick) {
  return Math.floor(hashOf(nick) / HUES) % 2 ? "ring" : "filled";
}

/** Return a number below 2³² that is the same for nicks that are the same for the server. @param {string} nick */
function hashOf(nick) {
  let hash = 0x811c9dc5; // FNV-1a: short, and spreads names that differ in a letter
  for (const character of keyOf(nick)) {
    hash = Math.imul(hash ^ Number(character.codePointAt(0)), 0x01000193) >>> 0;
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}

const graphemes = new Intl.Segmenter();

/** The first letter of a nick, as a person sees letters. @param {string} nick */
export function initialOf(nick) {
  return [...graphemes.segment(nick)].find(({ segment }) => /[\p{L}\p{N}]/u.test(segment))?.segment.toLocaleUpperCase() ?? "?";
}
