"""Tests for ways to use the page, in a real browser: keys alone, a phone, a screen reader, a page that is installed."""

from __future__ import annotations

import os

from selenium.webdriver.common.keys import Keys
from twisted.trial.unittest import SkipTest

from .browser import PHONE, PageTestCase, Tab
from .programs import ROOT

AXE = ROOT / "build" / "axe-core" / "axe.min.js"
"""The checks of accessibility, which `.ci/run` gets from npm: MPL, and half a megabyte."""


class KeyboardTests(PageTestCase):
    """The page without a pointer."""

    def focused(self, tab: Tab) -> str:
        """Return the id or the class of what has the focus, which has to be seen."""
        outline = """const { outlineStyle, outlineWidth } = getComputedStyle(
            document.activeElement.closest(".composer-box") ?? document.activeElement);
            return [outlineStyle, outlineWidth]"""
        style, width = tab.run(outline)
        self.assertTrue(style != "none" and width != "0px", "the focus is not seen")
        found: str = tab.run("return document.activeElement.id || document.activeElement.className.split(' ')[0]")
        return found

    def test_everything_is_done_with_keys(self) -> None:
        bob = self.client("bob", "garden")
        bob.say("hello")
        alice = self.open()
        alice.press("alice", Keys.ENTER)
        alice.wait_for_text("#room-name", "lobby")
        alice.press(Keys.CONTROL + "k")
        alice.wait_for_text("dialog .option", "garden")
        alice.press("gard", Keys.ENTER)
        alice.wait_for_message("hello")
        self.assertEqual(self.focused(alice), "text")
        alice.press("good morning", Keys.ENTER)
        alice.wait_for_message("good morning", ".kept")
        alice.press(Keys.ARROW_UP)
        self.assertEqual(self.focused(alice), "message")
        alice.press(Keys.ENTER)
        alice.find("[role=menu]")
        self.assertEqual(alice.texts("[role=menuitem]"), ["Copy text", "Delete…"])
        alice.press(Keys.ESCAPE)
        self.assertEqual(self.focused(alice), "message")
        alice.press(Keys.ENTER)
        alice.find("[role=menu]")
        alice.press(Keys.ARROW_DOWN, Keys.ENTER)
        alice.find("dialog")
        alice.press(Keys.ENTER)
        alice.wait_for_message("This message was deleted.")
        alice.wait_for("return document.querySelector('dialog') === null")
        alice.press(Keys.ESCAPE)
        self.assertEqual(self.focused(alice), "text")
        alice.press(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ENTER)
        alice.find("[role=menu]")
        alice.press("r")
        alice.press(Keys.ENTER)
        alice.wait_for_text("dialog h2", "Report this message")
        alice.press(Keys.ESCAPE, Keys.ESCAPE)
        alice.press(Keys.ALT + Keys.ARROW_DOWN)
        alice.wait_for_text("#room-name", "lobby")
        alice.wait_for_text(".member bdi", "alice")
        parts = []
        for _ in range(4):
            alice.press(Keys.F6)
            parts.append(self.focused(alice))
        self.assertEqual(parts, ["member", "conversation", "timeline", "text"])
        alice.press(Keys.CONTROL + "/")
        alice.wait_for_text("dialog h2", "Settings")
        alice.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        alice.wait_for("return document.documentElement.dataset.theme === 'dark'")
        alice.press(Keys.ESCAPE)
        dark = alice.run("return getComputedStyle(document.body).backgroundColor")
        alice.use().refresh()
        alice.wait_for_text("#room-name", "lobby")
        self.assertEqual(alice.run("return getComputedStyle(document.body).backgroundColor"), dark)
        self.assert_no_problems()

    def test_nicks_and_emoji_are_completed(self) -> None:
        bob = self.client("bob", "garden")
        alice = self.join("alice", "garden")
        alice.wait_for_text(".member bdi", "bob")
        alice.press("hello @b", on="#text")
        alice.wait_for_text(".suggestion bdi", "bob")
        alice.press(Keys.TAB, ":wav")
        alice.wait_for_text(".suggestion .name", ":wave:")
        alice.press(Keys.ENTER, ":no_such_thing: `:wave:`", Keys.ENTER)
        alice.wait_for_message("hello @bob 👋 :no_such_thing: :wave:", ".kept")
        self.assertEqual(bob.receive(timeout=60).msg, "hello @bob 👋 :no_such_thing: `:wave:`")
        self.assert_no_problems()

    def test_arrow_keys_and_clicks_choose_and_the_focus_stays(self) -> None:
        alice = self.join("alice", "garden")
        chosen = "return document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
        chosen += "?.textContent"
        alice.press(":smil", on="#text")
        alice.wait_for_text(".suggestion .name", ":smil")
        shown = alice.texts(".suggestion")
        self.assertGreater(len(shown), 2)
        for key, index in ((Keys.ARROW_DOWN, 1), (Keys.ARROW_UP, 0), (Keys.ARROW_UP, -1), (Keys.ARROW_DOWN, 0)):
            alice.press(key)
            self.assertEqual(alice.run(chosen), shown[index].replace("\n", ""))
            self.assertEqual(alice.texts(".suggestion[aria-selected=true]"), [shown[index]])
        alice.click(".suggestion:nth-child(2)")
        alice.wait_for("return document.getElementById('suggestions').hidden")
        self.assertEqual(self.focused(alice), "text")
        self.assertFalse(alice.run("return document.activeElement.hasAttribute('aria-activedescendant')"))
        self.assertIn(alice.run("return document.getElementById('text').value").strip(), shown[1])
        alice.press(Keys.CONTROL + "k")
        alice.find("dialog input")
        alice.press("attic")
        alice.wait_for("return document.querySelectorAll('dialog .option').length === 2")
        alice.press(Keys.ARROW_DOWN)
        self.assertIn("@attic", alice.run(chosen))
        alice.click("dialog .option:first-child")
        alice.wait_for_text("#room-name", "attic")
        self.assert_no_problems()


