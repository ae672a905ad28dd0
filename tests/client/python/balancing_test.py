# SPDX-License-Identifier: Apache-2.0
"""Tests of clients of several servers."""

import asyncio
import contextlib

import fake_server
import grpc
import live_server
import lmserve
import pytest


def address_of(*servers):
  ports = [server.address.rpartition(":")[2] for server in servers]
  return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


@pytest.fixture(name="pair")
def make_pair():
  with fake_server.FakeServer() as one, fake_server.FakeServer() as other:
    yield one, other


def test_calls_spread_over_all_addresses(pair):
  with lmserve.Client(address_of(*pair)) as client:
    while not all(server.calls for server in pair):  # until both connect
      client.list_models()
    for server in pair:
      server.calls.clear()
    for _ in range(50):
      client.list_models()
  assert [len(server.calls) for server in pair] == [25, 25]


def test_calls_of_asyncio_spread(pair):
  async def ask():
    async with lmserve.AsyncClient(address_of(*pair)) as client:
      for _ in range(1000):
        await client.list_models()
        if all(server.calls for server in pair):
          return True
    return False

  assert asyncio.run(ask())


def test_calls_of_one_address_stay_there(pair):
  one, _ = pair
  with lmserve.Client(one.address) as client:
    for _ in range(10):
      client.list_models()
  assert [len(server.calls) for server in pair] == [10, 0]


@pytest.fixture(name="models")
def make_models(tmp_path):
  """Servers of en and of both en and de."""
  for store, models in (("one", ["en"]), ("both", ["en", "de"])):
    for model in models:
      live_server.train_ngram(tmp_path / store, model, live_server.AB)
  with contextlib.ExitStack() as stack:
    yield [stack.enter_context(live_server.LiveServer(tmp_path / store))
           for store in ("one", "both")]


def test_only_servers_that_have_the_model_get_calls(models):
  with lmserve.Client(address_of(*models), attempts=1,
                      health_service="de") as client:
    for _ in range(20):
      client.score("de", ["a"])

  async def ask():
    async with lmserve.AsyncClient(address_of(*models), attempts=1,
                                   health_service="de") as client:
      for _ in range(20):
        await client.score("de", ["a"])

  asyncio.run(ask())
  with lmserve.Client(address_of(*models), attempts=1) as client:
    with pytest.raises(lmserve.LmserveError) as raised:
      for _ in range(1000):
        client.score("de", ["a"])
    assert raised.value.code == grpc.StatusCode.NOT_FOUND


def test_a_model_that_no_server_has(models):
  with lmserve.Client(address_of(*models), attempts=1, deadline=60,
                      health_service="fr") as client:
    with pytest.raises(lmserve.LmserveError, match="with fr SERVING") as raised:
      client.score("fr", ["a"])
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE
