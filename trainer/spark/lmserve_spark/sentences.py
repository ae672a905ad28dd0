# SPDX-License-Identifier: Apache-2.0
"""Splits lines of text into words as lm_trainer does.

The rules are those of "Words and ids" in trainer/counting/FORMAT.md and of
trainer/text/sentence_splitter.h. Words are bytes.
"""

import dataclasses

UNKNOWN, BEGIN, END = b"<unk>", b"<s>", b"</s>"
UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2
MARKERS = (UNKNOWN, BEGIN, END)  # in the order of their ids

_SPECIAL = frozenset((UNKNOWN, b"<UNK>", BEGIN, END))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SHOWN_BYTES = 60


class TextError(ValueError):
  """A text, or an option that describes it, is not accepted."""


@dataclasses.dataclass(frozen=True)
class Rules:
  """What happens to words that are not words of the language.

  Attributes:
    unknown: <unk> and <UNK> in the text: "keep", "skip" or "refuse".
    markers: <s> and </s> inside a line: "refuse", "skip" or "replace".
    invalid_utf8: words that are not valid UTF-8: "refuse", "skip" or
      "replace".
  """

  unknown: str = "keep"
  markers: str = "refuse"
  invalid_utf8: str = "refuse"


def split(line: bytes, rules: Rules, name: str = "text") -> list[bytes]:
  """Returns the words of a line.

  Args:
    line: the line, without its end.
    rules: how the line is read.
    name: the name of the text, for errors.

  Raises:
    TextError: for a word that the rules refuse.
  """
  if b"\0" in line:
    line = line.replace(b"\0", b" ")
  while line.startswith(_BYTE_ORDER_MARK):
    line = line[len(_BYTE_ORDER_MARK):]
  words = line.split()
  if not line.isascii() and not is_utf8(line):
    return _split_unwanted(words, rules, name, line)
  if b"<" in line and not _SPECIAL.isdisjoint(words):
    return _split_unwanted(words, rules, name, line)
  return words


def _split_unwanted(words, rules, name, line):
  """Handles the words of a line some of which may be unwanted."""
  if words and words[0] == BEGIN:
    words = words[1:]
  if words and words[-1] == END:
    words = words[:-1]
  kept = []
  for word in words:
    if word in (UNKNOWN, b"<UNK>"):
      word, rule = UNKNOWN, rules.unknown
      problem = "<unk> (accepted with --unk keep or skip)"
    elif word in (BEGIN, END):
      rule = rules.markers
      problem = (f"the sentence marker {word.decode()} inside the line "
                 "(accepted with --markers skip or replace)")
    elif not is_utf8(word):
      rule = rules.invalid_utf8
      problem = "invalid UTF-8 (accepted with --invalid-utf8 skip or replace)"
    else:
      rule = "keep"
    if rule == "refuse":
      shown = line[:_SHOWN_BYTES].decode(errors="backslashreplace")
      raise TextError(f"{name}: expected words, found {problem}; "
                      f"the line begins with {shown!r}")
    if rule != "skip":
      kept.append(UNKNOWN if rule == "replace" else word)
  return kept


def is_utf8(text: bytes) -> bool:
  """Returns whether a text is valid UTF-8."""
  try:
    text.decode()
  except UnicodeDecodeError:
    return False
  return True
