# SPDX-License-Identifier: Apache-2.0
"""Tests of deadlines, TLS and tokens with a fake server."""

import asyncio

import fake_server
import grpc
import lmserve
import pytest

STATUS = grpc.StatusCode


def test_a_server_that_does_not_answer():
  with fake_server.FakeServer() as server:
    server.gate.clear()
    with lmserve.Client(server.address, deadline=0.2,
                        stream_deadline=0.3) as client:
      for call in (lambda: client.score("en", ["a"]),
                   lambda: client.beam_search("en"),
                   lambda: list(client.generate("en")),
                   lambda: list(client.score_stream("en", [["a"]]))):
        with pytest.raises(lmserve.LmserveError) as raised:
          call()
        assert raised.value.code == STATUS.DEADLINE_EXCEEDED
      for method in (client.score, client.beam_search):
        with pytest.raises(lmserve.LmserveError) as raised:
          method("en", ["a"], deadline=0.1)
        assert raised.value.code == STATUS.DEADLINE_EXCEEDED


HINT = r" \(is lm_server running at {}, {} TLS\?\)$"


@pytest.mark.parametrize("address", ["localhost:1", "nobody.invalid:50051",
                                     "unix:/nowhere/socket"])
def test_an_address_where_no_server_is(address):
  async def ask():
    async with lmserve.AsyncClient(address, attempts=1, deadline=60) as client:
      async with client.decode("en"):
        pytest.fail("started")

  hint = HINT.format(address, "without")
  with lmserve.Client(address, attempts=1, deadline=60) as client:
    for call in (client.health, lambda: list(client.generate("en")),
                 lambda: list(client.score_stream("en", [["a"]])),
                 lambda: client.decode("en").__enter__(),
                 lambda: asyncio.run(ask())):
      with pytest.raises(lmserve.LmserveError, match=hint) as raised:
        call()
      assert raised.value.code == STATUS.UNAVAILABLE


def test_a_server_with_other_tls_settings(certificates):
  with fake_server.FakeServer() as server:
    with lmserve.Client(server.address, attempts=1, deadline=60,
                        tls=lmserve.Tls(certificates / "server.pem")) as client:
      with pytest.raises(lmserve.LmserveError,
                         match=HINT.format(server.address, "with")):
        client.health()


def test_the_message_of_a_server_is_not_changed():
  with fake_server.FakeServer(failures=1) as server:
    with lmserve.Client(server.address, attempts=1, deadline=60) as client:
      with pytest.raises(lmserve.LmserveError) as raised:
        client.health()
  assert raised.value.message == "going away"


@pytest.mark.parametrize("address", [
    "localhost", "", ":50051", "localhost:", "localhost:http", "localhost:0",
    "localhost:65536", "http://localhost"])
def test_an_address_that_is_not_valid(address):
  with pytest.raises(ValueError) as raised:
    lmserve.Client(address)
  assert str(raised.value) == (
      f"address: expected HOST:PORT, unix:PATH or dns:///HOST:PORT, "
      f"found {address!r}")


@pytest.mark.parametrize("address", [
    "lm.example:50051", "[::1]:50051", "unix:relative", "unix:///run/lm",
    "unix-abstract:lm", "dns:///lm.example:50051"])
def test_an_address_that_is_valid(address):
  lmserve.Client(address).close()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
@pytest.mark.parametrize("name", ["deadline", "stream_deadline"])
def test_a_deadline_that_is_not_positive(name, seconds):
  with pytest.raises(ValueError, match=f"^{name}: expected more than 0 s, found"):
    lmserve.Client(**{name: seconds})


def test_a_token_goes_with_every_call():
  with fake_server.FakeServer() as server:
    with lmserve.Client(server.address, token="open sesame") as client:
      for call in (client.list_models, client.health,
                   lambda: list(client.generate("en")),
                   lambda: list(client.score_stream("en", []))):
        server.metadata = {}
        call()
        assert server.metadata["authorization"] == "Bearer open sesame"
    with lmserve.Client(server.address, deadline=60) as client:
      client.health()
      assert "authorization" not in server.metadata


def tls_server(certificates, name="server", clients=None):
  pair = tuple((certificates / f"{name}.{part}").read_bytes()
               for part in ("key", "pem"))
  roots = clients and (certificates / f"{clients}.pem").read_bytes()
  return fake_server.FakeServer(credentials=grpc.ssl_server_credentials(
      [pair], root_certificates=roots, require_client_auth=bool(roots)))


def answers(server, tls):
  with lmserve.Client(server.address, tls=tls, attempts=1, token="a",
                      deadline=60) as client:
    try:
      client.list_models()
    except lmserve.LmserveError as error:
      assert error.code == STATUS.UNAVAILABLE
      return False
  assert server.metadata["authorization"] == "Bearer a"
  return True


def test_tls(certificates):
  roots = certificates / "server.pem"
  with tls_server(certificates) as server:
    assert answers(server, lmserve.Tls(root_certificates=roots))
    assert answers(server, lmserve.Tls(root_certificates=str(roots)))
    assert answers(server, lmserve.Tls(root_certificates=roots.read_bytes()))
    assert not answers(server, lmserve.Tls())
    assert not answers(
        server, lmserve.Tls(root_certificates=certificates / "client.pem"))
    assert not answers(server, None)


def test_tls_of_both_sides(certificates):
  roots = certificates / "server.pem"
  with tls_server(certificates, clients="client") as server:
    assert answers(server, lmserve.Tls(
        root_certificates=roots, private_key=certificates / "client.key",
        certificate_chain=certificates / "client.pem"))
    assert not answers(server, lmserve.Tls(root_certificates=roots))
    assert not answers(server, lmserve.Tls(
        root_certificates=roots, private_key=certificates / "elsewhere.key",
        certificate_chain=certificates / "elsewhere.pem"))


def test_tls_with_another_server_name(certificates):
  roots = certificates / "elsewhere.pem"
  with tls_server(certificates, "elsewhere") as server:
    assert answers(server, lmserve.Tls(root_certificates=roots,
                                       server_name="lm.example"))
    assert not answers(server, lmserve.Tls(root_certificates=roots))


def test_tls_of_asyncio(certificates):
  async def ask(server):
    tls = lmserve.Tls(root_certificates=certificates / "server.pem")
    async with lmserve.AsyncClient(server.address, tls=tls, token="a",
                                   deadline=60) as client:
      await client.list_models()

  with tls_server(certificates) as server:
    asyncio.run(ask(server))
    assert server.metadata["authorization"] == "Bearer a"


def test_a_missing_certificate(tmp_path):
  with pytest.raises(FileNotFoundError):
    lmserve.Client(tls=lmserve.Tls(root_certificates=tmp_path / "none.pem"))


def test_a_key_is_not_printed():
  assert "secret" not in repr(lmserve.Tls(private_key=b"secret"))