class PhoneTests(PageTestCase):
    """The page on a screen of 360 pixels."""

    def test_all_is_reached_and_large_enough_for_a_thumb(self) -> None:
        bob = self.client("bob", "garden")
        bob.join("garden").set_topic("A topic that is longer than what a phone can show of it in one line")
        bob.say("W" * 400)
        bob.say("```\n" + "a long line of code " * 10 + "\n```")
        alice = self.open("?room=garden")
        alice.size(*PHONE, is_phone=True)
        self.assert_fits(alice)
        alice.log_in("alice")
        alice.wait_for_text(".message pre", "a long line")
        self.assert_fits(alice)
        alice.say("from a phone")
        alice.wait_for_message("from a phone", ".kept")
        alice.click("#show-sidebar")
        alice.wait_for("return document.querySelector('#sidebar').getBoundingClientRect().left === 0")
        self.assert_fits(alice)
        alice.click("#go-to")
        self.assert_fits(alice)
        alice.press("kitchen", Keys.ENTER)
        alice.wait_for_text("#room-name", "kitchen")
        alice.click("#show-members")
        alice.wait_for_text(".member bdi", "alice")
        self.assert_fits(alice)
        alice.click("#hide-members")
        alice.click("#room-menu")
        self.assert_fits(alice)
        self.assert_no_problems()

    def assert_fits(self, tab: Tab) -> None:
        """Nothing is wider than the screen, and what one taps has 44 pixels, or stands in a text (WCAG 2.5.8)."""
        tab.wait_until_still()
        found = tab.run(
            """const small = [...document.querySelectorAll("button, input, select, textarea, a")].filter((one) => {
              const { width, height } = (one.closest("label") ?? one).getBoundingClientRect();
              return one.checkVisibility({ visibilityProperty: true }) && !one.closest(".text, .toast, [inert]")
                && (width < 44 || height < 44);
            });
            return [document.documentElement.scrollWidth, small.map((one) => one.outerHTML)];"""
        )
        self.assertEqual(found, [PHONE[0], []])


