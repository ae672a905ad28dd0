# SPDX-License-Identifier: Apache-2.0
"""Adapters for other packages; each test skips where its package is missing."""

import math
import pickle

import numpy
import pytest

from lmserve_local import Model, State


def test_pyctcdecode(store):
  pyctcdecode = pytest.importorskip("pyctcdecode")
  from lmserve_local.pyctcdecode import LanguageModel
  model = Model.open(store, "lstm")
  adapter = LanguageModel(model, alpha=0.5, beta=1.0)
  state = adapter.get_start_state()
  total, words = 0.0, "the cat is".split()
  for i, word in enumerate(words):
    score, state = adapter.score(state, word, i + 1 == len(words))
    total += score
  assert total == pytest.approx(0.5 * model.score("the cat is") + 3, rel=1e-4)
  assert adapter.score_partial_token("ca") == 0 > adapter.score_partial_token(
      "zq")
  again = pickle.loads(pickle.dumps(adapter))
  assert again.score(again.get_start_state(), "the") [0] == pytest.approx(
      adapter.score(adapter.get_start_state(), "the")[0])
  labels = [" ", "a", "c", "e", "h", "t", ""]
  decoder = pyctcdecode.BeamSearchDecoderCTC(
      pyctcdecode.Alphabet.build_alphabet(labels), adapter)
  logits = numpy.full((15, len(labels)), -8.0)
  for step, label in enumerate("t_h_e_ _c_a_t__"):
    logits[step, labels.index(label if label != "_" else "")] = 0
  assert decoder.decode(logits) == "the cat"


def test_torchaudio(store):
  pytest.importorskip("torchaudio")
  pytest.importorskip("flashlight")
  from lmserve_local.torchaudio import DecoderLM
  model = Model.open(store, "lstm")
  adapter = DecoderLM(model, ["the", "cat", "<unk>"])
  state = adapter.start(False)
  state, first = adapter.score(state, 0)
  state, second = adapter.score(state, 1)
  _, end = adapter.finish(state)
  assert first + second + end == pytest.approx(model.score("the cat"),
                                               rel=1e-4)


def test_transformers(store):
  torch = pytest.importorskip("torch")
  pytest.importorskip("transformers")
  from lmserve_local.transformers import LogitsProcessor
  model = Model.open(store, "lstm")
  tokens = ["<pad>", "the", "cat", "is", "</s>"]
  processor = LogitsProcessor(model, tokens, weight=0.5)
  scores = torch.zeros((2, 5))
  added = processor(torch.tensor([[1, 2], [1, 3]]), scores)
  rows = model.next_log_probs([model.start("the cat"), model.start("the is")])
  expected = 0.5 * rows[:, [model.id(token) for token in tokens]]
  assert added.numpy() == pytest.approx(expected, rel=1e-4)
  assert scores.abs().sum() == 0  # the argument is left alone
  longer = processor(torch.tensor([[1, 2, 3], [1, 3, 1]]), scores)
  row = model.next_log_probs([model.start("the cat is")])[0]
  assert longer[0, 4].item() == pytest.approx(
      0.5 * float(row[model.id("</s>")]), rel=1e-4)


def test_no_adapter_is_needed_to_import_the_package():
  import subprocess
  import sys
  code = ("import sys, lmserve_local, lmserve_local.kenlm\n"
          "assert not {'torch', 'pyctcdecode', 'numpy'} & set(sys.modules)")
  subprocess.run([sys.executable, "-c", code], check=True)
  assert math.isfinite(hash(State()))
