import assert from "node:assert/strict";
import { test } from "node:test";

import { formatDuration, readDuration, Times } from "../../twisted_chat/web/page/times.js";

const times = new Times("en-GB", "Europe/Berlin");
const time = (text) => new Date(text);

test("times are those of the zone", () => {
  assert.equal(times.clock(time("2026-11-22T11:06:36.123Z")), "12:06");
  assert.match(times.full(time("2026-11-22T11:06:36.123Z")), /Sunday.* 22 November 2026.*12:06:36/);
  assert.equal(times.dayKey(time("2026-11-22T23:30:00Z")), "2026-11-23");
});

test("days are named by their distance", () => {
  const now = time("2026-11-22T11:00:00Z");
  const names = ["2026-11-22T08:00:00Z", "2026-11-21T08:00:00Z", "2026-11-19T08:00:00Z", "2025-01-02T08:00:00Z"];
  assert.deepEqual(names.map((name) => times.day(time(name), now)), [
    "Today", "Yesterday", "Thursday 19 November", "2 January 2025",
  ]);
  assert.equal(new Times("ru", "UTC").day(now, now), "Сегодня");
});

test("yesterday is a day of the calendar, however long it was", () => {
  const nights = [["2026-03-29T22:30:00Z", "2026-03-29T10:00:00Z"], ["2026-10-25T23:30:00Z", "2026-10-24T22:30:00Z"]];
  assert.deepEqual(nights.map(([now, then]) => times.day(time(then), time(now))), ["Yesterday", "Yesterday"]);
  assert.equal(times.day(time("2026-03-28T22:30:00Z"), time("2026-03-29T22:30:00Z")), "Saturday 28 March");
});

test("durations are a number and a unit", () => {
  assert.deepEqual(["30s", "10m", " 1h ", "2D", "1w"].map(readDuration), [30, 600, 3600, 172_800, 604_800]);
  assert.deepEqual(["", "0s", "-1h", "1", "h", "1y", "9999999s", "1h1"].map(readDuration), Array(8).fill(null));
  assert.deepEqual([1, 90, 600, 7200, 86_400, 0.4].map(formatDuration), [
    "1 second", "90 seconds", "10 minutes", "2 hours", "1 day", "1 second",
  ]);
});
