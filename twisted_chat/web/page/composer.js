/**
 * The box in which messages are written: drafts, completion of nicks and emoji, and the length that the server takes.
 */

import { buildAvatar } from "./avatar.js";
import { bdi, byId, h } from "./dom.js";
import { Listbox } from "./listbox.js";
import { readWritten, surplusOf } from "./outgoing.js";
import { nicksOf, NOTHING, suggest } from "./suggestions.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

export class Composer {
  #chat;
  #text = byId("text", HTMLTextAreaElement);
  #list = byId("suggestions");
  #note = byId("composer-note");
  #send = byId("send", HTMLButtonElement);
  /** @type {Conversation | null} */
  #conversation = null;
  #offered = NOTHING;
  #listbox = new Listbox(this.#text, this.#list, (index) => this.#take(index));
  #options;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {object} options
   * @param {(text: string) => string | null} options.command runs a command, and returns what is wrong with it
   * @param {() => void} options.toTimeline
   */
  constructor(chat, options) {
    this.#chat = chat;
    this.#options = options;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => this.#pressed(event));
    this.#text.addEventListener("blur", () => this.#offer(NOTHING));
    this.#text.addEventListener("paste", (event) => this.#pasted(event));
  }

  /** Write in a conversation: its draft is in the box. @param {Conversation | null} conversation */
  show(conversation) {
    this.#conversation = conversation;
    this.#text.value = conversation?.draft ?? "";
    this.#offer(NOTHING);
    this.refresh();
  }

  /** Show whether one may write here. */
  refresh() {
    const conversation = this.#conversation;
    const isOff = conversation === null || conversation.trouble !== "";
    this.#text.disabled = isOff;
    byId("emoji", HTMLButtonElement).disabled = isOff;
    const name = conversation === null ? "" : conversation.kind === "room" ? `#${conversation.name}` : conversation.name;
    this.#text.placeholder = !isOff ? `Message ${name}` : conversation === null ? "" : "You are not in this room";
    this.#text.setAttribute("aria-label", `Message ${name}`);
    byId("composer-box").classList.toggle("off", isOff);
    this.#check();
  }

  focus() {
    this.#text.focus();
  }

  /** Put a text where the cursor is. @param {string} text */
  insert(text) {
    this.#text.setRangeText(text, this.#text.selectionStart, this.#text.selectionEnd, "end");
    this.#text.focus();
    this.#typed();
  }

  #submit() {
    const written = readWritten(this.#text.value);
    if (written === null || this.#text.disabled || this.#surplus(written.text) > 0) {
      return;
    }
    this.#put(""); // before a command shows another conversation, with its own draft
    if (written.kind === "message") {
      this.#chat.say(written.text);
      return;
    }
    const problem = this.#options.command(written.text);
    if (problem !== null) {
      this.#put(written.text);
      this.#note.textContent = problem;
    }
  }

  /** @param {string} text */
  #put(text) {
    this.#text.value = text;
    this.#typed();
  }

  #typed() {
    if (this.#conversation !== null) {
      this.#chat.keepDraft(this.#conversation, this.#text.value);
    }
    this.#check();
    this.#suggest();
  }

  /** @param {string} text */
  #surplus(text) {
    return surplusOf(text, this.#chat.client.limits);
  }

  #check() {
    const surplus = this.#surplus(this.#text.value);
    this.#note.classList.toggle("error", surplus > 0);
    this.#note.textContent = surplus > 0 ? `This message is too long by ${surplus.toLocaleString()} bytes: send it in parts.` : "";
    this.#send.disabled = this.#text.disabled || surplus > 0 || this.#text.value.trim() === "";
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    const data = event.clipboardData;
    if (data?.files.length && !data.types.includes("text/plain")) {
      event.preventDefault();
      this.#note.textContent = "Files and pictures cannot be sent here, only text.";
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const { entries } = this.#offered;
    if (event.isComposing) {
      return; // Enter ends the input of a Chinese or Japanese word
    }
    if (this.#listbox.press(event)) {
      return;
    }
    if (entries.length && (event.key === "Tab" || event.key === "Enter") && !event.shiftKey) {
      event.preventDefault();
      this.#take(this.#listbox.chosen);
    } else if (entries.length && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#offer(NOTHING);
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && this.#text.value === "" && !event.altKey) {
      event.preventDefault();
      this.#options.toTimeline();
    }
  }

  // Suggestions

  #suggest() {
    const conversation = this.#conversation;
    const nicks = () => (conversation === null ? [] : nicksOf(conversation, (nick) => this.#chat.isMe(nick)));
    this.#offer(suggest(this.#text.value, this.#text.selectionStart, nicks));
  }

  /** @param {import("./suggestions.js").Offer} offered */
  #offer(offered) {
    this.#offered = offered;
    const { entries } = offered;
    this.#list.hidden = entries.length === 0;
    this.#listbox.show(entries.map(buildSuggestion));
  }

  /** @param {number} index */
  #take(index) {
    const { entries, from, to } = this.#offered;
    this.#text.setRangeText(entries[index].text, from, to, "end");
    this.#offer(NOTHING);
    this.#typed();
  }
}

/** @param {import("./suggestions.js").Suggestion} suggestion */
function buildSuggestion(suggestion) {
  if ("emoji" in suggestion) {
    return h("div", { class: "suggestion" }, h("span", { class: "sign" }, suggestion.emoji), h("span", { class: "name" }, `:${suggestion.name}:`));
  }
  const { nick } = suggestion;
  return h("div", { class: "suggestion" }, buildAvatar(nick), bdi(nick));
}
