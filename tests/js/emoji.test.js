import assert from "node:assert/strict";
import { test } from "node:test";

import { COMMON_EMOJI, replaceNames, searchEmoji } from "../../twisted_chat/web/page/emoji.js";

test("names between colons become emoji", () => {
  assert.equal(replaceNames("hi :wave: :+1::tada:"), "hi 👋 👍🎉");
  assert.equal(replaceNames("at 10:30:45, a:wave:b, :nothing:, ::"), "at 10:30:45, a:wave:b, :nothing:, ::");
});

test("code keeps its colons", () => {
  assert.equal(replaceNames("`:wave:` :wave: ``a ` :wave: `` :wave:"), "`:wave:` 👋 ``a ` :wave: `` 👋");
  assert.equal(replaceNames("```\n:wave:\n```"), "```\n:wave:\n```");
});

test("the search prefers the name, then its beginning", () => {
  const names = (part) => searchEmoji(part).map(({ name }) => name);
  assert.equal(names("heart")[0], "heart");
  assert.ok(names("smi").every((name) => name.includes("smi")));
  assert.deepEqual([names("WAVE")[0], names("zzzz"), names("").length], ["wave", [], 8]);
});

test("every name is one word, and stands once", () => {
  assert.ok(COMMON_EMOJI.every(({ emoji }) => emoji !== undefined));
  const all = searchEmoji("_", Infinity);
  assert.ok(all.length > 500);
  assert.ok(all.every(({ emoji, name }) => /^[a-z0-9_+-]+$/.test(name) && /\p{Emoji}/u.test(emoji)));
});

test("long texts of colons take one pass", () => {
  const count = 2 ** 17; // with a pass for each piece, this would take minutes, and the run of the tests would end it
  for (const [piece, out] of [[":", ":"], [":zq", ":zq"], ["`:", "`:"], [":wave:", "👋"]]) {
    assert.equal(replaceNames(piece.repeat(count)), out.repeat(count));
  }
});
