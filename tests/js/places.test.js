import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation } from "../../twisted_chat/web/page/conversation.js";
import { findPlaces } from "../../twisted_chat/web/page/places.js";

let club;
let lobby;
let known;

beforeEach(() => {
  [club, lobby] = ["club", "lobby"].map((name) => new Conversation("room", name));
  lobby.members = ["Bob", "alice"];
  lobby.add({ seq: 1, author: "carol", text: "gone by now", time: new Date(0) });
  const direct = new Conversation("direct", "dave");
  const rooms = [{ room: "garden", count: 1200, topic: "Plants" }, { room: "dave", count: 1, topic: "" }];
  known = { conversations: [club, lobby, direct], current: club, rooms, nick: "alice" };
});

const found = (text) => findPlaces(text, known).map(({ kind, name, isNew }) => `${kind === "room" ? "#" : "@"}${name}${isNew ? " new" : ""}`);

test("whoever is in any of the rooms, or spoke there, is a person first", () => {
  assert.deepEqual(found("bob"), ["@Bob", "#bob new"]);
  assert.deepEqual(found("ＢＯＢ"), ["@Bob", "#ＢＯＢ new"]);
  assert.deepEqual(found("carol"), ["@carol", "#carol new"]);
  assert.deepEqual(found("dave"), ["@dave", "#dave"], "also where a room has this name");
});

test("a name that nobody has is a room, or somebody who is not known", () => {
  assert.deepEqual(found("kitchen"), ["#kitchen new", "@kitchen new"]);
  assert.deepEqual(found("alice"), ["#alice new"], "there are no messages to oneself");
});

test("a sign says whether a room or a person is meant", () => {
  assert.deepEqual(found("@kitchen"), ["@kitchen new"]);
  assert.deepEqual(found("#bob"), ["#bob new"]);
  assert.deepEqual(found(" @da"), ["@dave", "@da new"]);
});

test("without a text there is everything but the open conversation, unread ones first", () => {
  lobby.unread = 3;
  assert.deepEqual(found(""), ["#lobby", "@dave", "#garden", "#dave", "@Bob", "@carol"]);
  assert.deepEqual(findPlaces("gar", known)[0].more, "1,200 members · Plants");
  assert.equal(findPlaces("lobby", known)[0].more, "3 unread");
  assert.equal(found("club")[0], "#club", "it is no new room");
});
