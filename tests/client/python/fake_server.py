# SPDX-License-Identifier: Apache-2.0
"""Servers for tests: one answers all calls alike, the other one resets them."""

import concurrent.futures
import contextlib
import itertools
import socket
import struct
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

  def __init__(self, *, answer=b"", answers=1, failures=0,
               code=grpc.StatusCode.UNAVAILABLE, message="going away",
               details=None, credentials=None):
    """Creates a server that listens on a free port.

    Args:
      answer: The serialized message that answers every call. A stream of
        requests ends after `answers` of them, unless the first one is missing.
      failures: The first calls, this many, fail.
      code: The code of these failures.
      message: Their message.
      details: Their grpc-status-details-bin, or None.
      credentials: The credentials of the server; None: no TLS.
    """
    self._answer = answer
    self._answers = answers
    self._failures = failures
    self._code = code
    self._message = message
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
      context.abort(self._code, self._message)
    return self._answer

  def _stream(self, request, context):
    yield self._unary(request, context)

  def _stream_of_requests(self, requests, context):
    # An error that arrives while grpc.aio sends can get lost; see _retry.py.
    request = next(requests, None)
    answer = self._unary(request, context)
    if request is not None:
      yield from itertools.repeat(answer, self._answers)
    if self.calls[-1].endswith("ScoreStream"):
      for _ in requests:
        pass


class ResettingServer:
  """Speaks as much HTTP/2 as it needs to reset all streams, as proxies do.

  It serves one connection, inside a `with` block.

  Attributes:
    address: Its address.
    calls: How many streams it has reset.
  """

  _HEADERS, _RST_STREAM, _SETTINGS, _PING, _ACK = 1, 3, 4, 6, 1

  def __init__(self, code):
    """Creates a server that listens on a free port.

    Args:
      code: The error code of HTTP/2 with which it resets streams.
    """
    self._code = struct.pack(">I", code)
    self._listener = socket.create_server(("localhost", 0))
    self._connection = None
    self._thread = threading.Thread(target=self._serve)
    self.address = f"localhost:{self._listener.getsockname()[1]}"
    self.calls = 0

  def __enter__(self):
    self._thread.start()
    return self

  def __exit__(self, *error):
    with contextlib.suppress(OSError):  # The client closes it now or later.
      self._connection.shutdown(socket.SHUT_RDWR)
    self._thread.join()
    self._connection.close()
    self._listener.close()

  def _serve(self):
    self._connection, _ = self._listener.accept()
    connection = self._connection
    with connection.makefile("rb") as received:
      received.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
      self._send(connection, self._SETTINGS, 0)
      while len(header := received.read(9)) == 9:
        payload = received.read(int.from_bytes(header[:3], "big"))
        kind, flags, stream = struct.unpack(">BBI", header[3:])
        if kind in (self._SETTINGS, self._PING) and not flags & self._ACK:
          self._send(connection, kind, 0, self._ACK,
                     payload if kind == self._PING else b"")
        elif kind == self._HEADERS:
          self.calls += 1
          self._send(connection, self._RST_STREAM, stream, 0, self._code)

  @staticmethod
  def _send(connection, kind, stream, flags=0, payload=b""):
    connection.sendall(len(payload).to_bytes(3, "big") +
                       struct.pack(">BBI", kind, flags, stream) + payload)
