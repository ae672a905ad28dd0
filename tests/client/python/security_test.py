# SPDX-License-Identifier: Apache-2.0
"""Tests of TLS, client certificates and tokens with a real lm_server."""

import asyncio

import live_server
import lmserve
import pytest
from grpc import StatusCode

READER = "a-token-of-a-reader"
BOSS = "a-token-of-the-boss"


@pytest.fixture(name="encrypted", params=[False, True],
                ids=["tls", "mutual tls"])
def serve(request, store, certificates, tmp_path):
  """Starts a server with tokens; returns its address and TLS arguments."""
  tokens = tmp_path / "tokens"
  tokens.write_text(f"# of the tests\nread {READER}\nadmin {BOSS}\n",
                    encoding="utf-8")
  arguments = ["--tokens", tokens, "--tls-certificate", certificates / "server.pem",
               "--tls-key", certificates / "server.key"]
  tls = {"root_certificates": certificates / "server.pem"}
  if request.param:
    arguments += ["--tls-client-ca", certificates / "client.pem"]
    tls.update(private_key=certificates / "client.key",
               certificate_chain=certificates / "client.pem")
  with live_server.LiveServer(store, *arguments,
                              listen="localhost:0") as server:
    port = server.address.rpartition(":")[2]
    yield f"localhost:{port}", tls, request.param


def code_of(address, tls, token=READER):
  """Tries to score; returns the code of the error, or None."""
  with lmserve.Client(address, tls=tls, token=token, attempts=1,
                      deadline=60) as client:
    try:
      assert client.score("ab", ["a"]).scores
    except lmserve.LmserveError as error:
      return error.code
  return None


def test_tokens(encrypted):
  address, tls, _ = encrypted
  tls = lmserve.Tls(**tls)
  assert code_of(address, tls) is None
  assert code_of(address, tls, BOSS) is None
  assert code_of(address, tls, READER[:-1]) == StatusCode.UNAUTHENTICATED
  assert code_of(address, tls, None) == StatusCode.UNAUTHENTICATED


def test_certificates(encrypted, certificates):
  address, tls, mutual = encrypted
  roots = tls["root_certificates"]
  refused = StatusCode.UNAVAILABLE
  assert code_of(address, None) == refused
  assert code_of(address, lmserve.Tls()) == refused
  assert code_of(address, lmserve.Tls(**{
      **tls, "root_certificates": certificates / "elsewhere.pem"})) == refused
  assert code_of(address, lmserve.Tls(**tls, server_name="lm.x")) == refused
  assert code_of(address, lmserve.Tls(root_certificates=roots)) == (
      refused if mutual else None)
  assert code_of(address, lmserve.Tls(
      root_certificates=roots, private_key=certificates / "elsewhere.key",
      certificate_chain=certificates / "elsewhere.pem")) == (
          refused if mutual else None)


def test_a_session(encrypted):
  address, tls, _ = encrypted
  tls = lmserve.Tls(**tls)
  with lmserve.Client(address, tls=tls, token=READER) as client:
    with client.decode("ab") as session:
      assert session.best([session.start.handle], 1)
  with lmserve.Client(address, tls=tls) as client:
    with pytest.raises(lmserve.LmserveError) as raised:
      with client.decode("ab"):
        pytest.fail("admitted")
    assert raised.value.code == StatusCode.UNAUTHENTICATED


def test_asyncio(encrypted):
  async def body(address, tls):
    async with lmserve.AsyncClient(address, tls=tls, token=READER,
                                   deadline=60) as client:
      assert (await client.score("ab", ["a"])).scores
      async with client.decode("ab") as session:
        assert await session.best([session.start.handle], 1)
    async with lmserve.AsyncClient(address, tls=tls, deadline=60) as client:
      with pytest.raises(lmserve.LmserveError) as raised:
        await client.score("ab", ["a"])
      assert raised.value.code == StatusCode.UNAUTHENTICATED

  address, tls, _ = encrypted
  asyncio.run(body(address, lmserve.Tls(**tls)))
