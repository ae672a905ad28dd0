# SPDX-License-Identifier: Apache-2.0
"""Counts the n-grams of a text on Apache Spark.

The result is a directory of counts, as `lm_trainer ngram-count` makes it:
`lm_trainer ngram-assemble` makes the model. The format and its reasons are in
trainer/counting/FORMAT.md.
"""

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.fs
from pyspark import TaskContext
from pyspark.sql import DataFrame

from lmserve_spark.sentences import Rules, TextError
from lmserve_spark.window_file import WindowWriter
from lmserve_spark.windows import count_windows, key_columns, to_ids
from lmserve_spark.words import Vocabulary, count_words

MAX_ORDER = 16
_MANIFEST = "counts.json"
_WORDS = "words"
_PART_SCHEMA = pa.schema([("number", pa.int32()), ("name", pa.string()),
                          ("windows", pa.int64()), ("bytes", pa.int64())])
_PART = "number int, name string, windows bigint, bytes bigint"


def count_ngrams(lines: DataFrame,
                 output: str,
                 *,
                 order: int = 5,
                 rules: Rules = Rules(),
                 min_count: int = 1,
                 vocabulary: list[bytes] | None = None,
                 parts: int | None = None) -> None:
  """Counts the n-grams of a text and writes them to a directory.

  A task that fails is repeated by Spark, and a task may run twice; the result
  is the same. Files that such tasks leave behind are removed at the end.

  Args:
    lines: the text; see `lmserve_spark.read_lines` and `lines_of`.
    output: a directory that the driver and all executors can write to: a path
      of a file system that they share, or a URI of `pyarrow.fs`, such as
      s3://bucket/counts.
    order: the maximum number of words in an n-gram.
    rules: how the lines are read.
    min_count: words that occur less often are unknown words.
    vocabulary: the words of the vocabulary, in the order of their ids; all
      others are unknown.
    parts: the number of files; by default spark.sql.shuffle.partitions.

  Raises:
    TextError: if the text is not accepted.
    FileExistsError: if the directory has complete counts.
    OSError: if the directory cannot be written.
  """
  directory = _Directory(output)
  if directory.has(_MANIFEST):
    raise FileExistsError(f"{output}: expected no counts, found {_MANIFEST}")
  directory.create()
  spark = lines.sparkSession
  parts = parts or int(spark.conf.get("spark.sql.shuffle.partitions"))

  with _stage("words") as report:
    words = count_words(lines, rules, min_count, vocabulary)
    report(f"{words.tokens:,} tokens, {len(words.words):,} words")
  shared = spark.sparkContext.broadcast(words.words)
  with _stage("windows") as report:
    keys = key_columns(order)
    counted = count_windows(lines, rules, shared, order)
    written = counted.repartitionByRange(
        parts, *keys).sortWithinPartitions(*keys).mapInArrow(
            functools.partial(_write_part, directory=directory, order=order),
            _PART).collect()
    written.sort(key=lambda part: part.number)
    report(f"{sum(part.windows for part in written):,} windows, "
           f"{sum(part.bytes for part in written):,} bytes")
  shared.destroy()
  _write_words(directory, words)
  _write_manifest(directory, words, order, written)
  directory.keep_only({_WORDS, _MANIFEST, *(part.name for part in written)})


class _Directory:
  """A directory for files that are written once; it can be pickled."""

  def __init__(self, uri: str):
    self._uri = uri if "://" in uri else os.path.abspath(uri)

  def create(self) -> None:
    system, path = self._open()
    system.create_dir(path, recursive=True)

  def has(self, name: str) -> bool:
    system, path = self._open()
    info = system.get_file_info(f"{path}/{name}")
    return info.type != pyarrow.fs.FileType.NotFound

  @contextlib.contextmanager
  def write(self, name: str) -> Iterator[BinaryIO]:
    """Opens a file, which exists as a whole, or not at all, for its readers.

    Files of objects stores appear when they are closed. In a local file system
    the file is written under a hidden name, synced and renamed.
    """
    system, path = self._open()
    if not isinstance(system, pyarrow.fs.LocalFileSystem):
      with system.open_output_stream(f"{path}/{name}") as stream:
        yield stream
      return
    hidden = f"{path}/.{name}.partial"
    with open(hidden, "wb") as stream:
      yield stream
      stream.flush()
      os.fsync(stream.fileno())
    os.replace(hidden, f"{path}/{name}")

  def keep_only(self, names: set[str]) -> None:
    """Removes the parts that failed and repeated tasks have written."""
    system, path = self._open()
    for info in system.get_file_info(pyarrow.fs.FileSelector(path)):
      if info.base_name not in names and "part-" in info.base_name:
        system.delete_file(info.path)

  def _open(self):
    return pyarrow.fs.FileSystem.from_uri(self._uri)


@contextlib.contextmanager
def _stage(name):
  """Prints how long a stage took, with what it reports."""
  begin = time.monotonic()
  print(f"{name}...", file=sys.stderr)
  yield lambda result: print(
      f"{name}: {result}, {time.monotonic() - begin:.1f} s", file=sys.stderr)


def _write_part(batches, directory, order):
  """Writes the windows of a partition to a file, if there are any."""
  context = TaskContext.get()
  # Each attempt at a part has a file of its own.
  name = f"part-{context.partitionId():05}-{context.taskAttemptId()}"
  first = next((batch for batch in batches if len(batch) > 0), None)
  if first is None:
    return
  with directory.write(name) as stream:
    writer = WindowWriter(stream, order)
    while first is not None:
      *keys, counts = (column.to_numpy() for column in first.columns)
      writer.add(to_ids(keys, order), counts)
      first = next(batches, None)
    writer.finish()
    size = stream.tell()
  yield pa.RecordBatch.from_arrays(
      [[context.partitionId()], [name], [writer.windows], [size]],
      schema=_PART_SCHEMA)


def _write_words(directory: _Directory, words: Vocabulary) -> None:
  with directory.write(_WORDS) as stream:
    # The words are in the order of their first places, or of a fixed list, so
    # the ids serve as places.
    for i, (word, count) in enumerate(zip(words.words, words.counts)):
      first = 0 if i < 3 or words.is_fixed else i
      stream.write(b"%d\t%d\t%s\n" % (count, first, word))


def _write_manifest(directory, words, order, parts):
  manifest = {
      "format": "lmserve n-gram counts 1",
      "order": order,
      "vocabulary": len(words.words),
      "fixed_vocabulary": words.is_fixed,
      "min_count": words.min_count,
      "sentences": words.sentences,
      "tokens": words.tokens,
      "unknown": words.unknown,
      "blank_lines": words.blank_lines,
      "self_test": [{
          "place": place,
          "text": text
      } for place, text in enumerate(words.self_test)],
      "parts": [{
          "name": part.name,
          "windows": part.windows
      } for part in parts],
  }
  with directory.write(_MANIFEST) as stream:
    stream.write(json.dumps(manifest, indent=2).encode() + b"\n")
