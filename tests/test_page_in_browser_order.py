"""Tests for accounts, direct messages and moderators on the page, in a real browser."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from .browser import PageTestCase, Tab

PASSWORD = "correct horse 1"


class AccountTestCase(PageTestCase):
    """People with an account."""

    def register(self, tab: Tab) -> None:
        """Make the nick of somebody an account, to which the browser does not log in by itself."""
        tab.click("#me")
        tab.choose("Register this nick…")
        tab.click("dialog .check input")
        tab.fill(password=PASSWORD, again=PASSWORD)
        tab.wait_for_text(".me-kind", "Account")


class AccountTests(AccountTestCase):
    """People with an account, and without one."""

    def test_an_account_is_registered_and_logged_in_to(self) -> None:
        alice = self.join("alice")
        alice.click("#me")
        alice.choose("Register this nick…")
        alice.press("short", on="dialog [name=password]")
        alice.click("dialog .primary")
        alice.wait_for_text("dialog .error", "not the same")
        alice.press("short", on="dialog [name=again]")
        alice.click("dialog .primary")
        alice.wait_for_text("dialog .error", "A password has 8 to")
        alice.press("secret 1", on="dialog [name=password]")
        alice.press("secret 1", on="dialog [name=again]")
        alice.click("dialog .check input")  # not to be kept on this device
        alice.click("dialog .primary")
        alice.wait_for_text(".me-kind", "Account")
        alice.click("#me")
        alice.choose("Change the password…")
        alice.fill(old="shortsecret 1", password=PASSWORD, again=PASSWORD)
        other = self.open()
        other.find("#nick").clear()
        other.press("alice", Keys.ENTER, on="#nick")
        other.wait_for_text("#login-error", "somebody's account")
        other.press("wrong", Keys.ENTER, on="#password")
        other.wait_for_text("#login-error", "(?i)password")
        other.find("#password").clear()
        other.press(PASSWORD, Keys.ENTER, on="#password")
        other.wait_for_text(".me-kind", "Account")
        other.wait_for("return JSON.stringify({ ...localStorage }).includes('browser')")
        self.assertNotIn(PASSWORD, other.run("return JSON.stringify([{ ...localStorage }, { ...sessionStorage }])"))
        third = self.open()  # with the token that is kept
        third.wait_for_text(".me-kind", "Account")
        third.click("#me")
        third.choose("Devices that are logged in…")
        third.wait_for_text("dialog .row", r"^browser \w+ \(this device\)since ")
        third.press(Keys.ESCAPE)
        third.click("#me")
        third.choose("Log out")
        third.find("#login-form")
        self.assertNotIn("browser", third.run("return JSON.stringify({ ...localStorage })"))
        self.assert_no_problems()

    def test_a_guest_logs_in_to_an_account(self) -> None:
        alice = self.join("alice")
        self.register(alice)
        guest = self.join("guest", "garden")
        guest.click("#me")
        guest.choose("Log in to an account…")
        guest.press("alice", on="dialog [name=nick]")
        guest.press(PASSWORD, Keys.ENTER, on="dialog [name=password]")
        guest.wait_for_text(".me-nick", "^alice$")
        guest.wait_for_text(".me-kind", "Account")
        guest.use().refresh()
        guest.wait_for_text(".me-nick", "^alice$")
        guest.wait_for_text(".me-kind", "Account")
        self.assert_no_problems()

    def test_direct_messages_between_accounts_are_kept(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.register(alice)
        self.register(bob)
        alice.say("/msg bob for you alone")
        alice.wait_for_message("for you alone", ".kept")
        bob.click(".conversation[data-id='direct:alice']")
        bob.wait_for_message("for you alone")
        bob.say("and back")
        alice.wait_for_message("and back")
        for tab in (alice, bob):
            tab.use().refresh()
            tab.wait_for_text("#login-error", "somebody's account")
            tab.press(PASSWORD, Keys.ENTER, on="#password")
            tab.wait_for_message("and back")
            self.assertEqual(tab.said(), ["for you alone", "and back"])
        alice.wait_for_message("for you alone", ".kept").click()
        alice.press(Keys.ENTER)
        alice.choose("Delete…")
        alice.fill()
        for tab in (alice, bob):
            tab.wait_for_message("This message was deleted.")
        self.assert_no_problems()

    def test_a_guest_takes_another_nick(self) -> None:
        self.client("bob")
        alice = self.join("alice")
        alice.click("#me")
        alice.choose("Change the nick…")
        alice.find("dialog [name=nick]").clear()
        alice.press("bob", Keys.ENTER, on="dialog [name=nick]")
        alice.wait_for_text("dialog .error", "(?i)bob|nick")
        alice.find("dialog [name=nick]").clear()
        alice.press("al", Keys.ENTER, on="dialog [name=nick]")
        alice.wait_for_text(".me-nick", "^al$")
        alice.wait_for_text(".member bdi", "^al$")
        alice.say("me again")
        alice.wait_for_message("me again", ".own.kept")
        alice.use().refresh()
        alice.wait_for_text(".me-nick", "^al$")
        alice.wait_for_message("me again", ".own")
        self.assert_no_problems()


class ModerationTests(AccountTestCase):
    """Who keeps order in a room, and who does not."""

    def setUp(self) -> None:
        """Let alice own a room, in which bob is a guest."""
        super().setUp()
        self.alice = self.join("alice")
        self.register(self.alice)
        self.alice.say("/join garden")
        self.alice.wait_for_text("#room-name", "garden")
        self.bob = self.join("bob", "garden")
        self.alice.wait_for_text(".member bdi", "^bob$")

    def menu_of(self, tab: Tab, nick: str) -> list[str]:
        """Open the menu of a member, and return its entries."""
        tab.click(f".member[data-nick={nick}]")
        tab.find("[role=menu]")
        return tab.texts("[role=menuitem]")

    def test_menus_offer_what_a_role_allows(self) -> None:
        self.alice.wait_for_text(".member[data-nick=alice] .muted", "^you, owner$")
        self.assertEqual(self.bob.texts(".member .muted"), ["you"])
        order = ["Mute bob…", "Kick bob…", "Ban bob…"]
        order += ["Delete all messages of bob…", "Change the role of bob…"]
        self.assertEqual(self.menu_of(self.alice, "bob"), ["Send a direct message", "Mention", *order])
        self.assertEqual(self.menu_of(self.bob, "alice"), ["Send a direct message", "Mention"])
        self.bob.press(Keys.ESCAPE)
        self.bob.click("#room-menu")
        self.assertEqual(
            self.bob.texts("[role=menuitem]"),
            ["Set the topic…", "Mark as read", "Copy the link to this room", "Leave the room"],
        )
        self.assert_no_problems()

    def test_who_is_muted_is_told_and_sends_again_later(self) -> None:
        self.menu_of(self.alice, "bob")
        self.alice.choose("Mute bob…")
        self.alice.fill(seconds="600", reason="too loud")
        for tab in (self.alice, self.bob):
            tab.wait_for_text(".happening.notice", "alice muted bob until .*: too loud")
        self.bob.say("am I heard?")
        self.bob.wait_for_message("am I heard?", ".failed")
        self.bob.wait_for_text(".message-state", "^Not sent. You are muted in this room until (?!.*Z)")
        self.assertIn("Unmute bob", self.menu_of(self.alice, "bob"))
        self.assertNotIn("Mute bob…", self.alice.texts("[role=menuitem]"))
        self.alice.choose("Unmute bob")
        self.bob.wait_for_text(".happening.notice", "alice lets bob speak again")
        self.bob.click(".message-state button")
        for tab in (self.alice, self.bob):
            tab.wait_for_message("am I heard?", ".kept")
        self.bob.say("yes")
        self.alice.wait_for_message("yes")
        self.assertEqual(self.alice.said(), ["am I heard?", "yes"])
        self.assert_no_problems()

    def test_who_is_put_out_sees_why_and_comes_back(self) -> None:
        self.bob.say("hello")
        self.menu_of(self.alice, "bob")
        self.alice.choose("Kick bob…")
        self.alice.fill(reason="it is late")
        self.bob.wait_for_text("#banner", "You are not in this room. You were put out .*it is late")
        self.bob.wait_for("return document.querySelectorAll('.member').length === 0")
        self.assertEqual(self.bob.texts("#member-count"), ["0"])
        box = self.bob.find("#text")
        self.assertEqual((box.is_enabled(), box.get_attribute("placeholder")), (False, "You are not in this room"))
        self.alice.wait_for_text(".happening.notice", "alice put bob out of the room: it is late")
        self.alice.wait_for("return document.querySelectorAll('.member').length === 1")
        self.bob.click("#banner-button")
        self.bob.wait_for_message("hello")
        self.bob.say("again")
        self.alice.wait_for_message("again")
        self.assert_no_problems()

    def test_bans_are_made_listed_and_ended(self) -> None:
        for text in ("one", "two"):
            self.bob.say(text)
            self.alice.wait_for_message(text)
        self.menu_of(self.alice, "bob")
        self.alice.choose("Delete all messages of bob…")
        self.alice.fill(reason="noise")
        for tab in (self.alice, self.bob):
            tab.wait_for("return document.querySelectorAll('.text.deleted').length === 2")
            self.assertEqual(tab.said(), ["This message was deleted."] * 2)
        self.menu_of(self.alice, "bob")
        self.alice.choose("Ban bob…")
        self.alice.fill(seconds="", reason="noise")
        self.bob.wait_for_text("#banner", "You are not in this room")
        self.alice.click("#room-menu")
        self.alice.choose("Bans…")
        self.alice.wait_for_text("dialog .row", "bob")
        self.alice.click("dialog .row button")
        self.alice.wait_for("return document.querySelector('dialog .row') === null")
        self.alice.press(Keys.ESCAPE)
        self.bob.click("#banner-button")
        self.bob.wait_for("return !document.querySelector('#text').disabled")
        self.alice.click("#room-menu")
        self.alice.choose("What moderators did…")
        self.alice.wait_for_text("dialog .row", "ban bob: noise")
        self.assert_no_problems()

    def test_the_room_is_locked_and_somebody_is_invited(self) -> None:
        self.alice.click("#room-menu")
        self.alice.choose("Who may enter…")
        self.alice.wait_for_text("dialog p", "puts out everybody in it who is neither a member nor invited")
        self.assertEqual(self.bob.texts("#banner"), [])
        self.alice.fill(who="members")
        self.alice.wait_for_text(".happening.notice", "alice locked the room")
        self.bob.wait_for_text("#banner", "You are not in this room. .*locked")  # a guest is no member
        carol = self.open("?room=garden")
        carol.find("#nick").clear()
        carol.press("carol", Keys.ENTER, on="#nick")
        carol.wait_for_text("#banner", "You are not in this room")
        self.alice.click("#room-menu")
        self.alice.choose("Invite somebody…")
        self.alice.fill(nick="carol")
        carol.wait_for_text(".toast", "alice invites you to the room garden")
        carol.click(".toast button")
        carol.wait_for("return !document.querySelector('#text').disabled")
        carol.say("thank you")
        self.alice.wait_for_message("thank you")
        self.assert_no_problems()
