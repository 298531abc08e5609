"""Moderation: kick, ban, mute, roles, locks, invitations, slow mode, reports, the audit log, and who may enter."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

from twisted_chat import gate, messages, names
from twisted_chat.enforcement import CHECKS_A_TURN
from twisted_chat.limits import MAX_TOPIC
from twisted_chat.requests import acting
from twisted_chat.requests.reading import LOCKED
from twisted_chat.rules import SERVER_WIDE, Account, Change, Role, Rule, RuleKey
from twisted_chat.session import Session

from .helpers import Peer
from .logins import HORSE
from .test_account_requests import AccountTestCase

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.1"


class ModerationTestCase(AccountTestCase):
    """The den has the owner olga, the moderator mo, and the guests al and bo; ops runs the server."""

    def setUp(self) -> None:
        super().setUp()
        self.requests = 0
        self.registry.rules.operators = frozenset(("ops",))
        self.ops, self.olga, self.mo = (self.register(nick) for nick in ("ops", "olga", "mo"))
        self.al, self.bo = self.hello("al")[0], self.hello("bo", address=ELSEWHERE)[0]
        self.ask(self.olga, type="join", room="Den")
        self.ask(self.olga, type="grant", room="den", nick="mo", role="moderator")
        for peer in self.mo, self.al, self.bo:
            self.ask(peer, type="join", room="den")
        self.everybody = [self.ops, self.olga, self.mo, self.al, self.bo]
        self.hush()

    def hush(self) -> None:
        self.server.hush(*self.everybody)

    def heard(self, peer: Peer) -> list[dict[str, Any]]:
        self.server.settle()
        return peer.got()

    def do(self, peer: Peer, **request: Any) -> dict[str, Any]:
        """Send a request, and return its answer: the object with its id, which is a new one if none is given."""
        self.requests += 1
        id = request.setdefault("id", f"request {self.requests}")
        peer.send(request)
        self.server.settle()
        (answer,) = (obj for obj in peer.got() if obj.pop("id", None) == id)
        return answer

    def code(self, peer: Peer, **request: Any) -> str:
        answer = self.do(peer, **request)
        return str(answer["code"]) if answer["type"] == "error" else ""

    def role(self, nick: str, room: str = "den") -> Role:
        return self.registry.rules.role(Account(names.nick(nick)), room)

    def members(self) -> list[str]:
        listed: list[str] = self.do(self.ops, type="who", room="den")["members"]
        return listed

    def audit(self) -> list[tuple[str, ...]]:
        """The newest entry first: kind, author, room, target and value of each."""
        found = self.successResultOf(self.registry.actions(None, 2**53, 99))
        return [(one.kind, one.author, one.room, one.target, one.value) for one in found]


class DeniedTests(ModerationTestCase):
    def test_a_request_without_the_role_is_denied(self) -> None:
        fields: dict[str, dict[str, Any]] = {
            "kick": {"nick": "bo"},
            "ban": {"who": "bo"},
            "unban": {"who": "bo"},
            "bans": {},
            "mute": {"nick": "bo"},
            "unmute": {"nick": "bo"},
            "grant": {"nick": "bo", "role": "member"},
            "lock": {"on": True},
            "invite": {"nick": "bo"},
            "slow": {"seconds": 5},
            "audit": {},
        }
        before = self.audit()
        for type, more in fields.items():
            self.assertEqual(self.code(self.al, type=type, room="den", **more), "denied", type)
            self.assertEqual(self.code(self.mo, type=type, room="other", **more), "denied", type)
        for type in "ban", "unban", "bans", "grant", "audit":
            for peer in self.al, self.mo, self.olga:
                self.assertEqual(self.code(peer, type=type, **fields[type]), "denied", type)
        self.assertEqual(self.audit(), before)

    def test_the_refusal_says_where_which_role_is_needed(self) -> None:
        for where, text in (
            ({"room": "Den"}, "only moderators may do this in the room Den"),
            ({}, "only operators may do this to the whole server: name a 'room'"),
        ):
            self.assertEqual(self.do(self.al, type="ban", who="bo", **where)["msg"], text)

    def test_nobody_moderates_somebody_of_the_same_role_or_a_higher_one(self) -> None:
        self.registry.rules.apply(Change((Rule(room="den", kind="role", subject="mo2", value=Role.MODERATOR),)))
        self.ask(self.ops, type="join", room="den")
        self.register("mo2")
        for who in "olga", "mo", "mo2", "ops":
            for request in (
                {"type": "kick", "nick": who},
                {"type": "ban", "who": who},
                {"type": "mute", "nick": who},
            ):
                if who != "mo2" or request["type"] != "kick":
                    self.assertEqual(self.code(self.mo, room="den", **request), "denied", request)
        self.assertEqual(self.code(self.olga, type="kick", room="den", nick="mo"), "")
        self.assertEqual(self.code(self.ops, type="kick", room="den", nick="olga"), "")

    def test_the_article_of_a_role(self) -> None:
        self.assertEqual([acting._a(role) for role in (Role.OWNER, Role.MODERATOR)], ["an owner", "a moderator"])


class OwnerTests(ModerationTestCase):
    def test_the_account_that_makes_a_room_owns_it(self) -> None:
        self.assertEqual([self.role(nick) for nick in ("olga", "mo", "al")], [Role.OWNER, Role.MODERATOR, Role.GUEST])
        self.assertIn(("grant", "server", "den", "olga", "owner"), self.audit())

    def test_whoever_joins_is_told_the_role_of_its_account(self) -> None:
        roles = [self.do(peer, type="join", room="den").get("role") for peer in self.everybody]
        self.assertEqual(roles, ["operator", "owner", "moderator", None, None])
        self.assertEqual(self.do(self.mo, type="join", room="attic")["role"], "owner", "the room is new")
        self.assertNotIn("role", self.do(self.olga, type="join", room="attic"))
        self.assertNotIn("role", self.do(self.al, type="join", room="cellar"), "a guest owns no room")

    def test_a_room_that_is_somebodys_or_in_use_is_not_made_again(self) -> None:
        self.ask(self.al, type="join", room="attic")
        self.ask(self.mo, type="join", room="attic")
        self.assertIs(self.role("mo", "attic"), Role.GUEST)
        self.ask(self.mo, type="join", room="lobby")
        self.assertIs(self.role("mo", "lobby"), Role.GUEST)
        self.ask(self.bo, type="join", room="cellar")
        self.do(self.bo, type="", room="cellar", msg="hi")
        self.do(self.bo, type="leave", room="cellar")
        self.ask(self.mo, type="join", room="cellar")
        self.assertIs(self.role("mo", "cellar"), Role.GUEST)
        self.ask(self.bo, type="join", room="loft")
        self.do(self.bo, type="topic", room="loft", msg="pigeons")
        self.do(self.bo, type="leave", room="loft")
        self.do(self.mo, type="join", room="loft")
        self.assertIs(self.role("mo", "loft"), Role.GUEST)
        for peer in self.olga, self.mo, self.al, self.bo:
            self.do(peer, type="leave", room="den")
        self.do(self.mo, type="join", room="den")
        self.assertIs(self.role("mo"), Role.MODERATOR)

    def test_where_that_cannot_be_stored_the_room_is_nobodys(self) -> None:
        self.registry.is_unavailable = True
        self.assertEqual(self.ask(self.mo, type="join", room="attic")["type"], "joined")
        self.assertIs(self.role("mo", "attic"), Role.GUEST)
        self.registry.is_unavailable = False
        self.patch(self.registry, "act", lambda *asked: self.server.fake.do("act", lambda: 1 // 0))
        self.assertEqual(self.ask(self.mo, type="join", room="loft")["type"], "joined")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_room_that_all_have_left_before_anything_was_said_is_nobodys(self) -> None:
        self.do(self.mo, type="join", room="attic")
        self.assertIs(self.role("mo", "attic"), Role.OWNER)
        self.do(self.al, type="join", room="attic")
        self.do(self.mo, type="leave", room="attic")
        self.assertIs(self.role("mo", "attic"), Role.OWNER)
        self.do(self.al, type="leave", room="attic")
        self.assertIs(self.role("mo", "attic"), Role.GUEST)
        self.assertEqual(self.audit()[0], ("grant", "server", "attic", "mo", "none"))

    def test_so_is_one_whose_owner_has_gone_before_that_was_stored(self) -> None:
        held = self.registry.held = []
        self.mo.send({"type": "join", "room": "attic"})
        self.server.settle()
        self.assertEqual(self.mo.got(), [], "it is told its role, once that is stored")
        self.mo.cut()
        self.registry.held = None
        held.pop()()
        self.assertEqual([done[4] for done in self.audit()[:2]], ["none", "owner"])
        self.assertIs(self.role("mo", "attic"), Role.GUEST)
        self.server.settle()
        self.assertIsNone(self.server.chat.rooms.get("attic"))

    def test_of_two_who_join_a_new_room_at_the_same_moment_one_is_its_owner(self) -> None:
        held = self.registry.held = []
        for peer in self.mo, self.olga:
            peer.send({"type": "join", "room": "attic"})
        self.server.settle()
        self.registry.held = None
        for answer in held:
            answer()
        self.server.settle()
        (mo,), (olga,) = ([one for one in peer.got() if one["type"] == "joined"] for peer in (self.mo, self.olga))
        self.assertEqual((mo["role"], mo["count"], olga.get("role"), olga["count"]), ("owner", 1, None, 2))
        self.assertEqual([rule.subject for rule in self.registry.rules.of("attic")], ["mo"])

    def test_who_may_not_enter_a_new_room_by_then_is_not_its_owner(self) -> None:
        held = self.registry.held = []
        self.mo.send({"type": "join", "room": "attic"})
        self.registry.held = None
        self.registry.rules.apply(Change((Rule(room="attic", kind="ban", subject="mo"),)))
        held.pop()()
        self.server.settle()
        self.assertEqual(self.mo.got()[-1]["code"], "banned")
        self.assertEqual([rule.kind for rule in self.registry.rules.of("attic")], ["ban"])

    def test_an_owner_is_not_forgotten_if_the_rules_have_changed_meanwhile(self) -> None:
        self.do(self.mo, type="join", room="attic")
        held = self.registry.held = []
        self.do(self.mo, type="leave", room="attic")
        self.registry.held = None
        self.registry.rules.apply(Change((Rule(room="attic", kind="lock"),)))
        held.pop()()
        self.assertIs(self.role("mo", "attic"), Role.OWNER)

    def test_an_owner_is_not_forgotten_if_somebody_has_come_back_meanwhile(self) -> None:
        self.do(self.mo, type="join", room="attic")
        held = self.registry.held = []
        self.do(self.mo, type="leave", room="attic")
        self.registry.held = None
        self.do(self.al, type="join", room="attic")
        held.pop()()
        self.assertIs(self.role("mo", "attic"), Role.OWNER)
        self.assertNotIn("none", [done[4] for done in self.audit()])

    def test_one_in_which_something_was_said_or_ruled_stays_its_owners(self) -> None:
        for room, request in (
            ("attic", {"type": "", "msg": "hi"}),
            ("cellar", {"type": "topic", "msg": "wine"}),
            ("loft", {"type": "lock", "on": True}),
        ):
            self.do(self.mo, type="join", room=room)
            self.do(self.mo, room=room, **request)
            self.do(self.mo, type="leave", room=room)
            self.assertIs(self.role("mo", room), Role.OWNER, room)

    def test_what_others_were_granted_stays(self) -> None:
        self.do(self.mo, type="join", room="attic")
        self.do(self.mo, type="grant", room="attic", nick="olga", role="owner")
        self.do(self.mo, type="grant", room="attic", nick="mo", role="none")
        self.do(self.mo, type="leave", room="attic")
        self.assertIs(self.role("olga", "attic"), Role.OWNER)


class KickTests(ModerationTestCase):
    def test_all_in_the_room_hear_of_it_and_so_does_the_one(self) -> None:
        kick = {"type": "kick", "author": "mo", "room": "Den", "nick": "al", "msg": "calm down"}
        self.assertEqual(self.do(self.mo, type="kick", room="den", nick="AL", msg="calm down"), kick)
        for peer in self.olga, self.al, self.bo:
            self.assertEqual(self.heard(peer), [kick])
        self.assertEqual(self.members(), ["bo", "mo", "olga"])
        self.assertEqual(self.code(self.al, type="", room="den", msg="why?"), "not-joined")
        self.assertEqual(self.code(self.al, type="join", room="den"), "")
        self.assertEqual(self.audit()[0], ("kick", "mo", "den", "al", ""))

    def test_somebody_who_is_not_there_cannot_be_kicked(self) -> None:
        for nick in "cy", "ops":
            self.assertEqual(self.code(self.olga, type="kick", room="den", nick=nick), "no-such-nick")

    def test_a_reason_has_a_length(self) -> None:
        request = {"type": "kick", "room": "den", "nick": "al"}
        self.assertEqual(self.code(self.mo, **request, msg="x" * (MAX_TOPIC + 1)), "bad-message")
        self.assertEqual(self.code(self.mo, **request, msg="x" * MAX_TOPIC), "")

    def test_it_waits_for_the_audit_log(self) -> None:
        self.registry.is_unavailable = True
        self.assertEqual(self.code(self.mo, type="kick", room="den", nick="al"), "unavailable")
        self.registry.is_unavailable = False
        self.assertEqual(self.heard(self.al), [])

    def test_the_asker_may_go_meanwhile_and_so_may_the_other(self) -> None:
        held = self.registry.held = []
        self.mo.send({"type": "kick", "room": "den", "nick": "al"})
        self.mo.cut()
        self.registry.held = None
        held.pop()()
        self.assertEqual([obj["type"] for obj in self.heard(self.al)], ["leave", "kick"])
        held = self.registry.held = []
        self.olga.send({"type": "kick", "room": "den", "nick": "bo"})
        self.bo.cut()
        self.registry.held = None
        held.pop()()
        self.assertEqual(self.members(), ["olga"])

    def test_it_costs_as_much_as_all_who_are_told(self) -> None:
        charged: list[float] = []
        self.patch(type(self.mo.wire.participant), "charge", lambda session, amount: charged.append(amount))
        self.do(self.mo, type="kick", room="den", nick="al")
        self.assertEqual(charged, [3], "al, olga and bo")
        held = self.registry.held = []
        charged.clear()
        self.mo.send({"type": "kick", "room": "den", "nick": "bo"})
        self.bo.cut()
        self.registry.held = None
        charged.clear()
        held.pop()()
        self.assertEqual(charged, [0])

    def test_one_that_is_there_twice_is_put_out_twice_and_told_of_once(self) -> None:
        second = self.hello("olga", password=HORSE)[0]
        self.ask(second, type="join", room="den")
        self.server.hush(*self.everybody)
        charged: list[float] = []
        self.patch(type(self.ops.wire.participant), "charge", lambda session, amount: charged.append(amount))
        self.ask(self.ops, type="join", room="den")
        charged.clear()
        self.server.hush(*self.everybody)
        self.do(self.ops, type="kick", room="den", nick="olga")
        self.assertEqual(charged, [2 + 3], "both, and mo, al and bo")
        self.assertEqual([obj["type"] for obj in self.heard(self.mo)], ["kick"])


class BanTests(ModerationTestCase):
    def test_somebody_who_is_banned_is_put_out_and_kept_out(self) -> None:
        answer = self.do(self.mo, type="ban", room="den", who="al", seconds=60, msg="spam")
        until = answer.pop("until")
        self.assertEqual(answer, {"type": "ban", "author": "mo", "who": "al", "room": "Den", "msg": "spam"})
        kick, ban = self.heard(self.bo)
        text = f"you are banned from the room Den until {until}: spam"
        self.assertEqual(kick, {"type": "kick", "author": "server", "room": "Den", "nick": "al", "msg": text})
        self.assertEqual(ban, {**answer, "until": until})
        self.assertEqual(self.heard(self.al), [kick])
        error = self.do(self.al, type="join", room="den")
        self.assertEqual((error["code"], error["until"]), ("banned", until))
        self.server.clock.advance(60)
        self.assertEqual(self.code(self.al, type="join", room="den"), "")

    def test_a_banned_guest_does_not_come_back_with_another_nick(self) -> None:
        self.do(self.mo, type="ban", room="den", who="al")
        self.assertEqual(self.members(), ["bo", "mo", "olga"])
        self.assertEqual(self.code(self.hello("cy")[0], type="join", room="den"), "banned")

    def test_nor_with_one_that_looks_like_it_from_elsewhere(self) -> None:
        self.do(self.mo, type="ban", room="den", who="al")
        self.al.cut()
        for nick, code in ("аl", "banned"), ("cy", ""):  # the first one has a Cyrillic а
            peer, _ = self.hello(nick, address=ELSEWHERE)
            self.assertEqual(self.code(peer, type="join", room="den"), code)

    def test_guests_of_this_machine_are_not_banned_together(self) -> None:
        al, bo = self.server.connect("127.0.0.1"), self.server.connect("127.0.0.1")
        for peer, nick in (al, "zed"), (bo, "zoe"):
            self.ask(peer, type="hello", nick=nick)
            self.ask(peer, type="join", room="den")
        self.do(self.mo, type="ban", room="den", who="zed")
        self.assertIn("zoe", self.members())
        self.assertNotIn("zed", self.members())

    def test_an_account_is_banned_from_everywhere_and_loses_its_role(self) -> None:
        self.do(self.olga, type="ban", room="den", who="mo")
        self.assertEqual((self.role("mo"), self.members()), (Role.GUEST, ["bo", "olga"]))
        self.assertEqual(self.code(self.mo, type="join", room="den"), "banned")

    def test_somebody_who_is_not_there_can_be_banned(self) -> None:
        self.do(self.mo, type="ban", room="den", who="cy")
        self.assertEqual(self.code(self.hello("cy")[0], type="join", room="den"), "banned")

    def test_only_operators_ban_addresses(self) -> None:
        for who in "192.0.2.0/24", "2001:db8::1":
            self.assertEqual(self.code(self.olga, type="ban", room="den", who=who), "denied")
        answer = self.do(self.ops, type="ban", room="den", who="192.0.2.7/24")
        self.assertEqual(answer["who"], "192.0.2.0/24")
        self.assertEqual(self.members(), ["bo"])

    def test_a_ban_is_listed_and_ended(self) -> None:
        for who in "al", "zed":
            self.do(self.mo, type="ban", room="den", who=who, msg="spam")
        answer = self.do(self.mo, type="bans", room="den")
        self.assertEqual((answer["room"], answer["count"]), ("Den", 2))
        self.assertEqual(
            [(ban["who"], ban["author"], ban["msg"]) for ban in answer["bans"]],
            [("al", "mo", "spam"), ("zed", "mo", "spam")],
        )
        self.assertNotIn(HOME, repr(answer))
        self.assertEqual([ban["who"] for ban in self.do(self.mo, type="bans", room="den", after="al")["bans"]], ["zed"])
        self.assertEqual(self.do(self.mo, type="unban", room="den", who="AL")["type"], "unban")
        self.assertEqual(self.code(self.mo, type="unban", room="den", who="al"), "bad-message")
        self.assertEqual(self.code(self.al, type="join", room="den"), "")
        self.assertEqual(self.audit()[0], ("unban", "mo", "den", "al", ""))

    def test_a_notice_names_the_room_unless_it_is_about_the_whole_server(self) -> None:
        fields = {"author": "ops", "who": "zed", "msg": "spam"}
        for where in {"room": "Den"}, {}:
            for type in "ban", "unban":
                room = {name: room.lower() for name, room in where.items()}
                answer = self.do(self.ops, type=type, who="zed", msg="spam", **room)
                self.assertEqual(answer, {"type": type, **where, **fields})
        self.assertNotIn("room", self.do(self.ops, type="bans"))

    def test_the_list_goes_on_after_somebody_as_it_shows_them(self) -> None:
        for who in "Zed", "Ann", "Mia":
            self.do(self.ops, type="ban", room="den", who=who)
        listed = [ban["who"] for ban in self.do(self.ops, type="bans", room="den")["bans"]]
        after = [ban["who"] for ban in self.do(self.ops, type="bans", room="den", after=listed[0])["bans"]]
        self.assertEqual((len(listed), after), (3, listed[1:]))

    def test_a_guest_without_an_address_is_banned_alone(self) -> None:
        """As over a Unix socket, which many may use."""
        self.hello("zed", address="")
        self.do(self.ops, type="ban", room="den", who="zed")
        self.assertEqual(self.code(self.hello("zoe", address="")[0], type="join", room="den"), "")

    def test_their_number_is_bounded(self) -> None:
        self.patch(acting, "MAX_BANS", 2)
        for who, code in ("al", ""), ("zed", ""), ("zed", ""), ("zoe", "full"):
            self.assertEqual(self.code(self.mo, type="ban", room="den", who=who), code)
            self.assertEqual(self.code(self.mo, type="mute", room="den", nick=who), code)

    def test_a_banned_account_does_not_come_back_as_a_guest(self) -> None:
        self.do(self.olga, type="ban", room="den", who="mo")
        self.assertEqual(self.code(self.hello("zed")[0], type="join", room="den"), "banned")
        self.assertEqual(self.members(), ["bo", "olga"])  # al is a guest of the same address

    def test_a_banned_guest_does_not_come_back_with_an_account(self) -> None:
        self.server.clock.advance(1)
        self.do(self.mo, type="ban", room="den", who="al")
        self.server.chat.accounts._reactor.advance(self.server.clock.seconds() + 1)  # type: ignore[attr-defined]  # a Login
        self.assertEqual(self.code(self.register("zed"), type="join", room="den"), "banned")
        self.assertEqual(self.code(self.olga, type="join", room="den"), "")


class ServerBanTests(ModerationTestCase):
    def test_somebody_who_is_banned_from_the_server_is_gone(self) -> None:
        self.assertEqual(self.do(self.ops, type="ban", who="al", msg="spam")["type"], "ban")
        error, stop = self.heard(self.al)
        self.assertEqual((error["code"], stop["type"]), ("banned", "stop"))
        self.assertTrue(self.al.wire.closed)
        self.assertEqual([obj["type"] for obj in self.heard(self.olga)], ["leave"])
        _, answer = self.hello("al")
        self.assertEqual(answer["code"], "banned")

    def test_an_account_of_a_banned_guests_address_gets_in(self) -> None:
        self.do(self.ops, type="ban", who="al")
        self.olga.cut()
        self.assertEqual(self.hello("olga", HORSE)[1]["type"], "welcome")

    def test_an_address_is_refused_when_it_connects(self) -> None:
        self.do(self.ops, type="ban", who=ELSEWHERE, seconds=60)
        peer = self.server.connect(ELSEWHERE)
        self.assertEqual([obj["type"] for obj in peer.ask(type="hello", nick="cy")], ["error", "stop"])
        self.server.clock.advance(60)
        self.assertEqual(self.ask(self.server.connect(ELSEWHERE), type="hello", nick="cy")["type"], "welcome")

    def test_an_operator_cannot_be_banned(self) -> None:
        self.assertEqual(self.code(self.ops, type="ban", who="ops"), "denied")
        self.do(self.ops, type="ban", who=HOME)
        self.assertEqual(self.do(self.ops, type="ping")["type"], "pong")
        self.assertEqual(self.do(self.ops, type="unban", who=HOME)["type"], "unban")
        self.assertEqual(self.do(self.ops, type="bans"), {"type": "bans", "bans": [], "count": 0})


class MuteTests(ModerationTestCase):
    def test_somebody_who_is_muted_reads_and_does_not_speak(self) -> None:
        answer = self.do(self.mo, type="mute", room="den", nick="al", seconds=30)
        self.assertEqual(answer["type"], "mute")
        self.assertEqual([obj["type"] for obj in self.heard(self.al)], ["mute"])
        error = self.do(self.al, type="", room="den", msg="hi")
        self.assertEqual((error["code"], error["retry"]), ("rate-limited", 30))
        self.do(self.olga, type="", room="den", msg="hello")
        self.assertEqual([obj["msg"] for obj in self.heard(self.al)], ["hello"])
        self.server.clock.advance(30)
        self.assertEqual(self.code(self.al, type="", room="den", msg="hi"), "")

    def test_somebody_who_is_muted_speaks_in_no_other_way(self) -> None:
        self.do(self.mo, type="mute", room="den", nick="al")
        self.assertEqual(self.code(self.al, type="nick", nick="al-says-hi"), "denied")
        self.hush()
        self.al.send({"type": "quit", "msg": "hi"})
        (left,) = self.heard(self.olga)
        self.assertEqual((left["type"], left.get("msg")), ("leave", None))
        self.bo.send({"type": "quit", "msg": "bye"})
        self.assertEqual([obj["msg"] for obj in self.heard(self.olga)], ["bye"])

    def test_another_nick_is_no_way_around_slow_mode(self) -> None:
        self.do(self.mo, type="slow", room="den", seconds=10)
        self.do(self.al, type="", room="den", msg="1")
        self.do(self.al, type="nick", nick="al2")
        self.assertEqual(self.code(self.al, type="", room="den", msg="2"), "rate-limited")

    def test_a_mute_is_ended(self) -> None:
        self.do(self.mo, type="mute", room="den", nick="al")
        self.assertEqual(self.code(self.al, type="", room="den", msg="hi"), "rate-limited")
        self.assertEqual(self.do(self.mo, type="unmute", room="den", nick="al")["nick"], "al")
        self.assertEqual(self.code(self.al, type="", room="den", msg="hi"), "")
        self.assertEqual(self.code(self.mo, type="unmute", room="den", nick="al"), "bad-message")

    def test_slow_mode(self) -> None:
        self.assertEqual(self.do(self.mo, type="slow", room="den", seconds=10)["seconds"], 10)
        self.assertEqual(self.code(self.al, type="", room="den", msg="1"), "")
        error = self.do(self.al, type="", room="den", msg="2")
        self.assertEqual((error["code"], error["retry"]), ("rate-limited", 10))
        for text in "12":
            self.assertEqual(self.code(self.mo, type="", room="den", msg=text), "")
        self.assertEqual(self.do(self.mo, type="slow", room="den", seconds=0)["seconds"], 0)
        self.assertEqual(self.code(self.al, type="", room="den", msg="2"), "")


class TopicTests(ModerationTestCase):
    """The topic of a room that has an owner, and of one that has none."""

    def setUp(self) -> None:
        super().setUp()
        self.cy = self.register("cy")
        self.ask(self.cy, type="join", room="den")

    def test_only_accounts_with_a_role_set_it(self) -> None:
        for peer in self.al, self.cy:
            error = self.do(peer, type="topic", room="den", msg="mine")
            text = "only members of the room Den may set its topic: ask a moderator"
            self.assertEqual((error["code"], error["msg"]), ("denied", text))
        self.do(self.mo, type="grant", room="den", nick="cy", role="member")
        self.do(self.ops, type="join", room="den")
        for peer in self.cy, self.mo, self.olga, self.ops:
            self.assertEqual(self.code(peer, type="topic", room="den", msg="ours"), "")
        self.assertEqual(self.do(self.al, type="join", room="den")["topic"], "ours")

    def test_a_refused_topic_is_no_message_of_slow_mode(self) -> None:
        self.do(self.mo, type="slow", room="den", seconds=10)
        self.assertEqual(self.code(self.al, type="topic", room="den", msg="mine"), "denied")
        self.assertEqual(self.code(self.al, type="", room="den", msg="hi"), "")

    def test_everybody_sets_it_where_nobody_keeps_order(self) -> None:
        for room in "lobby", "guests":
            self.do(self.al, type="join", room=room)
            self.assertEqual(self.code(self.al, type="topic", room=room, msg="ours"), "")
        self.do(self.ops, type="grant", room="lobby", nick="cy", role="member")
        self.assertEqual(self.code(self.al, type="topic", room="lobby", msg="ours"), "")
        self.do(self.ops, type="grant", room="lobby", nick="mo", role="moderator")
        self.assertEqual(self.code(self.al, type="topic", room="lobby", msg="mine"), "denied")

    def test_a_topic_is_a_message_for_a_mute_and_slow_mode(self) -> None:
        self.do(self.mo, type="grant", room="den", nick="cy", role="member")
        self.do(self.mo, type="slow", room="den", seconds=10)
        self.assertEqual(self.code(self.cy, type="topic", room="den", msg="1"), "")
        self.assertEqual(self.code(self.cy, type="topic", room="den", msg="2"), "rate-limited")
        self.do(self.mo, type="slow", room="den", seconds=0)
        self.do(self.mo, type="mute", room="den", nick="cy")
        self.assertEqual(self.code(self.cy, type="topic", room="den", msg="3"), "rate-limited")


class LockTests(ModerationTestCase):
    def test_a_lock_puts_out_all_who_are_no_members(self) -> None:
        self.do(self.olga, type="grant", room="den", nick="ops", role="member")
        self.hush()
        self.assertEqual(self.do(self.mo, type="lock", room="den", on=True)["on"], True)
        self.assertEqual(self.members(), ["mo", "olga"])
        self.assertEqual([obj["type"] for obj in self.heard(self.al)], ["kick"])
        self.assertEqual(self.code(self.al, type="join", room="den"), "denied")
        self.assertEqual(self.do(self.mo, type="lock", room="den", on=False)["on"], False)
        self.assertEqual(self.code(self.al, type="join", room="den"), "")

    def test_somebody_who_is_invited_may_come_in(self) -> None:
        self.do(self.mo, type="lock", room="den", on=True)
        self.hush()
        invite = {"type": "invite", "author": "mo", "room": "Den", "nick": "al", "msg": "come"}
        self.assertEqual(self.do(self.mo, type="invite", room="den", nick="al", msg="come"), invite)
        self.assertEqual(self.heard(self.al), [invite])
        self.assertEqual(self.heard(self.bo), [])
        self.assertEqual(self.code(self.al, type="join", room="den"), "")
        self.assertEqual(self.code(self.bo, type="join", room="den"), "denied")

    def test_an_invitation_ends_with_the_connection_of_a_guest(self) -> None:
        self.do(self.mo, type="lock", room="den", on=True)
        self.do(self.mo, type="invite", room="den", nick="al")
        self.al.send({"type": "quit"})
        self.server.clock.advance(1)
        other = self.hello("al")[0]
        self.assertEqual(self.code(other, type="join", room="den"), "denied")
        self.do(self.mo, type="invite", room="den", nick="al")
        self.assertEqual(self.code(other, type="join", room="den"), "")

    def test_only_an_account_is_invited_while_it_is_not_there(self) -> None:
        self.assertEqual(self.code(self.mo, type="invite", room="den", nick="zed"), "no-such-nick")
        zed = self.register("zed")
        zed.send({"type": "quit"})
        self.do(self.mo, type="lock", room="den", on=True)
        self.assertEqual(self.code(self.mo, type="invite", room="den", nick="zed"), "")
        self.server.clock.advance(1)
        zed = self.hello("zed", password=HORSE)[0]
        self.assertEqual(self.code(zed, type="join", room="den"), "")

    def test_a_member_whose_role_ends_is_put_out(self) -> None:
        peer = self.register("zed")
        self.do(self.olga, type="grant", room="den", nick="zed", role="member")
        self.do(self.mo, type="lock", room="den", on=True)
        self.assertEqual(self.code(peer, type="join", room="den"), "")
        self.do(self.olga, type="grant", room="den", nick="zed", role="none")
        self.assertEqual(self.members(), ["mo", "olga"])


class GrantTests(ModerationTestCase):
    def test_owners_name_moderators_and_moderators_name_members(self) -> None:
        self.register("zed")
        for peer, role, code in (
            (self.mo, "member", ""),
            (self.mo, "moderator", "denied"),
            (self.mo, "owner", "denied"),
            (self.olga, "moderator", ""),
            (self.mo, "none", "denied"),
            (self.olga, "owner", ""),
        ):
            self.assertEqual(self.code(peer, type="grant", room="den", nick="zed", role=role), code, role)
        self.assertIs(self.role("zed"), Role.OWNER)
        self.assertEqual(self.audit()[0], ("grant", "olga", "den", "zed", "owner"))

    def test_only_accounts_have_roles(self) -> None:
        self.assertEqual(self.code(self.olga, type="grant", room="den", nick="al", role="member"), "no-such-nick")

    def test_one_may_step_down_but_the_last_owner_may_not(self) -> None:
        self.assertEqual(self.code(self.mo, type="grant", room="den", nick="mo", role="none"), "")
        self.assertEqual(self.code(self.olga, type="grant", room="den", nick="olga", role="none"), "denied")
        self.do(self.olga, type="grant", room="den", nick="mo", role="owner")
        self.assertEqual(self.code(self.olga, type="grant", room="den", nick="olga", role="member"), "")
        self.assertIs(self.role("olga"), Role.MEMBER)

    def test_of_two_owners_who_step_down_at_the_same_time_one_stays(self) -> None:
        self.do(self.olga, type="grant", room="den", nick="mo", role="owner")
        held = self.registry.held = []
        for peer, nick in (self.olga, "olga"), (self.mo, "mo"):
            peer.send({"type": "grant", "room": "den", "nick": nick, "role": "none"})
        while held:
            held.pop()()
        self.server.settle()
        self.assertEqual({self.role("olga"), self.role("mo")}, {Role.GUEST, Role.OWNER})

    def test_operators_let_accounts_in_and_shut_them_out(self) -> None:
        self.assertEqual(self.code(self.ops, type="grant", nick="mo", role="moderator"), "bad-message")
        self.assertEqual(self.code(self.ops, type="grant", nick="ops", role="none"), "denied")
        self.assertEqual(self.code(self.ops, type="grant", nick="zed", role="none"), "no-such-nick")
        self.assertEqual(self.code(self.ops, type="grant", nick="mo", role="none", msg="x" * 257), "bad-message")
        self.assertFalse(self.mo.wire.closed)
        self.assertEqual(self.do(self.ops, type="grant", nick="mo", role="none")["role"], "none")
        self.assertTrue(self.mo.wire.closed)
        self.assertEqual(self.hello("mo", HORSE)[1]["code"], "denied")
        self.do(self.ops, type="grant", nick="mo", role="member")
        self.assertEqual(self.hello("mo", HORSE)[1]["type"], "welcome")
        self.assertEqual(self.audit()[0], ("grant", "ops", SERVER_WIDE, "mo", "member"))


class ReportTests(ModerationTestCase):
    def test_an_operator_who_is_there_hears_of_it(self) -> None:
        seq = self.do(self.al, type="", room="den", msg="rude")["seq"]
        self.hush()
        answer = self.do(self.bo, type="report", room="den", of=seq, msg="rude")
        time = answer.pop("time")
        self.assertEqual(answer, {"type": "report", "author": "bo", "room": "Den", "of": seq, "msg": "rude"})
        self.assertEqual(self.heard(self.ops), [{**answer, "time": time}])
        self.assertEqual([self.heard(peer) for peer in (self.olga, self.al)], [[], []])
        self.assertEqual(self.successResultOf(self.registry.reports(0, 9)), [])

    def test_it_waits_for_an_operator_who_is_not_there(self) -> None:
        seq = self.do(self.al, type="", room="den", msg="rude")["seq"]
        self.ops.cut()
        for msg in "rude", "very rude":
            self.do(self.bo, type="report", room="den", of=seq, msg=msg)
        (kept, _) = self.successResultOf(self.registry.reports(0, 9))
        self.assertEqual((kept.room, kept.of, kept.author, kept.msg), ("den", seq, "bo", "rude"))
        self.hello("olga", HORSE)
        ops = self.server.connect()
        for expected in ["welcome", "report", "report"], ["welcome"]:
            ops = self.server.connect()
            ops.send({"type": "hello", "nick": "ops", "password": HORSE})
            self.assertEqual([obj["type"] for obj in self.heard(ops)], expected)
            ops.cut()

    def test_an_operator_who_goes_at_once_leaves_it_for_the_next(self) -> None:
        seq = self.do(self.al, type="", room="den", msg="rude")["seq"]
        self.ops.cut()
        self.do(self.bo, type="report", room="den", of=seq)
        read = self.registry.reports
        ops = self.server.connect()

        def cut_and_read(*asked: int) -> Any:
            ops.cut()
            return read(*asked)

        self.patch(self.registry, "reports", cut_and_read)
        ops.send({"type": "hello", "nick": "ops", "password": HORSE})
        self.server.settle()
        self.assertEqual(len(self.successResultOf(read(0, 9))), 1)

    def test_only_what_one_could_read_is_reported(self) -> None:
        self.assertEqual(self.code(self.ops, type="report", room="den", of=1), "not-joined")
        for of in 0, 7:
            self.assertEqual(self.code(self.bo, type="report", room="den", of=of), "bad-message")

    def test_ten_in_an_hour(self) -> None:
        seq = self.do(self.al, type="", room="den", msg="rude")["seq"]
        codes = [self.code(self.bo, type="report", room="den", of=seq) for _ in range(11)]
        self.assertEqual(codes, [""] * 10 + ["rate-limited"])
        self.assertEqual(self.code(self.al, type="report", room="den", of=seq, msg="x" * 257), "bad-message")


class ActionTests(ModerationTestCase):
    def test_an_address_may_take_two_hundred_actions_and_then_one_a_second(self) -> None:
        self.server.clock.advance(10)
        for _ in range(200):
            self.assertEqual(self.code(self.mo, type="slow", room="den", seconds=5), "")
        self.assertEqual(self.code(self.mo, type="slow", room="den", seconds=6), "rate-limited")
        self.assertEqual(self.audit()[0], ("slow", "mo", "den", "", "5"), "what is refused is not kept")
        self.assertEqual(self.code(self.mo, type="who", room="den"), "")
        self.server.clock.advance(1)
        self.assertEqual(self.code(self.mo, type="slow", room="den", seconds=0), "")


class AuditTests(ModerationTestCase):
    def test_moderators_read_what_was_done_in_their_room(self) -> None:
        self.do(self.mo, type="kick", room="den", nick="al", msg="calm down")
        self.do(self.olga, type="join", room="attic")
        page = self.do(self.mo, type="audit", room="den", limit=2)
        self.assertEqual((page["room"], page["more"]), ("Den", True))
        kick, grant = page["actions"]
        self.assertEqual(kick.pop("time"), "2026-11-22T11:06:36.125Z")
        self.assertEqual(
            kick,
            {
                "seq": kick["seq"],
                "type": "kick",
                "author": "mo",
                "account": "mo",
                "room": "den",
                "target": "al",
                "msg": "calm down",
            },
        )
        self.assertEqual((grant["type"], grant["target"], grant["value"]), ("grant", "mo", "moderator"))
        older = self.do(self.mo, type="audit", room="den", before=grant["seq"])
        self.assertEqual(([one["target"] for one in older["actions"]], older["more"]), (["olga"], False))

    def test_operators_read_all(self) -> None:
        self.ask(self.olga, type="join", room="attic")
        rooms = [one["room"] for one in self.do(self.ops, type="audit")["actions"]]
        self.assertEqual(rooms, ["attic", "den", "den"])


class EntryTests(ModerationTestCase):
    """Whoever may not enter a room may not read it."""

    def setUp(self) -> None:
        super().setUp()
        self.do(self.olga, type="", room="den", msg="a secret")
        self.do(self.olga, type="topic", room="den", msg="a secret topic")
        self.do(self.mo, type="lock", room="den", on=True)
        self.hush()

    def test_every_request_about_a_room_is_refused(self) -> None:
        fields: dict[str, Any] = {
            "room": "den",
            "nick": "bo",
            "who": "bo",
            "msg": "x",
            "of": 1,
            "role": "member",
            "seconds": 1,
            "on": True,
            "id": "1",
        }
        self.register("zed").cut()
        about_rooms = [request for request in get_args(messages.AnyRequest) if "room" in request.__struct_fields__]
        self.assertGreaterEqual(len(about_rooms), 18)
        for request in about_rooms:
            type = str(request.__struct_config__.tag)
            used = {name: value for name, value in fields.items() if name in request.__struct_fields__}
            for peer in self.al, self.hello("zed", HORSE)[0]:
                answer = self.do(peer, **{**used, "type": type})
                self.assertEqual(answer["type"], "error", type)
                self.assertIn(answer["code"], ("denied", "not-joined"), type)
                self.assertNotIn("secret", repr(answer))
                peer.cut()
                if peer is self.al:
                    self.al, _ = self.hello("al")

    def test_every_request_of_the_table_has_been_thought_of(self) -> None:
        """A new request either names a room, by this name, or reads nothing of a room, or filters what it shows."""
        without = {request for request in get_args(messages.AnyRequest) if "room" not in request.__struct_fields__}
        self.assertEqual(gate.table.keys(), {*get_args(messages.AnyRequest), messages.WireError})
        known = {
            messages.Hello,
            messages.ListRooms,
            messages.ListDirects,
            messages.Nick,
            messages.Ping,
            messages.Pong,
            messages.Quit,
            messages.Register,
            messages.ChangePassword,
            messages.MakeToken,
            messages.ListTokens,
            messages.RevokeToken,
        }
        self.assertEqual(without, known)
        about_rooms = set(get_args(messages.AnyRequest)) - without
        self.assertEqual({request for request in about_rooms if not gate.table[request].checks}, {messages.Say})

    def test_a_room_is_not_listed_for_those_who_may_not_enter(self) -> None:
        for peer, listed in (self.al, []), (self.olga, ["Den"]), (self.ops, ["Den"]):
            rooms = self.do(peer, type="rooms")["rooms"]
            self.assertEqual([room["room"] for room in rooms if room["room"] != "lobby"], listed)

    def test_locked_rooms_take_no_place_in_the_list_from_those_that_one_may_enter(self) -> None:
        self.patch(messages, "MAX_PAGE", 3)
        for number in range(5):  # large ones with somebody in them, and ones that come first by name
            name = f"big{number}"
            for peer in self.olga, self.mo, self.ops:
                self.do(peer, type="join", room=name)
            self.registry.rules.apply(Change((Rule(room=name, kind="lock"), Rule(room=f"a{number}", kind="lock"))))
            self.server.fake.room(names.room(f"a{number}")).append_elsewhere(("eve", "hi"))
        self.do(self.bo, type="join", room="open")
        self.server.fake.room(names.room("kept")).append_elsewhere(("eve", "hi"))
        self.assertEqual(self.listed(self.al), ["open", "kept"])
        self.assertEqual(self.listed(self.ops), ["Den", "big0", "big1"])
        self.registry.rules.apply(
            Change((Rule(room="big1", kind="invite", subject="al", time=2**50),), (RuleKey("big2", "lock", ""),))
        )
        self.assertEqual(self.listed(self.al), ["big1", "big2", "open"])

    def test_a_list_of_rooms_costs_more_where_many_are_locked(self) -> None:
        charged: list[int] = []
        self.patch(Session, "charge_work", lambda session, price: charged.append(price))
        locks = tuple(Rule(room=f"room{number}", kind="lock") for number in range(10 * LOCKED))
        self.registry.rules.apply(Change(locks))
        self.do(self.al, type="rooms")
        self.assertIn(10, charged)

    def listed(self, peer: Peer) -> list[str]:
        return [room["room"] for room in self.do(peer, type="rooms")["rooms"]]

    def test_a_ban_while_a_room_is_being_opened_keeps_out(self) -> None:
        self.server.fake.held.add("open")
        self.al.send({"type": "join", "room": "attic", "id": "1"})
        self.server.settle()
        self.registry.rules.apply(Change((Rule(room="attic", kind="ban", subject="al"),)))
        self.server.fake.release()
        self.assertEqual([obj.get("code") for obj in self.heard(self.al)], ["banned"])


class BareTests(ModerationTestCase):
    """A client that says no hello is a guest like others."""

    def lobby(self, kind: Any, **fields: Any) -> None:
        self.registry.rules.apply(Change((Rule(room="lobby", kind=kind, **fields),)))

    def test_one_that_may_not_enter_the_lobby_reads_nothing(self) -> None:
        self.lobby("lock")
        self.do(self.ops, type="join", room="lobby")
        bare = self.server.connect()
        self.server.clock.advance(1)
        self.do(self.ops, type="", room="lobby", msg="a secret")
        self.server.clock.advance(1)
        self.assertEqual(bare.got_segments(), [])
        bare.send({"msg": "hi"})
        self.server.clock.pump([1, 1])
        (error,) = bare.got_segments()
        self.assertEqual((error["type"], "locked" in error["msg"]), ("error", True))

    def test_one_that_is_there_is_put_out(self) -> None:
        speaker, reader = self.server.connect(label="1001"), self.server.connect(label="1002")
        self.do(self.ops, type="join", room="lobby")
        speaker.send({"msg": "hi"})
        self.server.clock.advance(1)
        for bare in speaker, reader:
            bare.wire.written.clear()
        self.hush()
        self.lobby("lock")
        self.server.clock.pump([1, 1])
        self.assertEqual([obj["type"] for obj in speaker.got_segments()], ["error", "stop"])
        self.assertEqual([obj["type"] for obj in self.heard(self.ops)], ["kick"])
        self.do(self.ops, type="", room="lobby", msg="a secret")
        self.server.clock.advance(1)
        self.assertEqual(reader.got_segments(), [])

    def test_one_that_could_not_enter_reads_on_once_it_can(self) -> None:
        self.lobby("lock")
        bare = self.server.connect()
        self.server.clock.advance(1)
        self.registry.rules.apply(Change(ended=(RuleKey("lobby", "lock", ""),)))
        bare.send({"msg": "hi"})
        self.do(self.ops, type="join", room="lobby")
        self.do(self.ops, type="", room="lobby", msg="hello")
        self.server.clock.pump([1, 1])
        self.assertEqual([obj["msg"] for obj in bare.got_segments()], ["hello"])

    def test_it_is_kicked_banned_and_muted_by_its_name(self) -> None:
        bare = self.server.connect(label="1001")
        self.do(self.ops, type="join", room="lobby")
        bare.send({"msg": "hi"})
        self.server.clock.advance(1)
        bare.wire.written.clear()
        self.assertEqual(self.do(self.ops, type="mute", room="lobby", nick="1001")["type"], "mute")
        bare.send({"msg": "hi"})
        self.server.clock.advance(1)
        self.assertIn("muted", bare.got_segments()[0]["msg"])
        self.assertEqual(self.do(self.ops, type="kick", room="lobby", nick="1001")["type"], "kick")
        self.server.clock.pump([1, 1])
        self.assertEqual([obj["type"] for obj in bare.got_segments()], ["error", "stop"])


class GoneTests(ModerationTestCase):
    def test_the_asker_may_be_gone_when_it_is_done(self) -> None:
        self.do(self.al, type="", room="den", msg="rude")
        for request in (
            {"type": "ban", "who": "al"},
            {"type": "invite", "nick": "al"},
            {"type": "report", "of": 1},
            {"type": "audit"},
        ):
            peer, _ = self.hello("mo2", HORSE) if request["type"] != "ban" else (self.register("mo2"), None)
            self.registry.rules.apply(Change((Rule(room="den", kind="role", subject="mo2", value=Role.MODERATOR),)))
            self.do(peer, type="join", room="den")
            held = self.registry.held = []
            peer.send({**request, "room": "den"})
            peer.cut()
            self.registry.held = None
            held.pop()()
            self.server.settle()
            self.assertEqual(peer.got(), [])
        self.assertEqual(self.code(self.al, type="join", room="den"), "banned")

    def test_an_operator_may_be_gone_when_an_account_is_shut_out(self) -> None:
        held = self.registry.held = []
        self.ops.send({"type": "grant", "nick": "mo", "role": "none"})
        self.ops.cut()
        while held:
            held.pop()()
        self.registry.held = None
        self.assertEqual(self.hello("mo", HORSE)[1]["code"], "denied")


class ManyTests(ModerationTestCase):
    def test_a_large_room_is_looked_at_in_several_turns(self) -> None:
        crowd = [self.hello(f"n{number}")[0] for number in range(150)]
        for peer in crowd:
            self.ask(peer, type="join", room="attic")
        self.server.clock.advance(2)
        looked: list[int] = []
        check = self.registry.rules.check_entry

        def watch(*asked: Any) -> None:
            looked.append(self.server.chat.rooms.turn.number)
            check(*asked)

        self.patch(self.registry.rules, "check_entry", watch)
        self.registry.rules.apply(Change((Rule(room="attic", kind="lock"),)))
        crowd[149].cut()
        self.server.settle()
        self.assertEqual([*Counter(looked).values()], [CHECKS_A_TURN, CHECKS_A_TURN, 149 - 2 * CHECKS_A_TURN])
        self.assertEqual(self.do(self.ops, type="who", room="attic")["members"], [])

    def test_other_changes_meanwhile_make_a_turn_no_longer(self) -> None:
        for number in range(150):
            self.ask(self.hello(f"n{number}")[0], type="join", room="attic")
        self.server.clock.advance(2)
        looked: list[int] = []
        check = self.registry.rules.check_entry
        another = Change((Rule(room="attic", kind="ban", subject="zoe"),))

        def watch(*asked: Any) -> None:
            looked.append(self.server.chat.rooms.turn.number)
            if len(looked) == 1:
                self.registry.rules.apply(another)
            check(*asked)

        self.patch(self.registry.rules, "check_entry", watch)
        self.registry.rules.apply(another)
        at_once = len(looked)
        self.registry.rules.apply(another)
        self.assertEqual(len(looked), at_once)
        self.server.settle()
        self.assertEqual(len(looked), 3 * 150)
        self.assertEqual(max([*Counter(looked).values()][1:]), CHECKS_A_TURN)

    def test_so_are_all_of_the_server(self) -> None:
        crowd = [self.hello(f"n{number}", address="203.0.113.1")[0] for number in range(150)]
        self.registry.rules.apply(Change((Rule(room=SERVER_WIDE, kind="ban", subject="203.0.113.1"),)))
        crowd[149].cut()
        self.server.settle()
        self.assertEqual({peer.wire.closed for peer in crowd[:149]}, {True})
        self.assertEqual(len(self.server.chat.nicks), 5)
