# SPDX-License-Identifier: Apache-2.0
"""A server for tests that answers every call with the same message."""

import concurrent.futures
import threading

import grpc


def retry_info(seconds, nanos=0):
  """Returns a serialized google.rpc.Status with a RetryInfo."""
  delay = b"\x08" + _varint(seconds) + b"\x10" + _varint(nanos)
  info = b"\x0a" + bytes([len(delay)]) + delay
  url = b"type.googleapis.com/google.rpc.RetryInfo"
  detail = b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(info)]) + info
  return b"\x1a" + bytes([len(detail)]) + detail


def _varint(number):
  return bytes([number]) if number < 128 else (
      bytes([number & 127 | 128]) + _varint(number >> 7))


class FakeServer(grpc.GenericRpcHandler):
  """A server that can be made to fail, to hang and to use TLS.

  It serves inside a `with` block.

  Attributes:
    address: Its address.
    calls: The path of each call so far.
    metadata: The metadata of the last call.
    gate: No call is answered while this event is not set.
  """

  def __init__(self, *, answer=b"", failures=0,
               code=grpc.StatusCode.UNAVAILABLE, details=None,
               credentials=None):
    """Creates a server that listens on a free port.

    Args:
      answer: The serialized message that answers every call.
      failures: The first calls, this many, fail.
      code: The code of these failures.
      details: Their grpc-status-details-bin, or None.
      credentials: The credentials of the server; None: no TLS.
    """
    self._answer = answer
    self._failures = failures
    self._code = code
    self._details = details
    self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    self._server.add_generic_rpc_handlers([self])
    if credentials is None:
      self._port = self._server.add_insecure_port("localhost:0")
    else:
      self._port = self._server.add_secure_port("localhost:0", credentials)
    self.calls = []
    self.metadata = {}
    self.gate = threading.Event()
    self.gate.set()

  @property
  def address(self):
    return f"localhost:{self._port}"

  def __enter__(self):
    self._server.start()
    return self

  def __exit__(self, *error):
    self.gate.set()
    self._server.stop(None).wait()

  def service(self, handler_call_details):
    self.calls.append(handler_call_details.method)
    self.metadata = dict(handler_call_details.invocation_metadata)
    if handler_call_details.method.endswith("Generate"):
      return grpc.unary_stream_rpc_method_handler(self._stream)
    if handler_call_details.method.endswith(("ScoreStream", "Decode")):
      return grpc.stream_stream_rpc_method_handler(self._stream_of_requests)
    return grpc.unary_unary_rpc_method_handler(self._unary)

  def _unary(self, unused_request, context):
    self.gate.wait()
    if len(self.calls) <= self._failures:
      if self._details is not None:
        context.set_trailing_metadata(
            [("grpc-status-details-bin", self._details)])
      context.abort(self._code, "going away")
    return self._answer

  def _stream(self, request, context):
    yield self._unary(request, context)

  def _stream_of_requests(self, requests, context):
    # An error that arrives while grpc.aio sends can get lost; see _retry.py.
    yield self._unary(next(requests, None), context)
