#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the memory that lm_server takes for each of many idle HTTP streams.

    tests/bench/idle_streams.py PROGRAMS [STREAMS]

PROGRAMS is the directory of lm_trainer and lm_server. Opens STREAMS (2,000)
connections of each kind, with and without TLS, and prints by how many bytes
each has enlarged the resident memory of the server:

- kept: a connection between two requests;
- unread: a Generate stream (server-sent events) whose client does not read;
- paused: a ScoreStream (lines both ways) that waits for its next request.
"""

import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

GENERATE = b'{"model":"long","maxWords":10000,"seed":"%d"}'
SCORE = b'{"model":"long","texts":[{"text":"the cat is small ."}]}\n'


def resident(process):
  text = pathlib.Path(f"/proc/{process.pid}/status").read_text("ascii")
  return int(re.search(r"VmRSS:\s*(\d+)", text)[1]) * 1024


def processor_ticks(process):
  fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text(
      "ascii").rpartition(")")[2].split()
  return int(fields[11]) + int(fields[12])


def wait_until_idle(process):
  while True:
    before = processor_ticks(process)
    time.sleep(1)
    # Timers of connections take some ticks.
    if processor_ticks(process) - before < 10:
      return


def request(path, kind, accept, body, length):
  head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
          f"Content-Type: {kind}\r\nAccept: {accept}\r\n{length}\r\n\r\n")
  return head.encode() + body


def open_stream(address, tls, what, number):
  connection = socket.socket()
  # The buffers of the kernel are soon full.
  connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
  host, port = address.rsplit(":", 1)
  connection.connect((host, int(port)))
  if tls is not None:
    connection = tls.wrap_socket(connection)
  if what == "kept":
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
  elif what == "unread":
    body = GENERATE % number
    connection.sendall(
        request("/lm/v1/generate", "application/json", "text/event-stream",
                body, f"Content-Length: {len(body)}"))
  else:
    chunk = b"%x\r\n%s\r\n" % (len(SCORE), SCORE)
    connection.sendall(
        request("/lm/v1/score:stream", "application/x-ndjson",
                "application/x-ndjson", chunk, "Transfer-Encoding: chunked"))
  first = connection.recv(200)
  if not first.startswith(b"HTTP/1.1 200 "):
    raise AssertionError(first)
  return connection


def start(programs, store, certificate):
  options = ["--tls-certificate", certificate, "--tls-key",
             certificate] if certificate else []
  process = subprocess.Popen(  # pylint: disable=consider-using-with
      [
          programs / "lm_server", "--store", store, "--listen", "127.0.0.1:0",
          "--admin-listen", "", "--http-listen", "127.0.0.1:0", "--log-level",
          "warning", "--max-connections", "100000",
          "--max-connections-per-client", "100000", "--max-calls", "100000",
          "--stall-seconds", "600", "--max-all-generated-words", "1000000000",
          *options
      ],
      stdout=subprocess.PIPE, text=True)
  process.stdout.readline()
  return process, process.stdout.readline().split()[-1]


def measure(programs, store, what, streams, certificate):
  process, address = start(programs, store, certificate)
  tls = None
  if certificate:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
  try:
    # What the first connections allocate is not theirs.
    connections = [open_stream(address, tls, what, i) for i in range(50)]
    wait_until_idle(process)
    before = resident(process)
    connections += [
        open_stream(address, tls, what, i) for i in range(streams)
    ]
    wait_until_idle(process)
    each = (resident(process) - before) / streams
    print(f"{what}{' over TLS' if tls else ''}: {each:,.0f} bytes each, "
          f"{streams:,} streams", flush=True)
    for connection in connections:
      connection.close()
  finally:
    process.kill()
    process.wait()
    process.stdout.close()


def main():
  if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
  programs = pathlib.Path(sys.argv[1])
  streams = int(sys.argv[2]) if len(sys.argv) == 3 else 2000
  with tempfile.TemporaryDirectory() as directory:
    corpus = os.path.join(directory, "corpus")
    demo = subprocess.run(
        [programs / "lm_trainer", "demo-corpus", "--sentences", "5000"],
        check=True, capture_output=True).stdout
    # One long line: texts of this model do not end.
    pathlib.Path(corpus).write_bytes(demo.replace(b"\n", b" ") + b"\n")
    store = os.path.join(directory, "store")
    subprocess.run(
        [programs / "lm_trainer", "ngram", "--corpus", corpus, "--store", store,
         "--model", "long"], check=True, capture_output=True)
    certificate = os.path.join(directory, "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
         "/CN=localhost", "-days", "2", "-keyout", certificate, "-out",
         certificate + ".x"], check=True, capture_output=True)
    with open(certificate, "ab") as file:
      file.write(pathlib.Path(certificate + ".x").read_bytes())
    for what in ("kept", "paused", "unread"):
      for tls in (None, certificate):
        measure(programs, store, what, streams, tls)


if __name__ == "__main__":
  main()
