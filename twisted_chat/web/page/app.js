/**
 * The page: it puts the parts together, and has what belongs to the whole window.
 */

import { AccountActions } from "./actions/account.js";
import { runCommand } from "./actions/commands.js";
import { attempt } from "./actions/common.js";
import { MemberActions } from "./actions/members.js";
import { MessageActions } from "./actions/messages.js";
import { RoomActions } from "./actions/rooms.js";
import { bannerOf } from "./banner.js";
import { Chat } from "./chat.js";
import { keptLogin } from "./client.js";
import { Composer } from "./composer.js";
import { toast } from "./dialog.js";
import { bdi, byId, h } from "./dom.js";
import { openEmojiDialog } from "./emoji-dialog.js";
import { openFinder } from "./finder.js";
import { LoginForm } from "./login.js";
import { Members } from "./members.js";
import { Memory, openStorage } from "./memory.js";
import { Notifier } from "./notifier.js";
import { Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { Sides } from "./sides.js";
import { Timeline } from "./timeline.js";
import { Times } from "./times.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

const local = openStorage("localStorage");
const settings = new Settings(local);

/** The page of somebody who is in the chat. */
class Page {
  #chat;
  #account;
  #members;
  #messages;
  #rooms;
  #timeline;
  #composer;
  #sidebar;
  #memberList;
  #sides;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #countdown;

  /** @param {Chat} chat @param {LoginForm} login */
  constructor(chat, login) {
    this.#chat = chat;
    /** @param {string} text */
    const insert = (text) => this.#composer.insert(text);
    this.#account = new AccountActions(chat, {
      logOut: () => this.#logOut(login),
      keepLogin: async () => {
        if (local === null) throw new Error("this browser keeps nothing for this page");
        await chat.client.keepLogin(local);
      },
      keptLabel: () => {
        const kept = local && keptLogin(local);
        return kept && chat.isMe(kept.nick) ? kept.label : undefined;
      },
      begin: () => {
        login.remember(chat.nick);
        location.reload();
      },
    });
    this.#members = new MemberActions(chat, insert);
    this.#messages = new MessageActions(chat, this.#members, insert);
    this.#rooms = new RoomActions(chat);
    this.#timeline = new Timeline(byId("timeline"), {
      times: new Times(undefined, undefined, "en"),
      nick: () => chat.nick,
      isKept: () => chat.account,
      askOlder: (conversation) => chat.loadOlder(conversation),
      openMenu: (item, anchor) => this.#messages.openMenu(item, anchor),
      openNick: (nick, anchor) => this.#openNick(nick, anchor),
      retry: (item) => chat.current && chat.retry(chat.current, item),
      discard: (item) => chat.current?.discard(item),
      scrolled: () => this.#scrolled(),
    });
    this.#composer = new Composer(chat, {
      command: (text) => runCommand(text, chat, { help: () => this.#openSettings(), attempt }),
      toTimeline: () => this.#timeline.focusNewest(),
    });
    this.#sidebar = new Sidebar(chat, () => this.#sides.close());
    this.#memberList = new Members(chat, (nick, anchor) => this.#openNick(nick, anchor));
    this.#sides = new Sides(settings, (isOpen) => this.#memberList.show(isOpen));
    new Notifier(chat, settings, (conversation) => chat.show(conversation));
    chat.on("current", (conversation) => this.#showCurrent(conversation));
    chat.on("list", () => this.#showHead());
    chat.on("me", () => {
      login.remember(chat.nick);
      this.#showBanner();
    });
    chat.on("note", ({ text, ...more }) => toast(text, more));
    this.#listen();
  }

  begin() {
    byId("chat").hidden = false;
    this.#sides.begin();
    this.#chat.begin(new URLSearchParams(location.search).get("room") ?? undefined);
    const { client } = this.#chat;
    if (!client.guests && !client.account) {
      toast("This server has no guests: register your nick, or log in to an account.");
      this.#account.register(() => location.reload());
    }
    if (!this.#sides.isNarrow) this.#composer.focus();
  }

  /** @param {LoginForm} login */
  async #logOut(login) {
    const { client } = this.#chat;
    try {
      if (local !== null) await client.forgetLogin(local);
    } catch {
      // The token could not be ended without a connection. The browser has forgotten it.
    }
    await client.close().catch(() => {}); // in any case, it is closed
    this.#chat.forget();
    login.forget();
    location.reload();
  }

  #listen() {
    const chat = this.#chat;
    /** @type {(id: string, act: (button: HTMLElement) => void) => void} */
    const on = (id, act) => {
      const button = byId(id);
      button.addEventListener("click", () => act(button));
    };
    on("me", (anchor) => this.#account.openMenu(anchor));
    on("settings", () => this.#openSettings());
    on("go-to", () => this.#goTo());
    on("room-menu", (anchor) => this.#rooms.openMenu(anchor));
    on("emoji", () => openEmojiDialog((emoji) => this.#composer.insert(emoji)));
    on("to-newest", () => this.#timeline.toNewest());
    on("to-unread", () => this.#timeline.seekUnread());
    on("mark-read", () => chat.current && chat.markRead(chat.current));
    on("banner-button", () => this.#bannerPressed());
    addEventListener("keydown", (event) => this.#pressed(event));
    for (const type of ["focus", "blur"]) addEventListener(type, () => this.#scrolled());
    document.addEventListener("visibilitychange", () => {
      this.#scrolled();
      chat.save();
    });
    addEventListener("pagehide", () => chat.save());
  }

  /** Open the menu of a nick, or one's own. @param {string} nick @param {HTMLElement} anchor */
  #openNick(nick, anchor) {
    if (this.#chat.isMe(nick)) this.#account.openMenu(anchor);
    else this.#members.openMenu(nick, anchor);
  }

  // The open conversation

  /** @param {Conversation | null} conversation */
  #showCurrent(conversation) {
    this.#sides.close();
    this.#composer.show(conversation);
    this.#timeline.show(conversation);
    this.#showHead();
    this.#memberList.draw();
    const room = conversation?.kind === "room" ? `?room=${encodeURIComponent(conversation.name)}` : location.pathname;
    history.replaceState(null, "", room);
    if (!this.#sides.isNarrow && !document.querySelector("dialog[open]")) this.#composer.focus();
  }

  #showHead() {
    const conversation = this.#chat.current;
    const isRoom = conversation?.kind === "room";
    const sign = isRoom && h("span", { class: "sign", "aria-hidden": "true" }, "#");
    const name = conversation === null ? ["No conversation"] : [sign || "", bdi(conversation.name)];
    byId("room-name").replaceChildren(...name);
    byId("room-topic").textContent = conversation?.topic ?? "";
    byId("room-topic").title = conversation?.topic ?? "";
    const count = (conversation?.count ?? 0).toLocaleString();
    byId("member-count").textContent = count;
    byId("show-members").setAttribute("aria-label", `Members: ${count}`);
    byId("show-members").hidden = !isRoom;
    byId("members").classList.toggle("off", !isRoom);
    byId("room-menu").hidden = conversation === null;
    byId("timeline").setAttribute("aria-label", conversation === null ? "Messages" : `Messages of ${conversation.name}`);
    this.#composer.refresh();
    this.#showBanner();
    this.#showBars();
  }

  #scrolled() {
    const timeline = this.#timeline;
    const isThere = document.visibilityState === "visible" && document.hasFocus();
    const seen = isThere && !timeline.isAtBottom ? timeline.newestInSight : 0;
    this.#chat.look(timeline.conversation, isThere && timeline.isAtBottom, seen);
    this.#showBars();
  }

  /** Show the buttons that lead to the newest and to the first unread message. */
  #showBars() {
    const conversation = this.#chat.current;
    const unread = conversation?.unread ?? 0;
    const isAway = conversation !== null && !this.#timeline.isAtBottom && conversation.items.length > 0;
    byId("newest-bar").hidden = !isAway;
    byId("to-newest-text").textContent = unread ? `${unread} new message${unread === 1 ? "" : "s"}` : "To the newest";
    byId("unread-bar").hidden = conversation === null || !this.#timeline.isUnreadAbove;
  }

  #showBanner() {
    const { text, button, isCounting } = bannerOf(this.#chat, Date.now());
    byId("banner").hidden = text === "";
    const shown = byId("banner-text");
    if (shown.textContent !== text) shown.textContent = text; // a screen reader reads out what is set
    byId("banner-button").hidden = button === "";
    byId("banner-button").textContent = button;
    clearTimeout(this.#countdown);
    this.#countdown = isCounting ? setTimeout(() => this.#showBanner(), 1000) : undefined;
  }

  #bannerPressed() {
    const { action } = bannerOf(this.#chat, Date.now());
    const { current, client } = this.#chat;
    if (action === "reload") {
      location.reload();
    } else if (action === "reconnect") {
      client.reconnect();
    } else if (action === "rejoin" && current !== null) {
      this.#chat.rejoin(current);
    }
  }

  #goTo() {
    this.#sides.close();
    openFinder(this.#chat);
  }

  #openSettings() {
    settings.open(this.#chat.client.server);
  }

  // The keyboard

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
    if (document.querySelector("dialog[open]") !== null || event.defaultPrevented) {
      return;
    }
    const isCommand = ctrlKey || metaKey;
    if (isCommand && key.toLowerCase() === "k") {
      event.preventDefault();
      this.#goTo();
    } else if (isCommand && key === "/") {
      event.preventDefault();
      this.#openSettings();
    } else if (altKey && (key === "ArrowUp" || key === "ArrowDown")) {
      event.preventDefault();
      this.#sidebar.step(key === "ArrowUp" ? -1 : 1, shiftKey);
    } else if (key === "F6") {
      event.preventDefault();
      this.#nextRegion(shiftKey ? -1 : 1);
    } else if (key === "Escape") {
      this.#escape();
    } else if (key.length === 1 && key !== " " && !altKey && !isCommand && !document.activeElement?.closest("input, textarea, select, [role=menu]")) {
      this.#composer.focus(); // the letter goes there
    }
  }

  #escape() {
    const { current } = this.#chat;
    if (this.#sides.close()) {
      return;
    }
    if (document.activeElement === byId("text") && current !== null) {
      this.#chat.markRead(current);
      this.#timeline.toNewest();
    } else {
      this.#composer.focus();
    }
  }

  /** Move the focus to another part of the page. @param {1 | -1} step */
  #nextRegion(step) {
    const members = byId("members").hidden ? [] : [byId("member-list")];
    const regions = [byId("conversations"), byId("timeline"), byId("text"), ...members];
    const at = regions.findIndex((region) => region.contains(document.activeElement));
    const next = regions[(at + step + regions.length) % regions.length];
    /** @type {HTMLElement | null} */
    const inside = next.querySelector("[aria-current]") ?? next.querySelector("button");
    (next.matches("[tabindex], textarea") ? next : inside)?.focus();
  }
}

const login = new LoginForm({ local, session: openStorage("sessionStorage") }, (client) => {
  const chat = new Chat(client, new Memory(local, client.nick)); // from the start, so that it misses no event
  return () => new Page(chat, login).begin();
});
login.begin();
