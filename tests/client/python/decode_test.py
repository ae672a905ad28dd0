# SPDX-License-Identifier: Apache-2.0
"""Tests of DecodeSession with a real lm_server."""

import array
import dataclasses
import math
import re

import fake_server
import live_server
import lmserve
import pytest
from grpc import StatusCode
from lmserve import _api, _responses

LN2 = math.log(2)
LN3 = math.log(3)
LN9 = math.log(9)


@pytest.fixture(name="client")
def connect(address):
  with lmserve.Client(address, deadline=60, stream_deadline=60) as client:
    yield client


@pytest.fixture(name="session")
def start(client):
  with client.decode("ab", ["a", "b"]) as session:
    yield session


def approx(values):
  return pytest.approx(values, abs=1e-5)


def listed(rows):
  """Converts the result of best, which may have arrays, to lists."""
  return [(list(ids), list(log_probs)) for ids, log_probs in rows]


def test_the_start(client):
  with client.decode("ab", words=["b", "zebra", "</s>"]) as session:
    start = session.start
    assert start.model == lmserve.ModelVersion("ab", 1)
    assert start.vocabulary_size == 5
    assert start.ids[1:] == (start.unknown_id, start.end_id)
    assert start.ids[0] not in start.ids[1:]
    assert start.most_handles >= 1000
  with client.decode("ab") as session:
    assert session.start == dataclasses.replace(start, ids=())
  with client.decode("long") as session:
    assert session.start.vocabulary_key != start.vocabulary_key


def test_extend(session):
  start = session.start
  a, b = start.ids
  first = session.extend([start.handle] * 3, [a, b, start.unknown_id])
  assert len({start.handle, *first.handles}) == 4
  assert first.log_probs == approx((-LN3, LN2 - LN9, -LN9))
  assert list(first.unknown) == [False, False, True]
  assert len(first.recombination_keys) == 3
  scores = session.extend(first.handles, [start.end_id] * 3, scores_only=True)
  assert list(scores.unknown) == [False] * 3
  assert len(scores.handles) == len(scores.recombination_keys) == 0
  assert scores.log_probs == approx((-LN3,) * 3)
  with pytest.raises(dataclasses.FrozenInstanceError):
    scores.handles = (1,)


def test_best_equals_predict(client, session):
  handle = session.start.handle
  a, b = session.start.ids
  after = session.extend([handle], [a]).handles
  rows = session.best([handle, *after, handle], 3)
  prediction = client.predict("ab", [""], k=3).predictions[0]
  assert listed(rows) == listed([(prediction.ids, prediction.log_probs)]) * 3
  assert listed(rows[1:]) == listed(rows)[1:]
  assert listed(zip(rows.ids, rows.log_probs)) == listed(rows)
  for ids, log_probs in rows:
    assert (ids[2], log_probs[2]) == (b, approx(LN2 - LN9))
  assert [len(row.ids) for row in session.best([handle])] == [5]
  assert not session.best([], 3)


def test_references(session):
  handle = session.start.handle
  session.retain([handle, handle])
  session.release([handle])
  session.best([handle], 1, retain=[handle], release=[handle, handle])
  assert len(session.extend([handle], session.start.ids[:1],
                            release=[handle]).handles) == 1
  with pytest.raises(lmserve.LmserveError) as raised:
    session.release([handle])
  assert raised.value.code == StatusCode.INVALID_ARGUMENT
  assert raised.value.message == (
      "release[0]: expected a handle of this stream with a reference left, "
      f"found {handle}")


def forms(values):
  yield list(values)
  yield tuple(values)
  yield array.array("Q", values)
  yield iter(values)
  try:
    import numpy  # pylint: disable=import-outside-toplevel
  except ImportError:
    return
  for kind in ("int64", "uint32", "uint8"):
    yield numpy.array(values, kind)
  yield list(numpy.array(values))
  yield numpy.array(list(values) * 2)[::2][:0]


def test_handles_and_words_in_any_form(session):
  handles, words = [session.start.handle] * 2, list(session.start.ids)
  for one, other in zip(forms(handles), forms(words)):
    log_probs = list(session.extend(one, other, scores_only=True).log_probs)
    assert log_probs in ([], approx([-LN3, LN2 - LN9]))
  for ids in forms(handles):
    session.retain(ids)
  for ids in forms(handles):
    assert len(session.best(ids, 1)) in (0, 2)
  for ids in forms(handles):
    session.release(ids)


