/**
 * The line above the messages that says what keeps somebody from talking: no connection, or a room that is lost.
 */

import { ClosedError, RequestError } from "./client.js";
import { sentence } from "./texts.js";

/** The action of the banner's button: to load the page anew, to connect at once, or to join the room again.
 * @typedef {"" | "reload" | "reconnect" | "rejoin"} BannerAction */

/** The text of the banner, which is empty if nothing is wrong, and the text and the action of its button. `isCounting`
 * is true while the text has the seconds until the next attempt.
 * @typedef {{text: string, button: string, action: BannerAction, isCounting: boolean}} Banner */

/**
 * Return the banner for the state of a chat.
 *
 * @param {Pick<import("./chat.js").Chat, "state" | "reason" | "nextTry" | "current"> & {client: {error: unknown}}} chat
 * @param {number} now milliseconds since 1970
 * @returns {Banner}
 */
export function bannerOf({ state, reason, nextTry, current, client }, now) {
  const { error } = client;
  if (error instanceof ClosedError && error.cause instanceof RequestError && error.cause.code === "replaced") {
    return plain("Your nick is used in another tab, window or program now", "Use it here", "reload");
  }
  switch (state) {
    case "connecting":
      return plain("Connecting…");
    case "closed":
      return plain(`You are logged out. ${sentence(reason)}`.trim(), "Log in again", "reload");
    case "waiting": {
      const seconds = Math.ceil((nextTry - now) / 1000);
      const banner = plain(`No connection: ${reason}`, "Try now", "reconnect");
      return seconds > 0 ? { ...banner, text: `${banner.text} The next try is in ${seconds} s.`, isCounting: true } : banner;
    }
    default:
      return current?.trouble ? plain(`You are not in this room. ${current.trouble}`, "Join again", "rejoin") : plain("");
  }
}

/** @param {string} text @param {string} [button] @param {BannerAction} [action] @returns {Banner} */
function plain(text, button = "", action = "") {
  return { text: text && /[^.!?…]$/u.test(text) ? `${text}.` : text, button, action, isCounting: false };
}
