"""The promises of twisted_chat, one module for each of its own."""
