import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { key as keyOf } from "../../twisted_chat/web/page/client/objects.js";
import { HUES, hueOf, initialOf, styleOf } from "../../twisted_chat/web/page/colours.js";

const STYLE = readFileSync(new URL("../../twisted_chat/web/page/style.css", import.meta.url), "utf8");

/** The colours of the style sheet by their names, for a light and for a dark page. */
const COLOURS = new Map(
  [...STYLE.matchAll(/(?:\.(hue-\d+) \{ )?--([a-z-]+): (?:light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)|(#[0-9a-f]{6}))/g)].map(
    ([, hue, name, light, dark, both]) => [hue ?? name, [light ?? both, dark ?? both]],
  ),
);

/** The relative luminance of a colour (WCAG 2.2). */
function luminance(colour) {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function assertContrast(text, ground, least) {
  for (const [index, theme] of ["light", "dark"].entries()) {
    const found = contrast(COLOURS.get(text)[index], COLOURS.get(ground)[index]);
    assert.ok(found >= least, `${text} on ${ground}, ${theme}: ${found.toFixed(2)}`);
  }
}

const GROUNDS = ["page", "side", "hover", "field", "mention", "warning", "code"];

test("texts can be read on every ground on which they stand", () => {
  for (const ground of [...GROUNDS, "chosen"]) {
    for (const text of ["text", "muted"]) assertContrast(text, ground, 4.5);
  }
  for (const ground of GROUNDS) {
    for (const text of ["accent", "danger"]) assertContrast(text, ground, 4.5);
  }
  for (const ground of ["button", "button-hover", "badge"]) assertContrast("on-button", ground, 4.5);
});

test("all colours of nicks can be read, as a text and under the letter of an avatar", () => {
  for (let hue = 0; hue < HUES; hue++) {
    for (const ground of ["page", "hover", "mention"]) assertContrast(`hue-${hue}`, ground, 4.5);
  }
});

test("the edges of fields and the focus are seen", () => {
  for (const ground of ["page", "side", "field"]) {
    assertContrast("edge", ground, 3);
    assertContrast("accent", ground, 3);
  }
});

test("a nick keeps its colour, however it is written, and nicks share them evenly", () => {
  assert.equal(hueOf("Alice"), hueOf("alice"));
  assert.equal(hueOf("ａlice"), hueOf("alice"));
  const counts = new Map();
  for (let index = 0; index < 1200; index++) {
    const hue = hueOf(`nick${index}`);
    counts.set(hue, (counts.get(hue) ?? 0) + 1);
  }
  assert.equal(counts.size, HUES);
  assert.ok(Math.max(...counts.values()) < 200, "twice the share of one would be 200");
});

test("half of the avatars of each colour are rings, so that fewer people look alike", () => {
  assert.equal(styleOf("Alice"), styleOf("alice"));
  const counts = new Map();
  for (let index = 0; index < 2400; index++) {
    const look = `${hueOf(`nick${index}`)} ${styleOf(`nick${index}`)}`;
    counts.set(look, (counts.get(look) ?? 0) + 1);
  }
  assert.equal(counts.size, 2 * HUES);
  assert.ok(Math.max(...counts.values()) < 200, "twice the share of one would be 200");
});

test("names are compared without case and width", () => {
  assert.equal(keyOf("ÄＢc"), keyOf("äbC"));
  assert.notEqual(keyOf("bob"), keyOf("bop"));
});

test("the letter of an avatar is what a person sees as the first letter", () => {
  for (const [nick, letter] of [["bob", "B"], ["Мия", "М"], ["小林", "小"], ["_x", "X"], ["e\u0301mile", "É".normalize("NFD")], ["أمل", "أ"]]) {
    assert.equal(initialOf(nick), letter);
  }
});
