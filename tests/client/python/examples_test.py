# SPDX-License-Identifier: Apache-2.0
"""Runs the examples as a user would."""

import itertools
import pathlib
import subprocess
import sys

import live_server
import lmserve
import pytest

EXAMPLES = (pathlib.Path(__file__).resolve().parents[3] / "client" / "python" /
            "examples")
# With this text, greedy search does not find the most probable sentence.
TEXT = "a b c d\n" * 4 + "a c d\n" * 3 + "b c\n" * 8 + "b d a\n" * 6 + "d b\n"


@pytest.fixture(scope="module", name="server")
def serve(tmp_path_factory):
  store = tmp_path_factory.mktemp("bigrams")
  live_server.train_ngram(store, "bigrams", TEXT, order=2)
  with live_server.LiveServer(store) as server:
    yield server.address


def beam_search(server, *arguments):
  return subprocess.run(
      [sys.executable, EXAMPLES / "beam_search.py", "--server", server,
       *arguments],
      check=False, capture_output=True, text=True)


def most_probable(server, beginning, max_words):
  """Finds the most probable sentence by scoring all sentences."""
  texts = [[*beginning, *words] for length in range(max_words + 1)
           for words in itertools.product("abcd", repeat=length)
           if 0 < length + len(beginning) <= max_words]
  with lmserve.Client(server, deadline=60) as client:
    scores = client.score("bigrams", texts).scores
  log_probs = [score.log_prob for score in scores]
  best = max(log_probs)
  return best, texts[log_probs.index(best)]


@pytest.mark.parametrize("beginning, max_words", [
    ((), 5), (("a",), 5), (("d", "c"), 5), (("c", "c"), 2)])
def test_beam_search_finds_the_most_probable(server, beginning, max_words):
  run = beam_search(server, "--model", "bigrams", "--beam", "30",
                    "--max-words", str(max_words), *beginning)
  assert run.returncode == 0, run.stderr
  log_prob, *words = run.stdout.split()
  best, text = most_probable(server, beginning, max_words)
  assert (float(log_prob), words) == (pytest.approx(best, abs=1e-3), text)


def test_beam_search_reports_errors(server):
  run = beam_search(server, "--model", "nobody")
  assert run.returncode == 1
  assert run.stderr.startswith("beam_search: NOT_FOUND: ")
  assert not run.stdout
  assert beam_search(server, "--model", "bigrams", "--beam",
                     "0").returncode == 2
