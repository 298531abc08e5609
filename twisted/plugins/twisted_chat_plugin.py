"""Shows Twisted the service `chat` and the endpoint `udp:`.

This folder has no `__init__.py`: it adds to Twisted's own package of plugins.
"""

from twisted.application.service import ServiceMaker

from twisted_chat.client.udp import UDPParser

chat = ServiceMaker("twisted_chat", "twisted_chat.tap", "A chat server: JSON lines over a stream.", "chat")
udp = UDPParser()
