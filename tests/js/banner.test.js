/** The banner, which says what keeps somebody from talking. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { bannerOf } from "../../twisted_chat/web/page/banner.js";
import { ClosedError, RequestError } from "../../twisted_chat/web/page/client.js";

const NOW = 1_000_000;

/** @param {Record<string, unknown>} fields */
const banner = (fields) => {
  const chat = { state: "connected", reason: "", nextTry: 0, current: null, client: { error: null }, ...fields };
  return bannerOf(/** @type {any} */ (chat), NOW);
};

test("there is none while all is well", () => {
  assert.deepEqual(banner({}), { text: "", button: "", action: "", isCounting: false });
  assert.equal(banner({ current: { trouble: "" } }).text, "");
});

test("a lost connection is told, with the seconds until the next attempt", () => {
  assert.deepEqual(banner({ state: "connecting" }), { text: "Connecting…", button: "", action: "", isCounting: false });
  const waiting = { state: "waiting", reason: "it was lost" };
  assert.deepEqual(banner({ ...waiting, nextTry: NOW + 2100 }), {
    text: "No connection: it was lost. The next try is in 3 s.", button: "Try now", action: "reconnect", isCounting: true,
  });
  assert.deepEqual(banner({ ...waiting, nextTry: NOW }), {
    text: "No connection: it was lost.", button: "Try now", action: "reconnect", isCounting: false,
  });
});

test("a connection that has ended for good says why", () => {
  assert.deepEqual(banner({ state: "closed", reason: "you are banned!" }), {
    text: "You are logged out. You are banned!", button: "Log in again", action: "reload", isCounting: false,
  });
  assert.equal(banner({ state: "closed" }).text, "You are logged out.");
  const error = new ClosedError("another one", { cause: new RequestError("replaced", "another one") });
  assert.deepEqual(banner({ state: "closed", client: { error } }), {
    text: "Your nick is used in another tab, window or program now.", button: "Use it here", action: "reload", isCounting: false,
  });
});

test("a room that is lost is told once there is a connection", () => {
  const current = { trouble: "It is locked." };
  assert.equal(banner({ current }).text, "You are not in this room. It is locked.");
  assert.deepEqual([banner({ current }).button, banner({ current }).action], ["Join again", "rejoin"]);
  assert.equal(banner({ current, state: "connecting" }).text, "Connecting…");
});
