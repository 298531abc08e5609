/**
 * Emoji by name: `:wave:` becomes 👋 while somebody writes, so that every client shows it.
 */

import { TABLE } from "./emoji-table.js";

/** @typedef {{emoji: string, name: string}} Emoji */

/** @type {Emoji[]} each name once, in the order of the table: faces first */
const NAMED = TABLE.trim()
  .split("\n")
  .flatMap((line) => {
    const [emoji, ...names] = line.split(" ");
    return names.map((name) => ({ emoji, name }));
  });

const BY_NAME = new Map(NAMED.map(({ emoji, name }) => [name, emoji]));

/** What is offered before anything is searched for: the ones that people use most in chats. @type {Emoji[]} */
export const COMMON_EMOJI = (
  "+1 -1 smile grin joy rofl wink blush heart_eyes kissing_heart thinking neutral_face roll_eyes sob cry angry scream " +
  "sunglasses sleeping hugs wave clap pray muscle ok_hand point_up raised_hands fire sparkles star tada rocket eyes 100 " +
  "heart orange_heart green_heart blue_heart white_check_mark x warning question bulb coffee beer pizza cake sunny " +
  "snowflake rainbow dog cat"
)
  .split(" ")
  .map((name) => ({ name, emoji: BY_NAME.get(name) ?? "" }));

/**
 * Replace the names between colons in a text by their emoji. What is no name stays, and so does code.
 *
 * @param {string} text
 */
export function replaceNames(text) {
  const pieces = text.split(/(`+)/u);
  let open = "";
  return pieces
    .map((piece) => {
      if (piece.startsWith("`")) {
        open = open === "" ? piece : open === piece ? "" : open;
      } else if (open === "") {
        return piece.replace(/(?<![\p{L}\p{N}]):([a-z0-9_+-]{1,40}):/gu, (whole, name) => BY_NAME.get(name) ?? whole);
      }
      return piece;
    })
    .join("");
}

/**
 * Find emoji for the beginning of a name: first the names that begin with it, then those that contain it.
 *
 * @param {string} part
 * @param {number} [most]
 * @returns {Emoji[]}
 */
export function searchEmoji(part, most = 8) {
  if (part === "") {
    return COMMON_EMOJI.slice(0, most);
  }
  const wanted = part.toLowerCase();
  const found = NAMED.filter(({ name }) => name.includes(wanted));
  /** @param {Emoji} emoji */
  const rank = ({ name }) => (name === wanted ? 0 : name.startsWith(wanted) ? 1 : 2);
  return found.sort((one, other) => rank(one) - rank(other)).slice(0, most);
}
