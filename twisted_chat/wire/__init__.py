"""Wires: one module or package for each kind. They turn bytes into requests and replies into bytes."""
