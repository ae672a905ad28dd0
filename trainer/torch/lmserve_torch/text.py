# SPDX-License-Identifier: Apache-2.0
"""Reads texts as lm_trainer does: the same words, ids and refusals."""

from __future__ import annotations

import array
import bz2
import collections
import dataclasses
import gzip
import lzma
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator

import numpy as np

UNKNOWN, BEGIN, END = 0, 1, 2  # the ids of <unk>, <s> and </s>
_MARKERS = (b"<unk>", b"<s>", b"</s>")
_SPECIAL = (*_MARKERS, b"<UNK>")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TrainingError(Exception):
  """Something that the user can repair: it ends the program with its message."""


@dataclasses.dataclass(frozen=True)
class TextRules:
  """What happens to words that are not words of the language.

  Attributes:
    markers: <s> and </s> inside a line: "refuse", "skip" or "replace".
    invalid_utf8: words that are not valid UTF-8: the same.
    unk: <unk> and <UNK> in the text: "keep", "skip" or "refuse".
    stream: each line continues the line before, and a blank line is an empty
      sentence. Otherwise blank lines are ignored.
  """
  markers: str
  invalid_utf8: str
  unk: str
  stream: bool


def read_corpus(path: str, rules: TextRules, min_count: int,
                vocabulary: str | None) -> tuple[list[bytes], np.ndarray]:
  """Reads a training text.

  Args:
    path: The text, one sentence per line, plain or compressed.
    rules: How words are treated that are not words of the language.
    min_count: Words that occur less often are <unk>.
    vocabulary: A file with the words that are not <unk>; min_count is then
      ignored.

  Returns:
    The words by id: <unk>, <s>, </s>, then the most frequent first or in the
    order of the file; and the text, <s> w1 ... wm </s> <s> ...

  Raises:
    TrainingError: A file cannot be read, or the rules refuse a line.
  """
  ids = {word: i for i, word in enumerate(_MARKERS)}
  if vocabulary:
    for word in _read_vocabulary(vocabulary):
      ids.setdefault(word, len(ids))
    return list(ids), read_text(path, list(ids), rules)
  text = _read_ids(path, rules, lambda word: ids.setdefault(word, len(ids)))
  words = list(ids)
  counts = np.bincount(text, minlength=len(words))
  if counts[UNKNOWN]:
    _print(f"warning: {path}: {counts[UNKNOWN]} words are <unk>; see --unk, and "
           "'Unknown words' in trainer/README.md")
  kept = np.arange(len(_MARKERS), len(words))
  kept = kept[counts[kept] >= min_count]
  order = np.concatenate([np.arange(len(_MARKERS)),
                          kept[np.argsort(-counts[kept], kind="stable")]])
  if len(order) == len(_MARKERS) and min_count > 1:
    _print(f"warning: {path}: no word occurs {min_count} times (--min-count), "
           "so the model will know no words")
  new_ids = np.full(len(words), UNKNOWN, np.int32)
  new_ids[order] = np.arange(len(order))
  return [words[i] for i in order], new_ids[text]


def read_text(path: str, words: list[bytes], rules: TextRules) -> np.ndarray:
  """Reads a text with the ids of known words."""
  ids = {word: i for i, word in enumerate(words)}
  return _read_ids(path, rules, lambda word: ids.get(word, UNKNOWN))


def _read_vocabulary(path: str) -> list[bytes]:
  """Returns the words of a file but for the markers."""
  words: list[bytes] = []
  is_table = True  # every line has a word and a number
  for number, line in enumerate(_lines(path), 1):
    in_line = _split(line)
    if not _is_utf8(line):
      raise TrainingError(f"{path} line {number}: invalid UTF-8")
    is_table = is_table and len(in_line) == 2 and in_line[1].isdigit()
    words += [word for word in in_line if word not in _SPECIAL]
  if is_table and len(words) > 2:
    raise TrainingError(
        f"{path}: expected words, found a word and a number in each line; the "
        "words alone are the output of: cut -d' ' -f1")
  return words


