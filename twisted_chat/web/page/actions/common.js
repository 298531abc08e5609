/**
 * What the menus and dialogs of the page share.
 */

import { toast } from "../dialog.js";
import { textOf } from "../texts.js";

/** @typedef {import("../chat.js").Chat} Chat */
/** @typedef {import("../conversation.js").Conversation} Conversation */

/** The field for the reason of what a moderator does. @type {import("../dialog.js").Field} */
export const REASON = { label: "Reason", name: "reason", hint: "Everybody in the room can read it.", attributes: { maxlength: 256 } };

/**
 * Do something that has no dialog: a refusal is a note in passing. Returns `undefined` then.
 *
 * @template T
 * @param {() => Promise<T>} act
 */
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    toast(textOf(error));
    return undefined;
  }
}

/** Copy a text to the clipboard. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("This page may not use the clipboard. Select the text, and copy it with the keyboard.");
  }
}
