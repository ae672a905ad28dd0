# SPDX-License-Identifier: Apache-2.0
"""The parts of a Markdown page that a test can run.

A page is a sequence of fenced blocks. The commands are the blocks with the
language `sh`; a command after `! ` at the start of a line must fail. An HTML
comment in the line before a block (blank lines may come between) says more about
it:

    <!-- needs: WHAT, ... -->  runs only if each WHAT is there: a program in the
                               PATH, or MODULE.py, a module of /usr/bin/python3
    <!-- not run: REASON -->   does not run, because of REASON
    <!-- file: PATH -->        not commands: the reader saves the block as PATH
    <!-- output -->            not commands: the block before prints these lines,
                               perhaps between others; the numbers may differ by
                               1 %
    <!-- output: within N % -->  the same; the numbers may differ by N %
"""

import dataclasses
import re

_FENCE = re.compile(r"^( *)(```+)(\S*)\s*$")
_DIRECTIVE = re.compile(r"^ *<!-- (needs|not run|file|output)(?:: (.*?))? -->\s*$")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_SMALL = 2e-4  # numbers this close are equal, whatever their size


class PageError(Exception):
  """The page has a form that a test cannot run."""


@dataclasses.dataclass(frozen=True)
class Block:
  """A fenced block.

  Attributes:
    line: Number of the line of the opening fence, counted from 1.
    language: The word after the fence, or "".
    lines: Its lines, without the indentation of the fence.
    directive: The kind of the comment before it, such as "needs", or "".
    argument: What the comment says, or "".
  """

  line: int
  language: str
  lines: tuple[str, ...]
  directive: str
  argument: str

  @property
  def is_command(self):
    return self.language == "sh" and self.directive in ("", "needs", "not run")

  @property
  def needs(self):
    if self.directive != "needs":
      return []
    return [what.strip() for what in self.argument.split(",")]

  @property
  def tolerance(self):
    """The share by which the numbers of an output block may differ."""
    if not self.argument:
      return 0.01
    percent = re.fullmatch(r"within (\d+) %", self.argument)
    if not percent:
      raise PageError(f"line {self.line}: expected 'within N %', found "
                      f"'{self.argument}'")
    return int(percent[1]) / 100


def parse(text):
  """Returns the blocks of a page, in order."""
  blocks = []
  directive = None
  lines = text.split("\n")
  i = 0
  while i < len(lines):
    fence = _FENCE.match(lines[i])
    comment = _DIRECTIVE.match(lines[i])
    if comment:
      directive = comment
    elif fence:
      end = i + 1
      while end < len(lines) and lines[end].strip() != fence[2]:
        end += 1
      if end == len(lines):
        raise PageError(f"line {i + 1}: expected a closing fence, found none")
      indentation = len(fence[1])
      content = tuple(line[min(indentation, len(line) - len(line.lstrip())):]
                      for line in lines[i + 1:end])
      blocks.append(Block(i + 1, fence[3], content,
                          directive[1] if directive else "",
                          directive[2] or "" if directive else ""))
      directive = None
      i = end
    elif lines[i].strip():
      if directive:
        raise PageError(f"line {i}: expected a block after "
                        f"'{directive[0].strip()}', found text")
    i += 1
  if directive:
    raise PageError(f"expected a block after '{directive[0].strip()}', found "
                    "the end of the page")
  return blocks


def matches(expected, actual, tolerance):
  """Says whether two lines are equal but for white space and numbers."""
  if _NUMBER.sub("#", expected).split() != _NUMBER.sub("#", actual).split():
    return False
  pairs = zip(_NUMBER.findall(expected), _NUMBER.findall(actual))
  return all(abs(float(a) - float(b)) <= max(_SMALL, tolerance * abs(float(a)))
             for a, b in pairs)


def missing_line(expected, actual, tolerance):
  """Looks for lines, in order, among others.

  Args:
    expected: The lines of an output block; blank lines and `...` count nothing.
    actual: The lines that the commands printed.
    tolerance: As for matches().

  Returns:
    The index of the first expected line that is not found after the one before,
    or None.
  """
  rest = iter(actual)
  for i, line in enumerate(expected):
    if line.strip() in ("", "..."):
      continue
    if not any(matches(line, candidate, tolerance) for candidate in rest):
      return i
  return None
