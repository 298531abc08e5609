/**
 * The members of a room, at the side.
 */

import { buildAvatar } from "./avatar.js";
import { key as keyOf } from "./client/objects.js";
import { bdi, byId, closest, focusAgain, focusedIn, h } from "./dom.js";

export class Members {
  #chat;
  #list = byId("member-list");
  #isOpen = false;
  /** @type {number | null} */
  #wait = null;

  /** @param {import("./chat.js").Chat} chat @param {(nick: string, anchor: HTMLElement) => void} openNick */
  constructor(chat, openNick) {
    this.#chat = chat;
    this.#list.addEventListener("click", (event) => {
      const member = closest(event, ".member");
      if (member !== null) openNick(member.dataset.nick ?? "", member);
    });
    chat.on("members", (conversation) => conversation === chat.current && this.#drawSoon());
  }

  /** @param {boolean} isOpen */
  show(isOpen) {
    this.#isOpen = isOpen;
    this.draw();
  }

  #drawSoon() {
    this.#wait ??= requestAnimationFrame(() => {
      this.#wait = null;
      this.draw();
    });
  }

  draw() {
    const { members = [], count = 0, kind } = this.#chat.current ?? {};
    if (!this.#isOpen || kind !== "room") {
      this.#list.replaceChildren();
      return;
    }
    const focused = focusedIn(this.#list)?.dataset.nick;
    const more = count - members.length;
    this.#list.replaceChildren(
      ...members.map((nick) => this.#member(nick)),
      more > 0 ? h("li", { class: "more-members" }, `and ${more.toLocaleString()} more`) : "",
    );
    focusAgain(this.#list, ".member", ({ dataset }) => focused !== undefined && keyOf(dataset.nick ?? "") === keyOf(focused));
  }

  /** @param {string} nick */

  #member(nick) {
    const role = this.#chat.current?.role; // one's own: the server does not tell those of others
    const me = this.#chat.isMe(nick) && h("span", { class: "muted" }, role ? `you, ${role}` : "you");
    return h("li", {}, h("button", { type: "button", class: "member", "data-nick": nick, title: nick, "aria-haspopup": "menu" }, buildAvatar(nick), bdi(nick), me));
  }
}
