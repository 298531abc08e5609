/**
 * What becomes of a text that somebody has written.
 */

import { isCommand } from "./actions/commands.js";
import { replaceNames } from "./emoji.js";

/** Bytes of a message around its text: the names of the fields, a nick or room of 64 characters, and an id. */
const AROUND = 512;

/** Bytes of an object on the wire, if the server names no limit of its own. */
const OBJECT = 16_384;

const encoder = new TextEncoder();

/**
 * Read what was written: a message, a command, or nothing.
 *
 * @param {string} written
 * @returns {{kind: "message" | "command", text: string} | null}
 */
export function readWritten(written) {
  const text = replaceNames(written.replace(/^\n+|\s+$/gu, ""));
  if (text === "") {
    return null;
  }
  return isCommand(text) ? { kind: "command", text } : { kind: "message", text: text.startsWith("//") ? text.slice(1) : text };
}

/**
 * Return the bytes by which a text is too long on the wire; less than 1 if it is not.
 *
 * @param {string} text
 * @param {Record<string, number>} limits those of the server
 */
export function surplusOf(text, { object = OBJECT }) {
  return encoder.encode(JSON.stringify(text)).length - (object - AROUND);
}
