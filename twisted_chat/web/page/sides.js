/**
 * The columns at the sides: conversations and members. In a narrow window they lie over the messages, one at a time.
 */

import { byId } from "./dom.js";

/** Pixels below which the columns lie over the messages, as in style.css. */
const NARROW = matchMedia("(max-width: 800px)");

/** The parts of the window. While a side lies over the others, these take no focus. */
const PARTS = ["sidebar", "main", "members"];

export class Sides {
  #settings;
  #shown;
  #sidebar = byId("sidebar");
  #members = byId("members");
  #shade = byId("shade");

  /**
   * @param {import("./settings.js").Settings} settings
   * @param {(isOpen: boolean) => void} shown called when the members are shown or hidden
   */
  constructor(settings, shown) {
    this.#settings = settings;
    this.#shown = shown;
    byId("show-sidebar").addEventListener("click", () => this.#open(this.#sidebar));
    byId("show-members").addEventListener("click", () => this.showMembers(this.#members.hidden));
    byId("hide-members").addEventListener("click", () => this.showMembers(false));
    this.#shade.addEventListener("click", () => this.close());
    NARROW.addEventListener("change", () => {
      this.close();
      this.begin();
    });
  }

  /** True in a narrow window. */
  get isNarrow() {
    return NARROW.matches;
  }

  /** The side that lies over the messages, or `null`. */
  get #over() {
    return [this.#sidebar, this.#members].find((side) => side.classList.contains("open")) ?? null;
  }

  /** Show the members as they were shown the last time. */
  begin() {
    this.showMembers(this.#settings.members && !this.isNarrow);
  }

  /** @param {boolean} isOpen */
  showMembers(isOpen) {
    this.#setMembers(isOpen);
    if (this.isNarrow) {
      if (isOpen) this.#open(this.#members);
      else this.close();
    } else if (this.#settings.members !== isOpen) {
      this.#settings.change({ members: isOpen });
    }
  }

  /** @param {boolean} isOpen */
  #setMembers(isOpen) {
    this.#members.hidden = !isOpen;
    byId("show-members").setAttribute("aria-expanded", String(isOpen));
    this.#shown(isOpen);
  }

  /** Lay a side over the messages, which keeps the focus in it. @param {HTMLElement} side */
  #open(side) {
    side.classList.add("open");
    this.#shade.hidden = false;
    byId("show-sidebar").setAttribute("aria-expanded", String(side === this.#sidebar));
    for (const part of PARTS) byId(part).inert = part !== side.id;
    side.querySelector("button")?.focus();
  }

  /** Take away the side that lies over the messages. Returns false if there was none. */
  close() {
    const side = this.#over;
    for (const part of PARTS) byId(part).inert = false;
    this.#shade.hidden = true;
    byId("show-sidebar").setAttribute("aria-expanded", "false");
    if (side === null) {
      return false;
    }
    side.classList.remove("open");
    if (side === this.#members) this.#setMembers(false);
    byId(side === this.#members ? "show-members" : "show-sidebar").focus();
    return true;
  }
}
