# SPDX-License-Identifier: Apache-2.0
"""Counts of Spark and their models, compared with those of lm_trainer."""

import bz2
import gzip
import json
import lzma
import os
import pathlib
import random

import pyarrow as pa
import pytest
import zstandard
from pyspark import TaskContext

from conftest import Models, run_trainer
from lmserve_spark import (Rules, TextError, count_ngrams, lines_of,
                           read_lines)
from lmserve_spark.counts import _Directory, _write_part
from lmserve_spark.windows import key_columns

SHARED = os.environ.get("LMSERVE_SHARED")
WORDS = ["a", "b", "cé", "d.", "<unk>", "e f", "g\u00a0h", "\U0001f600"]


def make_text(path, sentences, seed=1):
  """Writes a text in which words of all frequencies are in all places."""
  draw = random.Random(seed)
  words = WORDS + [f"w{i}" for i in range(300)]
  weights = [1 / (i + 1) for i in range(len(words))]
  with open(path, "w", encoding="utf-8") as file:
    for _ in range(sentences):
      length = draw.choice([0, 1, 2, 3, 8, 20])
      file.write(" ".join(draw.choices(words, weights, k=length)) + "\n")
  return path


def write_split(text, directory):
  """Writes a text as five files, in each form that a file can have."""
  lines = text.read_bytes().splitlines(keepends=True)
  cuts = [0, 100, 150, 151, 600, len(lines)]
  openers = [("a.txt", open), ("b.txt.gz", gzip.open), ("c.bz2", bz2.open),
             ("d%41 e.xz", lzma.open), ("f[1].zst", zstandard.open)]
  directory.mkdir()
  (directory / "a-empty.txt").touch()
  for (name, opener), begin, end in zip(openers, cuts, cuts[1:]):
    with opener(directory / name, "wb") as file:
      file.write(b"".join(lines[begin:end]))


