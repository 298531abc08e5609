"""Direct messages between accounts: a log of the two."""

from __future__ import annotations

from typing import Any

from twisted_chat.limits import ENTRY_CHARACTERS, MAX_UNSETTLED, Limits
from twisted_chat.log import Entry, Unavailable
from twisted_chat.room import Room
from twisted_chat.room.members import Member
from twisted_chat.session import Session

from .helpers import Peer, Server
from .logins import HORSE, make_login
from .test_account_requests import AccountTestCase

TIME = "2026-11-22T11:06:36.125Z"


class DirectTestCase(AccountTestCase):
    """The accounts al and bo are there, cy is not, and there is a guest."""

    def setUp(self) -> None:
        super().setUp()
        self.al, self.bo = self.register("Al"), self.register("bo")
        self.register("cy").cut()
        self.guest, _ = self.hello("guest")

    def say(self, peer: Peer, to: str, msg: str, id: str | None = "1") -> dict[str, Any]:
        return self.ask(peer, type="", to=to, msg=msg, id=id)

    def members(self, name: str) -> int:
        """The number of connections that are in the log of two accounts."""
        room = self.server.chat.rooms.get(name)
        assert room is not None
        return len(room.members)

    def heard(self, peer: Peer) -> list[tuple[str, str, str, int]]:
        """The direct messages that somebody has got since: author, recipient, text and number."""
        self.server.settle()
        got = peer.got()
        self.assertEqual({obj["type"] for obj in got} - {""}, set())
        return [(obj["author"], obj["to"], obj["msg"], obj["seq"]) for obj in got]


