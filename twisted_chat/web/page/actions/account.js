/**
 * What one can do about oneself: the menu under one's own nick, and the dialogs about the nick and its account.
 */

import { ask, openDialog, toast } from "../dialog.js";
import { bdi, h } from "../dom.js";
import { openMenu } from "../menu.js";
import { shortTime } from "../times.js";
import { attempt } from "./common.js";

/**
 * What the whole page does about the account.
 *
 * @typedef {object} AccountPage
 * @property {() => void} logOut
 * @property {() => Promise<void>} keepLogin
 * @property {() => string | undefined} keptLabel returns the label of the token that keeps this device logged in
 * @property {() => void} begin shows the page anew, to another nick
 */

export class AccountActions {
  #chat;
  #page;

  /** @param {import("./common.js").Chat} chat @param {AccountPage} page */
  constructor(chat, page) {
    this.#chat = chat;
    this.#page = page;
  }

  get #client() {
    return this.#chat.client;
  }

  /** Open the menu under one's own nick. @param {HTMLElement} anchor */
  openMenu(anchor) {
    const { account, nick } = this.#chat;
    const entries = account
      ? [
          { label: "Change the password…", act: () => this.#changePassword() },
          { label: "Devices that are logged in…", act: () => this.#devices() },
          { label: "Keep me logged in on this device", act: () => this.#keep() },
        ]
      : [
          { label: "Change the nick…", act: () => this.#changeNick() },
          { label: "Register this nick…", act: () => this.register() },
          { label: "Log in to an account…", act: () => this.#logIn() },
        ];
    openMenu(anchor, [...entries, null, { label: "Log out", danger: true, act: () => this.#page.logOut() }], { label: "You", title: nick });
  }

  #keep() {
    return attempt(async () => {
      await this.#page.keepLogin();
      toast("You stay logged in on this device.");
    });
  }

  #changeNick() {
    ask("Change the nick", {
      fields: [{ label: "Nick", name: "nick", value: this.#chat.nick, attributes: { maxlength: 32, autocapitalize: "none", spellcheck: "false" } }],
      button: "Change",
      act: ({ nick }) => this.#chat.changeNick(nick),
    });
  }

  /** Make the nick an account. @param {() => void} [done] */
  register(done = () => {}) {
    const { nick } = this.#chat;
    ask(`Register ${nick}`, {
      text: "The nick becomes an account: nobody else can use it, your direct messages with other accounts are kept, and you own the rooms that you make.",
      fields: [
        { label: "Password", name: "password", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "The password again", name: "again", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "Keep me logged in on this device", name: "keep", type: "check", value: "yes" },
      ],
      button: "Register",
      act: async ({ password, again, keep }) => {
        checkPassword(password, again);
        const isLetIn = await this.#client.register(password);
        if (keep && isLetIn) await this.#page.keepLogin();
        toast(isLetIn ? `${nick} is your account now.` : "An operator has to let the account in first. Until then you are a guest.");
        this.#chat.tell("me");
        done();
      },
    });
  }

  #logIn() {
    ask("Log in to an account", {
      text: "This device stays logged in until you log out.",
      fields: [
        { label: "Nick", name: "nick", attributes: { autocomplete: "username", autocapitalize: "none", maxlength: 32 } },
        { label: "Password", name: "password", type: "password", attributes: { autocomplete: "current-password" } },
      ],
      button: "Log in",
      act: async ({ nick, password }) => {
        await this.#client.logIn(nick, password);
        await this.#page.keepLogin();
        this.#page.begin();
      },
    });
  }

  #changePassword() {
    ask("Change the password", {
      fields: [
        { label: "The password now", name: "old", type: "password", attributes: { autocomplete: "current-password" } },
        { label: "The new password", name: "password", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "The new password again", name: "again", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "Log out everywhere else", name: "revoke", type: "check" },
      ],
      button: "Change",
      act: async ({ old, password, again, revoke }) => {
        checkPassword(password, again);
        await this.#client.changePassword(old, password, revoke);
        toast("The password is changed.");
      },
    });
  }

  async #devices() {
    const tokens = await attempt(() => this.#client.tokens());
    if (tokens === undefined) return;
    openDialog(
      "Devices that are logged in",
      h("p", { class: "muted" }, "A device or program that keeps you logged in has a token in place of your password."),
      h("div", { class: "rows" }, ...tokens.map((token) => this.#tokenRow(token))),
      !tokens.length && h("p", {}, "There are none."),
    );
  }

  /** @param {import("../client.js").TokenInfo} token */
  #tokenRow({ label, created, used }) {
    const times = `since ${shortTime(created)}${used ? `, last used ${shortTime(used)}` : ""}`;
    const name = h("div", {}, bdi(label), label === this.#page.keptLabel() && " (this device)", h("small", {}, times));
    const revoke = () =>
      attempt(async () => {
        await this.#client.revokeToken(label);
        row.remove();
      });
    const row = h("div", { class: "row" }, name, h("button", { type: "button", class: "secondary", click: revoke }, "Log out"));
    return row;
  }
}

/** @param {string} password @param {string} again */
function checkPassword(password, again) {
  if (password !== again) throw new Error("the two passwords are not the same");
}
