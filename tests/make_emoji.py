"""Make `twisted_chat/web/page/emoji-table.js`, the names of emoji, from the table of the npm package gemoji.

    npm pack gemoji@8.1.0 && tar -xf gemoji-8.1.0.tgz && python -m tests.make_emoji package

The names are those that GitHub, Slack and Discord share. The package is a list of objects in JavaScript; Node.js reads
it, so that this does not have to.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).parents[1] / "twisted_chat" / "web" / "page" / "emoji-table.js"

READ = "import(process.argv[1]).then(({ gemoji }) => console.log(JSON.stringify(gemoji)))"

HEAD = """\
/*
 * Emoji and their names, a line each. Made by tests/make_emoji.py from gemoji {version}, with this licence:
 *
{licence}
 */

export const TABLE = `
"""


def main(package: Path) -> None:
    """Write the table of an unpacked package."""
    version = json.loads((package / "package.json").read_text())["version"]
    licence = "\n".join(f" * {line}".rstrip() for line in (package / "license").read_text().strip().splitlines())
    read = ["node", "--input-type=module", "-e", READ, str((package / "index.js").resolve())]
    entries = json.loads(subprocess.run(read, check=True, capture_output=True, text=True).stdout)
    lines = [f"{entry['emoji']} {' '.join(entry['names'])}" for entry in entries]
    TABLE.write_text(HEAD.format(version=version, licence=licence) + "\n".join(lines) + "\n`;\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
