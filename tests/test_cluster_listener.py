"""What a chat does with what it hears of other servers, and what it asks and tells them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from twisted_chat import names
from twisted_chat.cluster import ClusterListener, Elsewhere, Standalone, digest_of
from twisted_chat.log import Unavailable
from twisted_chat.login import Policy
from twisted_chat.messages import Kicked, MemberJoined, MemberLeft, Message, Reply, TopicChanged, WireError
from twisted_chat.names import Name
from twisted_chat.registry import StoredAccount
from twisted_chat.requests.identity import MAX_SESSIONS
from twisted_chat.rules import Change, Role, Rule, RuleKey

from .helpers import Peer
from .logins import HORSE
from .test_account_requests import AccountTestCase

SECRET = "secret" * 6
"""A token of a hello."""


class FakeCluster(Standalone):
    """Another server, as a test wants it to be."""

    def __init__(self) -> None:
        self.here: ClusterListener | None = None
        self.said: list[Any] = []
        self.networks_claimed: list[str] = []
        self.claiming: Deferred[int] = succeed(0)
        self.there: list[Name] = []
        self.networks: dict[str, str] = {}
        """The networks of those who are there, by their keys."""
        self.accounts: set[str] = set()
        """The keys of those who are there and have an account."""
        self.also_there: set[tuple[str, str]] = set()
        """The rooms and accounts that are there as well as here, by their keys."""
        self.closed = False

    def follow(self, here: ClusterListener) -> None:
        self.here = here

    def claim(self, nick: Name, is_account: bool, token: str | None, network: str) -> Deferred[int]:
        self.said.append(("claim", nick.shown, is_account, token))
        self.networks_claimed.append(network)
        claiming, self.claiming = self.claiming, succeed(0)
        return claiming

    def registered(self, nick: Name) -> None:
        self.said.append(("registered", nick.shown))

    def release(self, nick: Name) -> None:
        self.said.append(("release", nick.shown))

    def publish(self, room: Name, notice: Reply, count: int, is_told: bool = True) -> None:
        self.said.append((room.key, notice, count) if is_told else ("silently", room.key, notice, count))

    def is_member(self, room: str, nick: str) -> bool:
        return (room, nick) in self.also_there

    def count(self, room: str) -> int:
        return len(self.there) if room == "den" else 0

    def occupied(self) -> list[tuple[Name, int]]:
        return [(names.room("Den"), len(self.there)), (names.room("attic"), 7)] if self.there else []

    def members(self, room: str) -> Deferred[list[Name]]:
        return succeed(self.there if room == "den" else [])

    def find(self, nick: str) -> Deferred[Elsewhere | None]:
        found = (Elsewhere(name, self.networks.get(nick, ""), nick in self.accounts) for name in self.there)
        return succeed(next((there for there in found if there.name.key == nick), None))

    def hand_over(self, nick: Name, reply: Reply) -> None:
        self.said.append((nick.shown, reply))

    def report(self, notice: Reply, seq: int) -> None:
        self.said.append(("report", notice, seq))

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        self.said.append(("kick", room, nick.shown, author, reason))


class ElsewhereTestCase(AccountTestCase):
    """A chat with another server beside it; al and the guest bo are in a room."""

    def setUp(self) -> None:
        self.cluster = self.other = FakeCluster()
        super().setUp()
        self.al = self.register("Al")
        self.bo, _ = self.hello("Bo", token=SECRET)
        for peer in self.al, self.bo:
            self.ask(peer, type="join", room="Den")
        self.forget()

    def forget(self) -> None:
        self.server.hush(self.al, self.bo)
        self.other.said.clear()

    @property
    def here(self) -> ClusterListener:
        assert self.other.here
        return self.other.here

    def heard(self, peer: Peer) -> list[dict[str, Any]]:
        self.server.settle()
        return peer.got()

    def do(self, peer: Peer, **request: Any) -> dict[str, Any]:
        """Send a request, and return its answer."""
        peer.send({"id": "1", **request})
        self.server.settle()
        (answer,) = (obj for obj in peer.got() if obj.get("id") == "1")
        return answer


class NickTests(ElsewhereTestCase):
    """A nick is claimed before it is taken, and released by each who has claimed it."""

    def test_a_hello_claims_the_nick_until_its_end(self) -> None:
        cy, _ = self.hello("Cy", token=SECRET)
        self.assertEqual(self.other.said, [("claim", "Cy", False, SECRET)])
        cy.cut()
        self.assertEqual(self.other.said[1:], [("release", "Cy")])

    def test_an_account_claims_its_own_name(self) -> None:
        phone, answer = self.hello("AL", HORSE)
        self.assertEqual((self.other.said, answer["nick"]), ([("claim", "Al", True, None)], "Al"))
        phone.cut()
        self.assertEqual(self.other.said[1:], [("release", "Al")])

    def test_a_nick_that_somebody_elsewhere_has_is_refused(self) -> None:
        self.other.claiming = fail(WireError("nick-taken", "somebody else has this nick"))
        peer, answer = self.hello("cy")
        self.assertEqual(answer["code"], "nick-taken")
        self.assertEqual(self.other.said, [("claim", "cy", False, None)])
        self.assertEqual(self.ask(peer, type="hello", nick="cy")["type"], "welcome")

    def test_a_claim_for_a_nick_that_is_taken_here_is_released(self) -> None:
        _, answer = self.hello("bo")
        self.assertEqual(answer["code"], "nick-taken")
        self.assertEqual(self.other.said, [("claim", "bo", False, None), ("release", "bo")])

    def test_a_claim_of_a_connection_that_has_gone_meanwhile_is_released(self) -> None:
        claiming = self.other.claiming = Deferred()
        peer = self.server.connect()
        peer.send({"type": "hello", "nick": "cy"})
        peer.cut()
        claiming.callback(0)
        self.assertEqual(self.other.said, [("claim", "cy", False, None), ("release", "cy")])

    def test_a_change_of_nick_claims_the_new_one_and_releases_the_old_one(self) -> None:
        self.do(self.bo, type="nick", nick="Ed")
        self.assertEqual(self.other.said[:2], [("claim", "Ed", False, SECRET), ("release", "Bo")])
        self.other.said.clear()
        self.assertEqual(self.do(self.bo, type="nick", nick="self")["code"], "nick-taken")
        self.assertEqual(self.other.said, [("claim", "self", False, SECRET), ("release", "self")])
        self.other.claiming = fail(WireError("nick-taken", "somebody else has this nick"))
        self.assertEqual(self.do(self.bo, type="nick", nick="cy")["code"], "nick-taken")

    def test_a_change_of_nick_of_one_that_has_gone_meanwhile_is_released(self) -> None:
        claiming = self.other.claiming = Deferred()
        self.bo.send({"type": "nick", "nick": "cy"})
        self.bo.cut()
        claiming.callback(0)
        released = [said for said in self.other.said if said[0] == "release"]
        self.assertEqual(released, [("release", "Bo"), ("release", "cy")])

    def test_a_guest_that_has_connected_elsewhere_is_ended_here(self) -> None:
        self.here.nick_taken("bo", digest_of(SECRET))
        (stop,) = self.heard(self.bo)
        self.assertEqual((stop["type"], stop["code"]), ("stop", "replaced"))

    def test_a_bare_client_has_no_token(self) -> None:
        bare = self.server.connect()
        bare.send({"type": "", "msg": "hi"})
        self.here.nick_taken(bare.wire.label, digest_of(SECRET))
        self.server.settle()
        self.assertIn(bare.wire.label, self.server.chat.nicks)

    def test_only_the_session_with_the_token_is_ended(self) -> None:
        phone, laptop = (self.hello("Al", HORSE, token=token * 20)[0] for token in ("p", "l"))
        self.forget()
        self.here.nick_taken("al", digest_of("p" * 20))
        self.here.nick_taken("bo", digest_of("p" * 20))
        self.assertEqual([obj["type"] for obj in self.heard(phone)], ["stop"])
        for peer in self.al, laptop, self.bo:
            self.assertEqual(self.heard(peer), [])

    def test_a_nick_is_claimed_with_the_network_of_its_bearer(self) -> None:
        self.other.networks_claimed.clear()
        for nick, address in ("Cy", "2001:db8::1"), ("Dee", "127.0.0.1"), ("Ed", ""):
            self.hello(nick, address=address)
        self.assertEqual(self.other.networks_claimed, ["2001:db8::/64", "", ""], "many share the address of a proxy")

    def test_a_nick_that_is_registered_is_an_accounts_at_all_servers(self) -> None:
        self.do(self.bo, type="register", password=HORSE)
        self.assertEqual(self.other.said, [("registered", "Bo")])

    def test_one_that_waits_for_an_operator_is_a_guests(self) -> None:
        self.begin(Policy("approved"))
        cy, _ = self.hello("Cy")
        self.other.said.clear()
        self.assertTrue(self.do(cy, type="register", password=HORSE)["pending"])
        self.assertEqual(self.other.said, [])

    def test_an_account_has_a_number_of_sessions_at_all_servers(self) -> None:
        self.other.claiming = succeed(MAX_SESSIONS - 1)
        _, answer = self.hello("Al", HORSE)
        self.assertEqual(answer["code"], "full")
        self.other.claiming = succeed(MAX_SESSIONS - 2)
        _, answer = self.hello("Al", HORSE, token=SECRET)
        self.assertEqual(answer["type"], "welcome")
        self.other.claiming = succeed(MAX_SESSIONS - 2)
        _, answer = self.hello("Al", HORSE, token=SECRET)
        self.assertEqual(answer["type"], "welcome", "it takes the place of its own connection")

    def test_bare_clients_claim_their_nicks(self) -> None:
        bare = self.server.connect()
        bare.send({"type": "", "msg": "hi"})
        label = bare.wire.label
        self.assertEqual(self.other.said[0], ("claim", label, False, None))
        bare.cut()
        self.assertEqual(self.other.said[-1], ("release", label))

    def test_a_bare_client_gets_another_nick_if_its_own_is_borne_elsewhere(self) -> None:
        self.other.claiming = fail(WireError("nick-taken", "somebody else has this nick"))
        bare = self.server.connect()
        bare.send({"type": "", "msg": "hi"})
        claims = [said[1] for said in self.other.said if said[0] == "claim"]
        self.assertEqual(claims, [bare.wire.label, f"{bare.wire.label}-2"])
        self.server.settle()
        self.assertEqual([record.author for record in self.server.fake.logs["lobby"].records], [f"{bare.wire.label}-2"])

    def test_a_claim_of_a_bare_client_that_has_gone_meanwhile_is_released(self) -> None:
        claiming = self.other.claiming = Deferred()
        bare = self.server.connect()
        bare.send({"type": "", "msg": "hi"})
        bare.cut()
        claiming.callback(0)
        label = bare.wire.label
        self.assertEqual(self.other.said, [("claim", label, False, None), ("release", label)])
        self.assertNotIn(label, self.server.chat.nicks)

    def test_a_bare_client_whose_nick_was_taken_meanwhile_gets_another_one(self) -> None:
        claiming = self.other.claiming = Deferred()
        bare = self.server.connect()
        bare.send({"type": "", "msg": "hi"})
        label = bare.wire.label
        _, answer = self.hello(label)
        self.assertEqual(answer["type"], "welcome")
        claiming.callback(0)
        self.server.settle()
        self.assertEqual([record.author for record in self.server.fake.logs["lobby"].records], [f"{label}-2"])
        self.assertIn(("release", label), self.other.said)

    def test_a_bare_client_that_may_not_enter_by_then_gives_its_nick_up(self) -> None:
        claiming = self.other.claiming = Deferred()
        bare = self.server.connect()
        bare.send({"type": "", "msg": "hi"})
        self.registry.rules.apply(Change((Rule(room="lobby", kind="lock"),)))
        claiming.callback(0)
        self.server.settle()
        self.assertEqual(self.other.said[-1], ("release", bare.wire.label))
        self.assertNotIn(bare.wire.label, self.server.chat.nicks)
        self.assertEqual(self.server.fake.logs["lobby"].records, [])

    def test_a_nick_that_became_somebody_elses_is_given_up(self) -> None:
        self.here.nick_lost("al")
        self.assertEqual(self.heard(self.al), [], "it is an account")
        self.here.nick_lost("bo")
        error, stop = self.heard(self.bo)
        self.assertEqual((error["code"], stop["type"]), ("nick-taken", "stop"))


class NoticeTests(ElsewhereTestCase):
    """Members are told what happens at other servers, and these what happens here."""

    def test_what_members_are_told_is_published(self) -> None:
        cy, _ = self.hello("Cy")
        self.do(cy, type="join", room="den")
        self.do(self.al, type="topic", room="den", msg="cats")
        self.do(cy, type="leave", room="den")
        self.bo.cut()
        published = [said for said in self.other.said if said[0] == "den"]
        self.assertEqual(
            [(type(notice), count) for _, notice, count in published],
            [
                (MemberJoined, 3),
                (TopicChanged, 3),
                (MemberLeft, 2),
                (MemberLeft, 1),
            ],
        )

    def test_notices_of_others_are_told_and_not_published_again(self) -> None:
        notice = MemberJoined(author="Eve", room="Den")
        topic = TopicChanged(author="Eve", room="Den", msg="dogs")
        for one in (notice, topic):
            self.here.notice_heard("den", one)
            self.here.notice_heard("attic", one)
        self.assertEqual([obj["type"] for obj in self.heard(self.bo)], ["join", "topic"])
        self.assertEqual(self.other.said, [])
        self.assertEqual(self.server.room("den").topic, topic)

    def test_an_account_that_is_in_a_room_elsewhere_too_enters_and_leaves_without_a_notice(self) -> None:
        self.other.also_there = {("den", "al")}
        phone, _ = self.hello("Al", HORSE)
        self.do(phone, type="join", room="den")
        self.forget()
        self.do(phone, type="leave", room="den")
        self.assertEqual(self.other.said, [], "it is still here")
        left, joined = MemberLeft(author="Al", room="Den"), MemberJoined(author="Al", room="Den")
        self.do(self.al, type="leave", room="den")
        self.do(self.al, type="join", room="den")
        self.al.cut()
        said = [said for said in self.other.said if said[0] != "release"]
        self.assertEqual(
            said, [("silently", "den", left, 1), ("silently", "den", joined, 2), ("silently", "den", left, 1)]
        )
        self.assertEqual(self.heard(self.bo), [])

    def test_a_nick_is_released_when_it_has_left_its_rooms(self) -> None:
        self.bo.cut()
        self.assertEqual([said[0] for said in self.other.said], ["den", "release"])

    def test_large_rooms_are_counted_at_all_servers(self) -> None:
        self.other.there = [names.nick(f"n{number}") for number in range(100)]
        self.here.notice_heard("den", MemberJoined(author="n1", room="Den"))
        self.assertEqual(self.heard(self.bo), [])
        self.server.clock.advance(1)
        self.assertEqual(self.heard(self.bo), [{"type": "presence", "room": "Den", "count": 102}])
        self.assertEqual(self.other.said, [])

    def test_who_and_rooms_show_everybody(self) -> None:
        self.other.there = [names.nick("Eve"), names.nick("AL")]
        who = self.do(self.bo, type="who", room="den")
        self.assertEqual((who["members"], who["count"]), (["Al", "Bo", "Eve"], 3))
        rooms = self.do(self.bo, type="rooms")["rooms"]
        self.assertEqual([(room["room"], room["count"]) for room in rooms], [("attic", 7), ("Den", 4)])
        cy, _ = self.hello("cy")
        self.assertEqual(self.do(cy, type="join", room="den")["count"], 5)
        self.assertEqual(self.do(cy, type="who", room="nowhere")["count"], 0)

    def test_a_room_with_members_elsewhere_has_no_new_owner(self) -> None:
        self.other.there = [names.nick("Eve")]
        for peer in self.al, self.bo:
            self.do(peer, type="leave", room="den")
        self.registry.rules.apply(Change(ended=tuple(rule.key for rule in self.registry.rules)))
        self.assertNotIn("role", self.do(self.al, type="join", room="den"))

    def test_the_first_owner_stays_while_somebody_is_in_the_room_elsewhere(self) -> None:
        rule = next(iter(self.registry.rules))
        self.other.there = [names.nick("Eve")]
        for peer in self.al, self.bo:
            self.do(peer, type="leave", room="den")
        self.assertEqual(self.registry.rules.get(rule.key), rule)
        self.other.there = []
        self.do(self.al, type="join", room="den")
        self.do(self.al, type="leave", room="den")
        self.assertIsNone(self.registry.rules.get(rule.key))


class MessageTests(ElsewhereTestCase):
    """Messages to a nick reach its bearers wherever they are."""

    def test_a_message_to_a_guest_elsewhere_is_handed_over_and_acked(self) -> None:
        self.other.there = [names.nick("Eve")]
        ack = self.do(self.bo, type="", to="eve", msg="psst")
        self.assertEqual((ack["type"], ack["to"]), ("ack", "Eve"))
        ((to, message),) = self.other.said
        self.assertEqual((to, message.msg, message.author, message.to, message.seq), ("Eve", "psst", "Bo", "Eve", None))
        self.assertEqual(self.do(self.bo, type="", to="cy", msg="psst")["code"], "no-such-nick")

    def test_a_message_of_a_guest_reaches_all_sessions_of_an_account(self) -> None:
        self.do(self.bo, type="", to="al", msg="psst")
        ((to, message),) = self.other.said
        self.assertEqual((to, message.msg, message.to), ("Al", "psst", "Al"))
        self.assertEqual([obj["msg"] for obj in self.heard(self.al)], ["psst"])
        self.other.said.clear()
        self.do(self.al, type="", to="bo", msg="psst")
        self.assertEqual(self.other.said, [], "a guest is at one server")

    def test_a_message_of_one_that_has_gone_meanwhile_is_not_handed_over(self) -> None:
        found: Deferred[Elsewhere | None] = Deferred()
        self.patch(self.other, "find", lambda nick: found)
        self.bo.send({"type": "", "to": "eve", "msg": "psst"})
        self.bo.cut()
        self.other.said.clear()
        found.callback(Elsewhere(names.nick("Eve"), "", False))
        self.assertEqual(self.other.said, [])

    def test_a_message_from_elsewhere_is_sent_to_those_who_read(self) -> None:
        message = Message("psst", "Eve", None, "Bo", None, "2026-11-22T11:06:36.125Z")
        self.here.reply_heard("bo", message)
        self.assertEqual([obj["msg"] for obj in self.heard(self.bo)], ["psst"])
        self.bo.pause()
        self.here.reply_heard("bo", message)
        self.assertEqual(self.heard(self.bo), [])

    def test_direct_messages_from_elsewhere_open_their_log(self) -> None:
        log = self.server.fake.room(names.direct(names.nick("Al"), names.nick("Eve")))
        log.append_elsewhere(("Eve", "1"), ("Eve", "2"), ("Eve", "3"))
        self.here.direct_heard(Name("@al@eve", "@al@eve"), 2)
        self.assertEqual([(obj["msg"], obj["to"]) for obj in self.heard(self.al)], [("2", "Al"), ("3", "Al")])
        self.here.direct_heard(Name("@al@eve", "@al@eve"), 3)
        log.append_elsewhere(("Eve", "4"))
        self.assertEqual([obj["msg"] for obj in self.heard(self.al)], ["4"])
        self.assertEqual(self.heard(self.bo), [])

    def test_direct_messages_of_nobody_here_open_nothing(self) -> None:
        self.here.direct_heard(Name("@bo@eve", "@bo@eve"), 2)
        self.assertIsNone(self.server.chat.rooms.get("@bo@eve"), "bo is a guest")

    def test_a_log_that_cannot_be_opened_is_read_later(self) -> None:
        for error, logged in ((Unavailable("no"), 0), (ZeroDivisionError(), 1)):
            self.server.fake.failing["open"] = error
            self.here.direct_heard(Name("@al@eve", "@al@eve"), 2)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)


class KickTests(ElsewhereTestCase):
    """Moderators put people out wherever these are."""

    def setUp(self) -> None:
        super().setUp()
        role = Rule(room="den", kind="role", subject="al", value=Role.OWNER)
        self.registry.rules.apply(Change((role,)))

    def test_somebody_elsewhere_is_kicked_there(self) -> None:
        self.other.there = [names.nick("Eve")]
        answer = self.do(self.al, type="kick", room="den", nick="EVE", msg="spam")
        self.assertEqual((answer["type"], answer["nick"], answer["msg"]), ("kick", "Eve", "spam"))
        self.assertEqual(self.other.said, [("kick", "den", "EVE", "Al", "spam")])
        (action,) = self.successResultOf(self.registry.actions("den", 9, 1))
        self.assertEqual((action.kind, action.target), ("kick", "Eve"))
        self.assertEqual(self.do(self.al, type="kick", room="den", nick="cy")["code"], "no-such-nick")

    def test_somebody_elsewhere_who_is_above_is_not_kicked(self) -> None:
        eve = StoredAccount(name=names.nick("Eve"), skeleton="eve", password="", created=1)
        self.successResultOf(self.registry.add(eve))
        self.registry.rules.apply(Change((Rule(room="den", kind="role", subject="eve", value=Role.OWNER),)))
        self.other.there = [eve.name]
        self.assertEqual(self.do(self.al, type="kick", room="den", nick="eve")["code"], "denied")
        self.assertEqual(self.other.said, [])

    def test_a_ban_or_a_mute_takes_the_network_of_a_guest_elsewhere_along(self) -> None:
        self.other.there = [names.nick("Eve")]
        self.other.networks = {"eve": "198.51.100.7"}
        for kind in "ban", "mute":
            self.do(self.al, type=kind, room="den", **{"who" if kind == "ban" else "nick": "EVE"})
            rule = self.registry.rules.get(RuleKey("den", kind, "eve"))
            assert rule is not None
            self.assertEqual((rule.shown, rule.address), ("Eve", "198.51.100.7"))
        self.do(self.al, type="unban", room="den", who="eve")
        self.assertIsNone(self.registry.rules.get(RuleKey("den", "ban", "eve")))

    def test_nobody_bans_an_account_elsewhere_that_is_above(self) -> None:
        self.registry.rules.apply(Change((Rule(room="den", kind="role", subject="eve", value=Role.OWNER),)))
        self.other.there, self.other.accounts = [names.nick("Eve")], {"eve"}
        self.assertEqual(self.do(self.al, type="ban", room="den", who="eve")["code"], "denied")
        self.other.accounts.clear()
        self.assertEqual(self.do(self.al, type="ban", room="den", who="eve")["type"], "ban", "it is a guest")

    def test_a_guest_elsewhere_is_invited(self) -> None:
        self.other.there = [names.nick("Eve")]
        self.assertEqual(self.do(self.al, type="invite", room="den", nick="EVE")["nick"], "Eve")
        (to, notice) = self.other.said[-1]
        self.assertEqual((to, notice.nick, notice.author, notice.room), ("Eve", "Eve", "Al", "Den"))
        self.here.reply_heard("bo", notice)
        self.assertEqual([obj["type"] for obj in self.heard(self.bo)], ["invite"])
        self.assertEqual(self.do(self.al, type="invite", room="den", nick="cy")["code"], "no-such-nick")

    def test_a_report_is_shown_to_the_operators_at_all_servers(self) -> None:
        self.do(self.al, type="", room="den", msg="hi")
        self.other.said.clear()
        self.do(self.bo, type="report", room="den", of=1, msg="rude")
        ((_, notice, seq),) = self.other.said
        self.assertEqual((notice.msg, notice.author, seq), ("rude", "Bo", 1))
        self.here.report_heard(notice, seq)
        self.assertEqual(len(self.successResultOf(self.registry.reports(0, 9))), 1, "no operator is here")
        self.registry.rules.operators = frozenset({"al"})
        self.forget()
        self.here.report_heard(notice, seq)
        self.assertEqual([obj["msg"] for obj in self.heard(self.al)], ["rude"])
        self.assertEqual(self.successResultOf(self.registry.reports(0, 9)), [])
        self.registry.is_unavailable = True
        self.here.report_heard(notice, seq)
        self.registry.is_unavailable = False
        self.patch(self.registry, "finish_reports", lambda seq: fail(ZeroDivisionError()))
        self.here.report_heard(notice, seq)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_moderator_that_has_gone_meanwhile_gets_no_answer(self) -> None:
        members: Deferred[list[Name]] = Deferred()
        self.patch(self.other, "members", lambda room: members)
        self.al.send({"type": "kick", "room": "den", "nick": "eve"})
        self.al.cut()
        members.callback([names.nick("Eve")])
        self.assertIn(("kick", "den", "eve", "Al", ""), self.other.said)

    def test_all_sessions_of_an_account_are_kicked(self) -> None:
        ed = self.register("ed")
        self.do(ed, type="join", room="den")
        self.other.said.clear()
        self.do(self.al, type="kick", room="den", nick="ed")
        self.assertEqual([said[:3] for said in self.other.said if said[0] == "kick"], [("kick", "den", "ed")])
        self.do(self.al, type="kick", room="den", nick="bo")
        self.assertEqual(len([said for said in self.other.said if said[0] == "kick"]), 1, "bo is a guest, and was here")

    def test_a_kick_from_elsewhere_puts_out_and_is_told_to_all(self) -> None:
        self.here.kick_heard("den", "bo", "Eve", "spam")
        for peer in self.al, self.bo:
            (kick,) = self.heard(peer)
            self.assertEqual((kick["type"], kick["author"], kick["nick"], kick["msg"]), ("kick", "Eve", "Bo", "spam"))
        notice = Kicked(author="Eve", room="Den", nick="Bo", msg="spam")
        self.assertEqual(self.other.said, [("den", notice, 1)])
        self.here.kick_heard("den", "bo", "Eve", "spam")
        self.here.kick_heard("attic", "al", "Eve", "spam")
        self.assertEqual(len(self.other.said), 1)
