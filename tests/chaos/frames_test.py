# SPDX-License-Identifier: Apache-2.0
"""Tests that the frames of the attacks are what the RFCs say, byte by byte."""

import socket
import threading
import time
import unittest

import frames as h2
import http2_attacks
import messages as lm


class FramesTest(unittest.TestCase):

  def test_integers_of_rfc_7541(self):
    self.assertEqual(h2.integer(10, 5).hex(), "0a")  # C.1.1
    self.assertEqual(h2.integer(1337, 5).hex(), "1f9a0a")  # C.1.2
    self.assertEqual(h2.integer(42, 8).hex(), "2a")  # C.1.3
    self.assertEqual(h2.integer(2**31 - 2, 7).hex(), "7ffffeffff07")

  def test_headers_of_rfc_7541(self):
    # C.2.1: a literal that is added to the table.
    self.assertEqual(
        h2.literal(b"custom-key", b"custom-header", True).hex(),
        "400a637573746f6d2d6b65790d637573746f6d2d686561646572")
    self.assertEqual(h2.index(2).hex(), "82")  # C.2.4
    self.assertEqual(h2.string(b"abc", declared=1000).hex(), "7fe906616263")
    self.assertEqual(h2.table_size(4096).hex(), "3fe11f")

  def test_frames(self):
    self.assertEqual(h2.settings((4, 65535)).hex(),
                     "000006" "04" "00" "00000000" "0004" "0000ffff")
    self.assertEqual(h2.reset(5).hex(),
                     "000004" "03" "00" "00000005" "00000008")
    self.assertEqual(h2.headers(3, b"\x83", end_stream=True).hex(),
                     "000001" "01" "05" "00000003" "83")
    self.assertEqual(h2.continuation(3, b"\x83").hex(),
                     "000001" "09" "00" "00000003" "83")
    self.assertEqual(h2.data(1, b"ab", end_stream=True).hex(),
                     "000002" "00" "01" "00000001" "6162")
    self.assertEqual(h2.message(b"ab", declared=258).hex(),
                     "00" "00000102" "6162")

  def test_frames_are_counted_in_any_pieces(self):
    sent = (h2.settings() + h2.data(1, b"x" * 300) + h2.frame(0xfe, 0, 0) +
            h2.window_update(3, 70000) * 2)
    for size in (1, 2, 10, len(sent)):
      reader = h2.FrameReader()
      for begin in range(0, len(sent), size):
        reader.feed(sent[begin:begin + size])
      self.assertEqual(reader.counts, {"SETTINGS": 1, "DATA": 1, "other": 1,
                                       "WINDOW_UPDATE": 2})
      self.assertEqual(reader.windows, {3: 140000})

  def test_messages(self):
    request = lm.score_request("en", ["a b"], per_word=True)
    self.assertEqual(request.hex(), "0a02656e" "12050a03612062" "1801")
    self.assertEqual(list(lm.fields(request)),
                     [(1, b"en"), (2, b"\x0a\x03a b"), (3, 1)])


class AttackTest(unittest.TestCase):

  def test_attack_sends_its_frames_and_comes_back(self):
    with socket.create_server(("127.0.0.1", 0)) as listener:
      received = []

      def accept():
        for _ in range(2):
          connection, _ = listener.accept()
          with connection:
            received.append(connection.recv(4096))

      listener.settimeout(5)
      thread = threading.Thread(target=accept, daemon=True)
      thread.start()
      target = http2_attacks.Target(f"127.0.0.1:{listener.getsockname()[1]}")

      def script(target, _):
        yield http2_attacks.START
        yield target.call(1, lm.SCORE)

      did = http2_attacks.Attack(
          target, time.monotonic() + 0.3, connections=1).run(script)
      thread.join()
    self.assertGreaterEqual(did["closed_by_server"], 2)
    for sent in received:
      self.assertTrue(sent.startswith(h2.PREFACE + h2.settings()))


if __name__ == "__main__":
  unittest.main()