def _read_ids(path: str, rules: TextRules,
              find: Callable[[bytes], int]) -> np.ndarray:
  ids = array.array("i")
  changed: collections.Counter[str] = collections.Counter()
  for number, line in enumerate(_lines(path), 1):
    words = _sentence(line, rules, f"{path} line {number}", changed)
    if words or rules.stream:
      ids.append(BEGIN)
      ids.extend(map(find, words))
      ids.append(END)
  if not ids:
    raise TrainingError(f"{path}: expected at least one sentence, found none")
  for how, count in changed.items():
    _print(f"{path}: {count} words that are sentence markers, <unk> or not "
           f"valid UTF-8 {how}")
  return np.frombuffer(ids, np.int32)


def _sentence(line: bytes, rules: TextRules, place: str,
              changed: collections.Counter[str]) -> list[bytes]:
  """Returns the words of a line by the rules, and counts what they change."""
  words = _split(line)
  if words and words[0] == b"<s>":
    del words[0]
  if words and words[-1] == b"</s>":
    del words[-1]
  if _is_utf8(line) and not any(word in words for word in _SPECIAL):
    return words
  kept = []
  for word in words:
    if word in (b"<unk>", b"<UNK>"):
      rule, problem = rules.unk, (
          "expected words, found <unk> (accepted with --unk keep or skip)")
    elif word in _MARKERS:
      rule, problem = rules.markers, (
          f"expected words, found the sentence marker {word.decode()} inside "
          "the line (accepted with --markers skip or replace)")
    elif not _is_utf8(word):
      rule, problem = rules.invalid_utf8, (
          "invalid UTF-8 (accepted with --invalid-utf8 skip or replace)")
    else:
      kept.append(word)
      continue
    if rule == "refuse":
      raise TrainingError(f"{place}: {problem}")
    if rule != "keep":
      changed["left out" if rule == "skip" else "replaced by <unk>"] += 1
    if rule != "skip":
      kept.append(_MARKERS[UNKNOWN])
  return kept


def _split(line: bytes) -> list[bytes]:
  return line.replace(b"\0", b" ").split()


def _is_utf8(text: bytes) -> bool:
  try:
    text.decode("utf-8")
    return True
  except UnicodeDecodeError:
    return False


def _print(message: str) -> None:
  if os.environ.get("RANK", "0") == "0":  # all processes read the same texts
    print(message, file=sys.stderr)


def _lines(path: str) -> Iterator[bytes]:
  """Yields the lines of a file, decompressed, without byte order marks."""
  try:
    with open(path, "rb") as file:
      head = file.peek(6)[:6]
      if head.startswith(b"\x1f\x8b"):
        file = gzip.open(file)
      elif head.startswith(b"\xfd7zXZ\0"):
        file = lzma.open(file)
      elif head.startswith(b"BZh") and head[4:5] in (b"\x31", b"\x17"):
        file = bz2.open(file)
      elif head.startswith(b"\x28\xb5\x2f\xfd") or head[1:4] == b"\x2a\x4d\x18":
        file = _zstd_lines(path)
      for number, line in enumerate(file):
        if number == 0:
          _check_format(path, line)
        while line.startswith(_BYTE_ORDER_MARK):
          line = line[len(_BYTE_ORDER_MARK):]
        yield line
  except (EOFError, zlib.error, lzma.LZMAError) as error:
    raise TrainingError(
        f"{path}: the compressed data is truncated or corrupt") from error
  except OSError as error:
    raise TrainingError(f"{path}: {error.strerror or error}") from error


def _zstd_lines(path: str) -> Iterator[bytes]:
  try:
    with open(path, "rb") as file, subprocess.Popen(
        ["zstd", "-dcq"], stdin=file, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL) as process:
      yield from process.stdout
  except FileNotFoundError:
    raise TrainingError(f"{path}: reading .zst requires the program zstd, found "
                        "none") from None
  if process.returncode != 0:
    raise EOFError


def _check_format(path: str, line: bytes) -> None:
  """Refuses what is not UTF-8 text by its first line."""
  head = line[:512]
  if head.startswith((b"\xff\xfe", b"\xfe\xff")) or (
      len(head) >= 4 and 3 * head.count(0) >= len(head)):
    raise TrainingError(f"{path}: expected UTF-8 text, found UTF-16, UTF-32 or "
                        "a binary file")
  if head.startswith(b"PK\x03\x04"):
    raise TrainingError(f"{path}: expected text, found a zip archive")
  if b"\r" in line[:-1] and not line.endswith(b"\n"):
    raise TrainingError(f"{path}: expected lines that end with LF, found CR "
                        "alone; convert it with: tr '\\r' '\\n'")
