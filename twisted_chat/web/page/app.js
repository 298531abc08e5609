/**
 * The page: signing in, and what belongs to the whole window.
 */

import { Actions } from "./actions.js";
import { Chat } from "./chat.js";
import { Client, keptLogin } from "./client.js";
import { key as keyOf } from "./client/objects.js";
import { Composer } from "./composer.js";
import { openDialog, toast } from "./dialog.js";
import { bdi, byId, h } from "./dom.js";
import { Members } from "./members.js";
import { Memory, openStorage, readJson, writeJson } from "./memory.js";
import { Notifier } from "./notifier.js";
import { Sidebar } from "./sidebar.js";
import { sentence, textOf } from "./texts.js";
import { Timeline } from "./timeline.js";
import { Times } from "./times.js";

const local = openStorage("localStorage");
const session = openStorage("sessionStorage");

/** The nick of this tab, which signs in again after a reload, and that of the last visit, which is proposed. */
const NICK = "chat:nick";
const SETTINGS = "chat:settings";
const THEME = "chat:theme";

/** Pixels below which the columns at the sides lie over the messages, as in style.css. */
const NARROW = matchMedia("(max-width: 800px)");

const settings = { notify: false, moves: true, members: true, ...readJson(local, SETTINGS) };

function saveSettings() {
  writeJson(local, SETTINGS, settings);
}

// Signing in

const form = byId("sign-in-form");

function showSignIn(text = "") {
  byId("chat").hidden = true;
  byId("sign-in").hidden = false;
  byId("sign-in-error").textContent = text;
  byId("sign-in-button").textContent = "Join";
  const last = readJson(session, NICK) ?? readJson(local, NICK);
  if (typeof last === "string" && last.length <= byId("nick").maxLength) byId("nick").value ||= last;
  (byId("nick").value && byId("has-account").checked ? byId("password") : byId("nick")).focus();
}

byId("has-account").addEventListener("change", ({ target }) => {
  byId("account-fields").hidden = !target.checked;
  (target.checked && byId("nick").value ? byId("password") : byId("nick")).focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const nick = byId("nick").value.trim();
  const hasAccount = byId("has-account").checked;
  if (nick === "") {
    byId("sign-in-error").textContent = "Choose a nick first.";
    return;
  }
  signIn({ nick, password: hasAccount ? byId("password").value : undefined, keep: hasAccount && byId("keep").checked });
});

let attempt = null;

/** Sign in. While the server cannot be reached, the client goes on trying, until the button is pressed again. */
async function signIn({ nick, password, keep = false }) {
  const button = byId("sign-in-button");
  if (attempt !== null) {
    attempt.close({ flush: false });
    return;
  }
  byId("sign-in-error").textContent = "";
  button.textContent = "Cancel";
  const client = new Client("/chat", nick, { password, storage: session ?? undefined });
  const chat = new Chat(client, new Memory(local, nick));
  attempt = client;
  client.on("state-changed", ({ state, reason }) => {
    if (attempt === client && state === "waiting") byId("sign-in-error").textContent = `${textOf({ text: reason })}. Trying again…`;
  });
  try {
    await client.start();
  } catch (error) {
    attempt = null;
    explainRefusal(error, password !== undefined);
    return;
  }
  attempt = null;
  byId("password").value = "";
  rememberNick(client.nick);
  chat.on("me", () => rememberNick(client.nick));
  if (keep) {
    client.keepLogin(local).catch((error) => toast(textOf(error)));
  }
  new Page(chat).begin();
}

function rememberNick(nick) {
  writeJson(session, NICK, nick);
  writeJson(local, NICK, nick);
}

function explainRefusal(error, hadPassword) {
  const isAccount = error.code === "auth-failed";
  if (isAccount && !byId("has-account").checked) {
    byId("has-account").checked = true;
    byId("account-fields").hidden = false;
  }
  const text = isAccount && !hadPassword ? "This nick is somebody's account. If it is yours, write its password." : textOf(error);
  showSignIn(error.wanted ? "" : text);
}

// The page of somebody who is signed in

