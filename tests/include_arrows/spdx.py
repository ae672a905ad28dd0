# SPDX-License-Identifier: Apache-2.0
"""Checks that every source file names its license in one of its first lines.

    spdx.py ROOT
"""

import pathlib
import sys

LINE = "SPDX-License-Identifier: Apache-2.0"
FOLDERS = ("proto", "models", "model_store", "remote_store", "reranking", "text_io",
           "command_line", "deploy", "trainer", "server",
           "client", "docker", "scripts", "tests")
SUFFIXES = {".cc", ".h", ".proto", ".py", ".cmake", ".in", ".js", ".mjs", ".css",
            ".html"}
HEAD_LINES = 3


def is_source(path):
  if path.suffix in SUFFIXES or path.name in ("CMakeLists.txt", "Dockerfile"):
    return True
  if path.suffix:
    return False
  with path.open("rb") as file:
    return file.read(2) == b"#!"


def main(arguments):
  if len(arguments) != 1:
    print(__doc__, file=sys.stderr)
    return 2
  root = pathlib.Path(arguments[0])
  sources = [path for folder in FOLDERS
             for path in sorted((root / folder).rglob("*"))
             if path.is_file() and "build" not in path.parts and
             "__pycache__" not in path.parts and is_source(path)]
  sources.append(root / "CMakeLists.txt")
  missing = [path for path in sources
             if LINE not in "".join(
                 path.read_text(encoding="utf-8").splitlines(True)[:HEAD_LINES])]
  for path in missing:
    print(f"{path.relative_to(root)}: expected '{LINE}' in the first "
          f"{HEAD_LINES} lines")
  print(f"{len(sources)} sources, {len(missing)} without a license")
  return 1 if missing or len(sources) < 100 else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
