"""Deleting: who may take which text away, and that nobody reads it afterwards."""

from __future__ import annotations

from typing import Any

from twisted_chat.encoding import THREE_FIELDS
from twisted_chat.log import Unavailable
from twisted_chat.requests import deleting
from twisted_chat.room import Room
from twisted_chat.rules import Role

from .helpers import Peer
from .logins import HORSE
from .test_moderation import ModerationTestCase

TIME = "2026-11-22T11:06:36.125Z"


class DeletingTestCase(ModerationTestCase):
    """In the den, the guest al has said 1, the moderator mo 2, and the guest bo 3."""

    def setUp(self) -> None:
        super().setUp()
        for peer, text in (self.al, "rude"), (self.mo, "hush"), (self.bo, "hm"):
            self.do(peer, type="", room="den", msg=text)
        self.hush()

    def delete(self, peer: Peer, of: int = 1, **fields: Any) -> dict[str, Any]:
        return self.do(peer, type="delete", **{"room": "den", "of": of, **fields})

    def texts(self, peer: Peer, **fields: Any) -> list[str]:
        page = self.do(peer, type="history", room="den", **fields)
        return [obj["msg"] for obj in page["messages"]]


class DeleteTests(DeletingTestCase):
    def test_it_is_an_entry_of_the_log(self) -> None:
        self.assertEqual(self.delete(self.al), {"type": "ack", "room": "Den", "seq": 4, "time": TIME})
        notice = {"type": "delete", "author": "al", "room": "Den", "of": 1, "seq": 4, "time": TIME}
        for peer in self.olga, self.mo, self.bo:
            self.assertEqual(self.heard(peer), [notice])

    def test_the_text_is_gone_and_its_place_stays(self) -> None:
        self.delete(self.al)
        first = {"type": "", "msg": "", "author": "al", "room": "Den", "seq": 1, "time": TIME, "deleted": 4}
        for fields in {}, {"after": 0}, {"before": 3}:
            page = self.do(self.bo, type="history", room="den", **fields)
            self.assertEqual(page["messages"][0], first)
            self.assertNotIn("rude", repr(page))
        self.ops.send({"type": "join", "room": "den", "since": 0})
        self.assertEqual(
            [(obj["type"], obj.get("msg")) for obj in self.heard(self.ops)],
            [("joined", None), ("", ""), ("", "hush"), ("", "hm"), ("delete", None)],
        )

    def test_sent_twice_it_is_one_entry(self) -> None:
        for _ in range(2):
            self.assertEqual(self.delete(self.al, id="once")["seq"], 4)
        self.assertEqual(self.server.room("den").head, 4)

    def test_what_is_deleted_already_is_acked(self) -> None:
        self.delete(self.al)
        self.assertEqual(self.delete(self.mo)["seq"], 4)
        self.mo.send({"type": "delete", "room": "den", "of": 1})
        self.assertEqual(self.heard(self.mo), [])
        self.assertEqual(self.server.room("den").head, 4)

    def test_what_is_no_message_cannot_be_deleted(self) -> None:
        self.delete(self.al)
        for of in 0, 4, 7:
            self.assertEqual(self.delete(self.mo, of)["code"], "bad-message")

    def test_a_request_names_one_message_or_somebody(self) -> None:
        for fields in {}, {"of": 1, "by": "al"}, {"of": 1}, {"of": 1, "room": "den", "to": "mo"}:
            self.assertEqual(self.code(self.mo, type="delete", **fields), "bad-message")
        self.assertEqual(self.delete(self.mo, msg="x" * 257)["code"], "bad-message")

    def test_what_cannot_be_stored_is_not_deleted(self) -> None:
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        self.assertEqual(self.delete(self.al)["code"], "unavailable")
        self.assertIn("rude", self.texts(self.bo))
        self.registry.is_unavailable = True
        self.assertEqual(self.delete(self.mo)["code"], "unavailable")

    def test_who_was_behind_reads_no_text_that_was_deleted_meanwhile(self) -> None:
        self.bo.pause()
        self.do(self.olga, type="", room="den", msg="a secret")
        self.delete(self.olga, 4)
        self.bo.resume()
        self.assertEqual([(obj["type"], obj.get("msg")) for obj in self.heard(self.bo)], [("", ""), ("delete", None)])

    def test_shared_pages_forget_it(self) -> None:
        self.server.room("den").forget(self.server.room("den").head)
        for peer in self.ops, self.register("zed"):
            peer.send({"type": "join", "room": "den", "since": 0})
            got = [obj.get("msg") for obj in self.heard(peer) if obj["type"] == ""]
            self.assertEqual(got, ["rude", "hush", "hm"] if peer is self.ops else ["", "hush", "hm"])
            if peer is self.ops:
                self.delete(self.mo)

    def test_a_bare_client_gets_nothing_for_it(self) -> None:
        room = self.server.room("den")
        self.delete(self.al)
        first, *_, last = self.successResultOf(room.read_after(0, 9, 999))
        self.assertEqual([THREE_FIELDS.message("den", record) for record in (first, last)], [(), ()])


