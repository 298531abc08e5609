/**
 * A dialog that finds a conversation, a room of the server or a person, or makes a room.
 */

import { openDialog } from "./dialog.js";
import { bdi, h } from "./dom.js";
import { Listbox } from "./listbox.js";
import { findPlaces } from "./places.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./places.js").Place} Place */

/** Open the dialog. @param {Chat} chat */
export function openFinder(chat) {
  new Finder(chat);
}

class Finder {
  #chat;
  #input = h("input", { role: "combobox", "aria-label": "Room or nick", "aria-expanded": "true", "aria-controls": "go-options", "aria-autocomplete": "list", autocapitalize: "none", spellcheck: "false", autocomplete: "off", placeholder: "Room or nick", autofocus: true });
  #list = h("div", { class: "options", role: "listbox", id: "go-options", "aria-label": "Rooms and people" });
  #dialog = openDialog("Find or join", this.#input, this.#list);
  /** The rooms of the server, once it has listed them. @type {import("./client.js").RoomInfo[]} */
  #rooms = [];
  /** @type {Place[]} */
  #options = [];
  #listbox = new Listbox(this.#input, this.#list, (index) => this.#take(index));
  /** True until the server has said what rooms and members there are. */
  #isAsking = true;
  #asked;

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    this.#input.addEventListener("input", () => this.#draw());
    this.#input.addEventListener("keydown", (event) => this.#pressed(event));
    this.#draw();
    this.#asked = this.#ask();
  }

  async #ask() {
    const listed = async () => {
      this.#rooms = await this.#chat.client.rooms();
      this.#drawAgain();
    };
    // Also of rooms that are about to be joined, as all are after a reload of the page.
    const entered = [...this.#chat.conversations.values()].filter(({ trouble }) => trouble === "");
    await Promise.allSettled([listed(), ...entered.map((room) => this.#chat.askMembers(room))]);
    this.#isAsking = false;
    this.#drawAgain();
  }

  #draw() {
    const { conversations, current, nick } = this.#chat;
    const known = { conversations: conversations.values(), current, rooms: this.#rooms, nick };
    this.#options = findPlaces(this.#input.value, known);
    this.#listbox.show(this.#options.map(buildPlace));
  }

  /** Draw what is known by now, and stay at the option that somebody has moved to. */
  #drawAgain() {
    const { chosen } = this.#listbox;
    const held = chosen > 0 ? this.#options[chosen] : undefined;
    this.#draw();
    const at = this.#options.findIndex(({ kind, name }) => kind === held?.kind && name === held.name);
    if (at > 0) this.#listbox.choose(at);
  }

  /** @param {number} index */
  async #take(index) {
    const place = this.#options[index];
    if (place?.isNew && this.#isAsking) {
      this.#listbox.choose(index);
      await this.#asked; // the name may be somebody's, or a room's: then that is what is shown now, and not taken yet
      const now = this.#options[this.#listbox.chosen];
      if (!this.#dialog.open || now?.name !== place.name || now.kind !== place.kind || !now.isNew) return;
    }
    if (place !== undefined) {
      this.#dialog.close();
      this.#chat.open(place.kind, place.name);
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (!event.isComposing && !this.#listbox.press(event) && event.key === "Enter") {
      event.preventDefault();
      this.#take(this.#listbox.chosen);
    }
  }
}

/** @param {Place} place */
function buildPlace({ kind, name, more }) {
  const sign = h("span", { class: "sign muted", "aria-hidden": "true" }, kind === "room" ? "#" : "@");
  const note = more && h("span", { class: "more muted", dir: "auto" }, more);
  return h("div", { class: "option" }, sign, bdi(name), note);
}
