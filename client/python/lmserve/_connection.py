# SPDX-License-Identifier: Apache-2.0
"""The gRPC channel to a server and the methods on it."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pathlib
from typing import Any

import grpc

from lmserve import _api, _arrays
from lmserve._errors import LmserveError, from_rpc_error
from lmserve._retry import Retry
from lmserve._types import Tls

_LANGUAGE_MODEL = "/lm.v1.LanguageModelService/"
_MODELS = "/lm.v1.ModelService/"
_HEALTH = "/grpc.health.v1.Health/"

# How the messages of gRPC begin if it cannot connect.
_NOT_CONNECTED = ("failed to connect to all addresses", "DNS resolution failed",
                  "errors resolving", "empty address list",
                  "connections to all backends failing")

# The schemes of addresses that may stand for several servers.
_BALANCED = ("dns:", "ipv4:", "ipv6:")

# A ping of HTTP/2 is sent after this time in which nothing was received, while a
# call waits for an answer; the server permits one in 5 s. A server that
# acknowledges nothing for the timeout is lost, and its calls are tried again at
# another one. Both times together are less than the default deadline.
_KEEPALIVE_MS = 5_500
_KEEPALIVE_TIMEOUT_MS = 3_000

Metadata = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Settings:
  """The arguments of Client and AsyncClient; see Client."""

  address: str
  deadline: float | None
  stream_deadline: float | None
  attempts: int
  message_bytes: int
  tls: Tls | None
  token: str | None
  health_service: str | None

  def __post_init__(self) -> None:
    if not _is_address(self.address):
      raise ValueError(f"address: expected HOST:PORT, unix:PATH or "
                       f"dns:///HOST:PORT, found {self.address!r}")
    for name in ("deadline", "stream_deadline"):
      seconds = getattr(self, name)
      if seconds is not None and not seconds > 0:
        raise ValueError(f"{name}: expected more than 0 s, found {seconds!r}")
    if self.attempts < 0:
      raise ValueError(f"attempts: expected 0 or more, found {self.attempts}")


class Connection:
  """A channel and the methods of the API on it.

  Attributes:
    metadata: What is sent with each call.
    message_bytes: The size of the largest message.
  """

  def __init__(self, module: Any, settings: Settings) -> None:
    """Creates the channel without connecting yet.

    Args:
      module: grpc or grpc.aio, which makes the channel.
      settings: The settings of the channel.
    """
    self._deadline = settings.deadline
    self._stream_deadline = settings.stream_deadline
    self._attempts = settings.attempts
    self._hint = (f" (is lm_server running at {settings.address}, "
                  f"{'without' if settings.tls is None else 'with'} TLS"
                  f"{_serving(settings.health_service)}?)")
    self.message_bytes = settings.message_bytes
    self.metadata: Metadata = ()
    if settings.token is not None:
      self.metadata = (("authorization", f"Bearer {settings.token}"),)
    options = _channel_options(settings)
    if settings.tls is None:
      self.channel = module.insecure_channel(settings.address, options=options)
    else:
      self.channel = module.secure_channel(
          settings.address, _credentials(settings.tls), options=options)
    self.score = _api.stub(self.channel, _LANGUAGE_MODEL + "Score")
    self.score_stream = _api.stub(self.channel, _LANGUAGE_MODEL + "ScoreStream")
    self.predict = _api.stub(self.channel, _LANGUAGE_MODEL + "Predict")
    self.rerank = _api.stub(self.channel, _LANGUAGE_MODEL + "Rerank")
    self.generate = _api.stub(self.channel, _LANGUAGE_MODEL + "Generate")
    self.decode = _api.stub(self.channel, _LANGUAGE_MODEL + "Decode",
                            _arrays.response_class("lm.v1.DecodeResponse"),
                            is_serialized=True)
    self.inspect = _api.stub(self.channel, _LANGUAGE_MODEL + "Inspect",
                             _arrays.response_class("lm.v1.InspectResponse"))
    self.embed = _api.stub(self.channel, _LANGUAGE_MODEL + "Embed",
                           _arrays.response_class("lm.v1.EmbedResponse"))
    self.tag = _api.stub(self.channel, _LANGUAGE_MODEL + "Tag")
    self.classify = _api.stub(self.channel, _LANGUAGE_MODEL + "Classify")
    self.vocabulary = _api.stub(self.channel, _LANGUAGE_MODEL + "GetVocabulary")
    self.list_models = _api.stub(self.channel, _MODELS + "ListModels")
    self.get_model = _api.stub(self.channel, _MODELS + "GetModel")
    self.health = _api.stub(self.channel, _HEALTH + "Check")

  def with_options(self, deadline: float | None,
                   stream_deadline: float | None,
                   metadata: Metadata) -> Connection:
    """Returns a connection that shares the channel.

    Args:
      deadline: Seconds; None: the same deadline.
      stream_deadline: Seconds; None: the same deadline.
      metadata: Added to the metadata, in place of what has the same names.
    """
    other = copy.copy(self)
    if deadline is not None:
      other._deadline = deadline
    if stream_deadline is not None:
      other._stream_deadline = stream_deadline
    names = {name for name, _ in metadata}
    other.metadata = tuple(pair for pair in self.metadata
                           if pair[0] not in names) + metadata
    return other

  def error(self, error: grpc.RpcError) -> LmserveError:
    """Converts the error of a finished call.

    If no server could be reached, the message says what may be wrong.
    """
    converted = from_rpc_error(error)
    if (converted.code == grpc.StatusCode.UNAVAILABLE and
        converted.message.startswith(_NOT_CONNECTED)):
      converted.message += self._hint
    return converted

  def retry(self, deadline: float | None) -> Retry:
    """Returns the attempts of a unary call, which begins now.

    Args:
      deadline: Seconds; None: the deadline of the client.
    """
    return Retry(self._attempts,
                 self._deadline if deadline is None else deadline)

  def stream_retry(self, deadline: float | None) -> Retry:
    """Returns the attempts of a stream, which begins now.

    Args:
      deadline: Seconds; None: the stream_deadline of the client.
    """
    return Retry(self._attempts,
                 self._stream_deadline if deadline is None else deadline,
                 self._deadline)


def _is_address(address: str) -> bool:
  if address.startswith(("unix:", "unix-abstract:")):
    return True
  host, _, port = address.rpartition(":")
  return bool(host) and port.isdecimal() and 1 <= int(port) <= 65535


def _channel_options(settings: Settings) -> list[tuple[str, Any]]:
  options: list[tuple[str, Any]] = [
      ("grpc.max_receive_message_length", settings.message_bytes),
      ("grpc.max_send_message_length", settings.message_bytes),
      # Reconnect so soon that the next attempt of a call finds a server that
      # has just started, even at another address of the same name.
      ("grpc.initial_reconnect_backoff_ms", 100),
      ("grpc.max_reconnect_backoff_ms", 2000),
      ("grpc.dns_min_time_between_resolutions_ms", 1000),
      ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
      ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
      # A stream may wait for longer than two pings.
      ("grpc.http2.max_pings_without_data", 0),
  ]
  if settings.address.startswith(_BALANCED) or settings.health_service:
    options.append(("grpc.service_config",
                    _round_robin(settings.health_service)))
  if settings.tls is not None and settings.tls.server_name is not None:
    options.append(
        ("grpc.ssl_target_name_override", settings.tls.server_name))
  return options


def _serving(health_service: str | None) -> str:
  return f", with {health_service} SERVING" if health_service else ""


def _round_robin(health_service: str | None) -> str:
  """Returns a service config that spreads calls over all addresses.

  Args:
    health_service: Addresses that do not report it as SERVING are left out.
  """
  config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
  if health_service:
    config["healthCheckConfig"] = {"serviceName": health_service}
  return json.dumps(config)


def _credentials(tls: Tls) -> Any:
  return grpc.ssl_channel_credentials(
      root_certificates=_pem(tls.root_certificates),
      private_key=_pem(tls.private_key),
      certificate_chain=_pem(tls.certificate_chain))


def _pem(source: str | os.PathLike[str] | bytes | None) -> bytes | None:
  if source is None or isinstance(source, bytes):
    return source
  return pathlib.Path(source).read_bytes()
