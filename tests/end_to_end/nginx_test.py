# SPDX-License-Identifier: Apache-2.0
"""Tests lm_server behind nginx, with the configuration of docs/http.md.

    nginx_test.py PROGRAMS SOURCES

PROGRAMS is the directory of lm_trainer and lm_server, SOURCES that of the
repository. Exits with 77 if nginx is missing.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

if len(sys.argv) != 3:
  sys.exit(__doc__)
PROGRAMS, SOURCES = sys.argv[1:]
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
if NGINX is None:
  print("skipped: nginx (Debian's nginx-light) is not installed")
  sys.exit(77)

CORPUS = "the cat is small\nthe dog is big\na cat and a dog\nthe end\n" * 4
SOON = 20  # seconds
JSON = "application/json"

# What belongs around the configuration of the documentation.
FRAME = """
daemon off;
pid %(directory)s/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %(directory)s/body;
  proxy_temp_path %(directory)s/proxy;
  fastcgi_temp_path %(directory)s/fastcgi;
  uwsgi_temp_path %(directory)s/uwsgi;
  scgi_temp_path %(directory)s/scgi;
  %(documented)s
}
"""


def documented_configuration():
  text = pathlib.Path(SOURCES, "docs", "http.md").read_text("utf-8")
  return re.search(r"```nginx\n(.*?)```", text, re.S)[1]


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as server:
    return server.getsockname()[1]


def run_trainer(*arguments):
  subprocess.run([os.path.join(PROGRAMS, "lm_trainer"), *arguments], check=True,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_server(store, *options):
  """Starts lm_server. Returns the process and the address of its HTTP."""
  process = subprocess.Popen(  # pylint: disable=consider-using-with
      [os.path.join(PROGRAMS, "lm_server"), "--store", store, "--listen",
       "127.0.0.1:0", "--admin-listen", "", "--http-listen", "127.0.0.1:0",
       "--log-level", "warning", *options],
      text=True, stdout=subprocess.PIPE)
  process.stdout.readline()
  return process, process.stdout.readline().split()[-1]


class NginxTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    # pylint: disable=consider-using-with
    cls.directory = tempfile.TemporaryDirectory()
    # nginx' workers may be another user.
    os.chmod(cls.directory.name, 0o755)
    store = os.path.join(cls.directory.name, "store")
    corpus = os.path.join(cls.directory.name, "corpus")
    with open(corpus, "w", encoding="utf-8") as file:
      file.write(CORPUS)
    run_trainer("ngram", "--corpus", corpus, "--store", store, "--model", "en",
                "--smoothing", "witten-bell")
    cls.server, cls.direct = start_server(
        store, "--max-message-bytes", "65536", "--http-hosts", "lm.example.org")
    cls.address = f"127.0.0.1:{free_port()}"
    documented = documented_configuration()
    for old, new in (("server localhost:8080;", f"server {cls.direct};"),
                     ("listen 80;", f"listen {cls.address};")):
      if documented.count(old) != 1:
        raise AssertionError(f"expected '{old}' in docs/http.md")
      documented = documented.replace(old, new)
    path = os.path.join(cls.directory.name, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
      file.write(FRAME % {"directory": cls.directory.name,
                          "documented": documented})
    cls.nginx = subprocess.Popen(
        [NGINX, "-e", "stderr", "-p", cls.directory.name, "-c", path])
    end = time.monotonic() + SOON
    while True:
      try:
        socket.create_connection(cls.host_and_port(cls.address), SOON).close()
        return
      except ConnectionError:
        if time.monotonic() > end or cls.nginx.poll() is not None:
          raise
        time.sleep(0.05)

  @classmethod
  def tearDownClass(cls):
    for process in (cls.nginx, cls.server):
      process.terminate()
      process.wait(60)
    cls.server.stdout.close()
    cls.directory.cleanup()

  @staticmethod
  def host_and_port(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)

  def post(self, path, body, headers=None, address=None):
    host, port = self.host_and_port(address or self.address)
    connection = http.client.HTTPConnection(host, port, timeout=SOON)
    headers = {"Content-Type": JSON, "Host": "lm.example.org", **(headers or {})}
    try:
      connection.request("POST", path, body, headers)
      response = connection.getresponse()
      return response.status, response.headers, response.read()
    finally:
      connection.close()

  def test_a_call(self):
    body = '{"model":"en","texts":[{"text":"the cat"}]}'
    code, headers, answer = self.post("/lm/v1/score", body,
                                      {"X-Request-Id": "an-id"})
    self.assertEqual(code, 200, answer)
    self.assertEqual(headers["X-Request-Id"], "an-id")
    direct = self.post("/lm/v1/score", body, address=self.direct)
    self.assertEqual(json.loads(answer), json.loads(direct[2]))
    # nginx makes an id for a call that has none.
    _, headers, _ = self.post("/lm/v1/score", body)
    self.assertRegex(headers["X-Request-Id"], "^[0-9a-f]{32}$")

  def test_many_calls_over_kept_connections(self):
    body = '{"model":"en","texts":[{"text":"the cat"}]}'
    for _ in range(1100):  # more than the server takes over one connection
      self.assertEqual(self.post("/lm/v1/score", body)[0], 200)

  def test_the_server_sees_the_host_of_the_client(self):
    body = '{"model":"en","texts":[{"text":"the cat"}]}'
    code, _, answer = self.post("/lm/v1/score", body,
                                {"Host": "evil.example.org"})
    self.assertEqual(code, 403, answer)
    self.assertIn(b"--http-hosts", answer)

  def test_the_server_limits_bodies(self):
    code, headers, answer = self.post("/lm/v1/score", " " * 65537)
    self.assertEqual((code, headers["Content-Type"]), (413, JSON))
    self.assertEqual(json.loads(answer)["error"]["status"],
                     "RESOURCE_EXHAUSTED")

  # Each answer comes before the next request is sent, so nothing is held back
  # on either way.
  def test_lines_pass_one_by_one(self):
    with socket.create_connection(self.host_and_port(self.address),
                                  SOON) as connection:
      connection.sendall(b"POST /lm/v1/score:stream HTTP/1.1\r\n"
                         b"Host: lm.example.org\r\n"
                         b"Content-Type: application/x-ndjson\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n")
      line = b'{"model":"en","texts":[{"text":"the cat"}]}\n'
      received = b""
      for number in range(1, 6):
        connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        while received.count(b'"wordCount":3') < number:
          part = connection.recv(65536)
          self.assertTrue(part, received)
          received += part
      connection.sendall(b"0\r\n\r\n")
      while not received.endswith(b"0\r\n\r\n"):
        received += connection.recv(65536)
    self.assertTrue(received.startswith(b"HTTP/1.1 200 "))

  def test_events(self):
    body = '{"model":"en","seed":"3","maxWords":30}'
    accept = {"Accept": "text/event-stream"}
    code, headers, answer = self.post("/lm/v1/generate", body, accept)
    self.assertEqual((code, headers["Content-Type"]),
                     (200, "text/event-stream"))
    _, direct_headers, direct = self.post("/lm/v1/generate", body, accept,
                                          self.direct)
    self.assertEqual(answer, direct)
    # nginx obeys this field of the server and removes it.
    self.assertEqual(direct_headers["X-Accel-Buffering"], "no")
    self.assertIsNone(headers["X-Accel-Buffering"])

  def test_the_client_of_nginx_leaves(self):
    with socket.create_connection(self.host_and_port(self.address),
                                  SOON) as connection:
      connection.sendall(b"POST /lm/v1/score:stream HTTP/1.1\r\n"
                         b"Host: lm.example.org\r\n"
                         b"Content-Type: application/x-ndjson\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n")
      self.assertTrue(self.wait_for_calls(1))
    self.assertTrue(self.wait_for_calls(0))

  def wait_for_calls(self, count):
    host, port = self.host_and_port(self.direct)
    end = time.monotonic() + SOON
    while time.monotonic() < end:
      connection = http.client.HTTPConnection(host, port, timeout=SOON)
      connection.request("GET", "/metrics")
      text = connection.getresponse().read().decode()
      connection.close()
      if re.search(rf"^lm_calls_under_way {count}$", text, re.M):
        return True
      time.sleep(0.05)
    return False


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
