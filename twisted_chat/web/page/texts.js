/**
 * What the server and the client say, as sentences of the page.
 */

import { shortTime } from "./times.js";

const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/gu;

/** Texts that begin with a nick, whose spelling is what they are about. */
const NICK_FIRST = /^\S+ (?:is, or )?looks like\b/u;

/** A text as a sentence, with the times in it as people read them. @param {string} text */
export function sentence(text) {
  const local = text.replace(TIME, (time) => (Number.isNaN(Date.parse(time)) ? time : shortTime(time)));
  return NICK_FIRST.test(local) ? local : local.charAt(0).toUpperCase() + local.slice(1);
}

/** What an error says to a person. @param {any} error */
export function textOf(error) {
  return sentence(error?.text ?? error?.message ?? String(error));
}
