# SPDX-License-Identifier: Apache-2.0
"""The command line of count_ngrams.py."""

import argparse
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Sequence

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from lmserve_spark.counts import MAX_ORDER, count_ngrams
from lmserve_spark.lines import lines_of, read_lines
from lmserve_spark.sentences import MARKERS, Rules, TextError, is_utf8

_DESCRIPTION = """\
Count the n-grams of a text on Apache Spark, for lm_trainer ngram-assemble:

  spark-submit count_ngrams.py text/*.gz --output counts
  lm_trainer ngram-assemble counts --store store --model en

The model is the one that lm_trainer ngram makes of the same text, byte for
byte. A text is files with a sentence per line, plain or compressed (.gz, .bz2,
.xz, .zst), directories of such files, or patterns, in any file system that
Spark reads. Its files are ordered by their paths.
"""


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command and returns its exit code."""
  options = _parse(arguments)
  spark = SparkSession.builder.appName("lmserve n-gram counts").getOrCreate()
  spark.sparkContext.addPyFile(_zip_package())
  try:
    words = _read_vocabulary(options.vocabulary) if options.vocabulary else None
    if options.column:
      lines = lines_of(
          spark.read.format(options.format or "parquet").load(options.text),
          options.column, options.order_by)
    else:
      lines = read_lines(spark, options.text)
    count_ngrams(
        lines,
        options.output,
        order=options.order,
        rules=Rules(options.unk, options.markers, options.invalid_utf8),
        min_count=options.min_count,
        vocabulary=words,
        parts=options.parts)
  except (OSError, PySparkException, TextError) as error:
    print(f"error: {_message(error)}", file=sys.stderr)
    return 1
  finally:
    spark.stop()
  return 0


def _parse(arguments):
  parser = argparse.ArgumentParser(
      prog="count_ngrams.py",
      description=_DESCRIPTION,
      formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("text", nargs="+", help="files, directories or patterns")
  parser.add_argument(
      "--output",
      required=True,
      metavar="DIR",
      help="directory to which the counts are written; the driver and all "
      "executors must be able to write to it")
  parser.add_argument(
      "--order",
      type=_integer(1, MAX_ORDER),
      default=5,
      metavar="N",
      help="maximum number of words in an n-gram (default: 5)")
  words = parser.add_mutually_exclusive_group()
  words.add_argument(
      "--min-count",
      type=_integer(1, 2**56),
      default=1,
      metavar="N",
      help="words that occur less often become <unk> (default: 1)")
  words.add_argument(
      "--vocabulary",
      metavar="FILE",
      help="a file of the driver with the words of the vocabulary; all others "
      "become <unk>")
  parser.add_argument(
      "--unk",
      choices=("keep", "skip", "refuse"),
      default="keep",
      help="<unk> and <UNK> in the text (default: keep)")
  for name, of in (("markers", "<s> and </s> inside a line"),
                   ("invalid-utf8", "words that are not valid UTF-8")):
    parser.add_argument(
        f"--{name}",
        choices=("refuse", "skip", "replace"),
        default="refuse",
        help=f"{of} (default: refuse)")
  parser.add_argument(
      "--parts",
      type=_integer(1, 100_000),
      metavar="N",
      help="number of files of windows (default: spark.sql.shuffle.partitions)")
  table = parser.add_argument_group("texts in tables")
  table.add_argument(
      "--column", metavar="NAME", help="the column of a table with the text")
  table.add_argument(
      "--format",
      metavar="NAME",
      help="format of the table, as Spark names it (default: parquet)")
  table.add_argument(
      "--order-by",
      action="append",
      default=[],
      metavar="NAME",
      help="a column by which the sentences are ordered; may be repeated")
  options = parser.parse_args(arguments)
  for name in ("format", "order_by"):
    if getattr(options, name) and not options.column:
      parser.error(f"--{name.replace('_', '-')}: expected --column, too")
  return options


def _integer(low, high):

  def parse(text):
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
      raise argparse.ArgumentTypeError(
          f"expected an integer from {low} to {high}, found '{text}'")
    return int(text)

  return parse


def _read_vocabulary(file):
  """Reads the words of a vocabulary, as lm_trainer does, but no compression."""
  with open(file, "rb") as stream:
    words = stream.read().replace(b"\0", b" ").split()
  for word in words:
    if not is_utf8(word):
      raise TextError(f"{file}: invalid UTF-8: {word!r}")
  known = dict.fromkeys(words)
  for marker in (*MARKERS, b"<UNK>"):
    known.pop(marker, None)
  return list(known)


def _zip_package():
  """Returns a zip of this package, for the executors, which may lack it."""
  package = os.path.dirname(os.path.abspath(__file__))
  path = os.path.join(tempfile.mkdtemp(), "lmserve_spark.zip")
  with zipfile.ZipFile(path, "w") as archive:
    for name in sorted(os.listdir(package)):
      if name.endswith(".py"):
        archive.write(os.path.join(package, name), f"lmserve_spark/{name}")
  return path


def _message(error):
  """Returns the line of an error that says what is wrong."""
  if isinstance(error, AnalysisException):
    return str(error).splitlines()[0]
  # An error of a task has the text of its traceback.
  match = re.search(r"^(?:\w+\.)*TextError: (.*)$", str(error), re.MULTILINE)
  return match.group(1) if match else str(error)
