# SPDX-License-Identifier: Apache-2.0
"""The exception that failed calls raise."""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from lmserve import _api

_Status = _api.message_class("google.rpc.Status")
_RetryInfo = _api.message_class("google.rpc.RetryInfo")
_BadRequest = _api.message_class("google.rpc.BadRequest")

# What gRPC says of a stream that was reset, with the code of HTTP/2: NO_ERROR,
# INTERNAL_ERROR or CONNECT_ERROR. After other codes, the call would fail again: they
# say that a side violates the protocol.
_RESET = re.compile(r"Received RST_STREAM with error code (0|2|10)\b")


class LmserveError(Exception):
  """A failed call.

  Attributes:
    code: The grpc.StatusCode, such as NOT_FOUND or DEADLINE_EXCEEDED. A stream that
      a proxy resets because it has lost the server has UNAVAILABLE, not gRPC's
      INTERNAL.
    message: The message of the server, or of gRPC if no server answered.
    retry_after: The seconds to wait before trying again, if a busy server said
      so, else None.
    field: The field of the request that is wrong, such as "texts[2]", if the
      server said so, else None.
  """

  def __init__(self, code: grpc.StatusCode, message: str,
               retry_after: float | None = None,
               field: str | None = None) -> None:
    super().__init__(code, message)
    self.code = code
    self.message = message
    self.retry_after = retry_after
    self.field = field

  def __str__(self) -> str:
    return f"{self.code.name}: {self.message}"


def from_rpc_error(error: grpc.RpcError) -> LmserveError:
  """Converts an error of gRPC, which must be that of a finished call."""
  code, message = error.code(), error.details() or ""
  if _is_reset(code, message):
    code = grpc.StatusCode.UNAVAILABLE
  converted = LmserveError(code, message,
                           *_details(error.trailing_metadata() or ()))
  converted.__cause__ = error
  return converted


def _is_reset(code: grpc.StatusCode, message: str) -> bool:
  """Returns whether something between client and server has reset the stream.

  A proxy does so if it loses the server. gRPC converts resets to INTERNAL
  (grpc/doc/PROTOCOL-HTTP2.md, "Errors"), with a message that lm_server never sends.
  """
  return code == grpc.StatusCode.INTERNAL and _RESET.search(message) is not None


def _details(metadata: Any) -> tuple[float | None, str | None]:
  """Returns retry_after and field of an error."""
  retry_after, field = None, None
  try:
    for detail in _status(metadata).details:
      kind = detail.type_url.rpartition("/")[2]
      if kind == "google.rpc.RetryInfo":
        delay = _RetryInfo.FromString(detail.value).retry_delay
        retry_after = float(delay.seconds + delay.nanos / 1e9)
      elif kind == "google.rpc.BadRequest":
        for violation in _BadRequest.FromString(
            detail.value).field_violations[:1]:
          field = violation.field
  except DecodeError:  # written by something other than lm_server
    return None, None
  return retry_after, field


def _status(metadata: Any) -> Any:
  for key, value in metadata:
    if key == "grpc-status-details-bin":
      return _Status.FromString(value)
  return _Status()
