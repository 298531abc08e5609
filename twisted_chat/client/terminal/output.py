"""Output to the terminal: that of prompt_toolkit, with hyperlinks and fewer reports of the mouse."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final, TextIO, cast

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Attrs

from .hyperlinks import CLOSE, OPEN

_WITHOUT_HYPERLINKS: Final = ("linux", "dumb", "vt100", "vt220")
"""The values of `TERM` of terminals that would show the address of a hyperlink in the middle of the text."""


class TerminalOutput(Vt100_Output):
    """A terminal that shows hyperlinks and reports clicks and the wheel, but not each move of the mouse."""

    hyperlinks: bool = True
    """True if the terminal gets the addresses of hyperlinks."""

    _in_hyperlink: bool = False
    """True while the text of a hyperlink is written."""

    @classmethod
    def open(cls, stdout: TextIO | None = None) -> TerminalOutput:
        """Open the terminal of this program."""
        term = os.environ.get("TERM", "")
        made = cls.from_pty(stdout or sys.stdout, term=term, default_color_depth=ColorDepth.from_env())
        output = cast(TerminalOutput, made)
        output.hyperlinks = not term.startswith(_WITHOUT_HYPERLINKS)
        return output

    def flush(self) -> None:
        """Write the buffered output; nothing once the terminal is gone, which the program learns elsewhere."""
        try:
            super().flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # Python would try to write the rest when it ends, and complain. The descriptor is this process's own.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)

    def write_raw(self, data: str) -> None:
        self._in_hyperlink = self._in_hyperlink or data.startswith(OPEN)
        super().write_raw(data)

    def set_attributes(self, attrs: Attrs, color_depth: ColorDepth) -> None:
        """Called before text in another style. Only hyperlinks are underlined, so any other style ends one."""
        if not attrs.underline:
            self._end_hyperlink()
        super().set_attributes(attrs, color_depth)

    def reset_attributes(self) -> None:
        self._end_hyperlink()
        super().reset_attributes()

    def _end_hyperlink(self) -> None:
        if self._in_hyperlink:
            super().write_raw(CLOSE)
            self._in_hyperlink = False

    def enable_mouse_support(self) -> None:
        # Buttons and the wheel (1000), in the form that has no limit of 223 columns (1006). prompt_toolkit also asks
        # for each move (1003), which would cost a redraw each.
        self.write_raw("\x1b[?1000h\x1b[?1006h")

    def disable_mouse_support(self) -> None:
        self.write_raw("\x1b[?1000l\x1b[?1006l")
