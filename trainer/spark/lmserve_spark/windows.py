# SPDX-License-Identifier: Apache-2.0
"""Counts the windows of a text: what it has from each position on.

A window is N word ids, those after </s> 0. In a DataFrame it is ceil(N / 2)
columns k0, k1, ... of the type bigint, each of two ids: k0 is the first id
times 2^32, plus the second. Ids are below 2^31, so the columns are sorted as
the ids are.
"""

import functools
import itertools

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lmserve_spark import lines as text_lines
from lmserve_spark.sentences import BEGIN_ID, END_ID, UNKNOWN_ID, Rules, split

_IDS_IN_BATCH = 1 << 18


def key_columns(order: int) -> list[str]:
  """Returns the names of the columns of a window."""
  return [f"k{i}" for i in range((order + 1) // 2)]


def count_windows(lines: DataFrame, rules: Rules, words: Broadcast,
                  order: int) -> DataFrame:
  """Returns the windows of a text with the column `count`, not sorted.

  Args:
    lines: the text, see lines.py.
    rules: how its lines are read.
    words: the words in the order of their ids.
    order: the number of words in a window.
  """
  keys = key_columns(order)
  windows = lines.mapInArrow(
      functools.partial(_find_windows, rules=rules, words=words, order=order),
      ", ".join(f"{key} bigint" for key in keys))
  return windows.groupBy(*keys).agg(F.count("*").alias("count"))


def _find_windows(batches, rules, words, order):
  """Returns the windows of a partition of lines."""
  id_of = {word: i for i, word in enumerate(words.value)}
  names = key_columns(order)
  ids = []
  for (file, _), lines in text_lines.blocks(batches):
    for line in lines:
      sentence = split(line, rules, file)
      if not sentence:
        continue
      ids.append(BEGIN_ID)
      ids.extend(map(id_of.get, sentence, itertools.repeat(UNKNOWN_ID)))
      ids.append(END_ID)
      if len(ids) >= _IDS_IN_BATCH:
        yield pa.RecordBatch.from_arrays(_keys(ids, order), names=names)
        ids = []
  yield pa.RecordBatch.from_arrays(_keys(ids, order), names=names)


def _keys(ids, order):
  """Returns the columns of the windows at all positions of sentences."""
  padded = np.zeros(len(ids) + 2 * ((order + 1) // 2), np.int64)
  padded[:len(ids)] = ids
  columns = []
  is_open = np.ones(len(ids), bool)  # whether no </s> was before
  for i in range(2 * len(key_columns(order))):
    column = padded[i:len(ids) + i] * (is_open & (i < order))
    is_open &= column != END_ID
    columns.append(column)
  return [
      pa.array(first << 32 | second)
      for first, second in zip(columns[::2], columns[1::2])
  ]


def to_ids(keys: list[np.ndarray], order: int) -> np.ndarray:
  """Returns the ids of windows, [windows, order], from their columns."""
  columns = []
  for key in keys:
    columns += [key >> 32, key & 0xFFFFFFFF]
  return np.stack(columns[:order], axis=1)