def test_thousands_of_pairs(session):
  handle, a = session.start.handle, session.start.ids[0]
  first = session.extend([handle] * 20_000, [a] * 20_000)
  assert len(set(first.handles)) == 20_000
  assert set(first.log_probs) == {first.log_probs[0]}
  second = session.extend(first.handles, [a] * 20_000, release=first.handles)
  assert len(second.handles) == 20_000
  session.release(second.handles)


def test_steps_sent_ahead(session):
  handle, (a, b) = session.start.handle, session.start.ids
  later = [session.extend_later([handle] * (1 + i % 3), [b] * (1 + i % 3))
           for i in range(500)]
  best = session.best_later([handle], 2)
  assert session.extend([handle], [a]).log_probs == approx((-LN3,))
  assert [len(pending.result().handles) for pending in later] == [
      1 + i % 3 for i in range(500)]
  assert best.result() is best.result()
  assert len(best.result()[0].ids) == 2


def test_best_returns_words(client, session):
  prediction = client.predict("ab", ["a"], k=5).predictions[0]
  handles = session.extend([session.start.handle], session.start.ids[:1]).handles
  rows = session.best([*handles, *handles], 5, words=True)
  assert rows.words == ((*prediction.words, ""),) * 2  # <s> is impossible
  assert rows[:1].words == rows.words[:1]
  assert session.best_later(handles, 1, words=True).result().words == (
      prediction.words[:1],)
  assert session.best(handles, 2).words == ()
  assert session.best([], 2, words=True).words == ()


def test_a_step_that_fails_changes_nothing(session):
  handle, a = session.start.handle, session.start.ids[0]
  for step, field in (
      (lambda: session.extend([handle], [99], retain=[handle]),
       "extend.words[0]"),
      (lambda: session.best([handle + 1], retain=[handle]), "best.handles[0]"),
      (lambda: session.extend([handle], [a], release=[handle, handle]),
       "release[1]")):
    with pytest.raises(lmserve.LmserveError) as raised:
      step()
    assert raised.value.code == StatusCode.INVALID_ARGUMENT
    assert raised.value.message.startswith(f"{field}: ")
    assert raised.value.retry_after is None
  session.release([handle])  # the only reference: nothing was retained
  with pytest.raises(lmserve.LmserveError, match="best.handles"):
    session.best([handle])


def test_a_busy_server_says_when_a_step_may_succeed():
  answer = _api.message_class("lm.v1.DecodeResponse")(
      failed={"code": 8, "message": "busy", "retry_after_seconds": 0.5})
  error = _responses.decode_failed(answer)
  assert (error.code, error.message, error.retry_after) == (
      StatusCode.RESOURCE_EXHAUSTED, "busy", 0.5)


def test_a_step_that_fails_leaves_those_sent_ahead_alone(session):
  handle, a = session.start.handle, session.start.ids[0]
  good = session.extend_later([handle], [a])
  bad = session.extend_later([handle], [99])
  after = session.extend_later([handle], [a])
  assert after.result().log_probs == approx((-LN3,))
  assert good.result().log_probs == approx((-LN3,))
  for _ in range(2):
    with pytest.raises(lmserve.LmserveError, match="extend.words"):
      bad.result()
  assert list(session.extend([handle], [a]).unknown) == [False]


def test_limits(store):
  with live_server.LiveServer(
      store, "--max-message-bytes", "2000", "--max-words", "7",
      "--max-predictions", "20") as server:
    with lmserve.Client(server.address, deadline=60) as client:
      with client.decode("ab", ["a"]) as session:
        start = session.start
        assert (start.most_extensions, start.most_predictions,
                start.most_message_bytes) == (7, 20, 2000)
        for step in (lambda: session.extend([start.handle] * 8, start.ids * 8),
                     lambda: session.best([start.handle] * 7, 3)):
          with pytest.raises(lmserve.LmserveError) as raised:
            step()
          assert raised.value.code == StatusCode.RESOURCE_EXHAUSTED
        assert session.extend([start.handle] * 7, start.ids * 7)
        assert session.best([start.handle] * 7, 2)


def check_size_of(field, call, limit):
  with pytest.raises(lmserve.LmserveError) as raised:
    call()
  assert raised.value.code == StatusCode.RESOURCE_EXHAUSTED
  assert raised.value.field == field
  assert re.fullmatch(
      rf"{field}: expected at most {limit} bytes \(most_message_bytes\), "
      r"found \d+", raised.value.message)


@pytest.mark.parametrize("server_bytes, client_bytes", [
    (2000, 1 << 20), (1 << 20, 2000)])
