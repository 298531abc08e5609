/**
 * Nodes of the page. Texts only ever become text nodes and values of attributes, so that no text is read as HTML.
 */

/**
 * Make an element. Functions among the properties are listeners of events, `undefined` and `false` are left out.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      element.addEventListener(name, /** @type {EventListener} */ (value));
    } else if (name === "value") {
      /** @type {HTMLInputElement} */ (element).value = String(value);
    } else if (value !== undefined && value !== false && value !== null) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
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

/** Find an element of `index.html`. @param {string} id @returns {any} */
export function byId(id) {
  return document.getElementById(id);
}

/** A name that somebody has made up, apart from the direction of the text around it. @param {string} name */
export function bdi(name, properties = {}) {
  return h("bdi", properties, name);
}
