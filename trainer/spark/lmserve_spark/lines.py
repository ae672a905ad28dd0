# SPDX-License-Identifier: Apache-2.0
"""Texts as DataFrames of lines.

A DataFrame of lines has the columns

  line   binary: a sentence
  file   string: the file that it is from, "" if it is from none
  block  bigint: the part of the file

Lines of one block are in one partition and in order, so (file, block, number of
the line in the block) is the place of a line in the text.
"""

import io
import itertools
import lzma
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lmserve_spark.sentences import TextError

SCHEMA = "line binary, file string, block bigint"

_ARROW_SCHEMA = pa.schema([("line", pa.binary()), ("file", pa.string()),
                           ("block", pa.int64())])

# Spark's reader of text does not know these. A task reads the whole of such a
# file, which may have 2 GiB compressed.
_WHOLE_FILES = "*.{xz,zst}"
_WHOLE_FILE_PATTERN = r"\.(xz|zst)$"
_LINES_IN_BATCH = 10_000
_COMPRESSED_BYTES = 16 << 10  # that are decompressed at once


def read_lines(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
  """Reads files, plain or compressed, which the suffix says.

  Args:
    spark: the session.
    paths: files, directories and patterns as Spark reads them. The text is that
      of all their files, in the order of the paths of the files.
  """
  file = F.col("_metadata.file_path")
  # The reader keeps the bytes of a line as they are.
  split = spark.read.text(list(paths), lineSep="\n").where(
      ~file.rlike(_WHOLE_FILE_PATTERN)).select(
          F.col("value").cast("binary").alias("line"), file.alias("file"),
          F.col("_metadata.file_block_start").alias("block"))
  whole = spark.read.format("binaryFile").option(
      "pathGlobFilter", _WHOLE_FILES).load(list(paths)).select(
          "content", file.alias("file"))
  return split.unionAll(whole.mapInArrow(_decompress, SCHEMA))


def lines_of(frame: DataFrame, column: str,
             order_by: Sequence[str] = ()) -> DataFrame:
  """Makes lines of a column of text; each row is a sentence.

  Args:
    frame: has the column. If it is not sorted by `order_by`, it must have the
      same rows in the same partitions each time it is computed.
    column: of the type string or binary. A null is a blank line.
    order_by: the columns that say where a sentence is in the text, if the
      order of the rows does not. Words that are equally frequent get their ids
      in the order of the text.
  """
  if order_by:
    frame = frame.orderBy(*order_by)
  return frame.select(
      F.coalesce(F.col(column).cast("binary"),
                 F.lit(b"")).alias("line"),
      F.lit("").alias("file"),
      F.spark_partition_id().cast("bigint").alias("block"))


def blocks(
    batches: Iterable[pa.RecordBatch]
) -> Iterator[tuple[tuple[str, int], Iterator[bytes]]]:
  """Returns the blocks in a partition of lines: (file, block) and the lines."""
  runs = ((place, lines) for batch in batches for place, lines in _runs(batch))
  for place, group in itertools.groupby(runs, key=lambda run: run[0]):
    yield place, itertools.chain.from_iterable(lines for _, lines in group)


def _runs(batch):
  """Returns the longest runs of lines with the same file and block."""
  lines = batch.column("line")
  places = pa.StructArray.from_arrays(
      [batch.column("file"), batch.column("block")], ["file", "block"])
  begin = 0
  while begin < len(places):
    place = places[begin]
    # Nearly all batches are of one block.
    end = len(places)
    if places[end - 1] != place:
      end = next(i for i in range(begin, end) if places[i] != place)
    yield ((place["file"].as_py(), place["block"].as_py()),
           lines[begin:end].to_pylist())
    begin = end


def _decompress(batches):
  """Returns the lines of files that are read as a whole."""
  for batch in batches:
    for content, path in zip(batch.column("content"), batch.column("file")):
      file = path.as_py()
      try:
        with _open(io.BytesIO(content.as_buffer()), file) as stream:
          while lines := list(itertools.islice(stream, _LINES_IN_BATCH)):
            size = len(lines)
            lines = [line.removesuffix(b"\n") for line in lines]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(lines, pa.binary()),
                    pa.array([file] * size),
                    pa.array([0] * size)
                ],
                schema=_ARROW_SCHEMA)
      except (EOFError, OSError, lzma.LZMAError) as error:
        raise TextError(f"{file}: cannot decompress it: {error}") from error


def _open(stream, file):
  if file.endswith(".xz"):
    return lzma.open(stream)
  return io.BufferedReader(_ZstdStream(stream, file))


class _ZstdStream(io.RawIOBase):
  """What frames of Zstandard contain.

  The readers of the package zstandard take a frame that is cut off for the end.
  """

  def __init__(self, stream, file):
    super().__init__()
    try:
      import zstandard  # only needed for these files
    except ImportError as error:
      raise TextError(f"{file}: the package zstandard, which reads .zst, is not "
                      "installed on the executors") from error
    self._zstandard = zstandard
    self._stream = stream
    self._frame = None  # the one that is read; None between frames
    self._input = b""
    self._output = memoryview(b"")

  def readable(self):
    return True

  def readinto(self, buffer):
    while not self._output:
      if not self._input:
        self._input = self._stream.read(_COMPRESSED_BYTES)
        if not self._input:
          if self._frame is not None:
            raise EOFError("it ends inside a frame")
          return 0
      self._decompress()
    size = min(len(buffer), len(self._output))
    buffer[:size] = self._output[:size]
    self._output = self._output[size:]
    return size

  def _decompress(self):
    if self._frame is None:
      self._frame = self._zstandard.ZstdDecompressor().decompressobj()
    try:
      self._output = memoryview(self._frame.decompress(self._input))
    except self._zstandard.ZstdError as error:
      raise OSError(str(error)) from error
    self._input = self._frame.unused_data
    if self._frame.eof:
      self._frame = None
