# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests: a model store, a server of it, certificates."""

import certificates as openssl
import live_server
import lmserve
import pytest


@pytest.fixture(scope="session", name="store")
def make_store(tmp_path_factory):
  directory = tmp_path_factory.mktemp("store")
  live_server.train_ngram(directory, "ab", live_server.AB)
  live_server.train_ngram(directory, "long", live_server.LONG)
  live_server.train_bidirectional(
      directory, "both", tmp_path_factory.mktemp("corpus") / "text.txt")
  return directory


@pytest.fixture(scope="session", name="address")
def serve(store):
  with live_server.LiveServer(store) as server:
    yield server.address


@pytest.fixture(name="client")
def connect(address):
  """Returns a client of `address`, which a test module may override."""
  with lmserve.Client(address, deadline=60) as client:
    yield client


@pytest.fixture(scope="session", name="certificates")
def make_certificates(tmp_path_factory):
  directory = tmp_path_factory.mktemp("certificates")
  openssl.make_certificate(directory, "server", "localhost")
  openssl.make_certificate(directory, "elsewhere", "lm.example")
  openssl.make_certificate(directory, "client", "somebody")
  return directory
