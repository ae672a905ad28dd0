# SPDX-License-Identifier: Apache-2.0
"""Tests of with_options."""

import asyncio
import math

import fake_server
import lmserve
import pytest
from grpc import StatusCode


@pytest.fixture(name="server")
def serve():
  with fake_server.FakeServer() as server:
    yield server


@pytest.fixture(name="client")
def connect(server):
  with lmserve.Client(server.address, token="t", deadline=60) as client:
    yield client


def sent(server, client, call=lambda client: client.health()):
  """Returns the metadata that a call sends, without that of gRPC."""
  call(client)
  return {name: value for name, value in server.metadata.items()
          if name not in ("user-agent", "accept-encoding")}


TOKEN = {"authorization": "Bearer t"}


@pytest.mark.parametrize("metadata", [
    {"x-request-id": "7", "a": "b c"}, [("x-request-id", "7"), ("a", "b c")],
    (pair for pair in [("x-request-id", "7"), ("a", "b c")])])
def test_metadata(server, client, metadata):
  other = client.with_options(metadata=metadata)
  expected = {**TOKEN, "x-request-id": "7", "a": "b c"}
  for call in (lambda client: client.health(),
               lambda client: client.score("en", ["a"]),
               lambda client: list(client.generate("en")),
               lambda client: list(client.score_stream("en", []))):
    assert sent(server, other, call) == expected
  with other.decode("en"):
    assert server.metadata.items() >= expected.items()
  assert sent(server, client) == TOKEN


def test_priority(server, client):
  bulk = client.with_options(priority="bulk")
  assert sent(server, bulk) == {**TOKEN, "lm-priority": "bulk"}
  assert sent(server, bulk.with_options(priority="interactive")) == {
      **TOKEN, "lm-priority": "interactive"}


def test_options_add_up(server, client):
  one = client.with_options(priority="bulk", metadata={"a": "1", "b": "1"})
  two = one.with_options(metadata={"b": "2", "authorization": "Basic x"})
  assert sent(server, two) == {"authorization": "Basic x", "a": "1", "b": "2",
                               "lm-priority": "bulk"}


def test_deadlines(server, client):
  server.gate.clear()
  other = client.with_options(deadline=0.1, stream_deadline=0.1)
  for call in (lambda: other.health(), lambda: list(other.generate("en")),
               lambda: other.with_options(priority="bulk").health()):
    with pytest.raises(lmserve.LmserveError) as raised:
      call()
    assert raised.value.code == StatusCode.DEADLINE_EXCEEDED
  server.gate.set()
  unlimited = other.with_options(deadline=math.inf, stream_deadline=math.inf)
  assert not unlimited.health()
  list(unlimited.generate("en"))


def test_the_connection_is_shared(client):
  client.with_options(priority="bulk").close()
  with pytest.raises(ValueError, match="closed"):
    client.health()


def test_asyncio(server):
  async def body():
    async with lmserve.AsyncClient(server.address, token="t",
                                   deadline=60) as client:
      other = client.with_options(priority="bulk", metadata={"a": "1"},
                                  deadline=50, stream_deadline=50)
      for call in (lambda: other.health(), lambda: other.beam_search("en")):
        await call()
        assert server.metadata.items() >= {
            **TOKEN, "a": "1", "lm-priority": "bulk"}.items()

  asyncio.run(body())


@pytest.mark.parametrize("metadata, message", [
    ({"X-Id": "1"}, "expected a name of a-z 0-9 _ . -, found 'X-Id'"),
    ({"": "1"}, "expected a name"), ({"a b": "1"}, "expected a name"),
    ({"ä": "1"}, "expected a name"), ({"a\n": "1"}, "expected a name"),
    ({"grpc-x": "1"}, "neither begins with grpc-"),
    ({"a-bin": "1"}, "nor ends with -bin"),
    ({"lm-priority": "bulk"}, "lm-priority is set by the argument priority"),
    ({"a": "ä"}, "expected a value of a in printable ASCII"),
    ({"a": "1\n"}, "expected a value"), ({"a": " 1"}, "expected a value"),
    ({"a": "1 "}, "expected a value"), ({"a": "1\r\nb: 2"}, "expected a value"),
])
def test_metadata_that_is_not_valid(client, metadata, message):
  with pytest.raises(ValueError, match=f"^metadata: .*{message}"):
    client.with_options(metadata=metadata)


@pytest.mark.parametrize("metadata", [
    "a=1", {"a": 1}, {1: "a"}, {"a": b"1"}, [("a",)], ["abc"], 7])
def test_metadata_of_the_wrong_type(client, metadata):
  with pytest.raises(TypeError):
    client.with_options(metadata=metadata)


@pytest.mark.parametrize("priority", ["high", "", "Bulk"])
def test_a_priority_that_is_not_valid(client, priority):
  with pytest.raises(ValueError, match="priority: expected interactive or bulk"):
    client.with_options(priority=priority)
