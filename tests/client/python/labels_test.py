# SPDX-License-Identifier: Apache-2.0
"""Tests of vectors, taggers and classifiers, with both clients."""

import math

import live_server
import lmserve
import pytest
from async_client_test import with_client
from errors_test import error_of
from grpc import StatusCode

TEXTS = ["the cat is small", "", "a zebra"]


@pytest.fixture(scope="module", name="address")
def serve(tmp_path_factory):
  """Serves a tagger, a classifier, a bidirectional and an n-gram model."""
  directory = tmp_path_factory.mktemp("labels")
  store = directory / "store"
  live_server.train_labels(store, "pos", directory / "words", "words", "tagger",
                           "--format", "columns", "--character-units", "4")
  live_server.train_labels(store, "kind", directory / "sentences", "sentences",
                           "classifier")
  live_server.train_bidirectional(store, "both", directory / "text")
  live_server.train_ngram(store, "ab", live_server.AB)
  with live_server.LiveServer(store) as server:
    yield server.address


def numbers(array):
  """Returns an array, or tuples if NumPy is not installed, as nested lists."""
  if hasattr(array, "tolist"):
    return array.tolist()
  return ([numbers(row) for row in array] if isinstance(array, tuple) else
          array)


def test_models_say_what_they_can_do(client):
  pos, kind = client.get_model("pos"), client.get_model("kind")
  assert (pos.tagger, pos.classifier) == (True, False)
  assert (kind.tagger, kind.classifier) == (False, True)
  assert {"DET", "NOUN"} <= set(pos.labels)
  assert {"question", "walk"} <= set(kind.labels)
  assert kind.embedding_dimensions == 8
  both, ngram = client.get_model("both"), client.get_model("ab")
  assert both.embedding_dimensions == 8
  assert (ngram.labels, ngram.embedding_dimensions) == ((), 0)


def test_tag(client):
  response = client.tag("pos", TEXTS + [["a", "dog"]])
  assert response.model == lmserve.ModelVersion("pos", 1)
  labels = set(client.get_model("pos").labels)
  for text, sentence in zip([text.split() for text in TEXTS] + [["a", "dog"]],
                            response.sentences):
    assert sentence.words == tuple(text)
    assert len(sentence.labels) == len(text) and labels.issuperset(
        sentence.labels)
    assert (sentence.log_probs, sentence.alternatives) == ((), ())
  assert response.sentences[2].unknown == (False, True)


def test_tag_with_alternatives(client):
  response = client.tag("pos", TEXTS, alternatives=2)
  plain = client.tag("pos", TEXTS)
  for sentence, expected in zip(response.sentences, plain.sentences):
    assert sentence.labels == expected.labels
    for label, log_prob, best in zip(sentence.labels, sentence.log_probs,
                                     sentence.alternatives):
      assert len(best.labels) == 2 and best.log_probs[0] >= best.log_probs[1]
      # Without a chain of labels, the best label is that of the word alone.
      assert (label, log_prob) == (best.labels[0], best.log_probs[0])


def test_classify(client):
  response = client.classify("kind", TEXTS)
  assert response.model == lmserve.ModelVersion("kind", 1)
  for text, found in zip(TEXTS, response.texts):
    assert set(found.labels) == set(client.get_model("kind").labels)
    assert list(found.log_probs) == sorted(found.log_probs, reverse=True)
    assert sum(map(math.exp, found.log_probs)) == pytest.approx(1, abs=1e-5)
    assert found.word_count == len(text.split())
  assert [text.unknown_count for text in response.texts] == [0, 0, 1]
  best = client.classify("kind", TEXTS, best=1)
  assert [text.labels for text in best.texts] == [
      text.labels[:1] for text in response.texts]


def test_embed(client):
  for model in ("pos", "kind", "both"):
    dimensions = client.get_model(model).embedding_dimensions
    found = {pooling: client.embed(model, TEXTS, pooling=pooling)
             for pooling in lmserve.Pooling}
    assert found[lmserve.Pooling.MEAN].word_counts == (4, 0, 2)
    vectors = {pooling: numbers(response.vectors)
               for pooling, response in found.items()}
    for rows in vectors.values():
      assert [len(row) for row in rows] == [dimensions] * 3
    # The greatest value of a unit is at least the mean.
    for most, mean in zip(vectors[lmserve.Pooling.MAX],
                          vectors[lmserve.Pooling.MEAN]):
      assert all(a >= b - 1e-6 for a, b in zip(most, mean))
    assert numbers(client.embed(model, TEXTS).vectors) == (
        vectors[lmserve.Pooling.MEAN])
    alone = client.embed(model, TEXTS[:1])
    assert numbers(alone.vectors)[0] == vectors[lmserve.Pooling.MEAN][0]


def test_embed_normalizes(client):
  plain, = numbers(client.embed("both", TEXTS[:1]).vectors)
  found, = numbers(client.embed("both", TEXTS[:1], normalize=True).vectors)
  norm = math.sqrt(sum(value * value for value in plain))
  assert found == pytest.approx([value / norm for value in plain], abs=1e-6)


def test_errors(client):
  for call, arguments, field in (
      (client.tag, ("pos", []), "sentences"),
      (client.classify, ("kind", ["a <s>"]), "texts[0]"),
      (client.embed, ("both", []), "texts")):
    error = error_of(call, *arguments)
    assert (error.code, error.field) == (StatusCode.INVALID_ARGUMENT, field)
  for call, model, what in (
      (client.tag, "kind", "a classifier: it cannot tag sentences"),
      (client.classify, "ab", "a left-to-right model: it cannot classify"),
      (client.embed, "ab", "it cannot embed texts"),
      (client.score, "pos", "a tagger: it cannot score texts")):
    error = error_of(call, model, ["a"])
    assert error.code == StatusCode.FAILED_PRECONDITION
    assert what in error.message
  with pytest.raises(TypeError, match="pooling: expected Pooling, found 'max'"):
    client.embed("both", ["a"], pooling="max")
  with pytest.raises(ValueError, match="alternatives: expected int"):
    client.tag("pos", ["a"], alternatives=-1)
  with pytest.raises(TypeError, match="texts: expected a list"):
    client.classify("kind", "a text")


@with_client
async def test_asyncio(client):
  response = await client.tag("pos", TEXTS)
  assert len(response.sentences) == 3
  response = await client.classify("kind", TEXTS, best=2)
  assert [len(text.labels) for text in response.texts] == [2, 2, 2]
  response = await client.embed("both", TEXTS, normalize=True)
  assert len(response.vectors) == 3
