# SPDX-License-Identifier: Apache-2.0
"""Checks that docs/architecture.md names every source, and nothing else.

    architecture.py ROOT
"""

import pathlib
import re
import sys

FOLDERS = ("models", "model_store", "remote_store", "reranking", "text_io",
           "ngram_files", "local", "command_line", "trainer",
           "server", "client", "proto/lm")
# Parents of the folders that the document names without their parent.
PARENTS = FOLDERS + ("tests",)


def main(arguments):
  if len(arguments) != 1:
    print(__doc__, file=sys.stderr)
    return 2
  root = pathlib.Path(arguments[0])
  text = (root / "docs/architecture.md").read_text(encoding="utf-8")
  section = re.search(r"^## Where things live\n(.*?)^## ", text, re.M | re.S)[1]
  named = set(re.findall(r"`([a-z_0-9/]+)[^`]*`", section))
  sources = {path.stem.removesuffix("-inl"): path for folder in FOLDERS
             for path in sorted((root / folder).rglob("*"))
             if path.suffix in (".h", ".cc", ".proto", ".js")}
  # The document explains once how the sources of commands are named.
  problems = [f"docs/architecture.md: expected {path.relative_to(root)} in "
              f"'Where things live', not found"
              for stem, path in sources.items()
              if stem not in named and not stem.endswith("_command")]
  problems += [f"docs/architecture.md: '{name}' does not exist"
               for name in sorted(named)
               if name not in sources and not (root / name).exists() and
               not any((root / folder / name).exists() for folder in PARENTS)]
  for problem in problems:
    print(problem)
  print(f"{len(sources)} sources, {len(problems)} problems")
  return 1 if problems or len(sources) < 100 else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
