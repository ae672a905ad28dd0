# SPDX-License-Identifier: Apache-2.0
"""The gRPC channel to a server and the methods on it."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import grpc

from lmserve import _api
from lmserve._types import Tls

_LANGUAGE_MODEL = "/lm.v1.LanguageModelService/"
_MODELS = "/lm.v1.ModelService/"
_HEALTH = "/grpc.health.v1.Health/"


@dataclasses.dataclass(frozen=True)
class Settings:
  """The arguments of Client and AsyncClient; see Client."""

  address: str
  deadline: float
  stream_deadline: float | None
  attempts: int
  message_bytes: int
  tls: Tls | None
  token: str | None


class Connection:
  """A channel and the methods of the API on it."""

  def __init__(self, module: Any, settings: Settings) -> None:
    """Creates the channel without connecting yet.

    Args:
      module: grpc or grpc.aio, which makes the channel.
      settings: The settings of the channel.
    """
    self._settings = settings
    # Streams of grpc are not retried: with grpc 1.51, a stream with a retry
    # policy hangs forever, despite its deadline, if the server dies before its
    # first response. Streams of grpc.aio do not have this bug.
    retried = _api.unary_methods() if module is grpc else [{}]
    options = _channel_options(settings, retried)
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
    self.decode = _api.stub(self.channel, _LANGUAGE_MODEL + "Decode")
    self.list_models = _api.stub(self.channel, _MODELS + "ListModels")
    self.get_model = _api.stub(self.channel, _MODELS + "GetModel")
    self.health = _api.stub(self.channel, _HEALTH + "Check")

  def call(self, deadline: float | None) -> dict[str, Any]:
    """Returns the keyword arguments of a unary call.

    Args:
      deadline: Seconds; None: the deadline of the client.
    """
    return self._arguments(
        self._settings.deadline if deadline is None else deadline)

  def stream(self, deadline: float | None) -> dict[str, Any]:
    """Returns the keyword arguments of a stream.

    Args:
      deadline: Seconds; None: the stream_deadline of the client.
    """
    return self._arguments(
        self._settings.stream_deadline if deadline is None else deadline)

  def _arguments(self, timeout: float | None) -> dict[str, Any]:
    metadata = []
    if self._settings.token is not None:
      metadata.append(("authorization", f"Bearer {self._settings.token}"))
    return {"timeout": timeout, "metadata": metadata}


def _channel_options(settings: Settings,
                     retried: list[dict[str, str]]) -> list[tuple[str, Any]]:
  options: list[tuple[str, Any]] = [
      ("grpc.max_receive_message_length", settings.message_bytes),
      ("grpc.max_send_message_length", settings.message_bytes),
      # Reconnect so soon that the next attempt of a call finds a server that
      # has just started.
      ("grpc.initial_reconnect_backoff_ms", 100),
  ]
  if settings.attempts > 1:
    options.append(("grpc.service_config",
                    _service_config(settings.attempts, retried)))
  if settings.tls is not None and settings.tls.server_name is not None:
    options.append(
        ("grpc.ssl_target_name_override", settings.tls.server_name))
  return options


def _service_config(attempts: int, retried: list[dict[str, str]]) -> str:
  return json.dumps({
      "methodConfig": [{
          "name": retried,
          "retryPolicy": {
              "maxAttempts": min(attempts, 5),
              "initialBackoff": "0.1s",
              "maxBackoff": "2s",
              "backoffMultiplier": 2,
              "retryableStatusCodes": ["UNAVAILABLE"],
          },
      }]
  })


def _credentials(tls: Tls) -> Any:
  return grpc.ssl_channel_credentials(
      root_certificates=_pem(tls.root_certificates),
      private_key=_pem(tls.private_key),
      certificate_chain=_pem(tls.certificate_chain))


def _pem(source: str | os.PathLike[str] | bytes | None) -> bytes | None:
  if source is None or isinstance(source, bytes):
    return source
  return pathlib.Path(source).read_bytes()
