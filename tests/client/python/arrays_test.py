# SPDX-License-Identifier: Apache-2.0
"""Tests of the arrays in the results of decode sessions, with NumPy.

The tests of decode sessions run both with and without NumPy.
"""

import random

import lmserve
import pytest
from lmserve import _api, _arrays, _responses

numpy = pytest.importorskip("numpy")


def response(**fields):
  """Returns a response as the server sends it, and as the client parses it."""
  message = _api.message_class("lm.v1.DecodeResponse")(**fields)
  return message, _arrays.response_class(
      "lm.v1.DecodeResponse").FromString(message.SerializeToString())


def test_extended():
  generator = random.Random(1)
  handles = [generator.getrandbits(generator.randint(0, 32))
             for _ in range(1000)] + [0, 127, 128, 2**14, 2**28, 2**32 - 1]
  keys = [generator.getrandbits(64) for _ in handles]
  log_probs = [generator.uniform(-9, 0) for _ in handles]
  unknown = [generator.random() < 0.5 for _ in handles]
  message, parsed = response(extended={
      "handles": handles, "log_probs": log_probs, "unknown": unknown,
      "recombination_keys": keys})
  extended = _responses.decode_extended(parsed)
  assert extended.handles.tolist() == handles
  assert extended.log_probs.tolist() == list(message.extended.log_probs)
  assert extended.unknown.tolist() == unknown
  assert extended.recombination_keys.tolist() == keys
  for name, kind in (("handles", "uint32"), ("log_probs", "float32"),
                     ("unknown", "bool"), ("recombination_keys", "uint64")):
    array = getattr(extended, name)
    assert array.dtype == kind
    with pytest.raises(ValueError, match="read-only"):
      array[0] = 0


def test_arrays_of_numbers_with_a_fixed_size_are_not_copied():
  data = numpy.arange(3, dtype="<f4").tobytes()
  assert numpy.shares_memory(_arrays.floats(data),
                             numpy.frombuffer(data, numpy.uint8))


def test_inspected():
  message = _api.message_class("lm.v1.InspectResponse")(
      words=["<s>", "a"], source_words=["x", "y", "</s>"],
      attention=[0.5, 0.25, 0.25, 0.125, 0.125, 0.75],
      layers=[{"units": [299, 0, 5], "quantities": [8, 2, 77],
               "values": range(18)}])
  inspected = _responses.inspect(
      _arrays.response_class("lm.v1.InspectResponse").FromString(
          message.SerializeToString()))
  layer, = inspected.layers
  assert layer.units == (299, 0, 5)
  assert layer.quantities == (lmserve.Quantity.HIDDEN,
                              lmserve.Quantity.FORGET_GATE,
                              lmserve.Quantity.UNKNOWN)  # of a newer server
  assert layer.values.shape == (3, 2, 3)
  assert layer[lmserve.Quantity.FORGET_GATE].tolist() == [[6, 7, 8],
                                                          [9, 10, 11]]
  assert inspected.attention.tolist() == [[0.5, 0.25, 0.25],
                                          [0.125, 0.125, 0.75]]
  for array in (layer.values, inspected.attention):
    assert array.dtype == "float32"
    with pytest.raises(ValueError, match="read-only"):
      array[0] = 0


def test_embedded():
  message = _api.message_class("lm.v1.EmbedResponse")(
      embeddings=[{"values": [0.5, -1, 2], "word_count": 4, "unknown_count": 1},
                  {"values": [0, 0.25, 3]}])
  embedded = _responses.embed(
      _arrays.response_class("lm.v1.EmbedResponse").FromString(
          message.SerializeToString()))
  assert embedded.vectors.tolist() == [[0.5, -1, 2], [0, 0.25, 3]]
  assert embedded.vectors.dtype == "float32"
  assert (embedded.word_counts, embedded.unknown_counts) == ((4, 0), (1, 0))
  with pytest.raises(ValueError, match="read-only"):
    embedded.vectors[0] = 0


@pytest.mark.parametrize("ids", [[1, 2, 3, 4, 5, 6], [300, 2, 3, 4, 5, 70_000]])
def test_best(ids):
  _, parsed = response(best={"ids": ids, "log_probs": [-1, -2, -3, -4, -5, -6]})
  best = _responses.decoded_best(2, parsed)
  assert best.ids.tolist() == [ids[:3], ids[3:]]
  assert best.log_probs.tolist() == [[-1, -2, -3], [-4, -5, -6]]
  assert len(best) == 2
  assert best[1].ids.tolist() == ids[3:]
  assert [row.log_probs[0] for row in best] == [-1, -4]
  for array in (best.ids, best.log_probs, best[0].ids):
    with pytest.raises(ValueError, match="read-only"):
      array[0] = 0


def test_no_numbers():
  _, parsed = response(extended={})
  extended = _responses.decode_extended(parsed)
  assert (extended.handles.size, extended.handles.dtype) == (0, "uint32")
  assert extended.unknown.size == 0
  _, parsed = response(best={})
  assert _responses.decoded_best(0, parsed).ids.shape == (0, 0)


def test_a_session(client):
  with client.decode("ab", ["a", "b"]) as session:
    extended = session.extend([session.start.handle] * 2, session.start.ids)
    total = extended.log_probs.sum()
    again = session.extend(extended.handles[::-1], session.start.ids,
                           release=extended.handles)
    assert again.log_probs.sum() == total
    best = session.best(again.handles, 3)
    assert best.ids.shape == best.log_probs.shape == (2, 3)
    assert isinstance(best[0], lmserve.BestWords)


def test_arrays_of_ids_are_texts_and_have_words(client):
  vocabulary = client.vocabulary("ab")
  ids = numpy.array([vocabulary.find("a"), vocabulary.find("b")], "uint32")
  assert vocabulary[ids] == vocabulary[ids.tolist()] == ["a", "b"]
  assert vocabulary[ids[0]] == "a"
  assert vocabulary[:2] == vocabulary.words[:2]
  assert client.score("ab", [ids]) == client.score("ab", ["a b"])
