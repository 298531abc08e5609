/**
 * Menus: a list of actions at the element or place that asked for it, for the pointer and the keyboard.
 */

import { h } from "./dom.js";

/**
 * @typedef {object} Entry
 * @property {string} label
 * @property {() => void} act
 * @property {boolean} [danger]
 */

/** What a menu is made of: `null` is a line between groups, and what is false or missing is left out.
 * @typedef {Entry | null | false | undefined} MaybeEntry */

/** The menu that is open. @type {HTMLElement | null} */
let open = null;

/**
 * Open a menu. Arrow keys, Home, End and the first letter of an entry move; Escape closes, and the focus goes back.
 *
 * @param {HTMLElement} anchor
 * @param {MaybeEntry[]} entries
 * @param {{title?: string, label: string}} names
 */
export function openMenu(anchor, entries, { title, label }) {
  open?.hidePopover();
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label, popover: "auto" });
  if (title) {
    menu.append(h("div", { class: "menu-title", role: "presentation" }, h("bdi", {}, title)));
  }
  for (const entry of trimLines(entries)) {
    menu.append(entry === null ? h("hr", { role: "separator" }) : buildEntry(menu, entry));
  }
  const returnTo = document.activeElement;
  (anchor.closest("nav, main, aside") ?? document.body).append(menu); // so that it belongs to that part of the page
  menu.addEventListener("keydown", (event) => moveWithKeys(menu, event));
  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "closed") {
      const hadFocus = menu.contains(document.activeElement) || document.activeElement === document.body;
      open = open === menu ? null : open;
      anchor.setAttribute("aria-expanded", "false");
      menu.remove();
      if (hadFocus && returnTo instanceof HTMLElement) returnTo.focus({ preventScroll: true });
    }
  });
  menu.showPopover();
  open = menu;
  if (anchor.hasAttribute("aria-haspopup")) {
    anchor.setAttribute("aria-expanded", "true");
  }
  place(menu, anchor.getBoundingClientRect());
  menu.querySelector("button")?.focus();
}

/**
 * Leave out lines at the ends, and doubled ones, where entries are not for everybody.
 *
 * @param {MaybeEntry[]} entries
 */
function trimLines(entries) {
  const all = entries.filter((entry) => entry !== false && entry !== undefined);
  return all.filter((entry, index) => entry !== null || (all.slice(0, index).some(Boolean) && all[index + 1]));
}

/** @param {HTMLElement} menu @param {Entry} entry */
function buildEntry(menu, { label, act, danger }) {
  const run = () => {
    menu.hidePopover();
    act();
  };
  return h("button", { type: "button", role: "menuitem", tabindex: -1, class: danger ? "danger" : undefined, click: run }, label);
}

/** @param {HTMLElement} menu @param {KeyboardEvent} event */
function moveWithKeys(menu, event) {
  const buttons = [...menu.querySelectorAll("button")];
  const at = buttons.findIndex((button) => button === document.activeElement);
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  let next = steps[event.key];
  if (event.key === "Tab" || event.key === "Escape") {
    event.preventDefault(); // of Escape, too: the page would take the focus to the box
    menu.hidePopover();
    return;
  }
  if (next === undefined && event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " ") {
    const letter = event.key.toLowerCase();
    const after = [...buttons.keys()].map((index) => (at + 1 + index) % buttons.length);
    next = after.find((index) => buttons[index].textContent?.toLowerCase().startsWith(letter)) ?? next;
  }
  if (next !== undefined) {
    event.preventDefault();
    buttons.at(next % buttons.length)?.focus();
  }
}

/**
 * Put a menu below its anchor, or above, where it is inside of the window.
 *
 * @param {HTMLElement} menu
 * @param {DOMRect} anchor
 */
function place(menu, anchor) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const isRight = anchor.left + width > innerWidth - 8;
  const left = isRight ? anchor.right - width : anchor.left;
  const top = anchor.bottom + 4 + height > innerHeight - 8 ? anchor.top - height - 4 : anchor.bottom + 4;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, top)}px`;
}
