"""Shows `twistd` the service `chat`. This folder has no `__init__.py`: it adds to Twisted's own package of plugins."""

from twisted.application.service import ServiceMaker

chat = ServiceMaker("twisted_chat", "twisted_chat.tap", "A chat server: JSON lines over a stream.", "chat")
