# SPDX-License-Identifier: Apache-2.0
"""Tests of errors: their codes, messages and exception types."""

import pickle
from collections.abc import Iterator

import fake_server
import live_server
import lmserve
import pytest
from grpc import StatusCode


def error_of(call, *arguments, **keywords):
  """Returns the LmserveError of a call; reads a stream to its end."""
  with pytest.raises(lmserve.LmserveError) as raised:
    result = call(*arguments, **keywords)
    if isinstance(result, Iterator):
      list(result)
  return raised.value


def test_an_error_has_the_code_and_the_message_of_the_server(client):
  error = error_of(client.score, "nobody", ["a"])
  assert error.code == StatusCode.NOT_FOUND
  assert error.field is None
  assert "nobody" in error.message
  assert str(error) == f"NOT_FOUND: {error.message}"
  assert error_of(client.get_model, "nobody").code == StatusCode.NOT_FOUND
  assert error_of(client.health, "nobody").code == StatusCode.NOT_FOUND
  assert error_of(client.generate, "nobody").code == StatusCode.NOT_FOUND
  assert error_of(client.rerank, ["nobody"], ["a"]).code == StatusCode.NOT_FOUND


def test_a_field_that_breaks_a_rule(client):
  error = error_of(client.score, "ab", ["a", ["a b"]])
  assert error.code == StatusCode.INVALID_ARGUMENT
  assert error.message.startswith("texts[1]")
  for text in ([99], ["a b"]):
    error = error_of(client.score, "ab", [text])
    assert error.code == StatusCode.INVALID_ARGUMENT


def test_an_error_names_the_field(client):
  error = error_of(client.score, "ab", [])
  assert error.field == "texts"
  assert pickle.loads(pickle.dumps(error)).field == "texts"


def test_what_a_model_cannot_do(client):
  error = error_of(client.generate, "both")
  assert error.code == StatusCode.FAILED_PRECONDITION
  assert "bidirectional" in error.message
  error = error_of(client.predict, "ab", ["a"], suffixes=["b"])
  assert error.code == StatusCode.FAILED_PRECONDITION


def test_limits(store):
  with live_server.LiveServer(store, "--max-texts", "3",
                              "--max-message-bytes", "2000") as server:
    with lmserve.Client(server.address, deadline=60) as client:
      assert len(client.score("ab", ["a"] * 3).scores) == 3
      error = error_of(client.score, "ab", ["a"] * 4)
      assert error.code == StatusCode.RESOURCE_EXHAUSTED
      assert error.message == "texts: expected at most 3, found 4"
      error = error_of(client.score, "ab", ["a" * 3000])
      assert error.code == StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("details, seconds", [
    (None, None), (b"", None), (b"\x08\x0e", None), (b"not of ours", None),
    (fake_server.retry_info(1, 500_000_000)[:-1], None),
    (fake_server.retry_info(0), 0),
    (fake_server.retry_info(1, 500_000_000), 1.5)])
def test_retry_after(details, seconds):
  with fake_server.FakeServer(failures=1, details=details) as server:
    with lmserve.Client(server.address, attempts=1, deadline=60) as client:
      error = error_of(client.score, "en", ["a"])
  assert error.code == StatusCode.UNAVAILABLE
  assert error.retry_after == seconds
  assert pickle.loads(pickle.dumps(error)).retry_after == seconds


def test_messages_longer_than_message_bytes(address):
  with lmserve.Client(address, message_bytes=1000) as client:
    error = error_of(client.score, "ab", ["a" * 2000])
    assert error.code == StatusCode.RESOURCE_EXHAUSTED
    error = error_of(client.score, "ab", ["a " * 400], per_word=True)
    assert error.code == StatusCode.RESOURCE_EXHAUSTED


def test_a_deadline(client, address):
  arguments = {"temperature": 0, "max_words": 10_000}
  error = error_of(client.generate, "long", **arguments, deadline=1e-3)
  assert error.code == StatusCode.DEADLINE_EXCEEDED
  with lmserve.Client(address, stream_deadline=1e-3) as hasty:
    error = error_of(hasty.generate, "long", **arguments)
    assert error.code == StatusCode.DEADLINE_EXCEEDED
    words = list(hasty.generate("long", **arguments, deadline=600))
    assert len(words) == 10_000


def test_a_server_that_died(store):
  with live_server.LiveServer(store) as server:
    with lmserve.Client(server.address, attempts=2, deadline=60) as client:
      assert client.health()
      server.kill()
      error = error_of(client.score, "ab", ["a"])
      assert error.code == StatusCode.UNAVAILABLE
      assert error.message
      assert error_of(client.generate, "ab").code == StatusCode.UNAVAILABLE


def test_score_stream_ends_at_the_first_error(client):
  responses = client.score_stream("ab", [["a"], ["b"], [["a b"]], ["a"]])
  assert next(responses).scores[0].word_count == 2
  next(responses)
  with pytest.raises(lmserve.LmserveError) as raised:
    next(responses)
  assert raised.value.code == StatusCode.INVALID_ARGUMENT
  assert raised.value.message.startswith("request 2: texts[0]")


def test_score_stream_raises_what_its_batches_raise(client):
  def batches():
    yield ["a"]
    raise KeyError("a book")

  responses = client.score_stream("ab", batches())
  next(responses)
  with pytest.raises(KeyError, match="a book"):
    next(responses)


TEXT = "expected str, a list of words or a list of ids, found"
UINT32 = "expected int from 0 to 2^32 - 1, found"