class AttentionTests(PageTestCase):
    """What reaches somebody who does not look at the page, or does not see it."""

    def test_a_screen_reader_hears_new_messages_and_not_old_ones(self) -> None:
        bob = self.client("bob", "garden")
        bob.say("an old one")
        alice = self.open("?room=garden")
        heard = """window.heard = [];
            new MutationObserver(() => {
              const text = document.querySelector("#announcer").textContent;
              if (text) window.heard.push(text);
            }).observe(document.querySelector("#announcer"), { childList: true });"""
        alice.run(heard)
        alice.log_in("alice")
        alice.wait_for_message("an old one")
        bob.say("a new one")
        alice.wait_for("return window.heard.length === 1")
        bob.say("another one")
        alice.wait_for("return window.heard.length === 2")
        alice.say("one's own")
        alice.wait_for_message("one's own", ".kept")
        self.assertEqual(alice.run("return window.heard"), ["bob: a new one", "bob: another one"])
        live = "return [...document.querySelectorAll('[aria-live]')].map(({ id }) => id)"
        self.assertEqual(alice.run(live), ["announcer"])
        self.assert_no_problems()

    def test_notifications_are_asked_for_by_a_button_and_say_what_is_for_oneself(self) -> None:
        bob = self.client("bob", "garden")
        alice = self.join("alice", "garden")
        alice.run(
            """window.asked = 0;
            window.shown = [];
            window.Notification = class {
              static permission = "default";
              static async requestPermission() {
                window.asked += 1;
                return (this.permission = "granted");
              }
              constructor(title, { body }) { window.shown.push(`${title}: ${body}`); }
              close() { window.shown.push("closed"); }
            };"""
        )
        bob.say("alice: are you there?")
        alice.wait_for_message("alice: are you there?")
        self.assertEqual(alice.run("return [window.asked, window.shown]"), [0, []])
        alice.click("#settings")
        alice.click("dialog .row button")
        alice.wait_for_text("dialog .row button", "Turn off")
        alice.press(Keys.ESCAPE)
        bob.say("alice: I see you")
        alice.wait_for_message("alice: I see you")
        alice.look_away()
        bob.say("nothing for anybody")
        bob.say("alice: where are you?")
        bob.tell("alice", "psst")
        alice.wait_for("return window.shown.length === 2")
        self.assertEqual(
            alice.run("return [window.asked, window.shown]"),
            [1, ["bob in #garden: alice: where are you?", "bob: psst"]],
        )
        newest = bob.history("garden", limit=1).messages[0]
        assert newest.seq is not None
        bob.join("garden").delete(newest.seq)
        alice.wait_for("return window.shown[2] === 'closed'")
        self.assert_no_problems()


class AccessibilityTests(PageTestCase):
    """Axe, which finds what is missing for people who do not see the page, or see it badly."""

    def setUp(self) -> None:
        """Skip the tests where axe is missing."""
        super().setUp()
        if not AXE.exists():
            missing = f"there is no axe-core at {AXE.relative_to(ROOT)}: .ci/run gets it"
            raise RuntimeError(missing) if os.environ.get("CI") else SkipTest(missing)

    def assert_accessible(self, tab: Tab, where: str) -> None:
        """Axe finds nothing in what is shown now."""
        tab.run(AXE.read_text("utf-8"))
        found = tab.run_async(
            """const done = arguments[arguments.length - 1];
            const told = ({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])];
            axe.run(document).then(({ violations, passes }) => done([violations.map(told), passes.length]));"""
        )
        violations, passes = found
        self.assertEqual(violations, [], where)
        self.assertGreater(passes, 10)  # it has looked at something

    def test_axe_finds_nothing_in_either_theme_or_on_a_phone(self) -> None:
        bob = self.client("bob", "garden")
        bob.join("garden").set_topic("Beds and seeds")
        alice = self.open("?room=garden")
        for theme in ("light", "dark"):
            alice.prefer(theme)
            self.assert_accessible(alice, f"logging in, {theme}")
        alice.log_in("alice")
        texts = (
            "**bold** `code` https://example.org",
            "```sh\nrun\n```",
            "> a quotation\nand more",
            "alice: hello",
            "👍",
        )
        for text in texts:
            bob.join("garden").say(text)
        alice.say("my own")
        alice.wait_for_message("my own", ".kept")
        bob.tell("alice", "for you alone")
        alice.wait_for_text(".conversation", "bob")
        for theme in ("light", "dark"):
            alice.prefer(theme)
            self.assert_accessible(alice, f"the room, {theme}")
            for button in ("#settings", "#go-to", "#emoji"):
                alice.click(button)
                self.assert_accessible(alice, f"{button}, {theme}")
                alice.press(Keys.ESCAPE)
            alice.click("#room-menu")
            self.assert_accessible(alice, f"a menu, {theme}")
            alice.press(Keys.ESCAPE)
        alice.size(*PHONE, is_phone=True)
        for theme in ("light", "dark"):
            alice.prefer(theme)
            self.assert_accessible(alice, f"a phone, {theme}")
            alice.click("#show-sidebar")
            self.assert_accessible(alice, f"the conversations of a phone, {theme}")
            alice.press(Keys.ESCAPE)
            alice.click("#show-members")
            self.assert_accessible(alice, f"the members on a phone, {theme}")
            alice.press(Keys.ESCAPE)
        self.assert_no_problems()


class InstallTests(PageTestCase):
    """The page as a program of its own."""

    def test_it_can_be_installed(self) -> None:
        alice = self.open()
        manifest = alice.command("Page.getAppManifest")
        self.assertEqual(manifest["errors"], [])
        self.assertEqual(manifest["manifest"]["display"], "kStandalone")
        self.assertEqual(alice.command("Page.getInstallabilityErrors")["installabilityErrors"], [])
        self.assert_no_problems()
