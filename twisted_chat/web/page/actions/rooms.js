/**
 * What can be done with the open conversation: its menu, and the dialogs for those who keep order in a room.
 */

import { ask, openDialog, toast } from "../dialog.js";
import { bdi, h } from "../dom.js";
import { openMenu } from "../menu.js";
import { formatDuration, readDuration, shortTime } from "../times.js";
import { attempt, copy } from "./common.js";

/** @typedef {import("./common.js").Conversation} Conversation */

/** Whom a room lets in: the values of the field, and their words. */
const WHO_ENTERS = [["all", "Everybody: unlock the room"], ["members", "Only members: lock the room"]];

export class RoomActions {
  #chat;

  /** @param {import("./common.js").Chat} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  get #client() {
    return this.#chat.client;
  }

  /** Open the menu of the open conversation. @param {HTMLElement} anchor */
  openMenu(anchor) {
    const chat = this.#chat;
    const conversation = chat.current;
    if (conversation === null) {
      return;
    }
    const { kind, name, isJoined } = conversation;
    const markAsRead = { label: "Mark as read", act: () => chat.markRead(conversation) };
    if (kind === "direct") {
      const close = { label: "Close this conversation", act: () => void chat.close(conversation) };
      openMenu(anchor, [markAsRead, close], { label: name, title: name });
      return;
    }
    openMenu(
      anchor,
      [
        isJoined && { label: "Set the topic…", act: () => this.#topic(conversation) },
        markAsRead,
        { label: "Copy the link to this room", act: () => copy(new URL(`?room=${encodeURIComponent(name)}`, location.href).href) },
        null,
        ...(isJoined ? this.#entries(conversation) : []),
        null,
        { label: isJoined ? "Leave the room" : "Remove from the list", danger: isJoined, act: () => attempt(() => chat.close(conversation)) },
      ],
      { label: `Room ${name}`, title: `#${name}` },
    );
  }

  /** The entries for moderators, owners and operators. @param {Conversation} room */
  #entries(room) {
    if (!this.#chat.may(room, "moderator")) {
      return [];
    }
    const { slow } = room;
    return [
      { label: "Invite somebody…", act: () => this.#invite(room) },
      { label: "Who may enter…", act: () => this.#lock(room) },
      { label: slow ? `Slow mode (${formatDuration(slow)})…` : "Slow mode…", act: () => this.#slow(room) },
      { label: "Bans…", act: () => this.#bans(room) },
      { label: "What moderators did…", act: () => this.#audit(room) },
    ];
  }

  /** @param {Conversation} room */
  #topic(room) {
    ask(`The topic of #${room.name}`, {
      fields: [{ label: "Topic", name: "topic", value: room.topic, attributes: { maxlength: this.#client.limits.topic ?? 256 } }],
      button: "Set the topic",
      act: ({ topic }) => this.#chat.changeTopic(room, topic),
    });
  }

  /** @param {Conversation} room */
  #invite({ name }) {
    ask(`Invite somebody to #${name}`, {
      text: "An invitation lets one nick into a locked room, for a week.",
      fields: [{ label: "Nick", name: "nick", attributes: { maxlength: 32, autocapitalize: "none" } }],
      button: "Invite",
      act: async ({ nick }) => {
        await this.#client.invite(name, nick);
        toast(`${nick} is invited to #${name}.`);
      },
    });
  }

  /** @param {Conversation} room */
  #lock({ name, locked }) {
    ask(`Who may enter #${name}`, {
      text: "Who locks the room puts out everybody in it who is neither a member nor invited.",
      fields: [{ label: "Who", name: "who", type: "select", value: locked ? "members" : "all", options: WHO_ENTERS }],
      button: "Change",
      act: async ({ who }) => {
        const on = who === "members";
        await this.#client.lock(name, on);
        this.#chat.acted({ type: "locked", room: name, on });
      },
    });
  }

  /** @param {Conversation} room */
  #slow({ name, slow }) {
    ask(`Slow mode of #${name}`, {
      text: "Everybody except moderators can send one message in this time.",
      fields: [{ label: "Time", name: "time", value: slow ? `${slow}s` : "30s", hint: "Such as 30s or 2m; 0 turns it off." }],
      button: "Set",
      act: async ({ time }) => {
        const seconds = time.trim() === "0" ? 0 : readDuration(time);
        if (seconds === null) throw new Error("write a number with s, m or h behind it, such as 30s");
        await this.#client.slow(name, seconds);
        this.#chat.acted({ type: "slowed", room: name, seconds });
      },
    });
  }

  /** @param {Conversation} room */
  async #bans({ name }) {
    const page = await attempt(() => this.#client.bans(name));
    if (page === undefined) return;
    const { bans, count } = page;
    const rows = bans.map((ban) => this.#banRow(name, ban));
    const more = count > bans.length ? h("p", { class: "muted" }, `and ${count - bans.length} more`) : null;
    openDialog(`Bans from #${name}`, rows.length ? h("div", { class: "rows" }, ...rows) : h("p", { class: "muted" }, "Nobody is banned."), more);
  }

  /** @param {string} room @param {import("../client.js").Bans["bans"][number]} ban */
  #banRow(room, { who, author, until, msg }) {
    const more = `by ${author}${until ? `, until ${shortTime(until)}` : ""}${msg ? `: ${msg}` : ""}`;
    const unban = () =>
      attempt(async () => {
        await this.#client.unban(room, who);
        this.#chat.acted({ type: "unbanned", room, who });
        row.remove();
      });
    const button = h("button", { type: "button", class: "secondary", click: unban }, "Unban");
    const row = h("div", { class: "row" }, h("div", {}, bdi(who), h("small", {}, more)), button);
    return row;
  }

  /** @param {Conversation} room */
  async #audit({ name }) {
    const rows = h("div", { class: "rows" });
    /** @type {number | undefined} */
    let before;
    const more = h("button", { type: "button", class: "secondary", click: () => load() }, "Older");
    const load = async () => {
      const page = await attempt(() => this.#client.audit(name, before === undefined ? {} : { before }));
      if (page === undefined) return false;
      for (const { seq, time, type, author, target = "", value = "", msg } of page.actions) {
        const what = h("div", {}, bdi(author), ` ${type} `, bdi(target), value && ` (${value})`, msg && ": ", msg && bdi(msg));
        rows.append(h("div", { class: "row" }, h("div", {}, what, h("small", {}, shortTime(time)))));
        before = seq;
      }
      more.hidden = !page.more;
      return true;
    };
    if (!(await load())) return;
    openDialog(`What moderators did in #${name}`, rows.childElementCount ? rows : h("p", { class: "muted" }, "Nothing so far."), more);
  }
}