class KeptTests(DirectTestCase):
    def test_it_is_kept_numbered_and_acked(self) -> None:
        ack = self.say(self.al, "BO", "psst")
        self.assertEqual(ack, {"type": "ack", "id": "1", "to": "bo", "seq": 1, "time": TIME})
        self.server.settle()
        message = {"type": "", "msg": "psst", "author": "Al", "to": "bo", "seq": 1, "time": TIME}
        self.assertEqual(self.bo.got(), [message])
        self.assertEqual(self.say(self.bo, "al", "what?")["seq"], 2)
        self.assertEqual(self.heard(self.al), [("bo", "Al", "what?", 2)])

    def test_sent_twice_it_is_there_once(self) -> None:
        for _ in range(2):
            self.assertEqual(self.say(self.al, "bo", "psst")["seq"], 1)
        self.assertEqual(self.heard(self.bo), [("Al", "bo", "psst", 1)])

    def test_without_an_id_there_is_no_ack(self) -> None:
        self.al.send({"type": "", "to": "bo", "msg": "psst"})
        self.assertEqual((self.heard(self.al), self.heard(self.bo)), ([], [("Al", "bo", "psst", 1)]))

    def test_all_connections_of_both_have_it(self) -> None:
        phone, _ = self.hello("al", HORSE)
        laptop, _ = self.hello("bo", HORSE)
        self.say(self.al, "bo", "psst")
        for peer in phone, self.bo, laptop:
            self.assertEqual(self.heard(peer), [("Al", "bo", "psst", 1)])

    def test_one_to_oneself_is_a_note(self) -> None:
        phone, _ = self.hello("al", HORSE)
        self.assertEqual(self.say(self.al, "al", "milk")["to"], "Al")
        self.assertEqual(self.heard(phone), [("Al", "Al", "milk", 1)])

    def test_one_who_is_not_there_reads_it_later(self) -> None:
        self.assertEqual(self.say(self.al, "cy", "psst")["seq"], 1)
        cy, _ = self.hello("cy", HORSE)
        page = self.ask(cy, type="history", to="al")
        self.assertEqual(([obj["msg"] for obj in page["messages"]], page["to"], page["more"]), (["psst"], "al", False))
        self.assertNotIn("room", page)

    def test_one_of_or_to_a_guest_is_not_kept(self) -> None:
        self.assertNotIn("seq", self.say(self.guest, "al", "psst"))
        self.assertEqual(self.al.texts(), ["psst"])
        self.assertNotIn("seq", self.say(self.al, "guest", "psst"))
        self.assertEqual(self.ask(self.al, type="directs")["directs"], [])

    def test_nobody_who_is_unknown_or_shut_out_gets_one(self) -> None:
        self.registry.set_state("cy", "suspended")
        answers = [self.say(self.al, nick, "psst") for nick in ("cy", "zed")]
        self.assertEqual([answer["code"] for answer in answers], ["no-such-nick"] * 2)

    def test_what_cannot_be_stored_is_refused(self) -> None:
        self.say(self.al, "bo", "first", "0")
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        error = self.say(self.al, "bo", "psst")
        self.assertEqual((error["code"], error["to"], error.get("room")), ("unavailable", "bo", None))

    def test_a_new_log_is_a_new_room_for_who_begins_it(self) -> None:
        taken: list[str] = []
        self.patch(self.server.chat.new_rooms, "take", taken.append)
        self.server.fake.held.add("append")
        for number in range(2):
            self.al.send({"type": "", "to": "bo", "msg": "psst", "id": str(number)})
            self.server.settle()
            self.assertEqual(taken, ["192.0.2.1"], "the room is in use, though nothing is stored yet")
        self.server.fake.held.clear()
        self.server.fake.release()
        self.server.settle()
        for peer in self.al, self.bo:
            peer.cut()
        self.server.settle()
        self.assertEqual(self.members("@al@bo"), 0)
        al, _ = self.hello("al", HORSE)
        self.assertEqual(self.say(al, "bo", "psst", "3")["seq"], 3)
        self.assertEqual(taken, ["192.0.2.1"], "it is stored")

    def test_what_is_on_its_way_into_the_log_is_bounded(self) -> None:
        self.server.fake.held.add("append")
        for _ in range(MAX_UNSETTLED // (16_000 + ENTRY_CHARACTERS) + 1):
            self.assertTrue(self.al.wire.reading)
            self.al.send({"type": "", "to": "bo", "msg": "x" * 16_000})
            self.server.settle()
        self.assertFalse(self.al.wire.reading)

    def test_it_counts_as_what_is_sent_to_all_connections_of_both(self) -> None:
        self.hello("bo", HORSE)
        sizes: list[int] = []
        say = self.server.chat.rooms.say

        def watch(entry: Entry, size: int) -> None:
            sizes.append(size)
            say(entry, size)

        self.patch(self.server.chat.rooms, "say", watch)
        self.say(self.al, "bo", "psst")
        self.assertEqual(sizes, [3 * len("psst")])

    def test_whoever_goes_while_the_log_is_opened_says_nothing(self) -> None:
        self.server.fake.held.add("open")
        self.al.send({"type": "", "to": "bo", "msg": "psst"})
        self.al.cut()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual((self.server.fake.calls["append"], self.server.chat.rooms.get("@al@bo")), (0, None))

    def test_whoever_goes_while_an_account_is_looked_for_says_nothing(self) -> None:
        held = self.registry.held = []
        self.al.send({"type": "", "to": "guest", "msg": "psst"})
        self.al.cut()
        held.pop()()
        self.server.settle()
        self.assertEqual(self.guest.got(), [])


class RoomsTests(DirectTestCase):
    def test_it_is_no_room(self) -> None:
        self.say(self.al, "bo", "psst")
        self.heard(self.bo)
        self.assertEqual([room["room"] for room in self.ask(self.al, type="rooms")["rooms"]], [])
        for request in "join", "history", "who", "leave", "topic":
            self.assertEqual(self.ask(self.guest, type=request, room="@Al@bo")["code"], "bad-room")

    def test_it_does_not_count_as_one(self) -> None:
        self.say(self.al, "bo", "psst")
        one = Limits(rate=0.0, rooms_per_session=1)
        self.patch(self.server.chat.accounts, "limits", lambda account, limits: one)
        self.assertEqual(self.ask(self.al, type="join", room="den")["type"], "joined")
        self.assertEqual(self.ask(self.al, type="join", room="attic")["code"], "full")

    def test_its_end_is_told_to_nobody(self) -> None:
        self.say(self.al, "bo", "psst")
        self.heard(self.bo)
        self.al.cut()
        self.assertEqual(self.heard(self.bo), [])
        self.assertEqual(self.say(self.bo, "al", "are you there?")["seq"], 2)


class ReadingTests(DirectTestCase):
    def test_only_the_two_read_it(self) -> None:
        self.say(self.al, "bo", "psst")
        self.assertEqual(self.heard(self.bo), [("Al", "bo", "psst", 1)])
        for peer, partner in (self.bo, "al"), (self.al, "bo"):
            page = self.ask(peer, type="history", to=partner)
            self.assertEqual([obj["msg"] for obj in page["messages"]], ["psst"])
        cy, _ = self.hello("cy", HORSE)
        self.assertEqual(self.ask(cy, type="history", to="al")["messages"], [])
        self.assertEqual(self.ask(cy, type="history", to="bo")["messages"], [])
        self.assertEqual(self.ask(self.guest, type="history", to="al")["code"], "denied")

    def test_history_is_of_a_room_or_of_a_partner(self) -> None:
        for fields in {}, {"room": "den", "to": "bo"}:
            self.assertEqual(self.ask(self.al, type="history", **fields)["code"], "bad-message")

    def test_what_came_after_a_number_is_replayed_and_then_it_is_live(self) -> None:
        for number in range(1, 4):
            self.say(self.al, "cy", str(number), str(number))
        cy = self.server.connect()
        cy.send({"type": "hello", "nick": "cy", "password": HORSE, "direct": {"AL": 1, "bo": 7, "zed": 0}})
        self.server.settle()
        welcome, *replayed = cy.got()
        self.assertEqual(welcome["type"], "welcome")
        self.assertEqual([(obj["msg"], obj["seq"]) for obj in replayed], [("2", 2), ("3", 3)])
        self.say(self.al, "cy", "4", "4")
        self.assertEqual(self.heard(cy), [("Al", "cy", "4", 4)])
        self.assertEqual([key for key in self.server.fake.logs if key.startswith("@")], ["@al@cy", "@bo@cy", "@cy@zed"])
        self.assertIsNone(self.server.chat.rooms.get("@bo@cy"))

    def test_what_was_heard_at_another_server_is_not_sent_again(self) -> None:
        self.say(self.al, "cy", "1", "1")
        self.server.fake.logs["@al@cy"].unheard = [("Al", "2"), ("Al", "3")]
        cy = self.server.connect()
        cy.send({"type": "hello", "nick": "cy", "password": HORSE, "direct": {"al": 2}})
        self.server.settle()
        self.assertEqual([obj["msg"] for obj in cy.got() if obj["type"] == ""], ["3"])

    def test_what_is_said_while_the_log_is_opened_does_not_come_before_the_replay(self) -> None:
        for number in range(1, 4):
            self.say(self.al, "cy", str(number), str(number))
        self.al.cut()
        self.server.settle()
        self.server.fake.held.add("open")
        since: list[int | None] = []
        enter = self.server.chat.rooms.enter

        def watch(room: Room, listener: Any, place: int | None) -> Member:
            since.append(place)
            return enter(room, listener, place)

        self.patch(self.server.chat.rooms, "enter", watch)
        cy = self.server.connect()
        cy.send({"type": "hello", "nick": "cy", "password": HORSE, "direct": {"bo": 0, "al": 1}})
        self.server.settle()
        other, _ = self.hello("cy", HORSE)
        other.send({"type": "", "to": "al", "msg": "4", "id": "4"})
        self.server.settle()
        self.server.fake.held.clear()
        while self.server.fake.waiting:
            self.server.fake.release()
            self.server.settle()
        self.assertEqual([obj["seq"] for obj in cy.got() if obj["type"] == ""], [2, 3, 4])
        self.assertEqual(since, [1, None], "those who are there do not start again")

    def test_a_guest_has_none(self) -> None:
        _, answer = self.hello("zed", direct={"al": 0})
        self.assertEqual(answer["type"], "welcome")
        _, answer = self.hello("zoe", direct={"a b": 0})
        self.assertEqual(answer["code"], "bad-nick")

    def test_whoever_has_gone_meanwhile_reads_nothing(self) -> None:
        self.server = Server(accounts=make_login(self.registry), tail_bytes=0)
        al, _ = self.hello("al", HORSE)
        self.say(al, "cy", "psst")
        al.cut()
        self.server.settle()
        self.assertIsNone(self.server.chat.rooms.get("@al@cy"))
        cy = self.server.connect()
        self.server.fake.held.add("open")
        cy.send({"type": "hello", "nick": "cy", "password": HORSE, "direct": {"al": 0, "bo": 0}})
        self.server.settle()
        cy.cut()
        self.server.fake.release()
        self.server.settle()
        self.assertIsNone(self.server.chat.rooms.get("@al@cy"))
        self.assertFalse(self.server.fake.waiting, "the next one is not opened")

    def test_a_deletion_on_a_later_connection_is_sent_to_both(self) -> None:
        self.server = Server(accounts=make_login(self.registry), tail_bytes=0)
        al, _ = self.hello("al", HORSE)
        self.say(al, "cy", "psst")
        al.cut()
        self.server.settle()
        self.assertIsNone(self.server.chat.rooms.get("@al@cy"))
        al, _ = self.hello("al", HORSE)
        cy, _ = self.hello("cy", HORSE)
        charged: list[int] = []
        self.patch(Session, "charge_work", lambda session, price: charged.append(price))
        al.send({"type": "delete", "to": "cy", "of": 1, "id": "d"})
        self.server.settle()
        self.assertEqual([(obj["type"], obj["seq"]) for obj in al.got()], [("ack", 2)])
        self.assertEqual([(obj["type"], obj["of"]) for obj in cy.got()], [("delete", 1)])
        self.assertEqual(charged, [1])
        self.say(al, "cy", "again", "4")
        self.assertEqual(self.heard(cy), [("Al", "cy", "again", 3)])

    def test_where_nothing_was_said_nothing_is_deleted(self) -> None:
        self.assertEqual(self.ask(self.al, type="delete", to="bo", of=1)["code"], "not-joined")
        self.assertIsNone(self.server.chat.rooms.get("@al@bo"))

    def test_whoever_has_gone_while_the_log_is_opened_deletes_nothing(self) -> None:
        self.server = Server(accounts=make_login(self.registry), tail_bytes=0)
        al, _ = self.hello("al", HORSE)
        self.say(al, "cy", "psst")
        al.cut()
        self.server.settle()
        al, _ = self.hello("al", HORSE)
        self.server.fake.held.add("open")
        al.send({"type": "delete", "to": "cy", "of": 1})
        self.server.settle()
        al.cut()
        self.server.fake.release()
        self.server.settle()
        self.assertIsNone(self.server.chat.rooms.get("@al@cy"))
        cy, _ = self.hello("cy", HORSE)
        self.server.fake.held.clear()
        page = self.ask(cy, type="history", to="al")
        self.assertEqual([obj["msg"] for obj in page["messages"]], ["psst"])

    def test_each_partner_is_charged_and_their_logs_are_opened_one_after_the_other(self) -> None:
        self.server.fake.held.add("open")
        charged: list[int] = []
        self.patch(Session, "charge_work", lambda session, price: charged.append(price))
        cy = self.server.connect()
        cy.send({"type": "hello", "nick": "cy", "password": HORSE, "direct": {f"n{n}": 0 for n in range(20)}})
        self.server.settle()
        self.assertEqual((len(self.server.fake.waiting), 20 in charged), (1, True))

    def test_where_the_logs_cannot_be_opened_it_says_so(self) -> None:
        cy = self.server.connect()
        self.server.fake.failing["open"] = Unavailable("the disk is away")
        cy.send({"type": "hello", "nick": "cy", "password": HORSE, "direct": {"bo": 0, "al": 0}})
        self.server.settle()
        self.assertEqual([obj.get("code", obj["type"]) for obj in cy.got()], ["welcome", "unavailable"])

    def test_ones_partners_are_listed(self) -> None:
        self.say(self.al, "bo", "psst")
        self.say(self.al, "cy", "psst", "2")
        directs = [{"nick": "bo", "seq": 1}, {"nick": "cy", "seq": 1}]
        self.assertEqual(self.ask(self.al, type="directs", id="7"), {"type": "directs", "directs": directs, "id": "7"})
        self.assertEqual(self.ask(self.guest, type="directs")["code"], "denied")
