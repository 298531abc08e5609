"""The kinds of fields, with their limits, and the base of all objects."""

from __future__ import annotations

import hmac
from typing import Annotated, Final

import msgspec

PROTOCOL: Final = 1

MAX_OBJECT: Final = 16_384
"""Bytes of an object, from brace to brace: four pages of memory, and far more than a person types."""

MAX_ID: Final = 64
"""Characters of a request's `id`: a UUID with a prefix fits, a text does not."""

MAX_PAGE: Final = 500
"""Messages of a `history`, members of a `members`, rooms of a `rooms`: a page that can be read at once."""

MAX_NESTING: Final = 64
"""Levels of nested arrays and objects. No request has more than one, and Pythons differ in how many they can read."""

MAX_SEQ: Final = 2**63 - 1
"""The largest number a store has to hold: a signed 64-bit integer."""

Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
"""The number of a message in its room. 0 is before the first message."""

RequestId = Annotated[str, msgspec.Meta(max_length=MAX_ID)]
"""The name that a client gives to a request, and that the answer repeats."""

Limit = Annotated[int, msgspec.Meta(ge=1)]
"""The maximum number of messages; a number above `MAX_PAGE` counts as `MAX_PAGE`."""

Skip = Annotated[int, msgspec.Meta(ge=0, le=MAX_OBJECT)]
"""The number of characters of the first message's text that the client already has."""

Token = Annotated[str, msgspec.Meta(min_length=16, max_length=64)]
"""A secret that a client makes up, and that is too long to be guessed."""


def is_same_token(token: str | None, other: str | None) -> bool:
    """True if there are two tokens and they are equal. The time that this takes does not tell where they differ."""
    return token is not None and other is not None and hmac.compare_digest(token.encode(), other.encode())


Password = Annotated[str, msgspec.Meta(max_length=1024)]
"""A password, or a token of an account: longer ones are no account's, and are not hashed."""

MAX_SECONDS: Final = 10 * 366 * 24 * 60 * 60
"""Seconds of the longest ban that ends by itself: ten years. A ban without `seconds` never does."""

Seconds = Annotated[int, msgspec.Meta(ge=1, le=MAX_SECONDS)]
"""The length of a ban or a mute."""

MAX_LABEL: Final = 64
"""Characters of the label of a token: the name of a device or a program."""

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL)]
"""The name that somebody gives to a token, such as `phone`."""


class Object(msgspec.Struct, omit_defaults=True, gc=False, tag_field="type"):
    """An object of the protocol. Its `type` is the tag of its class. Fields with their default values are left out."""
