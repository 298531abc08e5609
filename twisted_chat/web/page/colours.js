/**
 * A colour for each nick, the same in every session. `style.css` has the colours, `.hue-0` to `.hue-11`, for a light
 * and for a dark page.
 */

import { key as keyOf } from "./client/objects.js";

export const HUES = 12;

/**
 * Return the class of the colour of a nick. Nicks that are the same for the server have the same one.
 *
 * @param {string} nick
 */
export function hueOf(nick) {
  let hash = 0x811c9dc5; // FNV-1a: short, and spreads names that differ in a letter
  for (const character of keyOf(nick)) {
    hash = Math.imul(hash ^ Number(character.codePointAt(0)), 0x01000193) >>> 0;
  }
  return `hue-${((hash ^ (hash >>> 15)) >>> 0) % HUES}`;
}

const graphemes = new Intl.Segmenter();

/** The first letter of a nick, as a person sees letters. @param {string} nick */
export function initialOf(nick) {
  return [...graphemes.segment(nick)].find(({ segment }) => /[\p{L}\p{N}]/u.test(segment))?.segment.toLocaleUpperCase() ?? "?";
}
