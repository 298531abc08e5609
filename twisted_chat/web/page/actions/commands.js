/**
 * The commands that can be typed in the box, behind a `/`.
 */

/** @typedef {import("../chat.js").Chat} Chat */

/**
 * @typedef {object} CommandPage
 * @property {() => void} help shows what can be typed
 * @property {(act: () => Promise<unknown>) => void} attempt does something, and tells of its refusal
 */

/** What a command is called with: the first word behind it, what is behind that, and all of it.
 * @typedef {{first: string, others: string, rest: string}} Typed */

/** True for a text that looks like a command. @param {string} text */
export function isCommand(text) {
  return /^\/[a-z]+(?:\s|$)/u.test(text);
}

/**
 * Run a command in the open conversation. Returns what is wrong with it, or `null`.
 *
 * @param {string} text one that looks like a command
 * @param {Chat} chat
 * @param {CommandPage} page
 * @returns {string | null}
 */
export function runCommand(text, chat, page) {
  const [, name, rest] = /^\/([a-z]+)\s*([^]*)$/u.exec(text) ?? ["", "", ""];
  const [, first, others] = /^(\S*)\s*([^]*)$/u.exec(rest) ?? ["", "", ""];
  if (!Object.hasOwn(COMMANDS, name)) {
    const known = Object.keys(COMMANDS).map((one) => `/${one}`);
    return `There is no command /${name}: there are ${known.join(", ")}. To send a text that begins with a slash, type two.`;
  }
  return COMMANDS[name]({ first, others, rest }, chat, page);
}

/** Each returns what is wrong with what was typed, or `null`.
 * @type {Record<string, (typed: Typed, chat: Chat, page: CommandPage) => string | null>} */
const COMMANDS = {
  join({ first }, chat) {
    if (first === "") return "Write /join ROOM";
    chat.open("room", first.replace(/^#/u, ""));
    return null;
  },
  msg({ first, others }, chat) {
    if (first === "") return "Write /msg NICK TEXT";
    chat.open("direct", first.replace(/^@/u, ""));
    if (others) chat.say(others);
    return null;
  },
  leave(_, chat, { attempt }) {
    const { current } = chat;
    if (current !== null) attempt(() => chat.close(current));
    return null;
  },
  topic({ rest }, chat, { attempt }) {
    const { current } = chat;
    if (current?.kind !== "room") {
      return `Only a room has a topic. This is a conversation with ${current?.name}, and nothing was sent.`;
    }
    attempt(() => chat.changeTopic(current, rest));
    return null;
  },
  nick({ first }, chat, { attempt }) {
    if (first === "") return "Write /nick NICK";
    attempt(() => chat.changeNick(first));
    return null;
  },
  help(_, chat, { help }) {
    help();
    return null;
  },
};
