/**
 * What can be done about a person: the menu of a nick, and what moderators do.
 */

import { key as keyOf } from "../client/objects.js";
import { ask, toast } from "../dialog.js";
import { openMenu } from "../menu.js";
import { formatDuration } from "../times.js";
import { attempt, REASON } from "./common.js";

/** @typedef {import("./common.js").Conversation} Conversation */
/** @typedef {import("../client.js").Role} Role */

/** @type {import("../dialog.js").Field} */
const HOW_LONG = {
  label: "For how long",
  name: "seconds",
  type: "select",
  value: "3600",
  options: [...[600, 3600, 86_400, 604_800].map((seconds) => [String(seconds), formatDuration(seconds)]), ["", "Until it is ended"]],
};

/** What each role means to those who give it, from the highest. @type {Record<Role, string>} */
const ROLE_WORDS = {
  owner: "Owner: names moderators and owners",
  moderator: "Moderator: keeps order",
  member: "Member: enters while the room is locked",
  none: "No role",
};

export class MemberActions {
  #chat;
  #insert;

  /** @param {import("./common.js").Chat} chat @param {(text: string) => void} insert puts a text into the box */
  constructor(chat, insert) {
    this.#chat = chat;
    this.#insert = insert;
  }

  get #client() {
    return this.#chat.client;
  }

  /** Open the menu of a nick. @param {string} nick @param {HTMLElement} anchor */
  openMenu(nick, anchor) {
    const chat = this.#chat;
    const { current } = chat;
    openMenu(
      anchor,
      [
        { label: "Send a direct message", act: () => chat.open("direct", nick) },
        { label: "Mention", act: () => this.#insert(`@${nick} `) },
        null,
        ...(current?.kind === "room" ? this.entries(current, nick) : []),
      ],
      { label: nick, title: nick },
    );
  }

  /**
   * The entries of a menu for moderators, owners and operators. The server decides what each of them may do.
   *
   * @param {Conversation} room
   * @param {string} nick
   * @returns {import("../menu.js").MaybeEntry[]}
   */
  entries(room, nick) {
    if (!this.#chat.may(room, "moderator")) {
      return [];
    }
    const isOwner = this.#chat.may(room, "owner");
    return [
      (room.muted.get(keyOf(nick)) ?? 0) > Date.now()
        ? { label: `Unmute ${nick}`, act: () => attempt(() => this.#unmute(room, nick)) }
        : { label: `Mute ${nick}…`, act: () => this.#mute(room, nick) },
      { label: `Kick ${nick}…`, act: () => this.#kick(room, nick) },
      { label: `Ban ${nick}…`, danger: true, act: () => this.#ban(room, nick) },
      { label: `Delete all messages of ${nick}…`, danger: true, act: () => this.#deleteAll(room, nick) },
      null,
      { label: isOwner ? `Change the role of ${nick}…` : `Make ${nick} a member…`, act: () => this.#grant(room, nick, isOwner) },
    ];
  }

  /** @param {Conversation} room @param {string} nick */
  async #unmute({ name }, nick) {
    await this.#client.unmute(name, nick);
    this.#chat.acted({ type: "unmuted", room: name, nick });
  }

  /** @param {Conversation} room @param {string} nick */
  #mute(room, nick) {
    const { name } = room;
    // Somebody may have been muted before this page was there, of which it knows nothing.
    const over = ["over", "Not any more: unmute"];
    ask(`Mute ${nick}`, {
      text: "They can read, but not speak in this room.",
      fields: [{ ...HOW_LONG, options: [...(HOW_LONG.options ?? []), over] }, REASON],
      button: "Mute",
      act: async ({ seconds, reason }) => {
        if (seconds === over[0]) {
          await this.#unmute(room, nick);
          return;
        }
        await this.#client.mute(name, nick, Number(seconds) || null, reason);
        this.#chat.acted({ type: "muted", room: name, nick, msg: reason, until: untilOf(seconds) });
      },
    });
  }

  /** @param {Conversation} room @param {string} nick */
  #kick({ name }, nick) {
    ask(`Kick ${nick}`, {
      text: "They are put out of the room, and can come back. To keep them out, ban them.",
      fields: [REASON],
      button: "Kick",
      danger: true,
      act: async ({ reason }) => {
        await this.#client.kick(name, nick, reason);
        this.#chat.acted({ type: "kicked", room: name, nick, msg: reason });
      },
    });
  }

  /** @param {Conversation} room @param {string} nick */
  #ban({ name, role }, nick) {
    const everywhere = { label: "From the whole server", name: "everywhere", type: "check" };
    ask(`Ban ${nick}`, {
      text: "They are put out, and cannot enter or read the room.",
      fields: [HOW_LONG, REASON, ...(role === "operator" ? [everywhere] : [])],
      button: "Ban",
      danger: true,
      act: async ({ seconds, reason, everywhere }) => {
        const room = everywhere ? null : name;
        await this.#client.ban(room, nick, Number(seconds) || null, reason);
        this.#chat.acted({ type: "banned", room: room ?? undefined, who: nick, msg: reason, until: untilOf(seconds) });
      },
    });
  }

  /** @param {Conversation} room @param {string} nick */
  #deleteAll(room, nick) {
    ask(`Delete all messages of ${nick}?`, {
      text: "Everything that they have said in this room is gone for everybody.",
      fields: [REASON],
      button: "Delete all",
      danger: true,
      act: async ({ reason }) => {
        const count = await this.#client.deleteAll(room.name, nick, reason);
        this.#chat.deletedAll(room, nick);
        toast(`${count} message${count === 1 ? " is" : "s are"} deleted.`);
      },
    });
  }

  /** @param {Conversation} room @param {string} nick @param {boolean} isOwner */
  #grant({ name }, nick, isOwner) {
    const roles = isOwner ? Object.entries(ROLE_WORDS) : [["member", ROLE_WORDS.member]];
    ask(`The role of ${nick}`, {
      text: "Only an account can have a role.",
      fields: [{ label: "Role", name: "role", type: "select", value: "member", options: roles }],
      button: "Change the role",
      act: async ({ role }) => {
        await this.#client.grant(name, nick, role);
        this.#chat.acted({ type: "granted", room: name, nick, role });
      },
    });
  }
}

/** The time at which a mute or a ban ends, as the server writes it. @param {string} seconds empty if it has no end */
function untilOf(seconds) {
  return seconds ? new Date(Date.now() + Number(seconds) * 1000).toISOString() : undefined;
}
