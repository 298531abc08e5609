/** The part of a conversation that is shown. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { ItemRange } from "../../twisted_chat/web/page/item-range.js";

/** @type {ItemRange} */
let range;

beforeEach(() => {
  range = new ItemRange(30);
});

const shown = () => [range.first, range.end];

test("it begins at the newest items, or around an older one", () => {
  range.begin(0);
  assert.deepEqual(shown(), [0, 0]);
  range.begin(12);
  assert.deepEqual(shown(), [0, 12]);
  range.begin(100);
  assert.deepEqual(shown(), [70, 100]);
  range.begin(100, 80);
  assert.deepEqual(shown(), [70, 100]);
  range.begin(100, 40);
  assert.deepEqual(shown(), [30, 90]);
  range.begin(100, 69);
  assert.deepEqual(shown(), [59, 100]);
  range.begin(100, 3);
  assert.deepEqual(shown(), [0, 60]);
});

test("it grows by pages, up to the ends", () => {
  range.begin(100, 40);
  assert.deepEqual(range.extendUp(), { first: 0, end: 30 });
  assert.deepEqual(range.extendUp(), { first: 0, end: 0 });
  assert.deepEqual(range.extendDown(100), { first: 90, end: 100 });
  assert.deepEqual(range.extendDown(100), { first: 100, end: 100 });
  range.dropAbove(30);
  range.dropBelow(10);
  assert.deepEqual(shown(), [30, 90]);
  assert.deepEqual(range.extendDown(200), { first: 90, end: 120 });
});

test("items that come above or below move it or leave it, and those within belong to it", () => {
  range.begin(100, 40); // 30 to 90
  assert.equal(range.insert(0, 50, 150), "above");
  assert.deepEqual(shown(), [80, 140]);
  assert.equal(range.insert(80, 1, 151), "above");
  assert.deepEqual(shown(), [81, 141]);
  assert.equal(range.insert(82, 2, 153), "within");
  assert.deepEqual(shown(), [81, 143]);
  assert.equal(range.insert(143, 1, 154), "below");
  assert.equal(range.insert(154, 1, 155), "below");
  assert.deepEqual(shown(), [81, 143]);
  range.extendDown(155);
  assert.equal(range.insert(155, 1, 156), "within", "new ones, where the newest is shown");
  assert.deepEqual(shown(), [81, 156]);
  assert.deepEqual([80, 81, -1].map((index) => range.isAbove(index)), [true, false, false]);
});

test("items that are removed make it smaller, or move it", () => {
  range.begin(100, 40);
  range.remove(90);
  assert.deepEqual(shown(), [30, 90]);
  range.remove(89);
  assert.deepEqual(shown(), [30, 89]);
  range.remove(30);
  assert.deepEqual(shown(), [30, 88]);
  range.remove(29);
  assert.deepEqual(shown(), [29, 87]);
});
