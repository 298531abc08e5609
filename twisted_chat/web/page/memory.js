/**
 * What the page remembers of a nick on this device: its rooms, what was read, and drafts. Texts of messages and
 * passwords are never among it. A storage may throw, as in a private window or when it is full; then nothing is kept.
 */

import { key as keyOf } from "./client/objects.js";

/** Milliseconds within which changes are written together: in a busy room, each message moves the place that was read. */
const PAUSE = 1000;

export class Memory {
  /** @type {string[]} */
  rooms = [];
  /** The number of the newest message that was read, by conversation. @type {Record<string, number>} */
  read = {};
  /** @type {Record<string, string>} */
  drafts = {};
  /** The newest number of direct conversations that were closed. @type {Record<string, number>} */
  closed = {};
  /** The conversation that was open last. */
  current = "";
  /** True if the nick was here before. */
  isKnown = false;

  #storage;
  #name;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;

  /** @param {Storage | null} storage @param {string} nick */
  constructor(storage, nick) {
    this.#storage = storage;
    this.#name = nameOf(nick);
    const kept = readJson(storage, this.#name);
    this.isKnown = kept !== null;
    /** @param {unknown} value */
    const isStrings = (value) => Array.isArray(value) && value.every((one) => typeof one === "string");
    /** @param {unknown} value @param {"number" | "string"} type */
    const isTable = (value, type) =>
      typeof value === "object" && value !== null && Object.values(value).every((one) => typeof one === type);
    if (isStrings(kept?.rooms)) this.rooms = kept.rooms;
    if (isTable(kept?.read, "number")) this.read = kept.read;
    if (isTable(kept?.drafts, "string")) this.drafts = kept.drafts;
    if (isTable(kept?.closed, "number")) this.closed = kept.closed;
    if (typeof kept?.current === "string") this.current = kept.current;
  }

  /** Write soon. */
  changed() {
    this.#timer ??= setTimeout(() => this.save(), PAUSE);
  }

  /** Write now, since the page may be closed. */
  save() {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    const { rooms, read, drafts, closed, current } = this;
    writeJson(this.#storage, this.#name, { rooms, read, drafts, closed, current });
  }

  /** Remember all under another nick. @param {string} nick */
  moveTo(nick) {
    if (this.#name !== nameOf(nick)) {
      this.forget();
      this.#name = nameOf(nick);
      this.save();
    }
  }

  /** Forget all of this nick, when somebody logs out. */
  forget() {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    try {
      this.#storage?.removeItem(this.#name);
    } catch {
      // There is nothing to be forgotten.
    }
  }
}

/** The name in the storage. @param {string} nick */
function nameOf(nick) {
  return `chat:of:${keyOf(nick)}`;
}

/** Return a storage of the browser, or `null` where it is not allowed. @param {"localStorage" | "sessionStorage"} name */
export function openStorage(name) {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null;
  }
}

/** @param {Storage | null} storage @param {string} name */
export function readJson(storage, name) {
  try {
    return JSON.parse(storage?.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

/** @param {Storage | null} storage @param {string} name @param {unknown} value */
export function writeJson(storage, name, value) {
  try {
    storage?.setItem(name, JSON.stringify(value));
  } catch {
    // The storage is full, or not allowed.
  }
}