class RightTests(DeletingTestCase):
    def test_a_moderator_deletes_what_others_said_and_it_is_in_the_audit_log(self) -> None:
        self.assertEqual(self.delete(self.bo)["code"], "denied")
        self.assertEqual(self.delete(self.mo, msg="rude")["seq"], 4)
        self.assertEqual(self.audit()[0], ("delete", "mo", "den", "al", "1"))
        entries = len(self.audit())
        self.assertEqual(self.delete(self.mo, 2)["seq"], 5)
        self.assertEqual(len(self.audit()), entries)

    def test_somebody_who_is_not_in_the_room_deletes_nothing(self) -> None:
        self.assertEqual(self.delete(self.ops)["code"], "not-joined")

    def test_of_direct_messages_that_there_are_not_nothing_is_deleted(self) -> None:
        error = self.do(self.olga, type="delete", to="mo", of=1)
        self.assertEqual((error["code"], error["to"]), ("not-joined", "mo"))
        self.assertIn("there are no direct messages with mo", error["msg"])
        self.assertIsNone(self.server.chat.rooms.get("@mo@olga"))

    def test_the_next_bearer_of_a_nick_does_not_delete_what_the_last_one_said(self) -> None:
        self.al.cut()
        self.server.clock.advance(1)
        al, _ = self.hello("al")
        self.do(al, type="join", room="den")
        self.assertEqual(self.delete(al)["code"], "denied")

    def test_the_next_connection_of_a_guest_does(self) -> None:
        zed, _ = self.hello("zed", token="x" * 16)
        self.do(zed, type="join", room="den")
        self.do(zed, type="", room="den", msg="oops")
        self.server.clock.advance(1)
        zed, _ = self.hello("zed", token="x" * 16)
        self.do(zed, type="join", room="den")
        self.assertEqual(self.delete(zed, 4)["type"], "ack")

    def test_an_account_deletes_what_it_said_before_and_not_what_guests_said(self) -> None:
        zed, _ = self.hello("zed")
        self.do(zed, type="join", room="den")
        self.do(zed, type="", room="den", msg="as a guest")
        zed.cut()
        self.server.clock.advance(1)
        self.server.chat.accounts._reactor.advance(self.server.clock.seconds())  # type: ignore[attr-defined]  # a Login
        zed = self.register("zed")
        self.do(zed, type="join", room="den")
        self.do(zed, type="", room="den", msg="with an account")
        zed.cut()
        zed, _ = self.hello("zed", HORSE)
        self.do(zed, type="join", room="den")
        self.assertEqual(self.delete(zed, 4)["code"], "denied")
        self.assertEqual(self.delete(zed, 5)["type"], "ack")

    def test_ones_own_direct_messages_are_deleted(self) -> None:
        seq = self.do(self.mo, type="", to="olga", msg="oops")["seq"]
        self.heard(self.olga)
        self.assertEqual(self.do(self.olga, type="delete", to="mo", of=seq)["code"], "denied")
        self.assertEqual(self.do(self.mo, type="delete", to="olga", of=seq)["to"], "olga")
        (notice,) = self.heard(self.olga)
        self.assertEqual((notice["type"], notice["to"], notice["of"]), ("delete", "olga", seq))
        self.assertEqual(self.do(self.mo, type="delete", to="olga", of=seq)["to"], "olga")
        self.assertEqual(self.code(self.al, type="delete", to="olga", of=seq), "denied")

    def test_ones_own_direct_messages_are_deleted_on_a_later_connection(self) -> None:
        seq = self.do(self.mo, type="", to="olga", msg="oops")["seq"]
        for peer in self.mo, self.olga:
            peer.cut()
        self.server.settle()
        mo, _ = self.hello("mo", HORSE)
        olga, _ = self.hello("olga", HORSE)
        self.assertEqual(self.do(mo, type="delete", to="olga", of=seq)["seq"], seq + 1)
        self.assertEqual([(obj["type"], obj["of"]) for obj in self.heard(olga)], [("delete", seq)])
        self.do(mo, type="", to="olga", msg="again")
        self.assertEqual([obj["msg"] for obj in self.heard(olga)], ["again"])

    def test_whoever_has_gone_meanwhile_deletes_nothing(self) -> None:
        held = self.registry.held = []
        self.mo.send({"type": "delete", "room": "den", "of": 1})
        self.mo.cut()
        held.pop()()
        self.server.settle()
        self.assertEqual(self.server.room("den").head, 3)

    def test_whoever_has_left_meanwhile_deletes_nothing(self) -> None:
        held = self.registry.held = []
        self.mo.send({"type": "delete", "room": "den", "of": 1})
        mo: Any = self.mo.wire.participant
        self.server.chat.leave(mo, mo.members.pop("den"))
        held.pop()()
        self.server.settle()
        self.assertEqual(self.server.room("den").head, 3)

    def test_what_is_asked_next_is_answered_once_it_is_in_the_log(self) -> None:
        self.server.fake.held.add("append")
        self.al.send({"type": "delete", "room": "den", "of": 1, "id": "1"}, {"type": "who", "room": "den"})
        self.assertEqual(self.heard(self.al), [])
        self.server.fake.release()
        self.assertEqual([obj["type"] for obj in self.heard(self.al)], ["ack", "members"])


