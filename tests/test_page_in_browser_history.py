"""Tests for old messages on the page, in a real browser: reading back, and what is unread."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from selenium.webdriver.common.keys import Keys

from .browser import ChatServer, PageTestCase, Tab

MESSAGES = 10_000

MOST = 1500
"""Messages that are on the page at once: 20 screens above and below the one in sight, of some 25 messages each."""

SCROLL = """
// Scrolls by so many pixels in each frame until the end comes, and looks whether all that is shown stays in its place
// meanwhile, and how many messages are on the page.
const [step, done] = arguments;
const list = document.querySelector("#timeline");
const jumps = [];
let most = 0;
let held = null;
const placeOf = ({ key }) => document.querySelector(`[data-key="${key}"]`)?.getBoundingClientRect().top;

function hold() {
  const { left, top, height } = list.getBoundingClientRect();
  const key = document.elementFromPoint(left + 200, top + height / 2)?.closest(".item")?.dataset.key;
  held = key === undefined ? null : { key, top: placeOf({ key }) };
}

function frame() {
  if (held !== null && !(Math.abs(placeOf(held) - held.top) <= 2)) {
    jumps.push([list.scrollTop, placeOf(held), held.top]);
  }
  most = Math.max(most, list.querySelectorAll(".message").length);
  const isOver = step < 0
    ? list.scrollTop === 0 && list.querySelector(".start") !== null
    : !document.querySelector("#newest-bar").checkVisibility();
  if (isOver) {
    done({ jumps, most });
    return;
  }
  list.scrollTop += step;
  hold();
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
"""


def history(count: int) -> str:
    """Return messages of all lengths, one a minute, as `twisted-chat export` writes them."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lines = []
    for seq in range(1, count + 1):
        msg = f"message {seq}" + " lorem ipsum dolor sit amet" * (seq % 7) + "\n```\ncode\n```" * (seq % 50 == 0)
        time = (start + timedelta(minutes=seq)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        said = {"author": f"nick{seq // 4 % 5}", "msg": msg}
        lines.append(json.dumps({"room": "garden", "seq": seq, "time": time, **said}))
    return "\n".join(lines) + "\n"


class HistoryTestCase(PageTestCase):
    """A room with many messages."""

    messages: int

    def start_server(self) -> ChatServer:
        """Start a server that has them."""
        server = ChatServer(history=history(self.messages))
        self.addCleanup(server.close)
        return server

    def scroll(self, tab: Tab, step: int) -> int:
        """Scroll to an end, and check that nothing jumps. Return how many messages were on the page at most."""
        scrolled = tab.run_async(SCROLL, step)
        self.assertEqual(scrolled["jumps"], [])
        most: int = scrolled["most"]
        return most


class LongHistoryTests(HistoryTestCase):
    """So many messages that the page must not have all of them."""

    messages = MESSAGES

    def test_it_is_read_from_end_to_end_without_a_jump(self) -> None:
        alice = self.join("alice", "garden")
        numbers = """return [...document.querySelectorAll(".message .text")]
            .map((one) => Number(one.textContent.match(/^message (\\d+)/)[1]))"""
        shown = alice.run(numbers)
        self.assertEqual(shown, list(range(MESSAGES + 1 - len(shown), MESSAGES + 1)))
        self.assertLess(len(shown), 500)  # not more than a reader may soon need
        self.assertIn(self.scroll(alice, -600), range(300, MOST))
        shown = alice.run(numbers)
        self.assertEqual(shown, list(range(1, len(shown) + 1)))
        self.assertIn(self.scroll(alice, 600), range(300, MOST))
        shown = alice.run(numbers)
        self.assertEqual(shown, list(range(MESSAGES + 1 - len(shown), MESSAGES + 1)))
        alice.run("document.querySelector('#timeline').scrollTop = 0")
        alice.wait_for("return document.querySelector('#newest-bar').checkVisibility()")
        alice.click("#to-newest")
        shown = alice.wait_for(numbers.replace("return", "const shown =") + "; return shown.length < 500 && shown")
        self.assertEqual(shown, list(range(MESSAGES + 1 - len(shown), MESSAGES + 1)))
        at_bottom = "const list = document.querySelector('#timeline');"
        alice.wait_for(at_bottom + "return list.scrollHeight - list.scrollTop - list.clientHeight < 2")
        self.assert_no_problems()


class FarAwayTests(HistoryTestCase):
    """Messages that are taken off the page, since they are far from what the reader sees."""

    messages = 2_000
    focused = "return document.activeElement.id || document.activeElement.innerText.match(/message \\d+/)[0]"

    def test_the_focus_and_the_keys_work_on(self) -> None:
        alice = self.join("alice", "garden")
        alice.press(Keys.ARROW_UP, on="#text")
        self.assertEqual(alice.run(self.focused), "message 2000")
        self.scroll(alice, -600)
        self.assertEqual(alice.run(self.focused), "timeline")
        alice.press(Keys.ARROW_DOWN)
        self.assertEqual(alice.run(self.focused), "message 1")
        alice.press(Keys.END)
        self.assertEqual(alice.run(self.focused), "message 2000")
        self.assert_no_problems()

    def test_text_that_is_selected_stays(self) -> None:
        alice = self.join("alice", "garden")
        alice.run("getSelection().selectAllChildren([...document.querySelectorAll('.message .text')].at(-1))")
        self.scroll(alice, -600)
        self.assertIn("message 2000", alice.run("return getSelection().toString()"))
        self.assert_no_problems()

    def test_what_comes_meanwhile_is_shown_on_the_way_back(self) -> None:
        bob = self.client("bob", "garden")
        alice = self.join("alice", "garden")
        self.scroll(alice, -600)
        for index in range(3):
            bob.say(f"message {2001 + index}")
        alice.wait_for_text("#to-newest", "3 new messages")
        self.assertEqual(alice.texts(".rule.unread"), [])
        alice.press(Keys.ESCAPE, on="#text")
        alice.wait_for_message("message 2003")
        alice.wait_for("return !document.querySelector('#newest-bar').checkVisibility()")
        self.assert_no_problems()


class UnreadTests(PageTestCase):
    """What somebody has not read yet."""

    def test_the_first_unread_message_is_found_behind_pages_of_others(self) -> None:
        bob = self.client("bob", "garden")
        alice = self.join("alice", "garden")
        for index in range(10):
            bob.say(f"read {index}")
        alice.wait_for_message("read 9")
        alice.wait_for("return JSON.parse(localStorage.getItem('chat:of:alice'))?.read['room:garden'] === 10")
        alice.use().get("about:blank")
        for index in range(150):
            bob.say(f"unread {index}")
        self.assertEqual(bob.history("garden", limit=1).messages[0].msg, "unread 149")
        alice.use().get(self.server.url + "?room=garden")
        alice.wait_for_message("unread 149")
        alice.click("#to-unread")
        first = """const rule = document.querySelector(".rule.unread");
            const { top, bottom } = document.querySelector("#timeline").getBoundingClientRect();
            const place = rule?.getBoundingClientRect();
            return place && place.top > top && place.bottom < bottom
                && rule.parentElement.querySelector(".text").textContent"""
        self.assertEqual(alice.wait_for(first), "unread 0")
        alice.click("#to-newest")
        alice.wait_for("return !document.querySelector('#newest-bar').checkVisibility()")
        self.assert_no_problems()

    def test_what_was_not_in_sight_stays_unread(self) -> None:
        bob = self.client("bob", "garden")
        alice = self.join("alice", "garden")
        alice.say("/join kitchen")
        alice.wait_for_text("#room-name", "kitchen")
        bob.join("kitchen").say("to be left with a marker")
        alice.wait_for_message("to be left with a marker")
        for index in range(60):
            bob.join("garden").say(f"unread {index}")
        garden, kitchen = (f".conversation[data-id='room:{room}']" for room in ("garden", "kitchen"))
        click = "document.querySelector(arguments[0]).click()"  # at once: the list is drawn anew with each change

        def go_to(conversation: str) -> None:
            alice.run(click, conversation)
            alice.wait_for_frame()

        alice.wait_for_text(f"{garden} .count", "^60 unread$")
        go_to(garden)
        marked = """const rule = document.querySelector(".rule.unread");
            return rule && Number(rule.parentElement.querySelector(".text").textContent.match(/\\d+/)[0])"""
        self.assertEqual(alice.run(marked), 0)
        in_sight = """const { bottom } = document.querySelector("#timeline").getBoundingClientRect();
            return [...document.querySelectorAll(".message .text")]
                .filter((one) => one.closest(".item").getBoundingClientRect().bottom <= bottom).length"""
        seen = alice.run(in_sight)
        self.assertIn(seen, range(5, 50))
        go_to(kitchen)
        self.assertEqual(alice.wait_for_text(f"{garden} .count", "unread"), f"{60 - seen} unread")
        go_to(garden)
        self.assertEqual(alice.run(marked), seen)
        more = alice.run(in_sight)
        alice.use().refresh()
        alice.wait_for_message("unread 59")
        self.assertEqual(alice.wait_for(marked), more)
        alice.wait_for_frame()
        self.assertEqual(alice.wait_for_text("#to-newest", "new message"), f"{60 - alice.run(in_sight)} new messages")
        alice.click("#to-newest")
        alice.wait_for(f"return document.querySelector({garden + ' .count'!r}) === null")
        go_to(kitchen)
        go_to(garden)
        self.assertEqual(alice.texts(".rule.unread"), [])
        self.assert_no_problems()

    def test_the_list_and_the_title_count_what_is_for_oneself(self) -> None:
        bob = self.client("bob", "garden")
        alice = self.join("alice", "garden")
        alice.say("/join kitchen")
        alice.wait_for_text("#room-name", "kitchen")
        self.assertEqual(alice.use().title, "#kitchen · Chat")
        bob.say("something")
        alice.wait_for_text(".conversation[data-id='room:garden'] .count", "^1 unread$")
        self.assertEqual(alice.use().title, "• #kitchen · Chat")
        bob.say("alice: look at this")
        alice.wait_for_text(".conversation[data-id='room:garden'] .badge", "^1 for you$")
        bob.tell("alice", "and at this")
        alice.wait_for_text(".conversation[data-id='direct:bob'] .badge", "^1 for you$")
        self.assertEqual(alice.use().title, "(2) #kitchen · Chat")
        alice.click(".conversation[data-id='room:garden']")
        alice.wait_for_message("alice: look at this", ".mention")
        self.assertEqual(alice.texts(".rule.unread"), ["New messages"])
        alice.click(".conversation[data-id='direct:bob']")
        alice.wait_for("return document.title === 'bob · Chat'")
        self.assertEqual(alice.texts(".conversation :is(.count, .badge)"), [])
        self.assert_no_problems()

    def test_comings_and_goings_are_one_line(self) -> None:
        alice = self.join("alice", "garden")
        alice.say("before")
        people = [self.client(nick, "garden") for nick in ("bob", "carol", "dave")]
        alice.wait_for_text(".happening.traffic", "bob, carol and dave joined")
        for client in people[1:]:
            client.close()
        alice.wait_for_text(".happening.traffic", "^bob joined; carol and dave joined and left")
        self.assertEqual(len(alice.texts(".happening")), 1)
        alice.click("#settings")
        alice.find("dialog .check")
        alice.run("document.querySelector('dialog .check input').click()")
        alice.wait_for("return !document.querySelector('.happening').checkVisibility()")
        self.assert_no_problems()
