/**
 * The markup of messages: what people type around their words, as a tree. `markup-nodes.js` makes nodes of it.
 *
 * Known are `code`, fenced code, **bold**, *italic* or _italic_, ~~struck~~, lines that begin with `>`, and links.
 * Everything else stays as it was typed. Each step passes over a text a fixed number of times, whatever it holds, since
 * the texts are other people's: 16 kB of asterisks or backticks take milliseconds.
 */

/** @typedef {{type: "text" | "code" | "mention", text: string}} Leaf */
/** @typedef {{type: "link", text: string, href: string}} Link */
/** @typedef {"bold" | "italic" | "struck"} SpanType */
/** @typedef {{type: SpanType, children: Inline[]}} Span */
/** @typedef {Leaf | Link | Span} Inline */
/** @typedef {{type: "fence", text: string, language: string}} Fence */
/** @typedef {{type: "paragraph" | "quote", children: Inline[]}} Paragraph */
/** @typedef {Fence | Paragraph} Block */

/** A node while its line is read: a mark may still find its partner.
 * @typedef {Leaf | Link | {type: "mark", text: string} | {type: SpanType, children: Raw[]}} Raw */

/** What a run of marks means. Other runs, such as those of `__init__` or a line of asterisks, are text.
 * @type {Map<string, SpanType[]>} */
const SPANS = new Map([
  ["*", ["italic"]],
  ["_", ["italic"]],
  ["**", ["bold"]],
  ["***", ["bold", "italic"]],
  ["~~", ["struck"]],
]);

/** A letter or digit of a script that puts spaces between words. In others, emphasis may begin amid a word. */
const WORD = /[\p{L}\p{N}]/u;
const SPACELESS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]/u;

