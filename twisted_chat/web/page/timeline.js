/**
 * The messages of a conversation on the page.
 *
 * It shows the newest items, and others as the reader scrolls to them, in pages of `PAGE` items. Pages that are out of
 * sight cost the browser neither layout nor paint (`content-visibility`), and their height is remembered, so that nothing
 * jumps. Pages that are far away are taken out of the document, and built again when the reader comes back.
 */

import { buildAvatar } from "./avatar.js";
import { hueOf } from "./colours.js";
import { placeAfter, summarize } from "./conversation.js";
import { bdi, childrenOf, closest, h, icon } from "./dom.js";
import { ItemRange } from "./item-range.js";
import { isOnlyEmoji, parse } from "./markup.js";
import { build } from "./markup-nodes.js";

/** Items that are shown at once: about a screen, which takes 5 to 10 ms, so that scrolling up loses no frame. */
const PAGE = 30;

/** Screens of items that are there above and below what one sees: one scrolls less than that until the next frame. */
const AHEAD = 2;

/** Screens beyond which pages are taken away: 500 to 1,500 items stay, in which the search of the browser finds texts. */
const FAR = 20;

/** Pixels from the bottom within which new messages move the view. */
const NEAR = 60;

/** Lines and characters of a text above which the rest is folded: one message should not fill the screen. */
const LONG_LINES = 25;
const LONG = 2500;

/** @typedef {import("./conversation.js").Change} Change */
/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Item} Item */
/** @typedef {import("./conversation.js").MessageItem} MessageItem */

export class Timeline {
  #scroller;
  #options;
  /** @type {Conversation | null} */
  #conversation = null;
  /** @type {(() => void) | null} */
  #unfollow = null;
  /** The items that have elements. */
  #range = new ItemRange(PAGE);
  /** The elements of the items that are shown, by their keys. @type {Map<string, HTMLElement>} */
  #elements = new Map();
  #start = h("div");
  #isAtBottom = true;
  #isFilling = false;
  /** True once the newest messages were there, where they are shown. */
  #wasLoaded = false;
  #today = "";
  #lastTop = 0;
  #frame = new ResizeObserver(() => this.#keepBottom());
  #heights = new ResizeObserver(() => this.#keepBottom());
  /** Long messages that are shown as a whole. @type {Set<MessageItem>} */
  #unfolded = new Set();
  #tools;

  /**
   * @param {HTMLElement} scroller
   * @param {object} options
   * @param {import("./times.js").Times} options.times
   * @param {() => string} options.nick
   * @param {() => boolean} options.isKept true if direct messages may be kept: the reader has an account
   * @param {(conversation: Conversation) => Promise<boolean>} options.askOlder
   * @param {(item: Item | undefined, anchor: HTMLElement) => void} options.openMenu
   * @param {(nick: string, anchor: HTMLElement) => void} options.openNick
   * @param {(item: MessageItem) => void} options.retry
   * @param {(item: MessageItem) => void} options.discard
   * @param {() => void} options.scrolled
   */
  constructor(scroller, options) {
    this.#scroller = scroller;
    this.#options = options;
    const click = () => options.openMenu(this.#itemOf(button), button);
    const button = h("button", { type: "button", class: "icon", tabindex: -1, "aria-label": "Message menu", "aria-haspopup": "menu", click }, icon("more"));
    this.#tools = h("div", { class: "tools" }, button);
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    scroller.addEventListener("click", (event) => this.#clicked(event));
    scroller.addEventListener("pointerover", (event) => event.pointerType !== "touch" && this.#activate(closest(event, ".message")));
    scroller.addEventListener("pointerleave", () => this.#activate(null));
    scroller.addEventListener("keydown", (event) => this.#moveWithKeys(event));
    this.#frame.observe(scroller);
  }

  // What is shown

  /** Show a conversation: at the first unread message, or at the bottom. @param {Conversation | null} conversation */
  show(conversation) {
    this.#unfollow?.();
    this.#conversation = conversation;
    this.#unfollow = conversation?.follow((change) => this.#changed(change)) ?? null;
    this.#wasLoaded = conversation?.isLoaded ?? false;
    this.#begin();
  }

  #begin() {
    this.#isAtBottom = false; // until it is known where to begin: at the bottom, all would be read
    this.#reset(this.#markerIndex());
    this.toUnread() || this.toBottom();
  }

  /** The conversation that is shown. */
  get conversation() {
    return this.#conversation;
  }

  /** Show the newest items, or those around an older one. @param {number} [at] the index of that */
  #reset(at = -1) {
    this.#elements.clear();
    this.#tools.remove();
    this.#start = h("div");
    this.#heights.disconnect();
    this.#scroller.replaceChildren(this.#start);
    this.#range.begin(this.#items.length, at);
    const { first, end } = this.#range;
    for (let from = first; from < end; from += PAGE) {
      this.#scroller.append(this.#buildPage(from, Math.min(end, from + PAGE)));
    }
    this.#showStart();
    this.#fill();
  }

  #markerIndex() {
    const { items = [], marker = null } = this.#conversation ?? {};
    return marker === null ? -1 : items.findIndex(({ key }) => key === marker);
  }

  /** @param {Change} change */
  #changed(change) {
    const wasAtBottom = this.#isAtBottom;
    this.#holding(() => this.#apply(change));
    if (!this.#wasLoaded && this.#conversation?.isLoaded) {
      this.#wasLoaded = true;
      this.#begin();
    } else if (wasAtBottom) {
      this.toBottom();
      this.#dropFar();
    } else {
      this.#dropFar();
      this.#options.scrolled();
    }
  }

  /** @param {Change} change */
  #apply(change) {
    if (change.type === "insert") {
      this.#inserted(change.index, change.count);
    } else if (change.type === "remove") {
      this.#removed(change.index, change.key);
    } else if (change.type === "update") {
      this.#rebuild(change.index);
      this.#rebuild(change.index + 1);
    } else if (change.type === "reset") {
      this.#reset();
      this.toBottom();
    } else {
      this.#showStart();
      this.#fill();
    }
  }

