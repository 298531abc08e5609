"""The objects of the protocol as typed structs, and how they are decoded and encoded.

A client sends one of `AnyRequest`, and the server one of `Reply`. This package knows neither sockets nor Twisted.

An object that cannot be read raises `WireError`, whose code is one of `Code`. This is an error of the peer, which gets
it as an answer, and never one of this program.
"""

from .codec import *  # noqa: F403  # every name of these modules is one of the package
from .errors import *  # noqa: F403
from .fields import *  # noqa: F403
from .replies import *  # noqa: F403
from .requests import *  # noqa: F403
from .times import *  # noqa: F403
