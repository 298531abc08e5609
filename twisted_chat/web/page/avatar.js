/**
 * The picture of a person: the first letter of the nick, in the colour of the nick.
 */

import { hueOf, initialOf, styleOf } from "./colours.js";
import { h } from "./dom.js";

/** @param {string} nick */
export function buildAvatar(nick) {
  return h("span", { class: classOf(nick), "aria-hidden": "true" }, initialOf(nick));
}

/** Make an avatar that of another nick. @param {HTMLElement} avatar @param {string} nick */
export function changeAvatar(avatar, nick) {
  avatar.className = classOf(nick);
  avatar.textContent = initialOf(nick);
}

/** @param {string} nick */
function classOf(nick) {
  return `avatar ${styleOf(nick)} ${hueOf(nick)}`;
}