@pytest.mark.parametrize("order", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("parts", [1, 7])
def test_model_is_that_of_one_process(spark, tmp_path, order, parts):
  text = make_text(tmp_path / "text", 2000, seed=order)
  counts = tmp_path / "counts"
  count_ngrams(read_lines(spark, [str(text)]), str(counts), order=order,
               parts=parts)
  Models(tmp_path, order).check_counts(counts, text)


def test_files_of_all_kinds_are_one_text(spark, tmp_path, models):
  text = make_text(tmp_path / "text", 1000)
  write_split(text, tmp_path / "files")
  counts = tmp_path / "counts"
  count_ngrams(read_lines(spark, [str(tmp_path / "files")]), str(counts))
  models.check_counts(counts, text)


def test_small_blocks_of_a_file_keep_their_order(spark, tmp_path, models):
  text = make_text(tmp_path / "text", 3000)
  spark.conf.set("spark.sql.files.maxPartitionBytes", "5000")
  spark.conf.set("spark.sql.files.openCostInBytes", "0")
  try:
    lines = read_lines(spark, [str(text)])
    assert lines.rdd.getNumPartitions() > 5
    count_ngrams(lines, str(tmp_path / "counts"))
  finally:
    spark.conf.unset("spark.sql.files.maxPartitionBytes")
    spark.conf.unset("spark.sql.files.openCostInBytes")
  models.check_counts(tmp_path / "counts", text)


def test_rows_of_a_table(spark, tmp_path, models):
  text = make_text(tmp_path / "text", 1000)
  rows = list(enumerate(text.read_text(encoding="utf-8").splitlines()))
  random.Random(2).shuffle(rows)
  frame = spark.createDataFrame(rows, "place int, sentence string")
  frame.write.parquet(str(tmp_path / "table"))
  table = spark.read.parquet(str(tmp_path / "table"))
  count_ngrams(lines_of(table, "sentence", ["place"]), str(tmp_path / "counts"))
  models.check_counts(tmp_path / "counts", text)


@pytest.mark.parametrize("options", [["--min-count", "5"], ["--vocabulary"]])
def test_vocabulary(spark, tmp_path, models, options):
  text = make_text(tmp_path / "text", 1000)
  arguments = {"min_count": 5}
  if options == ["--vocabulary"]:
    words = ["w7", "never-seen", "a", "w3"]
    (tmp_path / "words").write_text("\n".join(words), encoding="utf-8")
    options = ["--vocabulary", tmp_path / "words"]
    arguments = {"vocabulary": [word.encode() for word in words]}
  count_ngrams(read_lines(spark, [str(text)]), str(tmp_path / "counts"),
               **arguments)
  models.check_counts(tmp_path / "counts", text, *options)


UNWANTED = (b"<s> a b </s>\n"
            b"\xef\xbb\xbf\xef\xbb\xbfa <s> b \xff\xfe c\n"
            b"a\0b\x0b\x0cc\r\n"
            b"<s>\n"
            b"<UNK> </s> a\n"
            b"<unk> <s> </s>\n"
            b"\xed\xa0\x80 \xc0\x80 \xf4\x90\x80\x80 d\n"
            b"no end of line")


@pytest.mark.parametrize("unknown", ["keep", "skip"])
@pytest.mark.parametrize("unwanted", ["skip", "replace"])
def test_unwanted_words(spark, tmp_path, models, unknown, unwanted):
  text = tmp_path / "text"
  text.write_bytes(UNWANTED)
  count_ngrams(read_lines(spark, [str(text)]), str(tmp_path / "counts"),
               rules=Rules(unknown, unwanted, unwanted))
  models.check_counts(tmp_path / "counts", text, "--unk", unknown, "--markers",
                      unwanted, "--invalid-utf8", unwanted)


def test_giant_line(spark, tmp_path, models):
  text = tmp_path / "text"
  draw = random.Random(3)
  words = " ".join(draw.choices([f"w{i}" for i in range(999)], k=2_000_000))
  text.write_text(f"a\n{words}\nb\n", encoding="utf-8")
  count_ngrams(read_lines(spark, [str(text)]), str(tmp_path / "counts"))
  models.check_counts(tmp_path / "counts", text)


def test_tasks_that_die_are_repeated(spark, tmp_path, models):
  text = make_text(tmp_path / "text", 1000)
  deaths = tmp_path / "deaths"
  deaths.mkdir()

  def die_once(batches):
    """Ends the process in the middle of the first attempt of each stage."""
    for i, batch in enumerate(batches):
      yield batch
      context = TaskContext.get()
      if i == 1 and context.attemptNumber() == 0:
        (deaths / str(context.stageId())).touch()
        os._exit(1)

  spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
  try:
    lines = read_lines(spark, [str(text)])
    count_ngrams(lines.mapInArrow(die_once, lines.schema),
                 str(tmp_path / "counts"))
  finally:
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
  assert len(list(deaths.iterdir())) >= 2  # of words, of windows
  models.check_counts(tmp_path / "counts", text)


def test_attempts_at_a_part_do_not_disturb_each_other(spark, tmp_path):
  windows = spark.createDataFrame([(3 << 32 | 2, 0, 0, 1)],
                                  "k0 bigint, k1 bigint, k2 bigint, n bigint")
  directory = _Directory(str(tmp_path))

  def write_twice(batches):
    for batch in list(batches):
      first = list(_write_part(iter([batch]), directory, 5))
      name = first[0].column("name")[0].as_py()
      os.rename(tmp_path / name, tmp_path / f"{name}1")  # of another attempt
      yield from _write_part(iter([batch]), directory, 5)

  part, = windows.coalesce(1).mapInArrow(
      write_twice,
      "number int, name string, windows bigint, bytes bigint").collect()
  assert sorted(path.name for path in tmp_path.iterdir()) == [
      part.name, f"{part.name}1"
  ]
  directory.keep_only({part.name})
  assert [path.name for path in tmp_path.iterdir()] == [part.name]
  assert (tmp_path / part.name).stat().st_size == part.bytes


@pytest.mark.parametrize("text,problem", [
    (b"a <s> b\n", "sentence marker <s> inside the line"),
    (b"a \xff b\n", "invalid UTF-8"),
    (b"\n\n", "expected at least one sentence"),
    (b"a " + b"x" * 65_537, "expected words of at most 65536 bytes"),
])
def test_texts_that_are_refused(spark, tmp_path, text, problem):
  (tmp_path / "text").write_bytes(text)
  with pytest.raises(Exception, match=problem):
    count_ngrams(read_lines(spark, [str(tmp_path / "text")]),
                 str(tmp_path / "counts"))
  assert not (tmp_path / "counts" / "counts.json").exists()


@pytest.mark.parametrize("name, compress, size", [
    ("text.xz", lzma.compress, -20),
    ("text.zst", zstandard.compress, -1),
    ("text.zst", lambda text: zstandard.compress(text) + b"more", None),
])
def test_damaged_file_is_named(spark, tmp_path, name, compress, size):
  text = b"".join(b"a %d c\n" % i for i in range(9999))
  (tmp_path / name).write_bytes(compress(text)[:size])
  with pytest.raises(Exception, match=f"{name}: cannot decompress it"):
    count_ngrams(read_lines(spark, [str(tmp_path / name)]),
                 str(tmp_path / "counts"))


def test_complete_counts_are_not_replaced(spark, tmp_path):
  text = make_text(tmp_path / "text", 100)
  lines = read_lines(spark, [str(text)])
  count_ngrams(lines, str(tmp_path / "counts"))
  with pytest.raises(FileExistsError, match="found counts.json"):
    count_ngrams(lines, str(tmp_path / "counts"))


def test_counts_can_be_merged(spark, tmp_path):
  texts = [make_text(tmp_path / f"text{i}", 500, seed=i) for i in range(2)]
  for i, text in enumerate(texts):
    count_ngrams(read_lines(spark, [str(text)]), str(tmp_path / f"counts{i}"))
  run_trainer("ngram-merge", tmp_path / "counts0", tmp_path / "counts1",
              "--output", tmp_path / "merged")
  totals = [
      json.loads((tmp_path / name / "counts.json").read_text(encoding="utf-8"))
      for name in ("counts0", "counts1", "merged")
  ]
  assert totals[2]["tokens"] == totals[0]["tokens"] + totals[1]["tokens"]


@pytest.mark.skipif(SHARED is None, reason="LMSERVE_SHARED is not set")
@pytest.mark.parametrize("corpus", [
    "wikitext-2/train.txt.xz", "brown/train.txt.xz", "multi30k/train.en.xz"
])
def test_corpora(spark, tmp_path, models, corpus):
  text = pathlib.Path(SHARED) / "data" / corpus
  count_ngrams(read_lines(spark, [str(text)]), str(tmp_path / "counts"),
               parts=4)
  models.check_counts(tmp_path / "counts", text)


def test_key_columns():
  assert [len(key_columns(order)) for order in (1, 2, 3, 5, 16)
         ] == [1, 1, 2, 3, 8]
