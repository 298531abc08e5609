"""Shows Twisted the service `chat` and the endpoint `udp:`.

This folder has no `__init__.py`: it adds to Twisted's own package of plugins. Every program on Twisted may load this
file, so it imports nothing more before it is used.
"""

from typing import Any

from twisted.application.service import ServiceMaker
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin
from zope.interface import implementer


class ChatMaker(ServiceMaker):
    """The service `chat`: it handles signals from when `twistd` asks for its options on."""

    @property
    def options(self) -> Any:
        from twisted_chat.signals import SIGNALS

        SIGNALS.catch()
        return super().options


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class UDPParser:
    """Reads what comes after `udp:`."""

    prefix = "udp"

    def parseStreamClient(self, reactor: Any, *arguments: Any, **named: Any) -> IStreamClientEndpoint:
        """Make the endpoint that a description names."""
        from twisted_chat.client.udp import UDPParser as Parser

        return Parser().parseStreamClient(reactor, *arguments, **named)


chat = ChatMaker("twisted_chat", "twisted_chat.tap", "A chat server: JSON lines over a stream.", "chat")
udp = UDPParser()
