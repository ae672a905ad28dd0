# SPDX-License-Identifier: Apache-2.0
"""Tests that the links between the pages of the repository lead somewhere.

    links_test.py SOURCES
"""

import pathlib
import re
import sys
import unittest

SOURCES = pathlib.Path(sys.argv[1]).resolve()
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(text):
  """Returns a page without its fenced blocks."""
  return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)


def anchors(path):
  """Returns the anchors that GitHub gives the headings of a page."""
  headings = re.findall(r"^#+ +(.*)$", prose(path.read_text(encoding="utf-8")),
                        re.M)
  return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
          for heading in headings}


def problems_of(path):
  """Returns the links of a page that lead nowhere."""
  problems = []
  for link in LINK.findall(prose(path.read_text(encoding="utf-8"))):
    if re.match(r"[a-z]+:", link):  # another site
      continue
    file, _, anchor = link.partition("#")
    target = (path.parent / file).resolve() if file else path
    if not target.exists():
      problems.append(f"{path.relative_to(SOURCES)}: {link} does not exist")
    elif anchor and anchor not in anchors(target):
      problems.append(f"{path.relative_to(SOURCES)}: {link}: {file or 'the page'} "
                      "has no such heading")
  return problems


def pages():
  return [path for path in sorted(SOURCES.rglob("*.md"))
          if not {"build", "demo", "node_modules"} &
          set(path.relative_to(SOURCES).parts)]


class LinksTest(unittest.TestCase):

  def test_links_lead_somewhere(self):
    self.assertGreater(len(pages()), 10)
    for path in pages():
      with self.subTest(path.name):
        self.assertEqual(problems_of(path), [])

  def test_guides_are_listed_in_the_readme(self):
    readme = (SOURCES / "README.md").read_text(encoding="utf-8")
    for path in pages():
      name = str(path.relative_to(SOURCES))
      if name.startswith("docs/") and "results" not in name:
        with self.subTest(name):
          self.assertIn(name, LINK.findall(readme))


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
