"""Tests for what goes where on the page, in a real browser: commands, and the choice of a room or a person."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from .browser import PageTestCase

HOLD = """
const { send } = WebSocket.prototype;
const held = [];
let count = 0;
WebSocket.prototype.send = function (data) {
  if (count++ === 0) send.call(this, data);
  else held.push([this, data]);
};
window.release = () => {
  WebSocket.prototype.send = send;
  for (const [socket, data] of held) send.call(socket, data);
};
"""
"""Holds what the page sends after its hello until it is released."""


class CommandTests(PageTestCase):
    """Commands, in a room and elsewhere."""

    def test_a_direct_conversation_has_no_topic(self) -> None:
        other = self.client("carol", "bob")  # in a room that has the name of the partner
        self.client("bob")
        alice = self.join("alice", "bob")
        alice.say("/msg bob hi")
        alice.wait_for_text("#room-name", "^bob$")
        alice.say("/topic for bob only")
        alice.wait_for_text("#composer-note", "Only a room has a topic")
        self.assertEqual(alice.run("return document.querySelector('#text').value"), "/topic for bob only")
        alice.find("#text").clear()
        alice.click(".conversation[data-id='room:bob']")
        alice.say("/topic for all")
        alice.wait_for_text("#room-topic", "^for all$")
        self.assertEqual([room.topic for room in other.rooms() if room.room == "bob"], ["for all"])
        self.assert_no_problems()

    def test_a_refused_command_is_a_note_and_no_error(self) -> None:
        self.client("bob")
        alice = self.join("alice")
        alice.say("/nick bob")
        alice.wait_for_text(".toast", "(?i)nick")
        self.assertEqual(alice.texts(".me-nick"), ["alice"])
        alice.say("/nick")
        alice.wait_for_text("#composer-note", "^Write /nick NICK$")
        alice.find("#text").clear()
        alice.say("/nick al")
        alice.wait_for_text(".me-nick", "^al$")
        self.assert_no_problems()


class FindTests(PageTestCase):
    """Find or join."""

    def test_whoever_is_in_another_room_is_found_as_a_person(self) -> None:
        bob = self.client("bob")
        alice = self.join("alice")
        alice.say("/join club")
        alice.wait_for_text("#room-name", "club")
        alice.use().refresh()  # nothing is known of who is in the lobby
        alice.wait_for_text("#room-name", "club")
        alice.press(Keys.CONTROL + "k")
        alice.find("dialog")
        alice.press("bob")
        alice.wait_for("return document.querySelector('dialog .option')?.textContent === '@bob'")
        alice.press(Keys.ENTER)
        alice.wait_for_text("#room-name", "^bob$")
        alice.say("between us")
        alice.wait_for_message("between us", ".kept")
        self.assertEqual(bob.receive(timeout=60).to, "bob")
        self.assertNotIn("bob", [room.room for room in bob.rooms()])
        alice.press(Keys.CONTROL + "k")
        alice.find("dialog")
        alice.press("kitchen", Keys.ENTER)  # whom nobody has as a nick
        alice.wait_for_text("#room-name", "^#kitchen$")
        self.assert_no_problems()

    def test_a_person_is_found_in_a_room_that_is_not_joined_yet(self) -> None:
        self.client("bob")
        alice = self.join("alice")
        alice.say("/join club")
        alice.wait_for_text("#room-name", "club")
        alice.command("Page.addScriptToEvaluateOnNewDocument", source=HOLD)
        alice.use().refresh()
        alice.wait_for_text("#room-name", "club")
        alice.press(Keys.CONTROL + "k")
        alice.press("bob", on="dialog input")
        self.assertNotIn("@bob", alice.texts("dialog .option"))
        alice.run("release()")
        alice.wait_for("return document.querySelector('dialog .option')?.textContent === '@bob'")
        self.assert_no_problems()


class StorageTests(PageTestCase):
    """What another page, or an older one, has left in the browser's storage."""

    def test_bad_entries_are_passed_over(self) -> None:
        alice = self.open()
        alice.find("#nick")
        alice.run(
            """sessionStorage["twisted-chat:message:a"] = '{"nick":"alice","room":{"a":1},"to":"lobby","msg":"x"}';
            sessionStorage["twisted-chat:session:alice"] = '"short"';
            localStorage["twisted-chat:login"] = JSON.stringify({ nick: "x".repeat(2e4), password: "x", label: "x" });
            sessionStorage["chat:nick"] = JSON.stringify("x".repeat(2e4));"""
        )
        alice.use().refresh()
        alice.log_in("alice")
        alice.say("hello")
        alice.wait_for_message("hello", ".kept")
        self.assertEqual(alice.run("return sessionStorage['twisted-chat:message:a'] ?? null"), None)
        self.assert_no_problems()


class TwinTests(PageTestCase):
    """Two tabs with one nick: a browser copies what is stored for a tab when the tab is duplicated."""

    def test_the_first_tab_says_where_the_nick_is_and_takes_it_back(self) -> None:
        first, second = self.join("alice"), self.open()
        stored = first.run("return JSON.stringify({ ...sessionStorage })")
        second.run("Object.assign(sessionStorage, JSON.parse(arguments[0]))", stored)
        second.use().refresh()
        second.wait_for_text("#room-name", "lobby")
        first.wait_for_text("#banner", "Your nick is used in another tab, window or program now.")
        first.click("#banner-button")
        second.wait_for_text("#banner", "Your nick is used in another tab")
        first.say("here I am")
        first.wait_for_message("here I am", ".kept")
        self.assert_no_problems()