class AllTests(DeletingTestCase):
    def test_a_moderator_deletes_all_that_somebody_said_in_a_room(self) -> None:
        self.do(self.al, type="", room="den", msg="ruder")
        self.hush()
        answer = self.do(self.mo, type="delete", room="den", by="AL", msg="troll")
        self.assertEqual(answer, {"type": "delete", "author": "mo", "room": "den", "by": "AL", "count": 2})
        self.assertEqual([(obj["type"], obj["of"]) for obj in self.heard(self.bo)], [("delete", 1), ("delete", 4)])
        self.assertEqual(self.texts(self.bo), ["", "hush", "hm", ""])
        self.assertEqual(self.audit()[0], ("delete", "mo", "den", "AL", "all"))
        self.assertEqual(self.do(self.mo, type="delete", room="den", by="al")["count"], 0)

    def test_an_operator_does_so_everywhere(self) -> None:
        for room in "attic", "cellar":
            self.do(self.al, type="join", room=room)
            self.do(self.al, type="", room=room, msg="rude")
        self.do(self.al, type="leave", room="cellar")
        self.assertEqual(self.code(self.olga, type="delete", by="al"), "denied")
        closed: list[Room] = []
        self.patch(self.server.chat.rooms, "forget_if_empty", closed.append)
        self.assertEqual(self.do(self.ops, type="delete", by="al")["count"], 3)
        self.assertEqual({room.name.key for room in closed}, {"den", "attic", "cellar"}, "if nobody is there")
        for room in "den", "attic", "cellar":
            self.assertNotIn("rude", repr(self.do(self.ops, type="history", room=room)))

    def test_others_may_not(self) -> None:
        for peer in self.al, self.bo:
            self.assertEqual(self.code(peer, type="delete", room="den", by="al"), "denied")
        self.assertIs(self.role("al"), Role.GUEST)

    def test_many_are_deleted_in_several_turns(self) -> None:
        self.patch(deleting, "DELETIONS_A_TURN", 2)
        for number in range(4):
            self.do(self.al, type="", room="den", msg=str(number))
        appends = self.server.fake.calls["append"]
        self.assertEqual(self.do(self.mo, type="delete", room="den", by="al")["count"], 5)
        self.assertEqual(self.server.fake.calls["append"] - appends, 3)

    def test_it_is_an_action_of_a_moderator_also_if_there_is_nothing_to_delete(self) -> None:
        taken: list[str] = []
        self.patch(self.server.chat.actions, "take", taken.append)
        self.do(self.mo, type="delete", room="den", by="zed")
        self.delete(self.mo)
        self.delete(self.mo, 2)
        self.assertEqual(len(taken), 2)

    def test_it_goes_on_without_the_one_who_asked(self) -> None:
        self.server.fake.held.add("append")
        self.mo.send({"type": "delete", "room": "den", "by": "al"})
        self.server.settle()
        self.mo.cut()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(self.texts(self.bo), ["", "hush", "hm"])
