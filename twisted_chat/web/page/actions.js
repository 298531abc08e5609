/**
 * What people can do beside talking, as menus and dialogs. A menu offers what one's role allows; the server decides.
 */

import { key as keyOf } from "./client/objects.js";
import { ask, openDialog, toast } from "./dialog.js";
import { bdi, h } from "./dom.js";
import { COMMON_EMOJI, searchEmoji } from "./emoji.js";
import { openMenu } from "./menu.js";
import { findPlaces } from "./places.js";
import { textOf } from "./texts.js";
import { formatDuration, readDuration, shortTime } from "./times.js";

const REASON = { label: "Reason", name: "reason", hint: "Everybody in the room can read it.", attributes: { maxlength: 256 } };

const HOW_LONG = {
  label: "For how long",
  name: "seconds",
  type: "select",
  value: "3600",
  options: /** @type {[string, string][]} */ ([600, 3600, 86_400, 604_800].map((seconds) => [String(seconds), formatDuration(seconds)]).concat([["", "Until it is ended"]])),
};

export class Actions {
  #chat;
  #app;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {object} app
   * @param {(text: string) => void} app.insert puts a text into the box
   * @param {() => void} app.signOut
   * @param {() => Promise<void>} app.keepLogin
   * @param {() => string | undefined} app.keptLabel the label of the token that keeps this device signed in
   * @param {() => void} app.openSettings
   * @param {() => void} app.begin shows the page anew, to another nick
   */
  constructor(chat, app) {
    this.#chat = chat;
    this.#app = app;
  }