def test_a_step_that_is_too_large_is_not_sent(store, server_bytes,
                                              client_bytes):
  with live_server.LiveServer(store, "--max-message-bytes",
                              str(server_bytes)) as server:
    with lmserve.Client(server.address, deadline=60,
                        message_bytes=client_bytes) as client:
      with client.decode("ab", ["a"]) as session:
        handle, ids = session.start.handle, session.start.ids
        assert session.start.most_message_bytes == 2000
        check_size_of("extend", lambda: session.extend([handle] * 1000,
                                                       ids * 1000), 2000)
        check_size_of("best", lambda: session.best([handle] * 2000), 2000)
        check_size_of("retain", lambda: session.retain([handle] * 1998), 2000)
        check_size_of("release", lambda: session.release([handle] * 1998), 2000)
        session.retain([handle] * 1997)  # 1 byte each, and 3 for their length
        assert session.best([handle], 1)


@pytest.mark.parametrize("model, code", [
    ("nobody", StatusCode.NOT_FOUND), ("both", StatusCode.FAILED_PRECONDITION)])
def test_a_model_that_does_not_decode(client, model, code):
  with pytest.raises(lmserve.LmserveError) as raised:
    with client.decode(model):
      pytest.fail("started")
  assert raised.value.code == code
  assert raised.value.message.startswith("request 0: ")


@pytest.mark.parametrize("call, error, message", [
    (lambda s: s.extend("0", [2]), TypeError, "handles: expected a list of int"),
    (lambda s: s.extend(b"0", [2]), TypeError, "handles: expected"),
    (lambda s: s.extend([0], ["a"]), TypeError,
     "words[0]: expected int, found 'a'"),
    (lambda s: s.extend([0], [2, 2.0]), TypeError,
     "words[1]: expected int, found 2.0"),
    (lambda s: s.extend(0, 2), TypeError, "handles: expected"),
    (lambda s: s.extend(None, [2]), TypeError, "handles: expected"),
    (lambda s: s.extend([[0]], [2]), TypeError, "handles[0]: expected int"),
    (lambda s: s.extend([0], [-1]), ValueError,
     "words[0]: expected int from 0 to 2^32 - 1, found -1"),
    (lambda s: s.extend([2**32], [2]), ValueError, "handles[0]: expected int"),
    (lambda s: s.extend([0, 0, 0], [2]), ValueError, "words: expected 3, one"),
    (lambda s: s.extend([0], [2], retain=["a"]), TypeError, "retain[0]: expected"),
    (lambda s: s.best([0], release=[-1]), ValueError, "release[0]: expected"),
    (lambda s: s.best([0], -1), ValueError,
     "k: expected int from 0 to 2^32 - 1, found -1"),
    (lambda s: s.best([0], "3"), TypeError,
     "k: expected int from 0 to 2^32 - 1, found '3'"),
    (lambda s: s.best([0], words="yes"), TypeError,
     "words: expected bool, found 'yes'"),
    (lambda s: s.release([None]), TypeError, "handles[0]: expected"),
    (lambda s: s.best(s.extend([0], [2])), TypeError,
     "handles: expected a list of int, found DecodeExtended (use its .handles)"),
    (lambda s: s.retain("a"), TypeError, "handles: expected"),
])
def test_a_wrong_argument_is_the_callers_error(session, call, error, message):
  with pytest.raises(error, match=re.escape(message)):
    call(session)
  assert session.best([session.start.handle], 1), "nothing was sent"


def test_words_must_not_be_a_str(client):
  with pytest.raises(TypeError, match="words: expected a list"):
    client.decode("ab", "the cat")
  with pytest.raises(TypeError, match=r"^words\[1\]: expected str, found None$"):
    client.decode("ab", ["a", None])


def test_an_array_of_floats_is_refused(session):
  numpy = pytest.importorskip("numpy")
  for wrong, found in ((numpy.array([0.0]), r"float64 with shape \(1,\)"),
                       (numpy.array([[0]]), r"int64 with shape \(1, 1\)"),
                       (numpy.array(0), r"int64 with shape \(\)")):
    with pytest.raises(TypeError, match="^handles: expected a list of int, "
                       f"found an array of {found}$"):
      session.best(wrong)


def test_a_session_is_open_only_inside_its_with(client):
  session = client.decode("ab")
  for step in (lambda: session.start, lambda: session.best([0])):
    with pytest.raises(ValueError, match="not open: use it in a `with` block"):
      step()
  with session:
    session.best([session.start.handle])
  with pytest.raises(ValueError, match="not open"):
    session.best([0])
  with pytest.raises(ValueError, match="one `with`"):
    session.__enter__()


def test_leaving_waits_for_the_steps_sent_ahead(client):
  with client.decode("ab", ["a"]) as session:
    handle = session.start.handle
    later = [session.best_later([handle], 1) for _ in range(100)]
    session.release_later([handle])
  assert [len(pending.result()) for pending in later] == [1] * 100


