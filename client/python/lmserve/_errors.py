# SPDX-License-Identifier: Apache-2.0
"""The exception that failed calls raise."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError

from lmserve import _api

_Status = _api.message_class("google.rpc.Status")
_RetryInfo = _api.message_class("google.rpc.RetryInfo")


class LmserveError(Exception):
  """A failed call.

  Attributes:
    code: The grpc.StatusCode, such as NOT_FOUND or DEADLINE_EXCEEDED.
    message: The message of the server, or of gRPC if no server answered.
    retry_after: The seconds to wait before trying again, if a busy server said
      so, else None.
  """

  def __init__(self, code: grpc.StatusCode, message: str,
               retry_after: float | None = None) -> None:
    super().__init__(code, message)
    self.code = code
    self.message = message
    self.retry_after = retry_after

  def __str__(self) -> str:
    return f"{self.code.name}: {self.message}"


def from_rpc_error(error: grpc.RpcError) -> LmserveError:
  """Converts an error of gRPC, which must be that of a finished call."""
  converted = LmserveError(error.code(), error.details() or "",
                           _retry_after(error.trailing_metadata() or ()))
  converted.__cause__ = error
  return converted


def _retry_after(metadata: Any) -> float | None:
  for key, value in metadata:
    if key != "grpc-status-details-bin":
      continue
    try:
      for detail in _Status.FromString(value).details:
        if detail.type_url.endswith("/google.rpc.RetryInfo"):
          delay = _RetryInfo.FromString(detail.value).retry_delay
          return float(delay.seconds + delay.nanos / 1e9)
    except DecodeError:  # written by something other than lm_server
      pass
  return None
