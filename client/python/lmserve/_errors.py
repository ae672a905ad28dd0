"""The one exception of the package."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError

from lmserve import _api

_Status = _api.message_class("google.rpc.Status")
_RetryInfo = _api.message_class("google.rpc.RetryInfo")


class LmserveError(Exception):
  """A call failed.

  Attributes:
    code: the grpc.StatusCode, such as NOT_FOUND or DEADLINE_EXCEEDED.
    message: what the server said, or gRPC where no server answered.
    retry_after: seconds after which the server, too busy now, may be asked
      again; None where it names none.
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
  """The same code, the same message, and what else the trailers tell."""
  return LmserveError(error.code(), error.details() or "",
                      _retry_after(error.trailing_metadata() or ()))


def _retry_after(metadata: Any) -> float | None:
  for key, value in metadata:
    if key != "grpc-status-details-bin":
      continue
    try:
      for detail in _Status.FromString(value).details:
        if detail.type_url.endswith("/google.rpc.RetryInfo"):
          delay = _RetryInfo.FromString(detail.value).retry_delay
          return float(delay.seconds + delay.nanos / 1e9)
    except DecodeError:  # of a proxy: the error is one without it, too
      pass
  return None
