import assert from "node:assert/strict";
import { test } from "node:test";

import { sentence, textOf } from "../../twisted_chat/web/page/texts.js";
import { shortTime } from "../../twisted_chat/web/page/times.js";

test("times in a text are as people read them", () => {
  const [one, two] = ["2026-11-26T18:53:47.571Z", "2027-01-02T03:04:05Z"];
  assert.equal(sentence(`you are muted until ${one}.`), `You are muted until ${shortTime(one)}.`);
  assert.equal(sentence(`from ${one} to ${two}`), `From ${shortTime(one)} to ${shortTime(two)}`);
  for (const text of ["2026-99-99T99:99:99Z", "x2026-11-26T18:53:47Z", ""]) {
    assert.equal(sentence(text).toLowerCase(), text.toLowerCase());
  }
});

test("a nick at the beginning keeps its spelling", () => {
  const texts = ["\u0430lice looks like alice, which is", "bob is, or looks like, somebody's account"];
  assert.deepEqual(texts.map(sentence), texts);
});

test("an error says its own text", () => {
  assert.deepEqual([{ text: "one", message: "two" }, new Error("two"), "three"].map(textOf), ["One", "Two", "Three"]);
});