  get #client() {
    return this.#chat.client;
  }

  // A message

  messageMenu(item, anchor) {
    const chat = this.#chat;
    const conversation = chat.current;
    if (item?.kind !== "message" || item.state !== "kept") {
      return;
    }
    const isRoom = conversation.kind === "room";
    const isThere = item.seq !== undefined && !item.deleted;
    const mayDelete = isThere && (item.own || (isRoom && chat.may(conversation, "moderator")));
    openMenu(
      anchor,
      [
        !item.deleted && { label: "Copy text", act: () => copy(item.text) },
        !item.own && { label: `Mention ${item.author}`, act: () => this.#app.insert(`@${item.author} `) },
        !item.own && isRoom && { label: `Message ${item.author}`, act: () => chat.open("direct", item.author) },
        null,
        isThere && isRoom && !item.own && { label: "Report to the operators…", act: () => this.#report(conversation, item) },
        mayDelete && { label: "Delete…", danger: true, act: () => this.#delete(conversation, item) },
        null,
        ...(item.own || !isRoom ? [] : this.#orderEntries(conversation, item.author)),
      ],
      { label: "Message" },
    );
  }

  #delete(conversation, item) {
    const isOther = !item.own;
    ask("Delete this message?", {
      text: "Its text is gone for everybody. Its place in the conversation stays.",
      fields: isOther ? [REASON] : [],
      button: "Delete",
      danger: true,
      act: async ({ reason = "" }) => {
        const { kind, name } = conversation;
        await (kind === "room" ? this.#client.delete(name, item.seq, reason) : this.#client.deleteDirect(name, item.seq));
        this.#chat.deleted(conversation, item.seq);
      },
    });
  }

  #report(conversation, item) {
    ask("Report this message", {
      text: "The operators of this server will read it. Nobody else learns of it.",
      fields: [{ ...REASON, label: "What is wrong with it?", hint: undefined }],
      button: "Report",
      act: async ({ reason }) => {
        await this.#client.report(conversation.name, item.seq, reason);
        toast("The operators have your report.");
      },
    });
  }

  // A person

  nickMenu(nick, anchor) {
    const chat = this.#chat;
    const conversation = chat.current;
    const isMe = chat.isMe(nick);
    if (isMe) {
      this.meMenu(anchor);
      return;
    }
    openMenu(
      anchor,
      [
        { label: "Send a direct message", act: () => chat.open("direct", nick) },
        { label: "Mention", act: () => this.#app.insert(`@${nick} `) },
        null,
        ...(conversation?.kind === "room" ? this.#orderEntries(conversation, nick) : []),
      ],
      { label: nick, title: nick },
    );
  }

  /** What keeps order: for moderators, owners and operators. */
  #orderEntries(conversation, nick) {
    const chat = this.#chat;
    if (!chat.may(conversation, "moderator")) {
      return [];
    }
    const isOwner = chat.may(conversation, "owner");
    return [
      (conversation.muted.get(keyOf(nick)) ?? 0) > Date.now()
        ? { label: `Unmute ${nick}`, act: () => this.#try(() => this.#unmute(conversation, nick)) }
        : { label: `Mute ${nick}…`, act: () => this.#mute(conversation, nick) },
      { label: `Put ${nick} out of the room…`, act: () => this.#kick(conversation, nick) },
      { label: `Ban ${nick}…`, danger: true, act: () => this.#ban(conversation, nick) },
      { label: `Delete all messages of ${nick}…`, danger: true, act: () => this.#deleteAll(conversation, nick) },
      null,
      { label: isOwner ? `Change the role of ${nick}…` : `Make ${nick} a member`, act: () => this.#grant(conversation, nick, isOwner) },
    ];
  }

  async #unmute({ name }, nick) {
    await this.#client.unmute(name, nick);
    this.#chat.happened("unmuted", { room: name, nick });
  }

  #mute(conversation, nick) {
    const { name } = conversation;
    // Somebody may have been muted before this page was there, of which it knows nothing.
    const over = /** @type {[string, string]} */ (["over", "Not any more: unmute"]);
    ask(`Mute ${nick}`, {
      text: "They can read, but not speak in this room.",
      fields: [{ ...HOW_LONG, options: [...HOW_LONG.options, over] }, REASON],
      button: "Mute",
      act: async ({ seconds, reason }) => {
        if (seconds === over[0]) {
          await this.#unmute(conversation, nick);
          return;
        }
        await this.#client.mute(name, nick, Number(seconds) || null, reason);
        this.#chat.happened("muted", { room: name, nick, msg: reason, until: untilOf(seconds) });
      },
    });
  }

  #kick({ name }, nick) {
    ask(`Put ${nick} out of the room`, {
      text: "They can come back. To keep them out, ban them.",
      fields: [REASON],
      button: "Put out",
      danger: true,
      act: async ({ reason }) => {
        await this.#client.kick(name, nick, reason);
        this.#chat.happened("kicked", { room: name, nick, msg: reason });
      },
    });
  }

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
        this.#chat.happened("banned", { room: room ?? undefined, who: nick, msg: reason, until: untilOf(seconds) });
      },
    });
  }

  #deleteAll(conversation, nick) {
    ask(`Delete all messages of ${nick}?`, {
      text: "Everything that they have said in this room is gone for everybody.",
      fields: [REASON],
      button: "Delete all",
      danger: true,
      act: async ({ reason }) => {
        const count = await this.#client.deleteAll(conversation.name, nick, reason);
        for (const item of conversation.items) {
          if (item.kind === "message" && item.seq !== undefined && keyOf(item.author) === keyOf(nick)) this.#chat.deleted(conversation, item.seq);
        }
        toast(`${count} message${count === 1 ? " is" : "s are"} deleted.`);
      },
    });
  }

  #grant({ name }, nick, isOwner) {
    const roles = isOwner ? ["owner", "moderator", "member", "none"] : ["member"];
    const words = { owner: "Owner: names moderators and owners", moderator: "Moderator: keeps order", member: "Member: enters while the room is locked", none: "No role" };
    ask(`The role of ${nick}`, {
      text: "Only an account can have a role.",
      fields: [{ label: "Role", name: "role", type: "select", value: "member", options: roles.map((role) => [role, words[role]]) }],
      button: "Change the role",
      act: async ({ role }) => {
        await this.#client.grant(name, nick, role);
        this.#chat.happened("granted", { room: name, nick, role });
      },
    });
  }

  // A room

  roomMenu(anchor) {
    const chat = this.#chat;
    const conversation = chat.current;
    if (conversation === null) {
      return;
    }
    const { kind, name } = conversation;
    if (kind === "direct") {
      openMenu(anchor, [
        { label: "Mark as read", act: () => chat.markRead(conversation) },
        { label: "Close this conversation", act: () => chat.close(conversation) },
      ], { label: name, title: name });
      return;
    }
    const isIn = conversation.isJoined;
    openMenu(
      anchor,
      [
        isIn && { label: "Set the topic…", act: () => this.#topic(conversation) },
        { label: "Mark as read", act: () => chat.markRead(conversation) },
        { label: "Copy the link to this room", act: () => copy(new URL(`?room=${encodeURIComponent(name)}`, location.href).href) },
        null,
        ...(isIn ? this.#roomOrder(conversation) : []),
        null,
        { label: isIn ? "Leave the room" : "Remove from the list", danger: isIn, act: () => this.#try(() => chat.close(conversation)) },
      ],
      { label: `Room ${name}`, title: `#${name}` },
    );
  }

  #roomOrder(conversation) {
    const chat = this.#chat;
    if (!chat.may(conversation, "moderator")) {
      return [];
    }
    const { slow } = conversation;
    return [
      { label: "Invite somebody…", act: () => this.#invite(conversation) },
      { label: "Who may enter…", act: () => this.#lock(conversation) },
      { label: slow ? `Slow mode (${formatDuration(slow)})…` : "Slow mode…", act: () => this.#slow(conversation) },
      { label: "Bans…", act: () => this.#bans(conversation) },
      { label: "What moderators did…", act: () => this.#audit(conversation) },
    ];
  }

  #topic(conversation) {
    ask(`The topic of #${conversation.name}`, {
      fields: [{ label: "Topic", name: "topic", value: conversation.topic, attributes: { maxlength: this.#client.limits.topic ?? 256 } }],
      button: "Set the topic",
      act: ({ topic }) => this.#setTopic(conversation, topic),
    });
  }

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

  #lock({ name, locked }) {
    const options = [["all", "Everybody: unlock the room"], ["members", "Only members: lock the room"]];
    ask(`Who may enter #${name}`, {
      text: "Who locks the room puts out everybody in it who is neither a member nor invited.",
      fields: [{ label: "Who", name: "who", type: "select", value: locked ? "members" : "all", options }],
      button: "Change",
      act: async ({ who }) => {
        const on = who === "members";
        await this.#client.lock(name, on);
        this.#chat.happened("locked", { room: name, on });
      },
    });
  }

  #slow(conversation) {
    const { name } = conversation;
    ask(`Slow mode of #${name}`, {
      text: "Everybody except moderators can send one message in this time.",
      fields: [{ label: "Time", name: "time", value: conversation.slow ? `${conversation.slow}s` : "30s", hint: "Such as 30s or 2m; 0 turns it off." }],
      button: "Set",
      act: async ({ time }) => {
        const seconds = time.trim() === "0" ? 0 : readDuration(time);
        if (seconds === null) throw new Error("write a number with s, m or h behind it, such as 30s");
        await this.#client.slow(name, seconds);
        this.#chat.happened("slowed", { room: name, seconds });
      },
    });
  }

  async #bans({ name }) {
    const page = await this.#try(() => this.#client.bans(name));
    if (page === undefined) return;
    const { bans, count } = page;
    const rows = bans.map(({ who, author, until, msg }) => {
      const row = h("div", { class: "row" }, h("div", {}, bdi(who), h("small", {}, `by ${author}${until ? `, until ${shortTime(until)}` : ""}${msg ? `: ${msg}` : ""}`)));
      const end = () =>
        this.#try(async () => {
          await this.#client.unban(name, who);
          this.#chat.happened("unbanned", { room: name, who });
          row.remove();
        });
      row.append(h("button", { type: "button", class: "secondary", click: end }, "End"));
      return row;
    });
    const more = count > bans.length ? h("p", { class: "muted" }, `and ${count - bans.length} more`) : null;
    openDialog(`Bans from #${name}`, rows.length ? h("div", { class: "rows" }, ...rows) : h("p", { class: "muted" }, "Nobody is banned."), more);
  }

  async #audit({ name }) {
    const rows = h("div", { class: "rows" });
    let before;
    const more = h("button", { type: "button", class: "secondary", click: () => load() }, "Older");
    const load = async () => {
      const page = await this.#try(() => this.#client.audit(name, before === undefined ? {} : { before }));
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

  // Oneself

  meMenu(anchor) {
    const { account, nick } = this.#chat;
    openMenu(
      anchor,
      account
        ? [
            { label: "Change the password…", act: () => this.#changePassword() },
            { label: "Devices that are signed in…", act: () => this.#devices() },
            { label: "Keep me signed in on this device", act: () => this.#keep() },
            null,
            { label: "Sign out", danger: true, act: () => this.#app.signOut() },
          ]
        : [
            { label: "Change the nick…", act: () => this.#changeNick() },
            { label: "Register this nick…", act: () => this.register() },
            { label: "Sign in to an account…", act: () => this.#logIn() },
            null,
            { label: "Sign out", danger: true, act: () => this.#app.signOut() },
          ],
      { label: "You", title: nick },
    );
  }

  #keep() {
    return this.#try(async () => {
      await this.#app.keepLogin();
      toast("You stay signed in on this device.");
    });
  }

  #changeNick() {
    ask("Change the nick", {
      fields: [{ label: "Nick", name: "nick", value: this.#chat.nick, attributes: { maxlength: 32, autocapitalize: "none", spellcheck: "false" } }],
      button: "Change",
      act: ({ nick }) => this.#setNick(nick),
    });
  }

  /** Make the nick an account. @param {() => void} [done] */
  register(done = () => {}) {
    const { nick } = this.#chat;
    return ask(`Register ${nick}`, {
      text: "The nick becomes an account: nobody else can use it, your direct messages with other accounts are kept, and you own the rooms that you make.",
      fields: [
        { label: "Password", name: "password", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "The password again", name: "again", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "Keep me signed in on this device", name: "keep", type: "check", value: "yes" },
      ],
      button: "Register",
      act: async ({ password, again, keep }) => {
        checkPassword(password, again);
        const isLetIn = await this.#client.register(password);
        if (keep && isLetIn) await this.#app.keepLogin();
        toast(isLetIn ? `${nick} is your account now.` : "An operator has to let the account in first. Until then you are a guest.");
        this.#chat.tell("me");
        done();
      },
    });
  }

  #logIn() {
    ask("Sign in to an account", {
      text: "This device stays signed in until you sign out.",
      fields: [
        { label: "Nick", name: "nick", attributes: { autocomplete: "username", autocapitalize: "none", maxlength: 32 } },
        { label: "Password", name: "password", type: "password", attributes: { autocomplete: "current-password" } },
      ],
      button: "Sign in",
      act: async ({ nick, password }) => {
        await this.#client.logIn(nick, password);
        await this.#app.keepLogin();
        this.#app.begin();
      },
    });
  }

  #changePassword() {
    ask("Change the password", {
      fields: [
        { label: "The password now", name: "old", type: "password", attributes: { autocomplete: "current-password" } },
        { label: "The new password", name: "password", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "The new password again", name: "again", type: "password", attributes: { autocomplete: "new-password" } },
        { label: "Sign out everywhere else", name: "revoke", type: "check" },
      ],
      button: "Change",
      act: async ({ old, password, again, revoke }) => {
        checkPassword(password, again);
        await this.#client.changePassword(old, password, revoke);
        toast("The password is changed.");
      },
    });
  }

  async #devices() {
    const tokens = await this.#try(() => this.#client.tokens());
    if (tokens === undefined) return;
    const own = this.#app.keptLabel();
    const rows = tokens.map(({ label, created, used }) => {
      const times = `since ${shortTime(created)}${used ? `, last used ${shortTime(used)}` : ""}`;
      const name = [bdi(label), label === own && " (this device)"];
      const row = h("div", { class: "row" }, h("div", {}, ...name, h("small", {}, times)));
      const end = () =>
        this.#try(async () => {
          await this.#client.revokeToken(label);
          row.remove();
        });
      row.append(h("button", { type: "button", class: "secondary", click: end }, "Sign out"));
      return row;
    });
    openDialog("Devices that are signed in", h("p", { class: "muted" }, "A device or program that keeps you signed in has a token in place of your password."), h("div", { class: "rows" }, ...rows), !rows.length && h("p", {}, "There are none."));
  }

  // Places and people

  /** Find a conversation, a room of the server or a person, or make a room. */
  goTo() {
    const chat = this.#chat;
    const input = h("input", { role: "combobox", "aria-label": "Room or nick", "aria-expanded": "true", "aria-controls": "go-options", "aria-autocomplete": "list", autocapitalize: "none", spellcheck: "false", autocomplete: "off", placeholder: "Room or nick", autofocus: true });
    const list = h("div", { class: "options", role: "listbox", id: "go-options", "aria-label": "Rooms and people" });
    const dialog = openDialog("Find or join", input, list);
    let rooms = [];
    /** @type {import("./places.js").Place[]} */
    let options = [];
    let chosen = 0;
    let isAsking = true;
    const choose = (index) => {
      chosen = index;
      [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
      list.children[index]?.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", options.length ? `go-${index}` : "");
    };
    const draw = () => {
      const { conversations, current, nick } = chat;
      options = findPlaces(input.value, { conversations: conversations.values(), current, rooms, nick });
      list.replaceChildren(...options.map(buildPlace));
      choose(0);
    };
    const drawAgain = () => {
      const held = chosen > 0 ? options[chosen] : undefined;
      draw();
      const at = options.findIndex(({ kind, name }) => kind === held?.kind && name === held.name);
      if (at > 0) choose(at);
    };
    const take = async (index) => {
      const place = options[index];
      if (place?.isNew && isAsking) {
        choose(index);
        await asked; // the name may be somebody's, or a room's: then that is what is shown now, and not taken yet
        const now = options[chosen];
        if (!dialog.open || now?.name !== place.name || now.kind !== place.kind || !now.isNew) return;
      }
      if (place !== undefined) {
        dialog.close();
        chat.open(place.kind, place.name);
      }
    };
    input.addEventListener("input", draw);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        choose((chosen + (event.key === "ArrowDown" ? 1 : options.length - 1)) % Math.max(1, options.length));
      } else if (event.key === "Enter" && !event.isComposing) {
        event.preventDefault();
        take(chosen);
      }
    });
    list.addEventListener("click", (event) => {
      const option = event.target.closest(".option");
      if (option !== null) take([...list.children].indexOf(option));
    });
    draw();
    const listed = async () => {
      rooms = await this.#client.rooms();
      drawAgain();
    };
    const joined = [...chat.conversations.values()].filter(({ isJoined }) => isJoined);
    const asked = Promise.allSettled([listed(), ...joined.map((room) => chat.askMembers(room))]).then(() => {
      isAsking = false;
      drawAgain();
    });
  }

  /** A table of emoji, with a search. */
  emoji() {
    const input = h("input", { "aria-label": "Name of an emoji", placeholder: "Search by name", autocomplete: "off", spellcheck: "false", autofocus: true });
    const grid = h("div", { class: "emoji-grid", role: "group", "aria-label": "Emoji" });
    const dialog = openDialog("Emoji", input, grid);
    const take = (emoji) => {
      dialog.close();
      this.#app.insert(emoji);
    };
    const draw = () => {
      const found = input.value.trim() ? searchEmoji(input.value.trim().replaceAll(" ", "_"), 96) : COMMON_EMOJI;
      grid.replaceChildren(...found.map(({ emoji, name }) => h("button", { type: "button", title: `:${name}:`, "aria-label": name.replaceAll("_", " "), click: () => take(emoji) }, emoji)));
    };
    input.addEventListener("input", draw);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        grid.querySelector("button")?.click();
      }
    });
    draw();
  }

  // Commands

  /**
   * Run what is typed behind a `/` in the open conversation. Returns true, or what is wrong.
   *
   * @param {string} text
   */
  command(text) {
    const [, name, rest] = /^\/([a-z]+)\s*([^]*)$/u.exec(text);
    const [first, ...others] = rest.split(/\s+/u);
    const chat = this.#chat;
    const conversation = chat.current;
    const commands = {
      join: () => (first ? chat.open("room", first.replace(/^#/u, "")) : "Write /join ROOM"),
      msg: () => (first ? this.#message(first.replace(/^@/u, ""), others.join(" ")) : "Write /msg NICK TEXT"),
      leave: () => this.#try(() => chat.close(conversation)),
      topic: () =>
        conversation.kind === "room"
          ? this.#try(() => this.#setTopic(conversation, rest))
          : `Only a room has a topic. This is a conversation with ${conversation.name}, and nothing was sent.`,
      nick: () => (first ? this.#try(() => this.#setNick(first)) : "Write /nick NICK"),
      help: () => this.#app.openSettings(),
    };
    if (!Object.hasOwn(commands, name)) {
      return `There is no command /${name}: there are ${Object.keys(commands).map((one) => `/${one}`).join(", ")}. To send a text that begins with a slash, type two.`;
    }
    const problem = commands[name]();
    return typeof problem === "string" ? problem : true;
  }

  #message(nick, text) {
    this.#chat.open("direct", nick);
    if (text) this.#chat.say(text);
  }

  async #setTopic(conversation, topic) {
    await this.#client.setTopic(conversation.name, topic);
    this.#chat.setTopic(conversation, this.#chat.nick, topic);
  }

  async #setNick(nick) {
    await this.#client.setNick(nick);
    this.#chat.tell("me");
    if (this.#chat.current) this.#chat.askMembers(this.#chat.current);
  }

  /**
   * Do something that has no dialog: a refusal is a note in passing. Returns `undefined` then.
   *
   * @template T
   * @param {() => Promise<T>} act
   */
  async #try(act) {
    try {
      return await act();
    } catch (error) {
      toast(textOf(error));
      return undefined;
    }
  }
}

function buildPlace({ kind, name, more }, index) {
  return h("div", { class: "option", role: "option", id: `go-${index}`, "aria-selected": "false" }, h("span", { class: "sign muted", "aria-hidden": "true" }, kind === "room" ? "#" : "@"), bdi(name), more && h("span", { class: "more muted", dir: "auto" }, more));
}

function checkPassword(password, again) {
  if (password !== again) throw new Error("the two passwords are not the same");
}

function untilOf(seconds) {
  return seconds ? new Date(Date.now() + Number(seconds) * 1000).toISOString() : undefined;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("This page may not use the clipboard. Select the text, and copy it with the keyboard.");
  }
}
