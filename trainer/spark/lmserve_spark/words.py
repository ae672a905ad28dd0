# SPDX-License-Identifier: Apache-2.0
"""Counts the words of a text and gives them their ids."""

import collections
import dataclasses
import functools

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lmserve_spark import lines as text_lines
from lmserve_spark.sentences import (BEGIN, END, MARKERS, UNKNOWN, Rules,
                                     TextError, split)

MAX_WORDS = 2**31 - 1
_MAX_WORD_BYTES = 65_536
_SELF_TEST_SENTENCES = 3
_SELF_TEST_WORDS = 100

# A task emits the words that it has counted when its table has this many.
_MAX_WORDS_IN_TABLE = 1 << 20

# What a task has found in a block: words with their counts, in the order in
# which they occur first; the number of blank lines; the first sentences. `rank`
# is the place of an item among those of its kind in the block.
_WORD, _BLANK, _SENTENCE = 0, 1, 2
_FACTS_SCHEMA = pa.schema([("kind", pa.int32()), ("text", pa.binary()),
                           ("count", pa.int64()), ("file", pa.string()),
                           ("block", pa.int64()), ("rank", pa.int64())])
_FACTS = ("kind int, text binary, count bigint, file string, block bigint, "
          "rank bigint")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """The words of a text, in the order of their ids, and its totals.

  `counts` has the number of each word; that of <s> and of </s> is the number of
  sentences. `self_test` has the first sentences.
  """

  words: list[bytes]
  counts: list[int]
  is_fixed: bool
  min_count: int
  blank_lines: int
  self_test: list[str]

  @property
  def sentences(self) -> int:
    return self.counts[MARKERS.index(END)]

  @property
  def tokens(self) -> int:
    """The number of words, with one </s> for each sentence."""
    return sum(self.counts) - self.sentences

  @property
  def unknown(self) -> int:
    return self.counts[MARKERS.index(UNKNOWN)]


def count_words(lines: DataFrame, rules: Rules, min_count: int,
                fixed: list[bytes] | None) -> Vocabulary:
  """Counts the words of a text.

  Args:
    lines: the text, see lines.py.
    rules: how its lines are read.
    min_count: words that occur less often are unknown.
    fixed: the words of the vocabulary in the order of their ids, without the
      markers; None: those of the text, the most frequent first, and among words
      with the same count the one that occurs first in the text.

  Raises:
    TextError: if there is no sentence, or a word is too long.
  """
  facts = lines.mapInArrow(functools.partial(_find_facts, rules=rules), _FACTS)
  facts.persist(StorageLevel.MEMORY_AND_DISK)
  try:
    files = sorted(row.file for row in facts.select("file").distinct().collect())
    ranks = lines.sparkSession.createDataFrame(
        list(enumerate(files)) or [(0, "")], "file_rank int, file string")
    place = F.struct("file_rank", "block", "rank")
    facts = facts.join(F.broadcast(ranks), "file").withColumn("place", place)
    counted = facts.where(F.col("kind") == _WORD).groupBy("text").agg(
        F.sum("count").alias("count"),
        F.min("place").alias("place"))
    table = counted.orderBy(F.desc("count"), "place").select("text",
                                                             "count").toArrow()
    blank_lines = facts.where(F.col("kind") == _BLANK).agg(
        F.sum("count")).first()[0] or 0
    self_test = [
        bytes(row.text) for row in facts.where(F.col("kind") == _SENTENCE).
        orderBy("place").limit(_SELF_TEST_SENTENCES).collect()
    ]
  finally:
    facts.unpersist()
  counts = dict(
      zip(table.column("text").to_pylist(),
          table.column("count").to_pylist()))
  return _vocabulary(counts, min_count, fixed, blank_lines, self_test)


def _find_facts(batches, rules):
  """Counts the words of the blocks of a partition."""
  for (file, block), lines in text_lines.blocks(batches):
    table = collections.Counter()
    sentences, emitted, blank_lines, first = 0, 0, 0, []
    for line in lines:
      words = split(line, rules, file)
      if not words:
        blank_lines += 1
        continue
      sentences += 1
      table.update(words)
      if len(first) < _SELF_TEST_SENTENCES:
        first.append((b" ".join(words[:_SELF_TEST_WORDS]), 1))
      if len(table) >= _MAX_WORDS_IN_TABLE:
        yield _facts(_WORD, table.items(), file, block, emitted)
        emitted += len(table)
        table.clear()
    # The text itself has no such words.
    table[BEGIN] = table[END] = sentences
    yield _facts(_WORD, table.items(), file, block, emitted)
    yield _facts(_BLANK, [(b"", blank_lines)], file, block, 0)
    yield _facts(_SENTENCE, first, file, block, 0)


def _facts(kind, items, file, block, rank):
  size = len(items)
  return pa.RecordBatch.from_arrays([
      pa.array([kind] * size, pa.int32()),
      pa.array([text for text, _ in items], pa.binary()),
      pa.array([count for _, count in items], pa.int64()),
      pa.array([file] * size, pa.string()),
      pa.array([block] * size, pa.int64()),
      pa.array(range(rank, rank + size), pa.int64())
  ],
                                    schema=_FACTS_SCHEMA)


def _vocabulary(counts, min_count, fixed, blank_lines, self_test):
  """Makes a vocabulary of the counts of all words, the most frequent first."""
  sentences = counts.get(END, 0)
  if sentences == 0:
    raise TextError("text: expected at least one sentence, found none")
  markers = {UNKNOWN: counts.pop(UNKNOWN, 0), BEGIN: sentences, END: sentences}
  del counts[BEGIN], counts[END]
  total = sum(counts.values())
  if fixed is not None:
    known = {word: counts.get(word, 0) for word in fixed}
  else:
    known = {word: n for word, n in counts.items() if n >= min_count}
  markers[UNKNOWN] += total - sum(known.values())
  for word in known:
    if len(word) > _MAX_WORD_BYTES:
      raise TextError(f"text: expected words of at most {_MAX_WORD_BYTES} "
                      f"bytes, found one of {len(word)}")
  if len(known) > MAX_WORDS - len(MARKERS):
    raise TextError(f"text: expected at most {MAX_WORDS} different words, "
                    f"found {len(known)}; see --min-count")
  words = [*MARKERS, *known]
  known_words = frozenset(known) | {UNKNOWN}
  return Vocabulary(
      words=words,
      counts=[*markers.values(), *known.values()],
      is_fixed=fixed is not None,
      min_count=1 if fixed is not None else min_count,
      blank_lines=blank_lines,
      self_test=[
          b" ".join(word if word in known_words else UNKNOWN
                    for word in text.split(b" ")).decode()
          for text in self_test
      ])
