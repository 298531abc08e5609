"""The web: pages over HTTP, and the upgrade of a connection to a WebSocket (`wire/websocket.py`)."""

from .visit import WebFactory as WebFactory
