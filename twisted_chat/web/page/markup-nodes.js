/**
 * The tree of a message as nodes of the page. Nothing is ever read as HTML: a text can only become the nodes that `build`
 * makes.
 */

import { h } from "./dom.js";

/** @typedef {import("./markup.js").Block} Block */
/** @typedef {import("./markup.js").Inline} Inline */

const ELEMENTS = /** @type {const} */ ({ bold: "strong", italic: "em", struck: "s", code: "code", mention: "mark" });

/**
 * Make nodes of a text. This is the only way by which the text of a message gets into the page.
 *
 * @param {Block[]} blocks
 */
export function build(blocks) {
  return blocks.map((block) => {
    if (block.type === "fence") {
      return buildFence(block);
    }
    return h(block.type === "quote" ? "blockquote" : "p", { dir: "auto" }, ...block.children.map(buildInline));
  });
}

/** @param {import("./markup.js").Fence} fence */
function buildFence({ text, language }) {
  const label = language ? `Code, ${language}` : "Code";
  // It scrolls sideways, with the keyboard too.
  return h("pre", { tabindex: 0, role: "group", "aria-label": label }, h("code", {}, text));
}

/** @param {Inline} node @returns {Node} */
function buildInline(node) {
  if (node.type === "text") {
    return document.createTextNode(node.text);
  }
  if (node.type === "link") {
    return h("a", { href: node.href, target: "_blank", rel: "noopener noreferrer nofollow" }, node.text);
  }
  return h(ELEMENTS[node.type], {}, ...("children" in node ? node.children.map(buildInline) : [node.text]));
}