class Page {
  #chat;
  #memory;
  #actions;
  #timeline;
  #composer;
  #sidebar;
  #members;
  #countdown = null;

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    this.#actions = new Actions(chat, {
      insert: (text) => this.#composer.insert(text),
      signOut: () => this.signOut(),
      keepLogin: () => chat.client.keepLogin(local),
      keptLabel: () => {
        const login = local && keptLogin(local);
        return login && chat.isMe(login.nick) ? login.label : undefined;
      },
      openSettings: () => this.openSettings(),
      begin: () => {
        rememberNick(chat.nick);
        location.reload();
      },
    });
    this.#timeline = new Timeline(byId("timeline"), {
      times: new Times(undefined, undefined, "en"),
      nick: () => chat.nick,
      isKept: () => chat.account,
      askOlder: (conversation) => chat.loadOlder(conversation),
      openMenu: (item, anchor) => this.#actions.messageMenu(item, anchor),
      openNick: (nick, anchor) => this.#actions.nickMenu(nick, anchor),
      retry: (item) => chat.retry(chat.current, item),
      discard: (item) => chat.current.discard(item),
      scrolled: () => this.#scrolled(),
    });
    this.#composer = new Composer(chat, {
      command: (text) => this.#actions.command(text),
      toTimeline: () => this.#timeline.focusNewest(),
    });
    this.#sidebar = new Sidebar(chat, () => this.#closeSides());
    this.#members = new Members(chat, (nick, anchor) => this.#actions.nickMenu(nick, anchor));
    new Notifier(chat, settings, (conversation) => chat.show(conversation));
    chat.on("current", (conversation) => this.#showCurrent(conversation));
    chat.on("list", () => this.#showHead());
    chat.on("me", () => this.#showBanner());
    chat.on("note", ({ text, ...more }) => toast(text, more));
    this.#wire();
  }

  begin() {
    byId("sign-in").hidden = true;
    byId("chat").hidden = false;
    byId("timeline").classList.toggle("quiet", !settings.moves);
    this.#showMembers(settings.members && !NARROW.matches);
    this.#chat.begin(new URLSearchParams(location.search).get("room") ?? undefined);
    const { client } = this.#chat;
    if (!client.guests && !client.account) {
      toast("This server has no guests: register your nick, or sign in to an account.");
      this.#actions.register(() => location.reload());
    }
    if (!NARROW.matches) this.#composer.focus();
  }

  signOut() {
    const { client } = this.#chat;
    const leave = () => {
      this.#chat.forget();
      try {
        session?.removeItem(NICK);
      } catch {
        // There is nothing to be forgotten.
      }
      location.reload();
    };
    client.forgetLogin(local).catch(() => {}).then(() => client.close()).then(leave, leave);
  }

  #wire() {
    const chat = this.#chat;
    const on = (id, act) => byId(id).addEventListener("click", ({ currentTarget }) => act(currentTarget));
    on("me", (anchor) => this.#actions.meMenu(anchor));
    on("settings", () => this.openSettings());
    on("go-to", () => this.#goTo());
    on("room-menu", (anchor) => this.#actions.roomMenu(anchor));
    on("emoji", () => this.#actions.emoji());
    on("show-sidebar", () => this.#openSide("sidebar"));
    on("show-members", () => this.#showMembers(byId("members").hidden));
    on("hide-members", () => this.#showMembers(false));
    on("shade", () => this.#closeSides());
    on("to-newest", () => this.#timeline.toNewest());
    on("to-unread", () => this.#timeline.seekUnread());
    on("mark-read", () => chat.markRead(chat.current));
    on("banner-button", () => this.#bannerPressed());
    addEventListener("keydown", (event) => this.#pressed(event));
    for (const type of ["focus", "blur"]) addEventListener(type, () => this.#scrolled());
    document.addEventListener("visibilitychange", () => {
      this.#scrolled();
      chat.save();
    });
    addEventListener("pagehide", () => chat.save());
    NARROW.addEventListener("change", () => {
      this.#closeSides();
      this.#showMembers(settings.members && !NARROW.matches);
    });
  }

  // The open conversation

  #showCurrent(conversation) {
    this.#closeSides();
    this.#composer.show(conversation);
    this.#timeline.show(conversation);
    this.#showHead();
    this.#members.draw();
    const room = conversation?.kind === "room" ? `?room=${encodeURIComponent(conversation.name)}` : location.pathname;
    history.replaceState(null, "", room);
    if (!NARROW.matches && !document.querySelector("dialog[open]")) this.#composer.focus();
  }

  #showHead() {
    const conversation = this.#chat.current;
    const isRoom = conversation?.kind === "room";
    const name = byId("room-name");
    name.replaceChildren(...(conversation === null ? ["No conversation"] : [isRoom ? h("span", { class: "sign", "aria-hidden": "true" }, "#") : "", bdi(conversation.name)]));
    byId("room-topic").textContent = conversation?.topic ?? "";
    byId("room-topic").title = conversation?.topic ?? "";
    const count = conversation?.count ?? 0;
    byId("member-count").textContent = count.toLocaleString();
    byId("show-members").setAttribute("aria-label", `Members: ${count.toLocaleString()}`);
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

  #showBars() {
    const conversation = this.#chat.current;
    const unread = conversation?.unread ?? 0;
    const isAway = conversation !== null && !this.#timeline.isAtBottom && conversation.items.length > 0;
    byId("newest-bar").hidden = !isAway;
    byId("to-newest").lastElementChild.textContent = unread ? `${unread} new message${unread === 1 ? "" : "s"}` : "To the newest";
    const isAbove = conversation !== null && this.#timeline.isUnreadAbove;
    byId("unread-bar").hidden = !isAbove;
    byId("to-unread").lastElementChild.textContent = "To the first unread";
  }

  #showBanner() {
    const { state, reason, nextTry, current } = this.#chat;
    const texts = { connecting: "Connecting…", closed: `You are signed out. ${sentence(reason)}`, waiting: `No connection: ${reason}` };
    let text = texts[state] ?? "";
    let button = { waiting: "Try now", closed: "Sign in again" }[state] ?? "";
    const { error } = this.#chat.client;
    if (error?.cause?.code === "replaced") {
      text = "Your nick is used in another tab, window or program now";
      button = "Use it here";
    }
    if (!text && current?.trouble) {
      text = `You are not in this room. ${current.trouble}`;
      button = "Join again";
    }
    const seconds = Math.ceil((nextTry - Date.now()) / 1000);
    const isCounting = state === "waiting" && seconds > 0;
    const rest = isCounting ? ` The next try is in ${seconds} s.` : "";
    byId("banner").hidden = text === "";
    const shown = text && `${text}${/[.!?…]$/u.test(text) ? "" : "."}`;
    if (byId("banner-text").textContent !== shown + rest) byId("banner-text").textContent = shown + rest;
    byId("banner-button").hidden = button === "";
    byId("banner-button").textContent = button;
    clearTimeout(this.#countdown);
    this.#countdown = isCounting ? setTimeout(() => this.#showBanner(), 1000) : null;
  }

  #bannerPressed() {
    const { state, current, client } = this.#chat;
    if (state === "closed") {
      location.reload();
    } else if (state === "waiting") {
      client.reconnect();
    } else if (current?.trouble) {
      this.#chat.rejoin(current);
    }
  }

  // The sides

  #showMembers(isOpen) {
    byId("members").hidden = !isOpen;
    byId("show-members").setAttribute("aria-expanded", String(isOpen));
    this.#members.show(isOpen);
    if (NARROW.matches) {
      if (isOpen) this.#openSide("members");
      else this.#closeSides();
    } else if (settings.members !== isOpen) {
      settings.members = isOpen;
      saveSettings();
    }
  }

  #openSide(id) {
    const side = byId(id);
    side.classList.add("open");
    byId("shade").hidden = false;
    byId("show-sidebar").setAttribute("aria-expanded", String(id === "sidebar"));
    for (const other of ["sidebar", "main", "members"]) byId(other).inert = other !== id; // the focus stays in it
    side.querySelector("button")?.focus();
  }

  #closeSides() {
    const wasOpen = document.querySelector(".sidebar.open, .members.open");
    for (const id of ["sidebar", "main", "members"]) byId(id).inert = false;
    byId("shade").hidden = true;
    byId("show-sidebar").setAttribute("aria-expanded", "false");
    if (wasOpen !== null) {
      wasOpen.classList.remove("open");
      if (wasOpen.id === "members") {
        wasOpen.hidden = true;
        byId("show-members").setAttribute("aria-expanded", "false");
      }
      byId(wasOpen.id === "members" ? "show-members" : "show-sidebar").focus();
    }
  }

  #goTo() {
    this.#closeSides();
    this.#actions.goTo();
  }

  // The keyboard

  #pressed(event) {
    const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
    if (document.querySelector("dialog[open]") !== null || event.defaultPrevented) {
      return;
    }
    if ((ctrlKey || metaKey) && key.toLowerCase() === "k") {
      event.preventDefault();
      this.#goTo();
    } else if ((ctrlKey || metaKey) && key === "/") {
      event.preventDefault();
      this.openSettings();
    } else if (altKey && (key === "ArrowUp" || key === "ArrowDown")) {
      event.preventDefault();
      this.#sidebar.step(key === "ArrowUp" ? -1 : 1, shiftKey);
    } else if (key === "F6") {
      event.preventDefault();
      this.#nextRegion(shiftKey ? -1 : 1);
    } else if (key === "Escape") {
      this.#escape();
    } else if (key.length === 1 && key !== " " && !altKey && !ctrlKey && !metaKey && !document.activeElement?.closest("input, textarea, select, [role=menu]")) {
      this.#composer.focus(); // the letter goes there
    }
  }

  #escape() {
    if (document.querySelector(".sidebar.open, .members.open") !== null) {
      this.#closeSides();
    } else if (document.activeElement === byId("text") && this.#chat.current !== null) {
      this.#chat.markRead(this.#chat.current);
      this.#timeline.toNewest();
    } else {
      this.#composer.focus();
    }
  }

  #nextRegion(step) {
    const members = byId("members");
    const regions = [byId("conversations"), byId("timeline"), byId("text"), ...(members.hidden ? [] : [byId("member-list")])];
    const at = regions.findIndex((region) => region.contains(document.activeElement));
    const next = regions.at((at + step + regions.length) % regions.length);
    (next.matches("[tabindex], textarea") ? next : (next.querySelector("[aria-current]") ?? next.querySelector("button")))?.focus();
  }

  // Settings

  openSettings() {
    const theme = document.documentElement.dataset.theme ?? "system";
    const choose = ({ target }) => setTheme(target.value);
    const choices = [["system", "System"], ["light", "Light"], ["dark", "Dark"]].map(([value, words]) =>
      h("label", {}, h("input", { type: "radio", name: "theme", value, checked: value === theme, change: choose }), words),
    );
    const moves = h("input", { type: "checkbox", checked: settings.moves, change: ({ target }) => this.#setMoves(target.checked) });
    const keys = [
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
    ].flatMap(([pressed, words]) => [h("dt", {}, h("kbd", {}, pressed)), h("dd", {}, words)]);
    openDialog(
      "Settings",
      h("h3", { id: "theme-title" }, "Colours"),
      h("div", { class: "choices", role: "radiogroup", "aria-labelledby": "theme-title" }, ...choices),
      h("h3", {}, "Notifications"),
      this.#notificationRow(),
      h("label", { class: "check" }, moves, h("span", {}, "Show who comes and goes")),
      h("h3", {}, "Keys"),
      h("dl", { class: "keys" }, ...keys),
      h("p", { class: "muted" }, `Typed: **bold**, *italic*, ~~struck~~, \`code\`, \`\`\` for lines of code, > for a quotation, :wave: for 👋.`),
      h("p", { class: "muted" }, this.#chat.client.server),
    );
  }

  #notificationRow() {
    const state = "Notification" in globalThis ? Notification.permission : "missing";
    const words = { missing: "This browser shows none.", denied: "This browser does not allow them for this page: its settings can.", default: "", granted: "" };
    const button = h("button", { type: "button", class: "secondary", disabled: state === "missing" || state === "denied" });
    const show = () => {
      button.textContent = settings.notify && Notification.permission === "granted" ? "Turn off" : "Turn on";
    };
    button.addEventListener("click", async () => {
      const isOn = button.textContent === "Turn on" && (await Notification.requestPermission()) === "granted";
      settings.notify = isOn;
      saveSettings();
      show();
    });
    if (state !== "missing") show();
    else button.textContent = "Turn on";
    return h("div", { class: "row" }, h("div", {}, "Mentions and direct messages", h("small", {}, words[state])), button);
  }

  #setMoves(isShown) {
    settings.moves = isShown;
    saveSettings();
    byId("timeline").classList.toggle("quiet", !isShown);
  }
}

function setTheme(theme) {
  if (theme === "system") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = theme;
  }
  try {
    local?.setItem(THEME, theme);
  } catch {
    // Then it is for this visit.
  }
}

// The beginning: a tab that was signed in signs in again

const kept = local && keptLogin(local);
const last = readJson(session, NICK);
const nick = typeof last === "string" && last.length <= byId("nick").maxLength ? last : null;
if (kept && (nick === null || keyOf(nick) === keyOf(kept.nick))) {
  byId("has-account").checked = true;
  byId("account-fields").hidden = false;
  showSignIn();
  byId("nick").value = kept.nick;
  signIn(kept);
} else if (nick !== null) {
  showSignIn();
  signIn({ nick });
} else {
  showSignIn();
}
