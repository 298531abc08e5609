"""The requests that wait for their answers."""

from __future__ import annotations

from collections.abc import Callable

from ..messages import MAX_OBJECT, AnyRequest, encode
from .answers import Answer, Waiters
from .errors import ChatError, RequestError
from .outbox import Pending


class Requests:
    """Requests by their ids, in the order in which they were made."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.limit = MAX_OBJECT
        """Bytes that a request may have on the wire."""
        self.closed: ChatError | None = None
        """Why nothing can be asked any more."""
        self.owed = 0
        """How many have no answer yet, without those that belong to one connection only."""
        self._new_id = new_id
        self._number = 0
        self._pending: dict[str, Pending] = {}
        self._settling = Waiters()

    def get(self, id: str | None) -> Pending | None:
        """Find the request that an answer is for."""
        return self._pending.get(id or "")

    def new(self, request: AnyRequest, kept: bool = True, patient: bool = False) -> Pending:
        """Make a request, with an id; one that cannot be made has failed already, and is not `in` here."""
        self._number += 1
        pending = Pending(self._new_id(), request, self._number, kept=kept, patient=patient)
        pending.answer = Answer(lambda _: self._withdraw(pending))
        request.id = pending.id
        refusal = self.closed or self._refusal(request)
        if refusal is not None:
            pending.fail(refusal)
        else:
            self._pending[pending.id] = pending
            self.owed += kept
        return pending

    def __contains__(self, pending: Pending) -> bool:
        return pending.id in self._pending

    def take(self, pending: Pending) -> None:
        """Let go of a request that is answered."""
        del self._pending[pending.id]
        self.owed -= pending.kept
        if pending.outbox is not None:
            pending.outbox.answered(pending)

    def drop(self, pending: Pending, error: ChatError) -> None:
        """Let go of a request that will not be answered."""
        if self._pending.pop(pending.id, None) is not None:
            self.owed -= pending.kept
            pending.fail(error)

    def lost(self) -> None:
        """Let go of what belonged to a connection that is lost."""
        self._pending = {id: pending for id, pending in self._pending.items() if pending.kept}

    def close(self, error: ChatError) -> None:
        """Take nothing more, and fail what waits."""
        self.closed = error
        self.lost()
        for pending in self.all():
            self.drop(pending, error)
        self._settling.fire(error)

    def all(self) -> list[Pending]:
        """All of them, in their order."""
        return list(self._pending.values())

    def settled(self) -> Answer[None]:
        """Wait until everything asked so far, and meanwhile, is answered."""
        answer = self._settling.add()
        self.check_settled()
        return answer

    def check_settled(self) -> None:
        """Tell those who wait for it that everything is answered, if it is."""
        if not self.owed and self._settling:
            self._settling.fire()

    def _refusal(self, request: AnyRequest) -> RequestError | None:
        """Say what is wrong with a request that the server would not even read."""
        try:
            size = len(encode(request))
        except UnicodeEncodeError:
            return RequestError("bad-message", "this cannot be written in UTF-8")
        if size > self.limit:
            return RequestError("too-long", f"this has {size:,} bytes on the wire; at most {self.limit:,} are allowed")
        return None

    def _withdraw(self, pending: Pending) -> None:
        """Nobody waits for the answer any more. What has not been said is not said; what has been may arrive."""
        if pending.outbox is not None and pending.outbox.withdraw(pending):
            del self._pending[pending.id]
            self.owed -= pending.kept
            self.check_settled()
