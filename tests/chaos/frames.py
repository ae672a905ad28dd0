# SPDX-License-Identifier: Apache-2.0
"""Writes HTTP/2 frames (RFC 9113), HPACK (RFC 7541) and gRPC messages by hand.

The attacks need frames that no library would send. Nothing here checks what it
is told to write. Strings are written without Huffman coding.
"""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Types of frames.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
TYPE_NAMES = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",
              "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION")

# Flags.
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8

# Identifiers of settings.
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

LARGEST_WINDOW = 2**31 - 1
CANCEL = 8  # an error code


def frame(kind, flags, stream, payload=b""):
  """Returns a frame."""
  return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def settings(*pairs):
  """Returns a SETTINGS frame with pairs of identifier and value."""
  return frame(SETTINGS, 0, 0,
               b"".join(struct.pack(">HI", *pair) for pair in pairs))


def headers(stream, block, end_stream=False, end_headers=True):
  """Returns a HEADERS frame."""
  return frame(HEADERS, end_stream * END_STREAM | end_headers * END_HEADERS,
               stream, block)


def continuation(stream, block, end_headers=False):
  """Returns a CONTINUATION frame."""
  return frame(CONTINUATION, END_HEADERS if end_headers else 0, stream, block)


def data(stream, payload, end_stream=False):
  """Returns a DATA frame."""
  return frame(DATA, END_STREAM if end_stream else 0, stream, payload)


def reset(stream, code=CANCEL):
  """Returns a RST_STREAM frame."""
  return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
  """Returns a WINDOW_UPDATE frame."""
  return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def integer(value, prefix_bits, first=0):
  """Returns an HPACK integer; `first` has the bits before the prefix."""
  limit = (1 << prefix_bits) - 1
  if value < limit:
    return bytes([first | value])
  result = bytearray([first | limit])
  value -= limit
  while value >= 128:
    result.append(value % 128 + 128)
    value //= 128
  result.append(value)
  return bytes(result)


def string(text, declared=None):
  """Returns an HPACK string, which may declare another length than it has."""
  return integer(len(text) if declared is None else declared, 7) + text


def literal(name, value, indexed=False):
  """Returns a header with a new name; `indexed` adds it to the table."""
  return (b"\x40" if indexed else b"\x00") + string(name) + string(value)


def index(position):
  """Returns a header of the static or the dynamic table."""
  return integer(position, 7, 0x80)


def table_size(size):
  """Returns a change of the size of the dynamic table."""
  return integer(size, 5, 0x20)


def request_headers(path, extra=b"", tls=False):
  """Returns the header block of a gRPC call."""
  return (index(3) +  # :method POST
          index(7 if tls else 6) +  # :scheme
          b"\x04" + string(path.encode()) +  # :path
          b"\x01" + string(b"localhost") +  # :authority
          b"\x0f\x10" + string(b"application/grpc") +  # content-type
          literal(b"te", b"trailers") + extra)


def message(payload, declared=None):
  """Returns a gRPC message, which may declare another length than it has."""
  return struct.pack(">BI", 0, len(payload) if declared is None else declared
                     ) + payload


class FrameReader:
  """Reads the frames in received bytes.

  Attributes:
    counts: How many frames have come, by the name of their type.
    windows: The sum of all WINDOW_UPDATE frames, by stream.
  """

  def __init__(self):
    self.counts, self.windows = {}, {}
    self._head = bytearray()  # the incomplete head of a frame
    self._skip = 0  # bytes of the payload that have not arrived
    self._update = None  # the payload of WINDOW_UPDATE that has arrived
    self._stream = 0

  def feed(self, received):
    position, size = 0, len(received)
    while position < size:
      if self._skip:
        step = min(self._skip, size - position)
        self._skip -= step
        if self._update is not None:
          self._update += received[position:position + step]
          if not self._skip:
            self.windows[self._stream] = self.windows.get(
                self._stream, 0) + int.from_bytes(self._update, "big")
        position += step
        continue
      step = min(9 - len(self._head), size - position)
      self._head += received[position:position + step]
      position += step
      if len(self._head) == 9:
        kind = self._head[3]
        name = TYPE_NAMES[kind] if kind < len(TYPE_NAMES) else "other"
        self.counts[name] = self.counts.get(name, 0) + 1
        self._skip = int.from_bytes(self._head[:3], "big")
        self._update = bytearray() if kind == WINDOW_UPDATE else None
        self._stream = int.from_bytes(self._head[5:], "big")
        self._head.clear()
