# SPDX-License-Identifier: Apache-2.0
"""What the tests of trainer/spark share."""

import json
import os
import pathlib
import subprocess

import pytest
from pyspark.sql import SparkSession

PROGRAMS = pathlib.Path(os.environ["LMSERVE_PROGRAMS"])


@pytest.fixture(scope="session")
def spark():
  # Four attempts at each task.
  session = SparkSession.builder.master("local[2,4]").config(
      "spark.ui.enabled", "false").config("spark.ui.showConsoleProgress",
                                          "false").getOrCreate()
  session.sparkContext.setLogLevel("OFF")
  yield session
  session.stop()


def run_trainer(*arguments):
  subprocess.run([PROGRAMS / "lm_trainer", *map(str, arguments)],
                 check=True, capture_output=True)


def read_words(counts):
  """Returns the lines of a list of words without the places."""
  lines = (counts / "words").read_bytes().splitlines()
  return [(line.split(b"\t")[0], line.split(b"\t", 2)[2]) for line in lines]


def read_totals(counts):
  """Returns what counts.json says of the text."""
  manifest = json.loads((counts / "counts.json").read_text(encoding="utf-8"))
  for key in ("ngrams", "parts"):
    manifest.pop(key, None)
  manifest["self_test"] = [item["text"] for item in manifest["self_test"]]
  return manifest


class Models:
  """Makes models in a directory and compares them."""

  def __init__(self, directory, order=5):
    self._directory = directory
    self._order = order

  def check_counts(self, counts, corpus, *options):
    """Checks counts, and their model, against lm_trainer's of a corpus.

    Args:
      counts: A directory of counts.
      corpus: A file with the same text.
      options: Options of ngram-count that say how the text is read.
    """
    expected = self._directory / "expected"
    run_trainer("ngram-count", "--corpus", corpus, "--order", self._order,
                "--output", expected, *options)
    assert read_totals(counts) == read_totals(expected)
    assert read_words(counts) == read_words(expected)
    for model, source in (("spark", counts), ("trainer", expected)):
      run_trainer("ngram-assemble", source, "--store",
                  self._directory / "store", "--model", model, "--layout",
                  "compact")
    versions = [
        self._directory / "store" / model / "1" for model in ("spark", "trainer")
    ]
    for name in ("ngram.bin", "vocabulary.txt", "selftest.json"):
      assert versions[0].joinpath(name).read_bytes() == versions[1].joinpath(
          name).read_bytes(), name


@pytest.fixture
def models(tmp_path):
  return Models(tmp_path)