@pytest.mark.parametrize("call, message", [
    (lambda c: c.score("ab", "a text"), "texts: expected a list, found the str"),
    (lambda c: c.score("ab", b"a"), "texts: expected a list, found the bytes"),
    (lambda c: c.score("ab", 3), "texts: expected a list, found int"),
    (lambda c: c.score("ab", ["a", b"the"]), f"texts[1]: {TEXT} bytes"),
    (lambda c: c.score("ab", [bytearray(b"a")]), f"texts[0]: {TEXT} bytearray"),
    (lambda c: c.score("ab", [{"a": 1}]), f"texts[0]: {TEXT} dict"),
    (lambda c: c.score("ab", [{"a"}]), f"texts[0]: {TEXT} set"),
    (lambda c: c.score("ab", [iter("a")]), f"texts[0]: {TEXT} str_"),
    (lambda c: c.score("ab", [(w for w in "a")]), f"texts[0]: {TEXT} generator"),
    (lambda c: c.score("ab", [3]), f"texts[0]: {TEXT} int"),
    (lambda c: c.score("ab", [None]), f"texts[0]: {TEXT} NoneType"),
    (lambda c: c.score("ab", [["a", 3]]), "texts[0][1]: expected str, found 3"),
    (lambda c: c.score("ab", [[b"a"]]), "texts[0][0]: expected str, found b'a'"),
    (lambda c: c.score("ab", [[3, "a"]]),
     "texts[0][1]: expected int, found 'a'"),
    (lambda c: c.score(["ab"], ["a"]), "model: expected str, found ['ab']"),
    (lambda c: c.score("ab", ["a"], sources="a source"), "sources: expected"),
    (lambda c: c.score("ab", ["a"], sources=[b"a"]), f"sources[0]: {TEXT}"),
    (lambda c: c.score("ab", ["a"], per_word="yes"),
     "per_word: expected bool, found 'yes'"),
    (lambda c: c.predict("ab", "a context"), "contexts: expected a list"),
    (lambda c: c.predict("ab", [b"a"]), f"contexts[0]: {TEXT} bytes"),
    (lambda c: c.predict("ab", [""], words="a"), "words: expected a list"),
    (lambda c: c.predict("ab", [""], words=[None]),
     "words[0]: expected str, found None"),
    (lambda c: c.predict("ab", [""], prefix=["s"]),
     "prefix: expected str, found ['s']"),
    (lambda c: c.predict("ab", [""], k="3"), f"k: {UINT32} '3'"),
    (lambda c: c.rerank("ab", ["a"]), "models: expected a list"),
    (lambda c: c.rerank(["ab"], "a text"), "candidates: expected a list"),
    (lambda c: c.rerank(["ab"], [b"a"]), f"candidates[0]: {TEXT} bytes"),
    (lambda c: c.rerank(["ab"], [("a", {"am": 1})]),
     "candidates[0][1]: expected str, found {'am': 1}"),
    (lambda c: c.rerank(["ab"], [lmserve.Candidate(b"a")]),
     f"candidates[0].text: {TEXT} bytes"),
    (lambda c: c.rerank(["ab"], [lmserve.Candidate("a", {"am": "x"})]),
     "candidates[0].features: expected a mapping of str to float, found"),
    (lambda c: c.rerank(["ab"], ["a"], weights={"ab": "x"}),
     "weights: expected a mapping of str to float, found {'ab': 'x'}"),
    (lambda c: c.rerank(["ab"], ["a"], reverse_models="ab"), "reverse_models"),
    (lambda c: c.rerank(["ab"], ["a"], normalization="mean"), "normalization"),
    (lambda c: c.rerank(["ab"], ["a"], minimum_bayes_risk=lmserve.Utility.CHRF),
     "minimum_bayes_risk: expected MinimumBayesRisk"),
    (lambda c: c.rerank(
        ["ab"], ["a"], minimum_bayes_risk=lmserve.MinimumBayesRisk("chrf")),
     "minimum_bayes_risk.utility: expected Utility"),
    (lambda c: c.rerank(["ab"], ["a"],
                        minimum_bayes_risk=lmserve.MinimumBayesRisk(scale="1")),
     "minimum_bayes_risk.scale: expected float, found '1'"),
    (lambda c: c.rerank_with("mt", "a text"), "candidates: expected a list"),
    (lambda c: c.rerank_with(["mt"], ["a"]), "reranker: expected str"),
    (lambda c: c.generate("ab", b"a"), f"prompt: {TEXT} bytes"),
    (lambda c: c.generate("ab", stop_words="a"), "stop_words: expected a list"),
    (lambda c: c.generate("ab", source=3), f"source: {TEXT} int"),
    (lambda c: c.generate("ab", top_p="x"), "top_p: expected float, found 'x'"),
    (lambda c: c.beam_search("ab", source=3), f"source: {TEXT} int"),
    (lambda c: c.beam_search("ab", size="5"), f"size: {UINT32} '5'"),
    (lambda c: list(c.score_stream("ab", ["a text"])), "texts: expected a list"),
])
def test_a_wrong_type_is_the_callers_error(client, call, message):
  with pytest.raises(TypeError) as raised:
    call(client)
  assert str(raised.value).startswith(message)


@pytest.mark.parametrize("call, message", [
    (lambda c: c.predict("ab", ["a"], k=-1), f"k: {UINT32} -1"),
    (lambda c: c.score("ab", [[3, -1]]), f"texts[0][1]: {UINT32} -1"),
    (lambda c: c.generate("ab", seed=-1),
     "seed: expected int from 0 to 2^64 - 1, found -1"),
])
def test_a_number_out_of_range_is_the_callers_error(client, call, message):
  with pytest.raises(ValueError) as raised:
    call(client)
  assert str(raised.value) == message


def test_a_closed_client(address):
  client = lmserve.Client(address)
  assert client.health()
  client.close()
  with pytest.raises(ValueError, match="closed"):
    client.health()
