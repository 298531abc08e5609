/**
 * The list of conversations: rooms and people, with what is unread in each.
 */

import { buildAvatar, changeAvatar } from "./avatar.js";
import { compareNames } from "./conversation.js";
import { bdi, byId, closest, focusAgain, focusedIn, h } from "./dom.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").ConversationKind} ConversationKind */

const MOST = 99; // a badge with more digits would be wider than the name

export class Sidebar {
  #chat;
  #list = byId("conversations");
  #isDrawn = false;

  /** @param {import("./chat.js").Chat} chat @param {() => void} chosen called when somebody has chosen one */
  constructor(chat, chosen) {
    this.#chat = chat;
    this.#list.addEventListener("click", (event) => {
      const conversation = chat.conversations.get(closest(event, ".conversation")?.dataset.id ?? "");
      if (conversation !== undefined) {
        chat.show(conversation);
        chosen();
      }
    });
    chat.on("list", () => this.#drawSoon());
    chat.on("me", () => this.#drawMe());
    this.#drawMe();
    this.#drawSoon();
  }

  /** Conversations in the order of the list: rooms by name, then people by name. */
  inOrder() {
    const all = [...this.#chat.conversations.values()].sort((one, other) => compareNames(one.name, other.name));
    return [...all.filter(({ kind }) => kind === "room"), ...all.filter(({ kind }) => kind === "direct")];
  }

  /** Go to the conversation before or after the open one. @param {1 | -1} step @param {boolean} isUnread */
  step(step, isUnread = false) {
    const all = this.inOrder();
    const at = all.findIndex((one) => one === this.#chat.current);
    for (let count = 1; count <= all.length; count++) {
      const next = all[(at + step * count + all.length * 2) % all.length];
      if (!isUnread || next.unread) {
        this.#chat.show(next);
        return;
      }
    }
  }

  /** Draw the list once a frame: many messages may arrive in one. */
  #drawSoon() {
    if (!this.#isDrawn) {
      this.#isDrawn = true;
      requestAnimationFrame(() => {
        this.#isDrawn = false;
        this.#draw();
      });
    }
  }

  #draw() {
    const focused = focusedIn(this.#list)?.dataset.id;
    const all = this.inOrder();
    /** @param {ConversationKind} kind @param {string} title */
    const section = (kind, title) => {
      const shown = all.filter((one) => one.kind === kind);
      const id = `list-${kind}`;
      return shown.length ? [h("h2", { id }, title), h("ul", { "aria-labelledby": id }, ...shown.map((one) => h("li", {}, this.#button(one))))] : [];
    };
    this.#list.replaceChildren(...section("room", "Rooms"), ...section("direct", "Direct messages"));
    focusAgain(this.#list, ".conversation", ({ dataset }) => dataset.id === focused);
    const elsewhere = all.filter((one) => one !== this.#chat.current).reduce((sum, one) => sum + one.mentions, 0);
    const badge = byId("mentions-elsewhere");
    badge.textContent = limited(elsewhere);
    badge.hidden = elsewhere === 0;
  }

  /** @param {Conversation} conversation */
  #button(conversation) {
    const { id, kind, name, unread, mentions, trouble } = conversation;
    const isCurrent = conversation === this.#chat.current;
    const classes = ["conversation", unread && !isCurrent && "unread", trouble && "lost"];
    const sign = kind === "room" ? h("span", { class: "sign", "aria-hidden": "true" }, "#") : buildAvatar(name);
    const more = conversation.hasMoreUnread ? "+" : "";
    const count =
      mentions > 0
        ? h("span", { class: "badge" }, limited(mentions) + more, h("span", { class: "visually-hidden" }, " for you"))
        : unread > 0 && h("span", { class: "count" }, limited(unread) + more, h("span", { class: "visually-hidden" }, " unread"));
    return h("button", { type: "button", class: classes.filter(Boolean).join(" "), "data-id": id, "aria-current": isCurrent ? "page" : undefined, title: name }, sign, bdi(name), count);
  }

  #drawMe() {
    const { nick, account, state } = this.#chat;
    changeAvatar(byId("me-avatar"), nick);
    byId("me-nick").textContent = nick;
    byId("me-kind").textContent = state === "connected" ? (account ? "Account" : "Guest") : "Not connected";
  }
}

/** @param {number} count */
function limited(count) {
  return count > MOST ? `${MOST}+` : String(count);
}
