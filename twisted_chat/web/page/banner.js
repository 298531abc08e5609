/**
 * The line above the messages that says what keeps somebody from talking: no connection, or a room that is lost.
 */

import { ClosedError, RequestError } from "./client.js";
import { sentence } from "./texts.js";

/** The text of the banner, which is empty if nothing is wrong, and of its button. `isCounting` is true while the text
 * has the seconds until the next attempt.
 * @typedef {{text: string, button: string, isCounting: boolean}} Banner */

/**
 * Find what is to be said.
 *
 * @param {Pick<import("./chat.js").Chat, "state" | "reason" | "nextTry" | "current"> & {client: {error: unknown}}} chat
 * @param {number} now milliseconds since 1970
 * @returns {Banner}
 */
export function bannerOf({ state, reason, nextTry, current, client }, now) {
  const { error } = client;
  if (error instanceof ClosedError && error.cause instanceof RequestError && error.cause.code === "replaced") {
    return plain("Your nick is used in another tab, window or program now", "Use it here");
  }
  switch (state) {
    case "connecting":
      return plain("Connecting…");
    case "closed":
      return plain(`You are logged out. ${sentence(reason)}`.trim(), "Log in again");
    case "waiting": {
      const seconds = Math.ceil((nextTry - now) / 1000);
      const { text, button } = plain(`No connection: ${reason}`, "Try now");
      return { text: seconds > 0 ? `${text} The next try is in ${seconds} s.` : text, button, isCounting: seconds > 0 };
    }
    default:
      return current?.trouble ? plain(`You are not in this room. ${current.trouble}`, "Join again") : plain("");
  }
}

/** @param {string} text @returns {Banner} */
function plain(text, button = "") {
  return { text: text && /[^.!?…]$/u.test(text) ? `${text}.` : text, button, isCounting: false };
}
