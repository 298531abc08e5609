/**
 * The options of a combobox: the focus stays in its input, from which the arrow keys choose one of them.
 */

import { childrenOf, closest } from "./dom.js";

export class Listbox {
  #input;
  #list;
  /** The index of the chosen option. */
  chosen = 0;

  /**
   * @param {HTMLElement} input
   * @param {HTMLElement} list the element with the role `listbox`; its id begins those of its options
   * @param {(index: number) => void} take called when an option is clicked
   */
  constructor(input, list, take) {
    this.#input = input;
    this.#list = list;
    list.addEventListener("mousedown", (event) => event.preventDefault()); // which would take the focus from the input
    list.addEventListener("click", (event) => {
      const option = closest(event, "[role=option]");
      if (option !== null) take(childrenOf(list).indexOf(option));
    });
  }

  /** Show options, and choose the first one. @param {HTMLElement[]} options */
  show(options) {
    options.forEach((option, index) => {
      option.id = `${this.#list.id}-${index}`;
      option.setAttribute("role", "option");
    });
    this.#list.replaceChildren(...options);
    this.choose(0);
  }

  /** Choose an option. @param {number} index */
  choose(index) {
    this.chosen = index;
    const options = childrenOf(this.#list);
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = options.at(index);
    if (option === undefined) {
      this.#input.removeAttribute("aria-activedescendant");
    } else {
      option.scrollIntoView({ block: "nearest" });
      this.#input.setAttribute("aria-activedescendant", option.id);
    }
  }

  /**
   * Choose the next or the previous option for an arrow key, if there are any. Returns true if that was done.
   *
   * @param {KeyboardEvent} event
   */
  press(event) {
    const count = this.#list.childElementCount;
    if (count === 0 || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return false;
    event.preventDefault();
    this.choose((this.chosen + (event.key === "ArrowDown" ? 1 : count - 1)) % count);
    return true;
  }
}