  /**
   * Change what is shown, and hold what one reads in its place, whatever happens above it. Browsers do so by
   * themselves, but not at the top, where older messages are put in front.
   *
   * @param {() => void} change
   */
  #holding(change) {
    const held = this.#isAtBottom ? undefined : this.#firstVisible();
    const bottom = held?.getBoundingClientRect().bottom ?? 0;
    change();
    const element = this.#elements.get(held?.dataset.key ?? "");
    if (element?.isConnected) {
      const moved = element.getBoundingClientRect().bottom - bottom;
      if (Math.abs(moved) >= 1) this.#scroller.scrollTop += moved;
    }
  }

  /** Find the first item of which a part is in sight. */
  #firstVisible() {
    const { top } = this.#scroller.getBoundingClientRect();
    /** @param {HTMLElement} element */
    const isVisible = (element) => element.getBoundingClientRect().bottom > top;
    const page = this.#pages().find(isVisible);
    return page && childrenOf(page).find(isVisible);
  }

  /** The items of the conversation. */
  get #items() {
    return this.#conversation?.items ?? [];
  }

  /** @param {number} index @param {number} count */
  #inserted(index, count) {
    this.#nameDays();
    if (this.#elements.size === 0) {
      this.#begin();
      return;
    }
    const place = this.#range.insert(index, count, this.#items.length);
    if (place === "above") {
      const next = this.#range.first;
      if (this.#isNearTop) this.#putPage();
      this.#rebuild(next); // without its day, perhaps: at the top, that can only be held with a page in front of it
      this.#fill();
    } else if (place === "within") {
      for (let at = index; at < index + count; at++) {
        this.#append(at);
      }
      this.#rebuild(index + count);
    }
  }

  /** Name the days anew, if `today` is another one. */
  #nameDays() {
    const { times } = this.#options;
    const today = times.dayKey(new Date());
    if (this.#today !== today) {
      this.#today = today;
      for (const rule of this.#scroller.querySelectorAll(".rule.day")) {
        const item = this.#itemOf(rule);
        if (item !== undefined) rule.textContent = times.day(item.time);
      }
    }
  }

  /** Show an item behind the one before it. @param {number} at */
  #append(at) {
    const before = this.#elements.get(this.#items[at - 1]?.key);
    const page = before?.parentElement;
    const element = this.#build(at);
    if (!before || !page) {
      this.#pages()[0].prepend(element);
      return;
    }
    if (page.childElementCount >= 2 * PAGE && page.lastElementChild === before && page === this.#scroller.lastElementChild) {
      const next = this.#newPage();
      next.append(element);
      this.#scroller.append(next);
    } else {
      before.after(element);
    }
  }

  /** @param {number} index @param {string} key */
  #removed(index, key) {
    const element = this.#elements.get(key);
    const page = element?.parentElement;
    element?.remove();
    this.#elements.delete(key);
    if (page?.childElementCount === 0) page.remove();
    this.#range.remove(index);
    this.#rebuild(index);
  }

  /** Show an item anew, if it is shown. @param {number} index */
  #rebuild(index) {
    const old = this.#elements.get(this.#items[index]?.key);
    if (old === undefined) {
      return;
    }
    const hadFocus = old.contains(document.activeElement);
    const element = this.#build(index);
    old.replaceWith(element);
    if (hadFocus) find(element, "[tabindex]")?.focus({ preventScroll: true });
  }

  #pages() {
    return childrenOf(this.#scroller).filter((element) => element.classList.contains("page"));
  }

  #newPage() {
    const page = h("div", { class: "page fresh" });
    this.#heights.observe(page);
    // Shown for two frames, wherever it is: then the browser remembers its height.
    requestAnimationFrame(() => requestAnimationFrame(() => page.classList.remove("fresh")));
    return page;
  }

  /** @param {number} from @param {number} to */
  #buildPage(from, to) {
    const page = this.#newPage();
    for (let index = from; index < to; index++) {
      page.append(this.#build(index));
    }
    return page;
  }

  /** Show more items while the view is near the first or the last one, and ask for older ones when there are none. */
  async #fill() {
    const conversation = this.#conversation;
    if (this.#isFilling || conversation === null) {
      return;
    }
    this.#isFilling = true;
    try {
      while (conversation === this.#conversation) {
        if (this.#isNearTop && this.#range.first > 0 && this.#elements.size) {
          this.#prepend();
        } else if (this.#isNearBottom && !this.#hasNewest) {
          const { first, end } = this.#range.extendDown(this.#items.length);
          this.#scroller.append(this.#buildPage(first, end));
        } else if (!(this.#isNearTop && conversation.hasOlder && (await this.#options.askOlder(conversation)))) {
          break;
        }
        this.#dropFar();
        await new Promise((resolve) => requestAnimationFrame(resolve)); // a page a frame
      }
    } finally {
      this.#isFilling = false;
    }
    this.#showStart();
  }

  #prepend() {
    this.#holding(() => this.#putPage());
    this.#keepBottom();
  }

  #putPage() {
    const { first, end } = this.#range.extendUp();
    this.#start.after(this.#buildPage(first, end));
    this.#showStart();
  }

  /** Take pages away that are far from what is in sight, unless somebody is selecting text. */
  #dropFar() {
    const { top, bottom, height } = this.#scroller.getBoundingClientRect();
    const pages = this.#pages();
    const first = pages.findIndex((page) => page.getBoundingClientRect().bottom >= top - FAR * height);
    const last = pages.findLastIndex((page) => page.getBoundingClientRect().top <= bottom + FAR * height);
    const selection = getSelection();
    const isSelecting = selection !== null && !selection.isCollapsed && selection.containsNode(this.#scroller, true);
    if (first < 0 || last < 0 || isSelecting) {
      return;
    }
    for (const page of pages.slice(last + 1)) {
      this.#range.dropBelow(page.childElementCount);
      this.#dropPage(page);
    }
    if (first > 0) {
      this.#holding(() => {
        for (const page of pages.slice(0, first)) {
          this.#range.dropAbove(page.childElementCount);
          this.#dropPage(page);
        }
        this.#showStart();
      });
      this.#keepBottom();
    }
  }

  /** @param {HTMLElement} page */
  #dropPage(page) {
    if (page.contains(document.activeElement)) this.#scroller.focus({ preventScroll: true });
    for (const element of childrenOf(page)) {
      this.#elements.delete(element.dataset.key ?? "");
    }
    this.#heights.unobserve(page);
    page.remove();
  }

  #showStart() {
    const conversation = this.#conversation;
    const isStart = conversation !== null && this.#range.first === 0 && conversation.isLoaded && !conversation.hasOlder;
    const name = conversation === null ? "none" : isStart ? `start ${conversation.id} ${conversation.topic} ${conversation.isJoined}` : "loading";
    if (this.#start.dataset.shows !== name) {
      const start = conversation === null ? h("div") : isStart ? buildStart(conversation, this.#options.isKept()) : h("div", { class: "loading" }, "Loading messages…");
      start.dataset.shows = name;
      this.#start.replaceWith(start);
      this.#start = start;
    }
  }

  // Where the view is

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const isNear = this.#hasNewest && scrollHeight - scrollTop - clientHeight < NEAR;
    // Only a reader who scrolls up leaves the bottom. The position also changes when texts are laid out anew.
    this.#isAtBottom = isNear || (this.#isAtBottom && scrollTop >= this.#lastTop);
    this.#lastTop = scrollTop;
    if (this.#isNearTop || this.#isNearBottom) {
      this.#fill();
    }
    this.#options.scrolled();
  }

  /** True if the reader may soon get to the first item that is shown. */
  get #isNearTop() {
    return this.#scroller.scrollTop < AHEAD * this.#scroller.clientHeight;
  }

  /** True if the reader may soon get to the last item that is shown. */
  get #isNearBottom() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < AHEAD * clientHeight;
  }

  /** True if the newest item is shown. */
  get #hasNewest() {
    return this.#range.end === this.#items.length;
  }

  #keepBottom() {
    if (this.#isAtBottom) {
      this.toBottom();
    }
  }

  get isAtBottom() {
    return this.#isAtBottom;
  }

  /** The number of the newest message whose end is in sight; 0 if there is none, or nothing is unread. */
  get newestInSight() {
    if (!this.#conversation?.unread) {
      return 0;
    }
    const { bottom } = this.#scroller.getBoundingClientRect();
    const pages = this.#pages().filter((page) => page.getBoundingClientRect().top < bottom);
    for (const page of pages.reverse().slice(0, 2)) {
      for (const element of childrenOf(page).reverse()) {
        const seq = this.#itemOf(element)?.seq;
        if (seq !== undefined && element.getBoundingClientRect().bottom <= bottom) return seq;
      }
    }
    return 0;
  }

  toBottom() {
    this.#isAtBottom = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#options.scrolled();
  }

  /** Go to the newest messages from anywhere. */
  toNewest() {
    if (!this.#hasNewest) {
      this.#reset();
    }
    this.toBottom();
    this.#dropFar();
  }

  /** Go to the first unread message, if it is shown. */
  toUnread() {
    const element = this.#elements.get(this.#conversation?.marker ?? "");
    if (element === undefined) {
      return false;
    }
    this.#isAtBottom = false;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const top = element.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
    this.#scroller.scrollTop = Math.min(scrollTop + top - clientHeight / 4, scrollHeight - clientHeight);
    this.#scrolled();
    return true;
  }

  /** Load older messages until the first unread one is there, and go to it. */
  async seekUnread() {
    const conversation = this.#conversation;
    if (conversation === null) {
      return;
    }
    while (conversation === this.#conversation && conversation.hasMoreUnread && (await this.#options.askOlder(conversation)));
    if (conversation === this.#conversation) {
      if (!this.#elements.has(conversation.marker ?? "")) this.#reset(this.#markerIndex());
      this.toUnread();
    }
  }

  /** True if the first unread message is above what one sees. */
  get isUnreadAbove() {
    const { marker = null, hasMoreUnread = false } = this.#conversation ?? {};
    if (marker === null) {
      return false;
    }
    const element = this.#elements.get(marker);
    if (element === undefined) return this.#range.isAbove(this.#markerIndex());
    return hasMoreUnread || element.getBoundingClientRect().bottom < this.#scroller.getBoundingClientRect().top;
  }

  // Items

  /** Find the item of which an element is a part. @param {Element} element */
  #itemOf(element) {
    return this.#conversation?.byKey(element.closest("[data-key]")?.getAttribute("data-key") ?? "");
  }

  /** @param {number} index */
  #build(index) {
    const items = this.#items;
    const marker = this.#conversation?.marker ?? null;
    const item = items[index];
    const { times } = this.#options;
    const place = placeAfter(item, items[index - 1], marker, (time) => times.dayKey(time));
    const element = h("div", { class: "item", "data-key": item.key });
    if (place.isNewDay) {
      element.append(h("div", { class: "rule day", role: "separator" }, times.day(item.time)));
    }
    if (place.isUnread) {
      element.append(h("div", { class: "rule unread", role: "separator" }, "New messages"));
    }
    element.append(item.kind === "message" ? this.#buildMessage(item, place.isContinued) : this.#buildHappening(item));
    this.#elements.set(item.key, element);
    return element;
  }

  /** @param {MessageItem} item @param {boolean} isContinued true if it goes on a run of its author */
  #buildMessage(item, isContinued) {
    const { times } = this.#options;
    const classes = ["message", hueOf(item.author), isContinued && "continued", item.own && "own", item.mention && "mention", item.state];
    const time = h("time", { datetime: item.time.toISOString(), title: times.full(item.time) }, times.clock(item.time));
    const message = h("article", { class: classes.filter(Boolean).join(" "), tabindex: -1, "aria-label": `${item.author}, ${times.clock(item.time)}` });
    const content = h("div", { class: "content" });
    if (isContinued) {
      message.append(time);
    } else {
      message.append(buildAvatar(item.author));
      content.append(h("div", { class: "message-head" }, h("span", { class: "nick", dir: "auto", title: item.author, "data-nick": item.author }, item.author), time));
    }
    content.append(...this.#buildText(item));
    if (item.state !== "kept") {
      content.append(this.#buildState(item));
    }
    message.append(content);
    return message;
  }

  /** @param {MessageItem} item */
  #buildText(item) {
    if (item.deleted) {
      return [h("div", { class: "text deleted" }, "This message was deleted.")];
    }
    const text = h("div", { class: isOnlyEmoji(item.text) ? "text large" : "text" });
    text.append(...build(parse(item.text, item.own ? "" : this.#options.nick())));
    if (this.#unfolded.has(item) || !isLong(item.text)) {
      return [text];
    }
    text.classList.add("folded");
    const unfold = () => {
      this.#unfolded.add(item);
      this.#rebuild(this.#items.indexOf(item));
      find(this.#elements.get(item.key), ".message")?.focus({ preventScroll: true });
    };
    return [text, h("button", { type: "button", class: "plain", click: unfold }, "Show all of this message")];
  }

  /** @param {MessageItem} item */
  #buildState(item) {
    if (item.state === "sending") {
      return h("div", { class: "message-state" }, "Sending…");
    }
    const { retry, discard } = this.#options;
    return h(
      "div",
      { class: "message-state" },
      h("span", {}, `Not sent. ${item.error}`),
      h("button", { type: "button", class: "plain", click: () => retry(item) }, "Send again"),
      h("button", { type: "button", class: "plain", click: () => discard(item) }, "Remove"),
    );
  }

  /** @param {import("./conversation.js").NoticeItem | import("./conversation.js").TrafficItem} item */
  #buildHappening(item) {
    const { times } = this.#options;
    const line = h("div", { class: `happening ${item.kind}` });
    if (item.kind === "traffic") {
      summarize(item.moves).forEach(({ names, more, words }, index) => {
        line.append(index ? "; " : "", ...listNames(names, more), ` ${words}`);
      });
    } else {
      line.append(...item.parts.map((part) => (typeof part === "string" ? part : "nick" in part ? nickOf(part.nick) : bdi(part.quote))));
    }
    line.append(h("time", { datetime: item.time.toISOString(), title: times.full(item.time) }, times.clock(item.time)));
    return line;
  }

  // The pointer and the keyboard

  /** Put the button of the menu at a message, or nowhere. @param {HTMLElement | null} message */
  #activate(message) {
    if (this.#tools.parentElement !== message) {
      this.#tools.parentElement?.classList.remove("active");
      this.#tools.remove();
      const item = message === null ? undefined : this.#itemOf(message);
      if (message !== null && item?.kind === "message" && item.state === "kept") {
        message.classList.add("active");
        message.append(this.#tools);
      }
    }
  }

  /** @param {MouseEvent} event a `PointerEvent` in browsers of today */
  #clicked(event) {
    const nick = closest(event, ".nick[data-nick]");
    const isTouch = event instanceof PointerEvent && event.pointerType === "touch";
    if (nick !== null) {
      this.#options.openNick(nick.dataset.nick ?? "", nick);
    } else if (isTouch && closest(event, "a, button, pre") === null) {
      const message = closest(event, ".message");
      this.#activate(message === this.#tools.parentElement ? null : message);
    }
  }

  #messages() {
    /** @type {NodeListOf<HTMLElement>} */
    const messages = this.#scroller.querySelectorAll(".message");
    return [...messages];
  }

  /** Give the focus to the newest message, from where the arrow keys go on. */
  focusNewest() {
    this.toNewest();
    this.#messages().at(-1)?.focus();
  }

  /** @param {KeyboardEvent} event */
  #moveWithKeys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const message = closest(event, ".message");
    if (event.target === this.#scroller) {
      if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        event.preventDefault();
        this.#focusVisible(event.key === "ArrowUp");
      }
    } else if (message !== null && event.target === message) {
      this.#moveFrom(message, event);
    }
  }

  /** @param {boolean} isLast true for the last message in sight, false for the first one */
  #focusVisible(isLast) {
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    const visible = this.#messages().filter((one) => one.getBoundingClientRect().bottom <= bottom + 1 && one.getBoundingClientRect().top >= top);
    visible.at(isLast ? -1 : 0)?.focus({ preventScroll: true });
  }

  /** @param {HTMLElement} message @param {KeyboardEvent} event */
  #moveFrom(message, event) {
    const isMenu = event.key === "Enter" || event.key === " " || event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey);
    if (isMenu) {
      event.preventDefault();
      this.#options.openMenu(this.#itemOf(message), find(message, ".text") ?? message);
      return;
    }
    if (event.key === "End") {
      event.preventDefault();
      this.focusNewest();
      return;
    }
    const messages = this.#messages();
    const at = messages.indexOf(message);
    /** @type {Record<string, number>} */
    const steps = { ArrowUp: Math.max(0, at - 1), ArrowDown: at + 1, Home: 0 };
    const next = steps[event.key];
    if (next !== undefined) {
      event.preventDefault();
      messages[next]?.focus({ preventScroll: true });
      messages[next]?.scrollIntoView({ block: "nearest" });
    }
  }
}

