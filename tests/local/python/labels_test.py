# SPDX-License-Identifier: Apache-2.0
"""Model.embed, tag and classify."""

import math

import numpy
import pytest

from conftest import kind_of, label_of
from lmserve_local import Model

TEXTS = ["the cow is quiet .", "", "he had a dog ."]


@pytest.mark.parametrize("name", ["lstm", "tagger", "classifier"])
@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
def test_vectors_do_not_depend_on_the_batch(store, name, pooling):
  model = Model.open(store, name)
  vectors = model.embed(TEXTS, pooling=pooling)
  assert vectors.dtype == numpy.float32
  assert vectors.shape == (3, model.dimensions) and model.dimensions > 0
  for text, vector in zip(TEXTS, vectors):
    single, = model.embed([text], pooling=pooling)
    assert single.tolist() == vector.tolist()
  assert model.embed([]).shape == (0, model.dimensions)


def test_vectors_have_the_norm_1(store):
  model = Model.open(store, "lstm")
  vectors = model.embed(TEXTS)
  normalized = model.embed(TEXTS, normalize=True)
  norms = numpy.linalg.norm(vectors, axis=1, keepdims=True)
  assert norms.min() > 0 and abs(norms - 1).min() > 1e-3
  numpy.testing.assert_allclose(normalized, vectors / norms, rtol=1e-6)


def test_words_are_tagged(store):
  model = Model.open(store, "tagger")
  assert sorted(model.labels) == ["A", "other"]
  expected = [[label_of(word) for word in text.split()] for text in TEXTS]
  assert model.tag(TEXTS) == expected
  # More words than one batch has.
  assert model.tag(TEXTS * 2000) == expected * 2000


def test_sentences_are_classified(store):
  model = Model.open(store, "classifier")
  rows = model.classify(TEXTS)
  assert rows.shape == (3, 2) and rows.dtype == numpy.float32
  for text, row in zip(TEXTS, rows):
    assert sum(map(math.exp, row)) == pytest.approx(1, abs=1e-5)
    assert model.classify([text])[0].tolist() == row.tolist()
  for text in (TEXTS[0], TEXTS[2]):
    row = model.classify([text])[0]
    assert model.labels[int(row.argmax())] == kind_of(text.split())


def test_what_a_model_cannot_do_is_said(store):
  ngram = Model.open(store, "ngram")
  assert ngram.labels == [] and ngram.dimensions == 0
  with pytest.raises(ValueError, match="it cannot embed texts"):
    ngram.embed(["a"])
  with pytest.raises(ValueError, match="it cannot tag sentences"):
    ngram.tag(["a"])
  with pytest.raises(ValueError, match="it cannot classify texts"):
    Model.open(store, "tagger").classify(["a"])
  with pytest.raises(ValueError, match="cannot score texts"):
    Model.open(store, "tagger").score("a")


def test_errors_name_the_text(store):
  with pytest.raises(ValueError, match="text 1: word 1: .* found </s>"):
    Model.open(store, "tagger").tag(["a", "the </s>"])
  with pytest.raises(ValueError, match="expected 'max', 'mean' or 'last'"):
    Model.open(store, "lstm").embed(["a"], pooling="first")
  with pytest.raises(TypeError):
    Model.open(store, "lstm").embed("a")
