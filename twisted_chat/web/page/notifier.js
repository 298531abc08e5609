/**
 * What reaches a reader who looks elsewhere: the title of the tab, notifications of the system, and, for a screen
 * reader, the new messages of the open conversation.
 */

import { byId, h } from "./dom.js";

/** New messages that are read out one by one. If more come at once, their number is. */
const READ_OUT = 3;

/** Milliseconds in which new messages are gathered before they are read out. */
const PAUSE = 700;

/** Characters of a message in a notification, and in what is read out. */
const LONGEST = 240;

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").MessageItem} MessageItem */

export class Notifier {
  #chat;
  #settings;
  #open;
  /** What is read out next, with the conversation where it is not the open one.
   * @type {{item: MessageItem, where: string}[]} */
  #waiting = [];
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  /** What the icon of an installed page shows. */
  #badge = 0;
  /** The notifications, by the messages of which they tell. @type {WeakMap<MessageItem, Notification>} */
  #notes = new WeakMap();
  #announcer = byId("announcer");

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {{notify: boolean}} settings
   * @param {(conversation: Conversation) => void} open called when somebody has chosen a notification
   */
  constructor(chat, settings, open) {
    this.#chat = chat;
    this.#settings = settings;
    this.#open = open;
    chat.on("list", () => this.#showTitle());
    chat.on("current", () => this.#showTitle());
    chat.on("said", (said) => this.#said(said));
    chat.on("deleted", (item) => this.#deleted(item));
  }

  #showTitle() {
    const all = [...this.#chat.conversations.values()];
    const mentions = all.reduce((sum, { mentions }) => sum + mentions, 0);
    const isUnread = all.some(({ unread }) => unread > 0);
    const { kind, name } = this.#chat.current ?? {};
    const place = name === undefined ? "Chat" : `${kind === "room" ? "#" : ""}${name} · Chat`;
    document.title = (mentions ? `(${mentions}) ` : isUnread ? "• " : "") + place;
    if ("setAppBadge" in navigator && mentions !== this.#badge) {
      this.#badge = mentions;
      const done = mentions ? navigator.setAppBadge(mentions) : navigator.clearAppBadge();
      done.catch(() => {}); // only an installed page has a badge
    }
  }

  /** @param {import("./chat.js").Said} said */
  #said({ conversation, item }) {
    if (item.own || item.deleted) {
      return;
    }
    const isForMe = item.mention || conversation.kind === "direct";
    if (conversation === this.#chat.current || isForMe) {
      this.#announce(conversation, item);
    }
    if (isForMe && !this.#chat.isLookingAt(conversation)) {
      this.#notify(conversation, item);
    }
  }

  /** Read a message out, unless others come with it. @param {Conversation} conversation @param {MessageItem} item */
  #announce(conversation, item) {
    const where = conversation === this.#chat.current ? "" : ` in ${conversation.name}`;
    this.#waiting.push({ item, where });
    this.#timer ??= setTimeout(() => {
      const said = this.#waiting.filter(({ item }) => !item.deleted);
      this.#waiting = [];
      this.#timer = null;
      const shown =
        said.length > READ_OUT
          ? [`${said.length} new messages`]
          : said.map(({ item, where }) => `${item.author}${where}: ${item.text.slice(0, LONGEST)}`);
      this.#announcer.replaceChildren(...shown.map((text) => h("p", {}, text)));
    }, PAUSE);
  }

  /** Take back what was said of a message, wherever its text still stands. @param {MessageItem} item */
  #deleted(item) {
    this.#announcer.replaceChildren();
    this.#notes.get(item)?.close();
  }

  /** @param {Conversation} conversation @param {MessageItem} item */
  #notify(conversation, item) {
    if (!this.#settings.notify || !("Notification" in globalThis) || Notification.permission !== "granted") {
      return;
    }
    const title = conversation.kind === "room" ? `${item.author} in #${conversation.name}` : item.author;
    try {
      const note = new Notification(title, { body: item.text.slice(0, LONGEST), tag: conversation.id, icon: "icon-192.png" });
      this.#notes.set(item, note);
      note.onclick = () => {
        window.focus();
        this.#open(conversation);
        note.close();
      };
    } catch {
      // Chrome on Android only shows notifications of a service worker: docs/browser.md says so.
    }
  }
}
