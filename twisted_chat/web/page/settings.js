/**
 * The settings of the page on this device, and the dialog that changes them.
 */

import { openDialog } from "./dialog.js";
import { byId, h } from "./dom.js";
import { readJson, writeJson } from "./memory.js";

const SETTINGS = "chat:settings";
const THEME = "chat:theme"; // `theme.js` reads it before anything is drawn

const THEMES = Object.entries({ system: "System", light: "Light", dark: "Dark" });

/** The keys, and what they do. `docs/browser.md` has the same list. */
const KEYS = [
  ["Enter", "Send"],
  ["Shift Enter", "New line"],
  ["Ctrl K", "Find or join a room, or a person"],
  ["Alt ↑ ↓", "Previous or next conversation"],
  ["Alt Shift ↑ ↓", "Previous or next with unread messages"],
  ["↑", "To the messages, from the empty box"],
  ["↑ ↓ Home End", "From message to message"],
  ["Enter", "Menu of the message"],
  ["Esc", "Back to the box; there, mark as read"],
  ["F6", "Next part of the page"],
  ["Ctrl /", "This list"],
];

const MARKUP = "Typed: **bold**, *italic*, ~~struck~~, `code`, ``` for lines of code, > for a quotation, :wave: for 👋.";

export class Settings {
  #storage;
  /** True if mentions and direct messages become notifications of the system. */
  notify = false;
  /** True if comings and goings are shown. */
  moves = true;
  /** True if the members are shown beside the messages. */
  members = true;

  /** @param {Storage | null} storage */
  constructor(storage) {
    this.#storage = storage;
    const kept = readJson(storage, SETTINGS) ?? {};
    for (const name of /** @type {const} */ (["notify", "moves", "members"])) {
      if (typeof kept[name] === "boolean") this[name] = kept[name];
    }
    this.#showMoves();
  }

  /** Change settings, and remember them. @param {Partial<Pick<Settings, "notify" | "moves" | "members">>} changes */
  change(changes) {
    Object.assign(this, changes);
    const { notify, moves, members } = this;
    writeJson(this.#storage, SETTINGS, { notify, moves, members });
    this.#showMoves();
  }

  #showMoves() {
    byId("timeline").classList.toggle("quiet", !this.moves);
  }

  /** Open the dialog. @param {string} server the name and version of the server, which stand in it */
  open(server) {
    const moves = h("input", { type: "checkbox", checked: this.moves, change: () => this.change({ moves: moves.checked }) });
    const keys = KEYS.flatMap(([pressed, words]) => [h("dt", {}, h("kbd", {}, pressed)), h("dd", {}, words)]);
    openDialog(
      "Settings",
      h("h3", { id: "theme-title" }, "Colours"),
      h("div", { class: "choices", role: "radiogroup", "aria-labelledby": "theme-title" }, ...this.#themeChoices()),
      h("h3", {}, "Notifications"),
      this.#notificationRow(),
      h("label", { class: "check" }, moves, h("span", {}, "Show who comes and goes")),
      h("h3", {}, "Keys"),
      h("dl", { class: "keys" }, ...keys),
      h("p", { class: "muted" }, MARKUP),
      h("p", { class: "muted" }, server),
    );
  }

  #themeChoices() {
    const theme = document.documentElement.dataset.theme ?? "system";
    return THEMES.map(([value, words]) => {
      const change = () => this.#setTheme(value);
      return h("label", {}, h("input", { type: "radio", name: "theme", value, checked: value === theme, change }), words);
    });
  }

  /** @param {string} theme */
  #setTheme(theme) {
    if (theme === "system") {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = theme;
    }
    try {
      this.#storage?.setItem(THEME, theme);
    } catch {
      // Then it is for this visit.
    }
  }

  #notificationRow() {
    const state = "Notification" in globalThis ? Notification.permission : "missing";
    const words = { missing: "This browser shows none.", denied: "This browser does not allow them for this page: its settings can.", default: "", granted: "" };
    const isOn = () => this.notify && Notification.permission === "granted";
    const change = async () => {
      this.change({ notify: !isOn() && (await Notification.requestPermission()) === "granted" });
      button.textContent = isOn() ? "Turn off" : "Turn on";
    };
    const isOff = state === "missing" || state === "denied";
    const button = h("button", { type: "button", class: "secondary", disabled: isOff, click: change }, !isOff && isOn() ? "Turn off" : "Turn on");
    return h("div", { class: "row" }, h("div", {}, "Mentions and direct messages", h("small", {}, words[state])), button);
  }
}