def test_leaving_raises_the_first_failure_that_nobody_has_seen(client):
  with pytest.raises(lmserve.LmserveError, match="extend.words.*98"):
    with client.decode("ab", ["a"]) as session:
      handle = session.start.handle
      seen = session.extend_later([handle], [97])
      session.extend_later([handle], [98])
      good = session.extend_later([handle], session.start.ids)
      session.release_later([96])
      with pytest.raises(lmserve.LmserveError, match="97"):
        seen.result()
  assert len(good.result().handles) == 1
  with pytest.raises(lmserve.LmserveError, match="release.*96"):
    with client.decode("ab") as session:
      session.release_later([96])
      session.best([session.start.handle])  # the answer to the other arrived


def test_leaving_with_an_exception_raises_this_one(client):
  with pytest.raises(KeyError):
    with client.decode("ab") as session:
      session.release_later([96])
      late = session.best_later([session.start.handle])
      raise KeyError("a book")
  with pytest.raises(lmserve.LmserveError, match="CANCELLED.*is closed"):
    late.result()


def test_leaving_raises_the_failure_of_a_session_once(store):
  left = False
  with live_server.LiveServer(store) as server:
    with lmserve.Client(server.address, deadline=60) as client:
      with pytest.raises(lmserve.LmserveError, match="UNAVAILABLE"):
        with client.decode("ab") as unseen:
          with client.decode("ab") as seen:
            server.kill()
            seen.release_later([seen.start.handle])
            unseen.release_later([unseen.start.handle])
            with pytest.raises(lmserve.LmserveError, match="UNAVAILABLE"):
              seen.best([seen.start.handle])
          left = True
  assert left, "only the other session raised"


def test_leaving_ends_the_stream(store):
  with live_server.LiveServer(store, "--max-calls", "1") as server:
    with lmserve.Client(server.address, deadline=60) as client:
      def leave(step):
        with client.decode("ab") as session:
          step(session)

      def fail(unused_session):
        raise KeyError("a book")

      # The server reports the end of a call before it admits the next one, so
      # some calls find it busy and are tried again.
      for _ in range(20):
        leave(lambda session: session.best([session.start.handle]))
      with pytest.raises(KeyError):
        leave(fail)
      client.score("ab", ["a"])


def test_too_many_handles_and_calls(store):
  with live_server.LiveServer(store, "--max-decode-bytes", "1", "--max-calls",
                              "1") as server:
    with lmserve.Client(server.address, attempts=1) as client:
      with client.decode("ab", ["a"]) as session:
        assert session.start.most_handles == 1
        with pytest.raises(lmserve.LmserveError) as raised:
          client.score("ab", ["a"])
        assert raised.value.code == StatusCode.RESOURCE_EXHAUSTED
        assert raised.value.retry_after == pytest.approx(0.1)
        with pytest.raises(lmserve.LmserveError) as raised:
          with client.decode("ab"):
            pytest.fail("admitted")
        assert raised.value.retry_after == pytest.approx(0.1)
        with pytest.raises(lmserve.LmserveError) as raised:
          session.extend([session.start.handle], session.start.ids)
        assert raised.value.code == StatusCode.RESOURCE_EXHAUSTED
        assert raised.value.retry_after is None
        assert session.best([session.start.handle], 1)


def test_a_deadline_limits_the_whole_session(client):
  with pytest.raises(lmserve.LmserveError) as raised:
    with client.decode("ab", deadline=0.3) as session:
      while True:
        session.best([session.start.handle])
  assert raised.value.code == StatusCode.DEADLINE_EXCEEDED


def test_a_client_that_is_closed_first(address):
  client = lmserve.Client(address)
  with client.decode("ab") as session:
    client.close()
    with pytest.raises(lmserve.LmserveError, match="CANCELLED"):
      session.best([session.start.handle])


def test_a_server_that_dies(store):
  with live_server.LiveServer(store) as server:
    with lmserve.Client(server.address, stream_deadline=60) as client:
      with client.decode("ab") as session:
        server.kill()
        with pytest.raises(lmserve.LmserveError) as raised:
          session.best([session.start.handle])
        assert raised.value.code == StatusCode.UNAVAILABLE


def test_a_server_that_ends_the_session():
  with fake_server.FakeServer() as server:
    with lmserve.Client(server.address, token="a", deadline=60) as client:
      with client.decode("en") as session:  # an empty message, then the end
        assert server.metadata["authorization"] == "Bearer a"
        with pytest.raises(lmserve.LmserveError, match="has ended"):
          session.best([0])
