"""The one exception of the package."""

from __future__ import annotations

import grpc


class LmserveError(Exception):
  """A call failed.

  Attributes:
    code: the grpc.StatusCode, such as NOT_FOUND or DEADLINE_EXCEEDED.
    message: what the server said, or gRPC where no server answered.
  """

  def __init__(self, code: grpc.StatusCode, message: str) -> None:
    super().__init__(code, message)
    self.code = code
    self.message = message

  def __str__(self) -> str:
    return f"{self.code.name}: {self.message}"


def from_rpc_error(error: grpc.RpcError) -> LmserveError:
  """The same code, the same message."""
  return LmserveError(error.code(), error.details() or "")
