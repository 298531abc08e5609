"""Draw the icons of the page: `python -m tests.make_icons`. It writes a picture in SVG, and PNGs for what needs those.

Two bubbles on a tile. The PNGs are what Chromium makes of the SVG.
"""

from __future__ import annotations

import base64
from pathlib import Path

from .browser import Browser

FOLDER = Path(__file__).parents[1] / "twisted_chat" / "web" / "page"

TILE = '<rect width="64" height="64" rx="{radius}" fill="#3454d1"/>'
BUBBLES = """\
<path fill="#9db2ff" d="M30 12h18a8 8 0 0 1 8 8v10a8 8 0 0 1-8 8v7l-8-7H30a8 8 0 0 1-8-8V20a8 8 0 0 1 8-8z"/>
<path fill="#fff" d="M16 20h20a8 8 0 0 1 8 8v10a8 8 0 0 1-8 8H25l-9 8v-8a8 8 0 0 1-8-8V28a8 8 0 0 1 8-8z"/>
<path stroke="#3454d1" stroke-width="3.6" stroke-linecap="round" d="M17 30h18M17 37h12"/>"""


def draw(radius: int = 14, scale: float = 1) -> str:
    """Return the icon; the bubbles may be smaller, so that a system can cut the corners off."""
    move = 32 * (1 - scale)
    bubbles = BUBBLES
    group = bubbles if scale == 1 else f'<g transform="translate({move} {move}) scale({scale})">\n{bubbles}\n</g>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64" fill="none">\n'
        f"{TILE.format(radius=radius)}\n{group}\n</svg>\n"
    )


def main() -> None:
    """Write the icons."""
    (FOLDER / "icon.svg").write_text(draw())
    browser = Browser()
    try:
        for name, size, svg in (
            ("icon-192.png", 192, draw()),
            ("icon-512.png", 512, draw()),
            ("icon-maskable-512.png", 512, draw(radius=0, scale=0.72)),
        ):
            data = base64.b64encode(svg.encode()).decode()
            image = f"<img width={size} src='data:image/svg+xml;base64,{data}'>"
            page = f"<style>body{{margin:0}}img{{display:block}}</style>{image}"
            tab = browser.open("data:text/html," + page)
            tab.size(size, size)
            transparent = {"color": {"r": 0, "g": 0, "b": 0, "a": 0}}
            tab.use().execute_cdp_cmd("Emulation.setDefaultBackgroundColorOverride", transparent)
            tab.picture(FOLDER / name)
    finally:
        browser.close()


if __name__ == "__main__":
    main()
