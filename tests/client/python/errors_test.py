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


@pytest.mark.parametrize("call", [
    lambda client: client.score("ab", "a text"),
    lambda client: client.score("ab", ["a"], sources="a source"),
    lambda client: client.predict("ab", "a context"),
    lambda client: client.predict("ab", [""], words="a"),
    lambda client: client.rerank("ab", ["a"]),
    lambda client: client.rerank(["ab"], "a text"),
    lambda client: client.rerank(["ab"], ["a"], reverse_models="ab"),
    lambda client: client.rerank(["ab"], ["a"], normalization="mean"),
    lambda client: client.rerank(
        ["ab"], ["a"], minimum_bayes_risk=lmserve.Utility.CHRF),
    lambda client: client.rerank(
        ["ab"], ["a"], minimum_bayes_risk=lmserve.MinimumBayesRisk("chrf")),
    lambda client: client.rerank_with("mt", "a text"),
    lambda client: client.rerank_with(["mt"], ["a"]),
    lambda client: client.generate("ab", stop_words="a"),
    lambda client: client.generate("ab", source=3),
    lambda client: client.beam_search("ab", source=3),
    lambda client: client.score("ab", [["a", 3]]),
    lambda client: client.score("ab", [[3, "a"]]),
    lambda client: list(client.score_stream("ab", ["a text"])),
])
def test_a_wrong_argument_is_the_callers_error(client, call):
  with pytest.raises(TypeError):
    call(client)


def test_a_closed_client(address):
  client = lmserve.Client(address)
  assert client.health()
  client.close()
  with pytest.raises(ValueError, match="closed"):
    client.health()
