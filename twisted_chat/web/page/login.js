/**
 * The form with which somebody comes into the chat: as a guest, or logged in to an account.
 */

import { Client, ClosedError, keptLogin, RequestError } from "./client.js";
import { key as keyOf } from "./client/objects.js";
import { toast } from "./dialog.js";
import { byId } from "./dom.js";
import { readJson, writeJson } from "./memory.js";
import { textOf } from "./texts.js";

/** The nick of this tab, which comes back after a reload, and that of the last visit, which is proposed. */
const NICK = "chat:nick";

/** @typedef {{local: Storage | null, session: Storage | null}} Storages what outlives the browser, and what the tab */
/** @typedef {{nick: string, password?: string, keep?: boolean}} Login */

export class LoginForm {
  #storages;
  #prepare;
  #nick = byId("nick", HTMLInputElement);
  #password = byId("password", HTMLInputElement);
  #hasAccount = byId("has-account", HTMLInputElement);
  #keep = byId("keep", HTMLInputElement);
  #error = byId("login-error");
  #button = byId("login-button");
  /** The client that is connecting, until it is welcome. @type {Client | null} */
  #attempt = null;

  /**
   * @param {Storages} storages
   * @param {(client: Client) => () => void} prepare called with a client that is not started yet; returns what is called
   *   once the server has let it in
   */
  constructor(storages, prepare) {
    this.#storages = storages;
    this.#prepare = prepare;
    this.#hasAccount.addEventListener("change", () => {
      this.#showFields();
      this.#focus();
    });
    byId("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Begin: whoever was there before a reload, or is kept logged in, comes in again. */
  begin() {
    const { local, session } = this.#storages;
    const kept = local && keptLogin(local);
    const nick = this.#nickFrom(session);
    const isKept = kept !== null && (nick === null || keyOf(nick) === keyOf(kept.nick));
    this.#hasAccount.checked = isKept;
    this.#showFields();
    this.#show();
    if (isKept) {
      this.#nick.value = kept.nick;
      this.#enter(kept);
    } else if (nick !== null) {
      this.#enter({ nick });
    }
  }

  /** Remember the nick for the next visit. @param {string} nick */
  remember(nick) {
    writeJson(this.#storages.session, NICK, nick);
    writeJson(this.#storages.local, NICK, nick);
  }

  /** Have a reload ask for the nick again, since somebody has logged out. */
  forget() {
    try {
      this.#storages.session?.removeItem(NICK);
    } catch {
      // There is nothing to be forgotten.
    }
  }

  /** @param {Storage | null} storage @returns {string | null} */
  #nickFrom(storage) {
    const nick = readJson(storage, NICK);
    return typeof nick === "string" && nick.length <= this.#nick.maxLength ? nick : null;
  }

  #show(error = "") {
    byId("chat").hidden = true;
    byId("login").hidden = false;
    this.#error.textContent = error;
    this.#button.textContent = "Join";
    this.#nick.value ||= this.#nickFrom(this.#storages.session) ?? this.#nickFrom(this.#storages.local) ?? "";
    this.#focus();
  }

  #showFields() {
    byId("account-fields").hidden = !this.#hasAccount.checked;
  }

  #focus() {
    (this.#nick.value && this.#hasAccount.checked ? this.#password : this.#nick).focus();
  }

  #submit() {
    const nick = this.#nick.value.trim();
    const hasAccount = this.#hasAccount.checked;
    if (nick === "") {
      this.#error.textContent = "Choose a nick first.";
      return;
    }
    this.#enter({ nick, password: hasAccount ? this.#password.value : undefined, keep: hasAccount && this.#keep.checked });
  }

  /**
   * Come in. While the server cannot be reached, the client goes on trying, until the button is pressed again.
   *
   * @param {Login} login
   */
  async #enter({ nick, password, keep = false }) {
    if (this.#attempt !== null) {
      this.#attempt.close({ flush: false });
      return;
    }
    const { local, session } = this.#storages;
    this.#error.textContent = "";
    this.#button.textContent = "Cancel";
    const client = new Client("/chat", nick, { password, storage: session ?? undefined });
    const entered = this.#prepare(client);
    this.#attempt = client;
    client.on("state-changed", ({ state, reason }) => {
      if (this.#attempt === client && state === "waiting") this.#error.textContent = `${textOf({ text: reason })}. Trying again…`;
    });
    try {
      await client.start();
    } catch (error) {
      this.#attempt = null;
      this.#explain(error, password !== undefined);
      return;
    }
    this.#attempt = null;
    this.#password.value = "";
    this.remember(client.nick);
    if (keep && local !== null) {
      client.keepLogin(local).catch((error) => toast(textOf(error)));
    }
    byId("login").hidden = true;
    entered();
  }

  /** Say why somebody was not let in. @param {unknown} error @param {boolean} hadPassword */
  #explain(error, hadPassword) {
    const isAccount = error instanceof RequestError && error.code === "auth-failed";
    if (isAccount) {
      this.#hasAccount.checked = true;
      this.#showFields();
    }
    const isCancelled = error instanceof ClosedError && error.wanted;
    const text = isAccount && !hadPassword ? "This nick is somebody's account. If it is yours, write its password." : textOf(error);
    this.#show(isCancelled ? "" : text);
  }
}
