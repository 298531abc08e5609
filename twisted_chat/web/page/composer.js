/**
 * The box in which messages are written: drafts, completion of nicks and emoji, and the length that the server takes.
 */

import { key as keyOf } from "./client/objects.js";
import { hueOf, initialOf } from "./colours.js";
import { bdi, byId, h } from "./dom.js";
import { replaceNames, searchEmoji } from "./emoji.js";

/** Suggestions at once: as many as fit above the box of a phone. */
const MOST = 7;

/** Bytes of a message around its text: the names of the fields, a nick or room of 64 characters, and an id. */
const AROUND = 512;

const bytes = new TextEncoder();

export class Composer {
  #chat;
  #text = byId("text");
  #list = byId("suggestions");
  #note = byId("composer-note");
  #send = byId("send");
  #conversation = null;
  /** What is offered, and the part of the text that it would replace. */
  #offered = { entries: [], from: 0, to: 0 };
  #chosen = 0;
  #options;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {object} options
   * @param {(text: string) => true | string} options.command runs a text that is a command; a text says what is wrong
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
    this.#text.addEventListener("blur", () => this.#offer([]));
    this.#text.addEventListener("paste", (event) => this.#pasted(event));
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the focus stays in the box
      const option = event.target.closest("[role=option]");
      if (option !== null) this.#take([...this.#list.children].indexOf(option));
    });
  }

  /** Write in a conversation: its draft is in the box. */
  show(conversation) {
    this.#conversation = conversation;
    this.#text.value = conversation?.draft ?? "";
    this.#offer([]);
    this.refresh();
    this.#check();
  }

  /** Show whether one may write here. */
  refresh() {
    const conversation = this.#conversation;
    const isOff = conversation === null || conversation.trouble !== "";
    this.#text.disabled = isOff;
    byId("emoji").disabled = isOff;
    const name = conversation === null ? "" : conversation.kind === "room" ? `#${conversation.name}` : conversation.name;
    this.#text.placeholder = !isOff ? `Message ${name}` : conversation === null ? "" : "You are not in this room";
    this.#text.setAttribute("aria-label", `Message ${name}`);
    this.#text.closest(".composer-box").classList.toggle("off", isOff);
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
    const text = replaceNames(this.#text.value.replace(/^\n+|\s+$/gu, ""));
    if (text === "" || this.#text.disabled || this.#surplus(text) > 0) {
      return;
    }
    const isCommand = /^\/[a-z]+(?:\s|$)/u.test(text);
    this.#put(""); // before a command shows another conversation, with its own draft
    if (!isCommand) {
      this.#chat.say(text.startsWith("//") ? text.slice(1) : text);
      return;
    }
    const problem = this.#options.command(text);
    if (problem !== true) {
      this.#put(text);
      this.#note.textContent = problem;
    }
  }

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

  /** Bytes by which a text is too long, as it is on the wire. */
  #surplus(text) {
    const most = (this.#chat.client.limits.object ?? 16_384) - AROUND;
    return bytes.encode(JSON.stringify(text)).length - most;
  }

  #check() {
    const surplus = this.#surplus(this.#text.value);
    this.#note.classList.toggle("error", surplus > 0);
    this.#note.textContent = surplus > 0 ? `This message is too long by ${surplus.toLocaleString()} bytes: send it in parts.` : "";
    this.#send.disabled = this.#text.disabled || surplus > 0 || this.#text.value.trim() === "";
  }

  #pasted(event) {
    if (event.clipboardData.files.length && !event.clipboardData.types.includes("text/plain")) {
      event.preventDefault();
      this.#note.textContent = "Files and pictures cannot be sent here, only text.";
    }
  }

  #pressed(event) {
    const { entries } = this.#offered;
    if (event.isComposing) {
      return; // Enter ends the input of a Chinese or Japanese word
    }
    if (entries.length && ["ArrowUp", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      this.#choose((this.#chosen + (event.key === "ArrowDown" ? 1 : entries.length - 1)) % entries.length);
    } else if (entries.length && (event.key === "Tab" || event.key === "Enter") && !event.shiftKey) {
      event.preventDefault();
      this.#take(this.#chosen);
    } else if (entries.length && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#offer([]);
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
    const at = this.#text.selectionStart;
    const before = this.#text.value.slice(Math.max(0, at - 64), at);
    const emoji = /(?<![\p{L}\p{N}:]):([a-z0-9_+-]{2,})$/iu.exec(before);
    const nick = /(?<![\p{L}\p{N}])@([\p{L}\p{N}\p{M}_.-]*)$/u.exec(before);
    if (emoji !== null) {
      const entries = searchEmoji(emoji[1], MOST).map((found) => ({ ...found, text: `${found.emoji} ` }));
      this.#offer(entries, at - emoji[0].length, at);
    } else if (nick !== null) {
      this.#offer(this.#nicks(nick[1]), at - nick[0].length, at);
    } else {
      this.#offer([]);
    }
  }

  #nicks(part) {
    const { members = [], items = [], kind, name } = this.#conversation ?? {};
    const speakers = items.filter((item) => item.kind === "message").map(({ author }) => author).reverse();
    const known = new Map();
    for (const nick of [...speakers.slice(0, 200), ...members, ...(kind === "direct" ? [name] : [])]) {
      if (!known.has(keyOf(nick)) && !this.#chat.isMe(nick)) known.set(keyOf(nick), nick);
    }
    const wanted = keyOf(part);
    const found = [...known].filter(([key]) => key.startsWith(wanted)).slice(0, MOST);
    return found.map(([, nick]) => ({ nick, text: `@${nick} ` }));
  }

  #offer(entries, from = 0, to = 0) {
    this.#offered = { entries, from, to };
    this.#list.hidden = entries.length === 0;
    this.#list.replaceChildren(...entries.map((entry, index) => buildSuggestion(entry, index)));
    if (entries.length) {
      this.#choose(0);
    } else {
      this.#text.removeAttribute("aria-activedescendant");
    }
  }

  #choose(index) {
    this.#chosen = index;
    [...this.#list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    this.#list.children[index].scrollIntoView({ block: "nearest" });
    this.#text.setAttribute("aria-activedescendant", `suggestion-${index}`);
  }

  #take(index) {
    const { entries, from, to } = this.#offered;
    this.#text.setRangeText(entries[index].text, from, to, "end");
    this.#offer([]);
    this.#typed();
  }
}

function buildSuggestion({ emoji, name, nick }, index) {
  const properties = { class: "suggestion", role: "option", id: `suggestion-${index}`, "aria-selected": "false" };
  if (emoji !== undefined) {
    return h("div", properties, h("span", { class: "sign" }, emoji), h("span", { class: "name" }, `:${name}:`));
  }
  return h("div", properties, h("span", { class: `avatar ${hueOf(nick)}`, "aria-hidden": "true" }, initialOf(nick)), bdi(nick));
}
