/**
 * Nodes of the page. Texts only ever become text nodes and values of attributes, so that no text is read as HTML.
 */

/** What an element can have as a child; what is missing is left out.
 * @typedef {Node | string | null | undefined | false} Child */

/**
 * Make an element. Functions among the properties are listeners of events, `undefined`, `null` and `false` are left out.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      element.addEventListener(name, /** @type {EventListener} */ (value));
    } else if (name === "value" && element instanceof HTMLInputElement) {
      element.value = String(value);
    } else if (value !== undefined && value !== false && value !== null) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of `index.html`. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Find an element of `index.html`. Throws if there is none of the type, such as `HTMLInputElement`.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function byId(id, type = /** @type {new () => any} */ (HTMLElement)) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} with the id ${id}`);
  return element;
}

/**
 * Find the closest element of a kind around the target of an event, or `null`.
 *
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function closest(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/** The children of an element of the page, all of which are elements of HTML. @param {HTMLElement} element */
export function childrenOf(element) {
  return /** @type {HTMLElement[]} */ ([...element.children]);
}

/** Return the element with the focus, if it is in another one. @param {HTMLElement} element */
export function focusedIn(element) {
  const focused = document.activeElement;
  return focused instanceof HTMLElement && element.contains(focused) ? focused : null;
}

/**
 * Give the focus to one of the elements of a list that has been drawn anew.
 *
 * @param {HTMLElement} list
 * @param {string} selector
 * @param {(element: HTMLElement) => boolean} isWanted
 */
export function focusAgain(list, selector, isWanted) {
  /** @type {NodeListOf<HTMLElement>} */
  const elements = list.querySelectorAll(selector);
  [...elements].find(isWanted)?.focus();
}

/** A name that somebody has made up, apart from the direction of the text around it. @param {string} name */
export function bdi(name, properties = {}) {
  return h("bdi", properties, name);
}
