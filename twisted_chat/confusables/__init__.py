"""Names that look alike: the skeleton of a name, which is the same for all names that look like it.

The skeleton is that of UTS #39 (Unicode Security Mechanisms, section 4), with Unicode's table of confusable characters,
version 17.0.0. `confusables.txt` has the table, `LICENSE` is the Unicode License v3 for it, and
`tests/make_confusables.py` makes it from Unicode's file.
"""

from .skeletons import skeleton

__all__ = ["skeleton"]
