/** What somebody writes: messages and commands, their length, and what is offered while they write. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { isCommand, runCommand } from "../../twisted_chat/web/page/actions/commands.js";
import { Conversation } from "../../twisted_chat/web/page/conversation.js";
import { readWritten, surplusOf } from "../../twisted_chat/web/page/outgoing.js";
import { MOST, nicksOf, NOTHING, suggest } from "../../twisted_chat/web/page/suggestions.js";

describe("what was written", () => {
  test("a text loses the empty lines before it and the spaces behind it, and nothing else", () => {
    assert.deepEqual(readWritten("\n\n  one\n two  \n"), { kind: "message", text: "  one\n two" });
    assert.equal(readWritten(" \n "), null);
  });

  test("emoji are written by their names, except in code", () => {
    assert.equal(readWritten("hi :wave: `:wave:`")?.text, "hi 👋 `:wave:`");
  });

  test("a slash makes a command, and two of them a message with one", () => {
    assert.deepEqual(readWritten("/join garden"), { kind: "command", text: "/join garden" });
    assert.deepEqual(readWritten("/me"), { kind: "command", text: "/me" });
    assert.deepEqual(readWritten("//join garden"), { kind: "message", text: "/join garden" });
    for (const text of ["/usr/bin/env", "/", "/ a", "/Join", "/2", " /join"]) {
      assert.equal(isCommand(text), false, text);
      assert.equal(readWritten(text)?.kind, "message", text);
    }
  });

  test("its length is counted as it is on the wire", () => {
    const limits = { object: 1000 };
    assert.equal(surplusOf("a".repeat(486), limits), 0); // with 512 for what is around it, and its own quotes
    assert.equal(surplusOf("a".repeat(487), limits), 1);
    assert.equal(surplusOf("é".repeat(243), limits), 0);
    assert.equal(surplusOf("\n".repeat(243), limits), 0);
    assert.equal(surplusOf("", {}), 2 + 512 - 16_384);
  });
});

describe("suggestions", () => {
  const nicks = () => ["bob", "Bodo", "carol", "б"];
  /** @param {string} text */
  const offered = (text, at = text.length) => suggest(text, at, nicks);
  /** @param {string} text */
  const texts = (text) => offered(text).entries.map((entry) => entry.text);

  test("nicks are offered behind an @, at the beginning of a word", () => {
    assert.deepEqual(texts("hello @bo"), ["@bob ", "@Bodo "]);
    assert.deepEqual(texts("@BOB"), ["@bob "]);
    assert.deepEqual(texts("@Б"), ["@б "]);
    assert.equal(texts("@").length, 4);
    for (const text of ["bob@bo", "bo", "@bo b", "@x"]) assert.deepEqual(texts(text), [], text);
  });

  test("emoji are offered behind a colon and two letters", () => {
    assert.equal(texts("so :tad")[0], "🎉 ");
    for (const text of [":t", "a:tad", "::tad", "12:30", ":tad a"]) assert.deepEqual(texts(text), [], text);
  });

  test("they take the place of what was typed, wherever the cursor is", () => {
    const { from, to } = offered("hi @bo and more", 6);
    assert.deepEqual([from, to], [3, 6]);
    assert.equal(offered("hi @bo and more"), NOTHING);
  });

  test("they are few, and a list of members is not read without an @", () => {
    const many = () => Array.from({ length: 20 }, (_, index) => `n${index}`);
    assert.equal(suggest("@n", 2, many).entries.length, MOST);
    assert.equal(suggest(":s", 2, many), NOTHING);
    assert.equal(suggest("no", 2, () => assert.fail("nobody asked for nicks")), NOTHING);
  });

  test("those who spoke last come first, each once, and not oneself", () => {
    const room = new Conversation("room", "garden");
    room.members = ["alice", "bob", "carol", "Dave", "me"];
    for (const [index, author] of ["bob", "gone", "dave", "me", "carol"].entries()) {
      room.add({ author, text: "", time: new Date(0), seq: index + 1 });
    }
    room.notice(["a notice has no author"]);
    assert.deepEqual([...nicksOf(room, (nick) => nick === "me")], ["carol", "dave", "gone", "bob", "alice"]);
    assert.deepEqual([...nicksOf(new Conversation("direct", "eve"), () => false)], ["eve"]);
  });
});

describe("commands", () => {
  /** Run a command in a room, or in another conversation. @param {string} text @param {any} current */
  function run(text, current = new Conversation("room", "garden")) {
    /** @type {unknown[][]} */
    const calls = [];
    /** @param {string} name */
    const note = (name) => (/** @type {unknown[]} */ ...details) => void calls.push([name, ...details]);
    const chat = /** @type {any} */ ({ current });
    for (const name of ["open", "say", "close", "changeTopic", "changeNick"]) chat[name] = note(name);
    const problem = runCommand(text, chat, { help: note("help"), attempt: (act) => void act() });
    return { problem, calls };
  }

  test("each does what its name says", () => {
    const room = new Conversation("room", "garden");
    for (const [text, ...calls] of /** @type {[string, ...unknown[][]][]} */ ([
      ["/join kitchen", ["open", "room", "kitchen"]],
      ["/join #kitchen and more", ["open", "room", "kitchen"]],
      ["/msg bob", ["open", "direct", "bob"]],
      ["/msg @bob two  words\nand a line", ["open", "direct", "bob"], ["say", "two  words\nand a line"]],
      ["/leave", ["close", room]],
      ["/topic on the  lawn", ["changeTopic", room, "on the  lawn"]],
      ["/topic", ["changeTopic", room, ""]],
      ["/nick al", ["changeNick", "al"]],
      ["/help", ["help"]],
    ])) {
      assert.deepEqual(run(text, room), { problem: null, calls }, text);
    }
  });

  test("one that lacks something, or is none, does nothing and says what to write", () => {
    for (const [text, words] of /** @type {[string, RegExp][]} */ ([
      ["/join", /^Write \/join ROOM$/],
      ["/msg ", /^Write \/msg NICK TEXT$/],
      ["/nick", /^Write \/nick NICK$/],
      ["/me waves", /^There is no command \/me: there are \/join, \/msg, \/leave, \/topic, \/nick, \/help\. .*type two\.$/],
      ["/constructor", /^There is no command \/constructor/],
    ])) {
      const { problem, calls } = run(text);
      assert.match(problem ?? "", words);
      assert.deepEqual(calls, [], text);
    }
  });

  test("a topic is of a room", () => {
    const { problem, calls } = run("/topic a secret", new Conversation("direct", "bob"));
    assert.match(problem ?? "", /conversation with bob, and nothing was sent/);
    assert.deepEqual(calls, []);
    assert.match(run("/topic a secret", null).problem ?? "", /^Only a room has a topic\./);
    assert.deepEqual(run("/leave", null).calls, []);
  });
});
