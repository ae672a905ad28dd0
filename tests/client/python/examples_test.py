# SPDX-License-Identifier: Apache-2.0
"""Runs the examples as a user would."""

import itertools
import pathlib
import re
import subprocess
import sys

import live_server
import lmserve
import pytest

EXAMPLES = (pathlib.Path(__file__).resolve().parents[3] / "client" / "python" /
            "examples")
# With this text, greedy search does not find the most probable sentence.
TEXT = "a b c d\n" * 4 + "a c d\n" * 3 + "b c\n" * 8 + "b d a\n" * 6 + "d b\n"


@pytest.fixture(scope="module", name="store")
def make_store(tmp_path_factory):
  store = tmp_path_factory.mktemp("bigrams")
  live_server.train_ngram(store, "bigrams", TEXT, order=2)
  return store


@pytest.fixture(scope="module", name="server")
def serve(store):
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


def test_beam_search_respects_the_limits_of_the_server(store, server):
  arguments = "--model", "bigrams", "--beam", "30", "--max-words", "5"
  with live_server.LiveServer(store, "--max-predictions", "10") as limited:
    run = beam_search(limited.address, *arguments)
  assert run.returncode == 0, run.stderr
  assert run.stdout == beam_search(server, *arguments).stdout


@pytest.fixture(scope="module", name="decode")
def write_decoder(tmp_path_factory, server):
  """Returns a function that runs the decoder of the guide for speech."""
  page = (EXAMPLES.parents[2] / "docs" / "guides" / "speech.md").read_text(
      encoding="utf-8")
  block = re.search(r"decode.py -->\n```python\n(.*?)```", page, re.S)[1]
  script = tmp_path_factory.mktemp("guide") / "decode.py"
  script.write_text(block.replace("localhost:50051", server).replace(
      '"asr"', '"bigrams"'), encoding="utf-8")
  return lambda slots: subprocess.run(
      [sys.executable, script], input=slots, check=True, capture_output=True,
      text=True).stdout.split()


def test_the_decoder_of_the_guide(decode, server):
  # With these scores, "d" in place of "c" and no word in the last slot.
  slots = ["b 0", "c -9 d -0.1", "a -0.2 - -3", "b -50 - 0"]
  score, *words = decode("\n".join(slots))
  assert words == ["b", "d", "a"]
  with lmserve.Client(server, deadline=60) as client:
    log_prob = client.score("bigrams", [words]).scores[0].log_prob
  assert float(score) == pytest.approx(0.8 * log_prob + 3 * 0.5 - 0.3, abs=1e-3)
  assert decode("\n" + "\n\n".join(slots) + "\n \n") == [score, *words]


def test_beam_search_reports_errors(server):
  run = beam_search(server, "--model", "nobody")
  assert run.returncode == 1
  assert run.stderr.startswith("beam_search: NOT_FOUND: ")
  assert not run.stdout
  assert beam_search(server, "--model", "bigrams", "--beam",
                     "0").returncode == 2
