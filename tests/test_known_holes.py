"""Holes that other chat servers had, and that this one must not have.

Ergo published these three in 2026: a suspension could be by-passed (GHSA-x6wg-9hcg-fc9v), messages could be redacted
without the right to (GHSA-8cmp-fc56-7g44), and secret channels were in listings.
"""

from __future__ import annotations

from typing import Any

from twisted_chat.rules import Change, Rule

from .logins import HORSE
from .test_moderation import ModerationTestCase


class SuspensionTests(ModerationTestCase):
    """An account that is suspended has no way in."""

    def setUp(self) -> None:
        super().setUp()
        self.token = self.do(self.mo, type="token", label="phone")["token"]
        self.phone, _ = self.hello("mo", self.token)
        self.successResultOf(self.registry.set_state("mo", "suspended"))
        self.server.settle()

    def test_none_of_its_sessions_goes_on(self) -> None:
        for peer in self.mo, self.phone:
            self.assertEqual(peer.got()[-1]["type"], "stop")
            peer.send({"type": "kick", "room": "den", "nick": "al"}, {"type": "password", "old": HORSE, "new": HORSE})
        self.server.settle()
        self.assertEqual((self.mo.got(), self.phone.got(), self.members()), ([], [], ["al", "bo", "olga"]))

    def test_no_password_and_no_token_gets_it_in_and_no_guest_has_its_nick(self) -> None:
        for nick in "mo", "MO", "ｍｏ":
            for secret in HORSE, self.token:
                self.assertEqual(self.hello(nick, secret)[1]["code"], "denied")
        for nick in "mo", "mо":  # the latter with a Cyrillic letter
            self.assertIn(self.hello(nick)[1]["code"], ("auth-failed", "nick-taken"))

    def test_it_is_not_registered_anew_and_only_an_operator_lets_it_in(self) -> None:
        self.assertIn(self.code(self.al, type="nick", nick="mo"), ("auth-failed", "nick-taken"))
        self.assertEqual(self.code(self.olga, type="grant", nick="mo", role="member"), "denied")
        self.assertEqual(self.code(self.olga, type="", to="mo", msg="hi", id="1"), "no-such-nick")
        self.assertEqual(self.code(self.ops, type="grant", nick="mo", role="member"), "")
        self.assertEqual(self.hello("mo", self.token)[1]["type"], "welcome")


class RedactionTests(ModerationTestCase):
    """Nobody takes away the text of a message without being its author, or a moderator where it was said."""

    def setUp(self) -> None:
        super().setUp()
        self.do(self.mo, type="join", room="attic")
        self.do(self.olga, type="join", room="attic")
        self.said = self.do(self.olga, type="", room="attic", msg="mine")["seq"]
        self.whispered = self.do(self.olga, type="", to="ops", msg="ours")["seq"]
        self.do(self.olga, type="", room="den", msg="mine, too")

    def texts(self, **where: Any) -> list[str]:
        return [obj["msg"] for obj in self.do(self.olga, type="history", **where)["messages"]]

    def test_a_moderator_of_another_room_does_not(self) -> None:
        self.do(self.mo, type="leave", room="attic")
        self.assertEqual(self.code(self.mo, type="delete", room="attic", of=self.said), "not-joined")
        self.registry.rules.apply(Change((Rule(room="attic", kind="role", subject="mo", value=20),)))
        self.do(self.mo, type="join", room="attic")
        self.assertEqual(self.code(self.mo, type="delete", room="attic", of=self.said), "denied")
        self.assertEqual(self.code(self.mo, type="delete", room="attic", by="olga"), "denied")
        self.assertEqual(self.texts(room="attic"), ["mine"])

    def test_a_member_does_not_and_neither_does_who_is_banned_or_muted(self) -> None:
        of = self.do(self.al, type="", room="den", msg="rude")["seq"]
        for peer in self.bo, self.al:
            self.assertEqual(self.code(peer, type="delete", room="den", of=1), "denied")
            self.assertEqual(self.code(peer, type="delete", room="den", by="olga"), "denied")
            self.assertEqual(self.code(peer, type="delete", by="olga"), "denied")
        self.do(self.mo, type="ban", room="den", who="al")
        self.assertEqual(self.code(self.al, type="delete", room="den", of=of), "banned")
        self.assertEqual(self.texts(room="den"), ["mine, too", "rude"])

    def test_an_operator_is_no_moderator_of_what_two_say_to_each_other(self) -> None:
        self.do(self.mo, type="", to="olga", msg="psst")
        for where, code in ({"to": "mo"}, "not-joined"), ({"to": "olga"}, "denied"), ({"room": "@mo@olga"}, "bad-room"):
            self.assertEqual(self.code(self.ops, type="delete", of=self.whispered, **where), code)
        self.assertEqual((self.texts(to="mo"), self.texts(to="ops")), (["psst"], ["ours"]))


class ListingTests(ModerationTestCase):
    """What is locked, and what two say to each other, is in no list of those who may not read it."""

    def test_no_answer_to_a_stranger_has_a_locked_room_in_it(self) -> None:
        self.do(self.olga, type="topic", room="den", msg="a secret topic")
        self.do(self.olga, type="", room="den", msg="a secret")
        self.do(self.olga, type="", to="mo", msg="a secret of two")
        self.do(self.olga, type="lock", room="den", on=True)
        zed, welcome = self.hello("zed")
        answers = [welcome]
        for request in (
            {"type": "rooms"},
            {"type": "join", "room": "den"},
            {"type": "who", "room": "den"},
            {"type": "history", "room": "den"},
            {"type": "history", "room": "@mo@olga"},
            {"type": "who", "room": "@mo@olga"},
            {"type": "topic", "room": "den", "msg": "mine"},
            {"type": "report", "room": "den", "of": 1},
            {"type": "bans", "room": "den"},
            {"type": "audit", "room": "den"},
            {"type": "audit"},
            {"type": "directs"},
        ):
            zed.send(request)
            self.server.settle()
            answers += zed.got()
        for request in ({"type": "", "room": "den", "msg": "hi"}, {"type": "nick", "nick": "olga2"}, {"type": "leave"}):
            self.olga.send(request)
        self.server.settle()
        answers += zed.got()
        told = repr(answers)
        for secret in "secret", "olga", "'mo'", "members': [", "'count': 4":
            self.assertNotIn(secret, told)
        self.assertEqual(answers[1]["rooms"], [])