/** Find an element in another one. @param {HTMLElement | undefined} element @param {string} selector */
function find(element, selector) {
  return /** @type {HTMLElement | null | undefined} */ (element?.querySelector(selector));
}

/** @param {string} text */
function isLong(text) {
  return text.length > LONG || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
}

/** @param {string} nick */
function nickOf(nick) {
  return h("span", { class: `nick ${hueOf(nick)}`, dir: "auto" }, nick);
}

/** List names as in a sentence. @param {string[]} names @param {number} more others, which are counted */
function listNames(names, more) {
  const rest = more ? [`${more} other${more === 1 ? "" : "s"}`] : [];
  const parts = [...names.map(nickOf), ...rest];
  return parts.flatMap((part, index) => {
    const isLast = index === parts.length - 1;
    return [index === 0 ? "" : isLast ? " and " : ", ", part];
  });
}

/** @param {Conversation} conversation @param {boolean} isKept true if direct messages may be kept */
function buildStart({ kind, name, topic, isJoined, trouble }, isKept) {
  if (trouble) {
    return h("div", { class: "start" }, h("h2", {}, kind === "room" ? "# " : "", bdi(name)));
  }
  const text =
    kind === "room"
      ? "This is the beginning of the room. Everybody who is in it reads what is said here."
      : `This is the beginning of your conversation. It is between the two of you. ${isKept ? "It is kept if both have accounts." : "You are a guest: it is gone when you reload the page."}`;
  const sign = kind === "room" ? h("h2", {}, "# ", bdi(name)) : h("h2", {}, bdi(name));
  return h(
    "div",
    { class: `start ${hueOf(name)}` },
    kind === "direct" && buildAvatar(name),
    sign,
    topic && h("p", { dir: "auto" }, topic),
    h("p", { class: "muted" }, kind === "room" && !isJoined ? "" : text),
  );
}