/** Where a link may be. Spaces, quotes, and characters that change the direction of a text do not belong to it. */
const LINK = /(?<![\p{L}\p{N}])(?:https?:\/\/|mailto:)[^\s<>"'`\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\p{Cc}]+/giu;

/** The protocols of links. Others, such as `javascript:`, could run code in the page. */
const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

/**
 * Read a text as markup.
 *
 * @param {string} text
 * @param {string} [nick] the reader's own nick, which is marked where it is a word of the text
 * @returns {Block[]}
 */
export function parse(text, nick = "") {
  /** @type {Block[]} */
  const blocks = [];
  let from = 0;
  for (const { start, end, length } of findCode(text, (run) => run >= 3)) {
    readLines(text.slice(from, start).replace(/\n$/u, ""), nick, blocks);
    blocks.push(readFence(text.slice(start + length, end - length)));
    from = text[end] === "\n" ? end + 1 : end;
  }
  readLines(text.slice(from), nick, blocks);
  return blocks;
}

/**
 * Find the code between two runs of backticks of the same length, as CommonMark does.
 *
 * @param {string} text
 * @param {(length: number) => boolean} isWanted tells which lengths of runs count
 */
function findCode(text, isWanted) {
  const runs = Array.from(text.matchAll(/`+/gu), (match) => ({ start: match.index, length: match[0].length }));
  const next = new Map();
  const closings = new Array(runs.length);
  for (let index = runs.length - 1; index >= 0; index--) {
    closings[index] = next.get(runs[index].length);
    next.set(runs[index].length, index);
  }
  const found = [];
  for (let index = 0; index < runs.length; index++) {
    const { start, length } = runs[index];
    if (isWanted(length) && closings[index] !== undefined) {
      index = closings[index];
      found.push({ start, end: runs[index].start + length, length });
    }
  }
  return found;
}

/** Read the code of a fence. A first line of one word names the language. @param {string} text @returns {Fence} */
function readFence(text) {
  const [, language, code] = /^([\w+#.-]{0,20})\n([^]*)$/u.exec(text) ?? ["", "", text];
  return { type: "fence", text: code.replace(/\n$/u, ""), language };
}

/**
 * Read text without fences. Neighbouring lines that begin with `>` are one quotation.
 *
 * @param {string} text
 * @param {string} nick
 * @param {Block[]} blocks where the blocks are added
 */
function readLines(text, nick, blocks) {
  if (text === "") {
    return;
  }
  let block = /** @type {Paragraph | null} */ (null);
  for (const line of text.split("\n")) {
    const quoted = /^> ?(?=.)/u.exec(line);
    /** @type {Paragraph["type"]} */
    const type = quoted ? "quote" : "paragraph";
    if (block?.type === type) {
      push(block.children, { type: "text", text: "\n" });
    } else {
      block = { type, children: [] };
      blocks.push(block);
    }
    for (const node of readLine(quoted ? line.slice(quoted[0].length) : line, nick)) {
      push(block.children, node);
    }
  }
}

/**
 * Append a node; a text joins the one before it.
 *
 * @template {Raw} T
 * @param {T[]} nodes
 * @param {T} node
 */
function push(nodes, node) {
  const last = nodes.at(-1);
  if (node.type === "text" && last?.type === "text") {
    last.text += node.text;
  } else if (node.type !== "text" || node.text !== "") {
    nodes.push(node);
  }
}

/**
 * Read a line: its code and its links, in which no other mark counts, and the marks between them.
 *
 * @param {string} line
 * @param {string} nick
 */
function readLine(line, nick) {
  const codes = findCode(line, (run) => run < 3).map(({ start, end, length }) => {
    const text = line.slice(start + length, end - length);
    return { start, end, node: /** @type {Leaf} */ ({ type: "code", text }) };
  });
  const reader = new MarkReader(line);
  let from = 0;
  for (const { start, end, node } of [...codes, ...findLinks(line)].sort((one, other) => one.start - other.start)) {
    if (start >= from) {
      reader.read(from, start);
      reader.nodes.push(node);
      from = end;
    }
  }
  reader.read(from, line.length);
  return tidy(reader.nodes, nick ? mentionOf(nick) : null);
}

/**
 * Find the links of a line. A link ends before the marks and brackets that belong to the sentence around it.
 *
 * @param {string} line
 */
function findLinks(line) {
  const links = [];
  for (const match of line.matchAll(LINK)) {
    const text = trimLink(match[0]);
    const href = linkTo(text);
    if (href !== null) {
      /** @type {Link} */
      const node = { type: "link", text: href.text, href: href.url };
      links.push({ start: match.index, end: match.index + text.length, node });
    }
  }
  return links;
}

/** Cut off what belongs to the sentence behind a link. @param {string} text */
function trimLink(text) {
  let open = 0;
  for (const character of text) {
    open += character === "(" ? 1 : character === ")" ? -1 : 0;
  }
  let end = text.length;
  for (; /[.,:;!?*_~)\]}|…。，、！？）]/u.test(text[end - 1] ?? ""); end--) {
    if (text[end - 1] === ")" && open++ >= 0) {
      break;
    }
  }
  return text.slice(0, end);
}

/**
 * Return where a link leads and how it is shown, or `null` if it leads nowhere.
 *
 * A host is shown as the network knows it (`xn--...`) where it was typed otherwise, so that nobody takes a Cyrillic
 * letter for a Latin one. A name before the host would look like a host itself, so such an address is no link.
 *
 * @param {string} text
 */
function linkTo(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  if (!PROTOCOLS.has(url.protocol) || url.username || url.password || (url.host === "" && !text.includes("@"))) {
    return null;
  }
  const isAsTyped = text.toLowerCase().startsWith(`${url.protocol}//${url.host}`);
  return { url: url.href, text: url.protocol === "mailto:" || isAsTyped ? text : url.href };
}

/** The marks of a line, which make spans of the nodes between them. */
class MarkReader {
  /** @type {Raw[]} */
  nodes = [];
  /** @type {{mark: string, index: number}[]} the spans that are open, the innermost last */
  #open = [];
  #line;

  /** @param {string} line */
  constructor(line) {
    this.#line = line;
  }

  /** Read the part of the line between two places. @param {number} from @param {number} to */
  read(from, to) {
    const marks = /\*+|_+|~+/gu;
    marks.lastIndex = from;
    let match;
    while (from < to && (match = marks.exec(this.#line)) && match.index < to) {
      const [mark] = match;
      push(this.nodes, { type: "text", text: this.#line.slice(from, match.index) });
      from = match.index + mark.length;
      if (!(SPANS.has(mark) && (this.#closes(mark, match.index) || this.#opens(mark, match.index)))) {
        push(this.nodes, { type: "text", text: mark });
      }
    }
    push(this.nodes, { type: "text", text: this.#line.slice(from, Math.max(from, to)) });
  }

  /** Open a span, where a mark can begin one. @param {string} mark @param {number} at */
  #opens(mark, at) {
    const [before, after] = [characterBefore(this.#line, at), characterAfter(this.#line, at + mark.length)];
    if (after === "" || /\s/u.test(after) || isAmidWord(before, after) || this.#find(mark) >= 0) {
      return false;
    }
    this.#open.push({ mark, index: this.nodes.length });
    this.nodes.push({ type: "mark", text: mark });
    return true;
  }

  /** Close a span, where a mark can end one. @param {string} mark @param {number} at */
  #closes(mark, at) {
    const [before, after] = [characterBefore(this.#line, at), characterAfter(this.#line, at + mark.length)];
    const place = this.#find(mark);
    if (place < 0 || /\s/u.test(before) || isAmidWord(after, before)) {
      return false;
    }
    const { index } = this.#open[place];
    this.#open.length = place; // the spans that were opened within this one stay open no longer
    let children = this.nodes.splice(index).slice(1);
    for (const type of (SPANS.get(mark) ?? []).toReversed()) {
      children = [{ type, children }];
    }
    this.nodes.push(...children);
    return true;
  }

  /** Find an open span. There is one of each mark at most, so this is short. @param {string} mark */
  #find(mark) {
    return this.#open.findIndex((span) => span.mark === mark);
  }
}

/**
 * True if a mark between two characters is amid a word.
 *
 * @param {string} outer the character outside the span that the mark would begin or end
 * @param {string} inner
 */
function isAmidWord(outer, inner) {
  return WORD.test(outer) && !SPACELESS.test(outer) && !SPACELESS.test(inner);
}

/** @param {string} line @param {number} at */
function characterBefore(line, at) {
  const last = line[at - 1] ?? "";
  return /[\udc00-\udfff]/.test(last) ? line.slice(at - 2, at) : last;
}

/** @param {string} line @param {number} at */
function characterAfter(line, at) {
  const code = line.codePointAt(at);
  return code === undefined ? "" : String.fromCodePoint(code);
}

/**
 * Turn marks without a partner back into text, and mark mentions in it.
 *
 * @param {Raw[]} nodes
 * @param {RegExp | null} mention
 * @returns {Inline[]}
 */
function tidy(nodes, mention) {
  /** @type {Inline[]} */
  const tidied = [];
  for (const node of nodes) {
    if ("children" in node) {
      tidied.push({ ...node, children: tidy(node.children, mention) });
    } else {
      push(tidied, node.type === "mark" ? { type: "text", text: node.text } : { ...node });
    }
  }
  return mention ? tidied.flatMap((node) => (node.type === "text" ? splitMentions(node.text, mention) : [node])) : tidied;
}

/** @param {string} text @param {RegExp} mention */
function splitMentions(text, mention) {
  /** @type {Leaf[]} */
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(mention)) {
    push(nodes, { type: "text", text: text.slice(from, match.index) });
    nodes.push({ type: "mention", text: match[0] });
    from = match.index + match[0].length;
  }
  push(nodes, { type: "text", text: text.slice(from) });
  return nodes;
}

/** Return an expression for a nick as a word of a text, with or without `@`. @param {string} nick */
function mentionOf(nick) {
  const escaped = nick.replace(/[\\^$.*+?()[\]{}|/-]/gu, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}_-])@?${escaped}(?![\\p{L}\\p{N}\\p{M}_])(?!-[\\p{L}\\p{N}])`, "giu");
}

/**
 * True if a text names a nick outside of code and quotations.
 *
 * @param {string} text
 * @param {string} nick
 */
export function mentions(text, nick) {
  /** @type {(nodes: Inline[]) => boolean} */
  const has = (nodes) => nodes.some((node) => node.type === "mention" || ("children" in node && has(node.children)));
  return nick !== "" && parse(text, nick).some((block) => block.type === "paragraph" && has(block.children));
}

const EMOJI = /^(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|[\d#*]\ufe0f?\u20e3)/u;
const graphemes = new Intl.Segmenter();

/** True for one to three emoji and nothing else, which are shown large. @param {string} text */
export function isOnlyEmoji(text) {
  if (text.length > 60) {
    return false; // the longest emoji have 15 units
  }
  const shown = Array.from(graphemes.segment(text), ({ segment }) => segment).filter((one) => one.trim());
  return shown.length >= 1 && shown.length <= 3 && shown.every((one) => EMOJI.test(one));
}
