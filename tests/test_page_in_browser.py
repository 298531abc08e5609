"""Tests for the page, in a real browser: people who use it, with a server that runs beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from selenium.webdriver.common.keys import Keys

from .browser import PageTestCase
from .programs import ROOT, TIMEOUT

SCRIPTS = (
    "Доброе утро! Ёлка",
    "我十分钟后到，请等一下。",
    "صباح الخير! سأحضر البذور (3) معي",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇺🇦",
    "e\u0301 \u2067abc\u2069 \u202eback",
)
"""What people write: Cyrillic, Chinese, right to left, emoji that are joined, and marks of direction."""

EVIL = "<img src=x onerror='window.pwned=1'><script>window.pwned=2</script>\"'><svg/onload=window.pwned=3>"
"""A text that becomes a script wherever it is read as HTML."""


class TalkTests(PageTestCase):
    """What is said, and what becomes of it."""

    def test_two_people_and_a_terminal_talk_in_one_room(self) -> None:
        alice, bob = self.join("alice", "garden"), self.join("bob", "garden")
        program = [sys.executable, "-m", "twisted_chat", "talk", "--port", str(self.server.port), "--no-remember"]
        terminal = subprocess.Popen(
            [*program, "--nick", "carol", "--room", "garden"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.server.home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.addCleanup(terminal.wait, TIMEOUT)
        assert terminal.stdin is not None and terminal.stdout is not None
        self.addCleanup(terminal.stdout.close)
        self.addCleanup(terminal.stdin.close)
        terminal.stdin.write("hello from a terminal\n")
        terminal.stdin.flush()
        for tab in (alice, bob):
            tab.wait_for_message("hello from a terminal")
        for index, text in enumerate(SCRIPTS):
            (alice, bob)[index % 2].say(text)
            for tab in (alice, bob):
                tab.wait_for_message(text, ".kept")
        for tab in (alice, bob):
            self.assertEqual(tab.said(), ["hello from a terminal", *SCRIPTS])
        shown = ""
        while "back" not in shown:
            shown += terminal.stdout.readline()
        self.assertIn("我十分钟后到，请等一下。", shown)
        self.assert_no_problems()

    def test_messages_of_several_lines_are_written_and_pasted(self) -> None:
        alice, bob = self.join("alice"), self.client("bob")
        alice.press("one", Keys.SHIFT + Keys.ENTER, on="#text")
        alice.press(Keys.NULL, "two", Keys.ENTER)
        self.assertEqual(bob.receive(timeout=TIMEOUT).msg, "one\ntwo")
        alice.run(
            """const data = new DataTransfer();
            data.setData("text/plain", "three\\r\\nfour");
            document.querySelector("#text").focus();
            document.execCommand("insertText", false, data.getData("text/plain"));"""
        )
        alice.press(Keys.ENTER)
        self.assertEqual(bob.receive(timeout=TIMEOUT).msg, "three\nfour")
        alice.wait_for_message("three\nfour", ".kept")
        self.assert_no_problems()

    def test_markup_and_emoji_are_shown(self) -> None:
        alice = self.join("alice")
        alice.say("**bold** *italic* `a*b*` :wave: https://example.org/a?b=c javascript:alert(1)")
        alice.wait_for_message("bold italic a*b* 👋 https://example.org/a?b=c javascript:alert(1)", ".kept")
        kinds = """return [...document.querySelectorAll('.message .text :not(p)')]
            .map((one) => [one.localName, one.textContent])"""
        self.assertEqual(
            alice.run(kinds),
            [["strong", "bold"], ["em", "italic"], ["code", "a*b*"], ["a", "https://example.org/a?b=c"]],
        )
        link = alice.find(".message .text a")
        self.assertEqual(
            (link.get_attribute("target"), link.get_attribute("rel")), ("_blank", "noopener noreferrer nofollow")
        )
        alice.say("```\nif a < b:\n    *run*\n```")
        code = alice.wait_for("return document.querySelector('.message pre')?.textContent")
        self.assertEqual(code, "if a < b:\n    *run*")
        self.assert_no_problems()

    def test_no_field_takes_a_script(self) -> None:
        alice = self.open(f"?room={EVIL}")
        alice.press(EVIL[:32], on="#nick")
        alice.click("#login-button")
        alice.wait_for_text("#login-error", "nick")
        self.assertEqual(alice.run("return document.querySelector('#nick').value"), EVIL[:32])
        alice.find("#nick").clear()
        alice.press("alice", on="#nick")
        alice.click("#login-button")
        alice.wait_for_text("#banner", "room")  # there is no room of such a name
        alice.click("#go-to")
        alice.press(EVIL, on="dialog input")
        alice.press(Keys.ESCAPE)
        bob = self.client("bob", "garden")
        alice.click("#go-to")
        alice.press("garden", Keys.ENTER, on="dialog input")
        alice.wait_for_text("#room-name", "garden")
        bob.join("garden").set_topic(EVIL)
        alice.wait_for_text("#room-topic", "onerror")
        texts = (EVIL, f"`{EVIL}`", f"```{EVIL}\n{EVIL}```", f"> {EVIL}", f"https://x.example/{EVIL}", f"**{EVIL}**")
        for text in texts:
            bob.join("garden").say(text)
            alice.say(text)
        alice.wait_for("return document.querySelectorAll('.message.own.kept').length === arguments[0]", len(texts))
        bob.tell("alice", EVIL)
        alice.wait_for_text(".conversation", "bob")
        alice.click(".conversation[data-id='direct:bob']")
        alice.wait_for_message(EVIL)
        alice.say(EVIL)
        alice.write(EVIL)
        alice.use().refresh()
        alice.wait_for_text("#room-name", ".")
        self.assertIsNone(alice.run("return window.pwned ?? null"))
        made = "return document.querySelectorAll('#timeline :is(img, script, svg), .room-head img').length"
        self.assertEqual(alice.run(made), 0)
        self.assert_no_problems()

    def test_a_deleted_text_disappears_everywhere(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        alice.say("a secret")
        bob.wait_for_message("a secret")
        alice.wait_for_message("a secret", ".kept").click()
        alice.press(Keys.ENTER)
        alice.choose("Delete…")
        alice.fill()
        for tab in (alice, bob):
            tab.wait_for_message("This message was deleted.")
            self.assertNotIn("a secret", tab.run("return document.documentElement.outerHTML"))
        bob.use().refresh()
        bob.wait_for_message("This message was deleted.")
        self.assert_no_problems()


class ConnectionTests(PageTestCase):
    """Lost connections, reloads, and a server that is killed."""

    known = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")

    def test_a_reload_keeps_the_room_the_draft_and_the_first_unread_message(self) -> None:
        alice, bob = self.join("alice", "garden"), self.client("bob", "garden")
        bob.join("garden").say("read")
        alice.wait_for_message("read")
        alice.wait_for("return JSON.parse(localStorage.getItem('chat:of:alice'))?.read?.['room:garden'] > 0")
        alice.look_away()
        for text in ("first", "second"):
            bob.join("garden").say(text)
            alice.wait_for_message(text)
        alice.write("half a thought")
        alice.use().refresh()
        alice.wait_for_message("second")
        self.assertEqual(alice.said(), ["read", "first", "second"])
        self.assertEqual(alice.run("return document.querySelector('#text').value"), "half a thought")
        self.assertEqual(alice.run("return document.querySelector('#room-name').textContent"), "#garden")
        after = "return document.querySelector('.rule.unread').parentElement.querySelector('.text').textContent"
        self.assertEqual(alice.run(after), "first")
        self.assert_no_problems()

    def test_a_killed_server_comes_back_and_nothing_is_missed_or_doubled(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        alice.say("before")
        bob.wait_for_message("before")
        self.server.stop(signal.SIGKILL)
        alice.wait_for_text("#banner", "No connection")
        bob.wait_for_text("#banner", "No connection")
        alice.say("while it was away")
        alice.wait_for_message("while it was away", ".sending")
        self.server.start()
        for tab in (alice, bob):
            tab.run("document.querySelector('#banner-button').click()")  # instead of waiting for the next try
            tab.wait_for_message("while it was away", ".kept")
        bob.say("after")
        alice.wait_for_message("after")
        for tab in (alice, bob):
            self.assertEqual(tab.said(), ["before", "while it was away", "after"])
            self.assertEqual(tab.texts("#banner"), [])
        self.assert_no_problems(*self.known)

    def test_a_message_on_its_way_survives_a_reload(self) -> None:
        alice = self.join("alice")
        self.server.stop(signal.SIGKILL)
        alice.wait_for_text("#banner", "No connection")
        alice.say("on its way")
        alice.wait_for_message("on its way", ".sending")
        self.server.start()
        alice.use().refresh()
        alice.wait_for_message("on its way", ".kept")
        alice.use().refresh()
        alice.wait_for_message("on its way", ".kept")
        self.assertEqual(alice.said(), ["on its way"])
        self.assert_no_problems(*self.known)
