/**
 * A table of emoji, with a search.
 */

import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { COMMON_EMOJI, searchEmoji } from "./emoji.js";

/** Emoji that are shown for a search: as many as fit without scrolling on most screens. */
const MOST = 96;

/** Let somebody choose an emoji. @param {(emoji: string) => void} chosen */
export function openEmojiDialog(chosen) {
  const input = h("input", { "aria-label": "Name of an emoji", placeholder: "Search by name", autocomplete: "off", spellcheck: "false", autofocus: true });
  const grid = h("div", { class: "emoji-grid", role: "group", "aria-label": "Emoji" });
  const dialog = openDialog("Emoji", input, grid);
  /** @param {import("./emoji.js").Emoji} emoji */
  const build = ({ emoji, name }) => {
    const click = () => {
      dialog.close();
      chosen(emoji);
    };
    return h("button", { type: "button", title: `:${name}:`, "aria-label": name.replaceAll("_", " "), click }, emoji);
  };
  const draw = () => {
    const typed = input.value.trim().replaceAll(" ", "_");
    grid.replaceChildren(...(typed ? searchEmoji(typed, MOST) : COMMON_EMOJI).map(build));
  };
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      grid.querySelector("button")?.click();
    }
  });
  draw();
}
