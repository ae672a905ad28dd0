# SPDX-License-Identifier: Apache-2.0
"""How other packages call the module kenlm, rewritten from their behavior."""

import math
import os

import pytest

from lmserve_local import kenlm


def test_nemo(arpa):
  """A beam search that rates every word of the vocabulary, one by one."""
  model = kenlm.Model(arpa)
  vocabulary = ["the", "cat", "is", "small"]
  init = kenlm.State()
  model.BeginSentenceWrite(init)
  beams = [(0.0, init)]
  for _ in range(3):
    grown = []
    for score, state in beams:
      for word in vocabulary:
        after = kenlm.State()
        log10 = model.BaseScore(state, word, after)
        grown.append((score + log10 * math.log(10), after))
    beams = sorted(grown, key=lambda beam: -beam[0])[:2]
  assert beams[0][0] == pytest.approx(
      model.score("the cat is", eos=False) * math.log(10), rel=1e-5)
  # A fresh state stands for the empty context.
  assert model.BaseScore(kenlm.State(), "the", kenlm.State()) == pytest.approx(
      model.score("the", bos=False, eos=False))


def test_espnet(arpa):
  """A scorer over all tokens, <s> among them, from a null context."""
  model = kenlm.LanguageModel(arpa)
  tokens = ["<unk>", "<s>", "the", "cat", "</s>"]
  state = kenlm.State()
  model.NullContextWrite(state)
  state, into = state, kenlm.State()
  model.BaseScore(state, "the", into)
  scores = [model.BaseScore(into, token, kenlm.State()) for token in tokens]
  assert all(math.isfinite(score) for score in scores)
  assert max(scores) == scores[3]


def test_cc_net(arpa):
  """A perplexity from summed scores of lines, with an option of the loader."""
  config = kenlm.Config()
  config.load_method = 2
  model = kenlm.Model(arpa, config)
  lines = ["the cat is small", "small is the cat"]
  log10, length = 0.0, 0
  for line in lines:
    log10 += model.score(line)
    length += len(line.split()) + 1
  assert 1 < 10.0 ** (-log10 / length) < 100


def test_datatrove(arpa, tmp_path):
  """A model whose name says that it is binary, whatever it is."""
  path = tmp_path / "en.arpa.bin"
  os.link(arpa, path)
  model = kenlm.Model(str(path))
  assert model.score("the cat") == kenlm.Model(arpa).score("the cat")


def test_pyctcdecode(arpa):
  """The calls of its LanguageModel."""
  model = kenlm.Model(arpa)
  start, end = kenlm.State(), kenlm.State()
  model.BeginSentenceWrite(start)
  score = model.BaseScore(start, "the", end)
  score += model.BaseScore(end, "</s>", kenlm.State())
  assert score == pytest.approx(model.score("the"), rel=1e-6)
  assert model.order == 3
  assert os.path.split(model.path.decode("utf-8"))[1] == "small.arpa"
  assert {word for word in ("the", "x") if word in model} == {"the"}


def test_perplexity_filters(arpa):
  """bicleaner and pycorrector rank texts by perplexity."""
  model = kenlm.Model(arpa)
  texts = ["small is the", "the cat is small"]
  assert sorted(texts, key=model.perplexity)[0] == "the cat is small"
