/**
 * What can be done with a message: its menu.
 */

import { ask, toast } from "../dialog.js";
import { openMenu } from "../menu.js";
import { copy, REASON } from "./common.js";

/** @typedef {import("./common.js").Conversation} Conversation */
/** @typedef {import("../conversation.js").Item} Item */
/** @typedef {import("../conversation.js").MessageItem} MessageItem */

export class MessageActions {
  #chat;
  #members;
  #insert;

  /**
   * @param {import("./common.js").Chat} chat
   * @param {import("./members.js").MemberActions} members
   * @param {(text: string) => void} insert puts a text into the box
   */
  constructor(chat, members, insert) {
    this.#chat = chat;
    this.#members = members;
    this.#insert = insert;
  }

  /** Open the menu of a message of the open conversation. @param {Item | undefined} item @param {HTMLElement} anchor */
  openMenu(item, anchor) {
    const chat = this.#chat;
    const conversation = chat.current;
    if (conversation === null || item?.kind !== "message" || item.state !== "kept") {
      return;
    }
    const isRoom = conversation.kind === "room";
    const { seq, own, author } = item;
    /** @type {import("../menu.js").MaybeEntry[]} */
    const ofLog = [];
    if (seq !== undefined && !item.deleted) {
      const mayDelete = own || (isRoom && chat.may(conversation, "moderator"));
      ofLog.push(
        isRoom && !own && { label: "Report to the operators…", act: () => this.#report(conversation, seq) },
        mayDelete && { label: "Delete…", danger: true, act: () => this.#delete(conversation, seq, own) },
      );
    }
    openMenu(
      anchor,
      [
        !item.deleted && { label: "Copy text", act: () => copy(item.text) },
        !own && { label: `Mention ${author}`, act: () => this.#insert(`@${author} `) },
        !own && isRoom && { label: `Message ${author}`, act: () => chat.open("direct", author) },
        null,
        ...ofLog,
        null,
        ...(own || !isRoom ? [] : this.#members.entries(conversation, author)),
      ],
      { label: "Message" },
    );
  }

  /** @param {Conversation} conversation @param {number} seq @param {boolean} own */
  #delete(conversation, seq, own) {
    ask("Delete this message?", {
      text: "Its text is gone for everybody. Its place in the conversation stays.",
      fields: own ? [] : [REASON],
      button: "Delete",
      danger: true,
      act: async ({ reason = "" }) => {
        const { client } = this.#chat;
        const { kind, name } = conversation;
        await (kind === "room" ? client.delete(name, seq, reason) : client.deleteDirect(name, seq));
        this.#chat.deleted(conversation, seq);
      },
    });
  }

  /** @param {Conversation} room @param {number} seq */
  #report({ name }, seq) {
    ask("Report this message", {
      text: "The operators of this server will read it. Nobody else learns of it.",
      fields: [{ ...REASON, label: "What is wrong with it?", hint: undefined }],
      button: "Report",
      act: async ({ reason }) => {
        await this.#chat.client.report(name, seq, reason);
        toast("The operators have your report.");
      },
    });
  }
}
