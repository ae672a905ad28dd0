# SPDX-License-Identifier: Apache-2.0
"""Runs lm_server with a collector of traces, and looks at what it gets.

    traces_test.py PROGRAMS PROTO [CACHE]

PROGRAMS is the directory of lm_trainer and lm_server, PROTO that of the .proto
files. With CACHE, a directory for packages of PyPI, the collector reads the spans
by OpenTelemetry's own messages (opentelemetry-proto), otherwise by those of PROTO.
Exits with 77 if a program or module that the test needs is missing.
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import python_stubs

if len(sys.argv) not in (3, 4):
  sys.exit(__doc__)
PROGRAMS, PROTO = sys.argv[1:3]
if len(sys.argv) == 4:
  sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
  # pylint: disable=wrong-import-position
  import pypi
  pypi.enter(sys.argv[3], "opentelemetry-proto==1.45.2")
python_stubs.import_stubs(PROTO)
SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
if len(sys.argv) == 3:
  python_stubs.import_file(
      PROTO, "opentelemetry/proto/collector/trace/v1/trace_service.proto")
# pylint: disable=wrong-import-position
import grpc
from lm.v1 import language_model_pb2 as lm
from lm.v1 import language_model_pb2_grpc as lm_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

CORPUS = "the cat is small\nthe dog is big\na cat and a dog\nthe end\n" * 4
SOON = 60  # seconds
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
NOT_SAMPLED = f"00-{TRACE}-{PARENT}-00"
NGRAM, NETWORK = "en", "gru"
SCORE = "lm.v1.LanguageModelService/Score"
ERROR = 2  # of Status.code
INTERNAL, SERVER_KIND = 1, 2  # of Span.kind


def train(*arguments):
  subprocess.run([os.path.join(PROGRAMS, "lm_trainer"), *arguments],
                 check=True, stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)


def wait_for(find, what):
  """Returns what find() returns as soon as it is not false."""
  end = time.monotonic() + SOON
  while time.monotonic() < end:
    found = find()
    if found:
      return found
    time.sleep(0.01)
  raise AssertionError(f"waited in vain for {what}")


def attributes(entries):
  return {entry.key: getattr(entry.value, entry.value.WhichOneof("value"))
          for entry in entries}


class Collector:
  """A server of OTLP that keeps what it gets."""

  def __init__(self):
    self.requests = []
    self.delay = 0
    self._lock = threading.Lock()
    self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(
        self._export, otlp.ExportTraceServiceRequest.FromString,
        otlp.ExportTraceServiceResponse.SerializeToString)}
    self._server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = self._server.add_insecure_port("127.0.0.1:0")
    self.address = f"127.0.0.1:{port}"
    self._server.start()

  def _export(self, request, context):
    del context
    time.sleep(self.delay)
    with self._lock:
      self.requests.append(request)
    return otlp.ExportTraceServiceResponse()

  def spans(self, name=None):
    with self._lock:
      requests = list(self.requests)
    return [span for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans for span in scope.spans
            if name in (None, span.name)]

  def call(self, name, **wanted):
    """Waits for the only span of a name with these attributes, and its children.

    Two underscores in a name stand for a dot.
    """
    def find():
      # A call and its parts come together.
      return [span for span in self.spans(name)
              if all(attributes(span.attributes).get(key.replace("__", ".")) ==
                     value for key, value in wanted.items())]
    found = wait_for(find, f"{name} {wanted}")
    assert len(found) == 1, found
    return found[0], [span for span in self.spans()
                      if span.parent_span_id == found[0].span_id]

  def stop(self):
    self._server.stop(None)


class Server:
  """A running lm_server."""

  def __init__(self, store, *options):
    self.process = subprocess.Popen(  # pylint: disable=consider-using-with
        [os.path.join(PROGRAMS, "lm_server"), "--store", store, "--log-format",
         "json", "--log-level", "debug", "--listen", "127.0.0.1:0",
         "--admin-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
         "--metrics-listen", "127.0.0.1:0", *options],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    self.addresses = {}
    for key in ("listening", "admin", "http", "metrics_port"):
      line = self.process.stdout.readline()
      if not line:
        raise AssertionError(self.process.stderr.read())
      self.addresses[key] = json.loads(line)[key]
    self.log = []
    self._reader = threading.Thread(
        target=lambda: self.log.extend(map(json.loads, self.process.stderr)))
    self._reader.start()
    self.channels = [grpc.insecure_channel(self.addresses[key])
                      for key in ("listening", "admin")]
    self.stub = lm_grpc.LanguageModelServiceStub(self.channels[0])
    self.models = lm_grpc.ModelServiceStub(self.channels[1])

  def http(self, path, body, headers):
    connection = http.client.HTTPConnection(self.addresses["http"],
                                            timeout=SOON)
    connection.request("POST", path, body,
                       {"Content-Type": "application/json", **headers})
    code = connection.getresponse().status
    connection.close()
    return code

  def metrics(self):
    """Returns the values of the metrics of traces by their names and labels."""
    connection = http.client.HTTPConnection(
        f"127.0.0.1:{self.addresses['metrics_port']}", timeout=SOON)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in text.splitlines() if line.startswith("lm_trace_")}

  def stop(self):
    """Returns the exit code, and how many seconds the end has taken."""
    for channel in self.channels:
      channel.close()
    start = time.monotonic()
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGTERM)
    code = self.process.wait(SOON)
    seconds = time.monotonic() - start
    self._reader.join()
    self.process.stdout.close()
    self.process.stderr.close()
    return code, seconds


def request(model, *texts):
  return lm.ScoreRequest(model=model,
                         texts=[lm.Text(text=text) for text in texts])


class TracesTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
    cls.addClassCleanup(cls.directory.cleanup)
    cls.store = os.path.join(cls.directory.name, "store")
    corpus = os.path.join(cls.directory.name, "corpus")
    with open(corpus, "w", encoding="utf-8") as file:
      file.write(CORPUS)
    train("ngram", "--corpus", corpus, "--order", "2", "--smoothing",
          "witten-bell", "--store", cls.store, "--model", NGRAM)
    train("recurrent", "--cell", "gru", "--units", "8", "--epochs", "1",
          "--corpus", corpus, "--valid", corpus, "--store", cls.store,
          "--model", NETWORK)

  def start(self, *options, collector=None):
    collector = collector or Collector()
    self.addCleanup(collector.stop)
    server = Server(self.store, "--trace-endpoint", collector.address, *options)
    self.addCleanup(server.stop)
    return collector, server

  def check_children(self, call, children):
    for child in children:
      self.assertEqual(child.trace_id, call.trace_id)
      self.assertEqual(len(child.span_id), 8)
      self.assertEqual(child.kind, INTERNAL)
      self.assertEqual(child.flags, 0x101)
      self.assertLessEqual(call.start_time_unix_nano,
                           child.start_time_unix_nano)
      self.assertLessEqual(child.start_time_unix_nano,
                           child.end_time_unix_nano)
      self.assertLessEqual(child.end_time_unix_nano, call.end_time_unix_nano)

  def check_in_client_trace(self, call):
    self.assertEqual(call.trace_id.hex(), TRACE)
    self.assertEqual(call.parent_span_id.hex(), PARENT)
    self.assertEqual(call.trace_state, "a=1,b=2")
    self.assertEqual(call.flags, 0x301)
    self.assertEqual(call.kind, SERVER_KIND)

  def test_grpc(self):
    collector, server = self.start("--trace-sample", "0")
    before = time.time_ns()
    server.stub.Score(request(NGRAM, "the cat", "a dog"), metadata=[
        ("traceparent", SAMPLED), ("tracestate", "a=1"), ("tracestate", "b=2"),
        ("x-request-id", "id-1")])
    call, children = collector.call(SCORE)
    self.check_in_client_trace(call)
    self.assertLessEqual(before, call.start_time_unix_nano)
    self.assertLessEqual(call.end_time_unix_nano, time.time_ns())
    self.assertEqual(attributes(call.attributes), {
        "rpc.system.name": "grpc", "rpc.method": SCORE,
        "rpc.response.status_code": "OK", "lmserve.model": NGRAM,
        "lmserve.version": 1, "lmserve.words": 6, "lmserve.request_id": "id-1"})
    self.assertEqual(call.status.code, 0)
    # A look-up model answers on the thread of the call.
    self.assertEqual([child.name for child in children], ["compute"])
    self.check_children(call, children)
    self.assertEqual(attributes(children[0].attributes), {
        "lmserve.model": NGRAM, "lmserve.version": 1, "lmserve.words": 6})

  def test_http(self):
    collector, server = self.start("--trace-sample", "0")
    body = json.dumps({"model": NETWORK, "texts": [{"text": "the cat"}]})
    code = server.http("/lm/v1/score?x=1", body, {"traceparent": SAMPLED,
                                                  "tracestate": "a=1,b=2"})
    self.assertEqual(code, 200)
    call, children = collector.call(SCORE)
    self.check_in_client_trace(call)
    found = attributes(call.attributes)
    self.assertEqual(len(found.pop("lmserve.request_id")), 16)
    self.assertEqual(found, {
        "http.request.method": "POST", "url.path": "/lm/v1/score",
        "http.response.status_code": 200, "lmserve.model": NETWORK,
        "lmserve.version": 1, "lmserve.words": 3})
    # A network computes in batches.
    self.assertEqual([child.name for child in children], ["queue", "compute"])
    self.check_children(call, children)
    queue, compute = children
    self.assertEqual(queue.end_time_unix_nano, compute.start_time_unix_nano)
    self.assertEqual(attributes(queue.attributes),
                     {"lmserve.model": NETWORK, "lmserve.version": 1})
    self.assertEqual(attributes(compute.attributes), {
        "lmserve.model": NETWORK, "lmserve.version": 1, "lmserve.words": 3,
        "lmserve.batch.calls": 1, "lmserve.batch.words": 3})

  def test_calls_over_http_without_traceparent(self):
    collector, server = self.start("--trace-sample", "1")
    self.assertEqual(server.http("/lm/v1/score", '{"model":"none","texts":[]}',
                                 {"x-request-id": "id-2"}), 404)
    self.assertEqual(server.http("/v1/completions", json.dumps(
        {"model": NGRAM, "prompt": "the", "max_tokens": 2, "seed": 1}),
                                 {"x-request-id": "id-3"}), 200)
    call, children = collector.call(SCORE)
    self.assertEqual(children, [])
    self.assertEqual(call.parent_span_id, b"")
    self.assertEqual(call.flags, 0x101)
    self.assertEqual(attributes(call.attributes), {
        "http.request.method": "POST", "url.path": "/lm/v1/score",
        "http.response.status_code": 404, "lmserve.model": "none",
        "lmserve.request_id": "id-2"})
    call, children = collector.call("Completions")
    self.assertTrue(children)
    self.check_children(call, children)

  def test_streams(self):
    collector, server = self.start("--trace-sample", "0")
    answers = list(server.stub.ScoreStream(
        iter([request(NETWORK, "the cat"), request(NETWORK, "the dog is big")]),
        metadata=[("traceparent", SAMPLED)]))
    self.assertEqual(len(answers), 2)
    call, children = collector.call("lm.v1.LanguageModelService/ScoreStream")
    self.assertEqual([child.name for child in children],
                     ["queue", "compute"] * 2)
    self.check_children(call, children)
    self.assertEqual(attributes(call.attributes)["lmserve.words"], 3 + 5)

  def test_what_is_sampled(self):
    collector, server = self.start("--trace-sample", "0")
    server.stub.Score(request(NGRAM, "the"))
    server.stub.Score(request(NGRAM, "the"),
                      metadata=[("traceparent", NOT_SAMPLED)])
    server.stub.Score(request(NGRAM, "the"), metadata=[("traceparent", "00-x")])
    server.stub.Score(request(NGRAM, "the"),
                      metadata=[("traceparent", SAMPLED)])
    self.assertEqual(server.stop()[0], 0)
    self.assertEqual(len(collector.spans(SCORE)), 1)
    collector, server = self.start("--trace-sample", "1")
    server.stub.Score(request(NGRAM, "the"))
    server.stub.Score(request(NGRAM, "the"),
                      metadata=[("traceparent", NOT_SAMPLED)])
    server.stub.Score(request(NGRAM, "the"), metadata=[("traceparent", "00-x")])
    self.assertEqual(server.stop()[0], 0)
    spans = collector.spans(SCORE)
    self.assertEqual(len({span.trace_id for span in spans}), 2)
    self.assertEqual([span.parent_span_id for span in spans], [b""] * 2)

  def test_errors(self):
    collector, server = self.start("--trace-sample", "1")
    main = lm_grpc.ModelServiceStub(server.channels[0])
    for name, code, is_error, call in (
        (SCORE, grpc.StatusCode.NOT_FOUND, False,
         lambda: server.stub.Score(request("none", "the"))),
        # Models are changed on the other address only.
        ("lm.v1.ModelService/LoadModel", grpc.StatusCode.UNIMPLEMENTED, True,
         lambda: main.LoadModel(lm.LoadModelRequest(name=NGRAM, version=1)))):
      with self.assertRaises(grpc.RpcError) as raised:
        call()
      self.assertEqual(raised.exception.code(), code)
      span, _ = collector.call(name)
      self.assertEqual(
          attributes(span.attributes)["rpc.response.status_code"], code.name)
      # The mistake of a client is no error of the server.
      self.assertEqual(span.status.code, ERROR if is_error else 0)
      self.assertEqual(span.status.message,
                       raised.exception.details() if is_error else "")

  def test_the_process(self):
    collector, server = self.start("--trace-service", "search-lm")
    found = wait_for(lambda: list(collector.requests), "the loads")[0]
    resource = attributes(found.resource_spans[0].resource.attributes)
    version = subprocess.run(
        [os.path.join(PROGRAMS, "lm_server"), "--version"], check=True,
        text=True, stdout=subprocess.PIPE).stdout
    self.assertEqual(resource["service.name"], "search-lm")
    self.assertIn(resource["service.version"], version)
    self.assertEqual(resource["host.name"], socket.gethostname())
    self.assertEqual(resource["process.pid"], server.process.pid)

  def test_loads(self):
    collector, server = self.start("--trace-sample", "0")
    for model in (NGRAM, NETWORK):
      span, _ = collector.call("load", lmserve__model=model)
      self.assertEqual(span.parent_span_id, b"")
      self.assertGreater(span.end_time_unix_nano, span.start_time_unix_nano)
      found = attributes(span.attributes)
      self.assertEqual(found["lmserve.version"], 1)
      self.assertGreater(found["lmserve.file_bytes"], 100)
      self.assertIn("lmserve.family", found)
    server.models.UnloadModel(lm.UnloadModelRequest(name=NETWORK, version=1))
    server.models.LoadModel(lm.LoadModelRequest(name=NETWORK, version=1),
                            metadata=[("traceparent", SAMPLED)])
    call, children = collector.call("lm.v1.ModelService/LoadModel")
    self.assertEqual([child.name for child in children], ["load"])
    self.check_children(call, children)
    self.assertEqual(attributes(children[0].attributes),
                     {"lmserve.model": NETWORK, "lmserve.version": 1})
    # A version that is loaded is not loaded again.
    server.models.LoadModel(lm.LoadModelRequest(name=NGRAM, version=1),
                            metadata=[("traceparent", SAMPLED)])
    _, children = collector.call("lm.v1.ModelService/LoadModel",
                                 lmserve__model=NGRAM)
    self.assertEqual(children, [])

  def test_a_load_that_fails(self):
    broken = os.path.join(self.directory.name, "broken")
    shutil.copytree(self.store, broken)
    for path in pathlib.Path(broken, NGRAM, "1").iterdir():
      if path.suffix != ".json" and path.is_file():
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    collector = Collector()
    self.addCleanup(collector.stop)
    server = Server(broken, "--trace-endpoint", collector.address)
    self.addCleanup(server.stop)
    # A load that fails for the first time is tried again.
    def find():
      spans = [span for span in collector.spans("load")
               if attributes(span.attributes)["lmserve.model"] == NGRAM]
      return spans if len(spans) == 2 else None
    for span in wait_for(find, "two loads"):
      self.assertEqual(span.status.code, ERROR)
      self.assertIn("expected", span.status.message)

  def test_the_log_has_the_ids(self):
    collector, server = self.start("--trace-sample", "0")
    server.stub.Score(request(NGRAM, "the"),
                      metadata=[("traceparent", SAMPLED)])
    server.stub.Score(request(NGRAM, "the"))
    call, _ = collector.call(SCORE)
    lines = wait_for(
        lambda: [line for line in server.log if line.get("method") == "Score"]
        if len([line for line in server.log
                if line.get("method") == "Score"]) == 2 else None,
        "two lines of calls")
    self.assertEqual(lines[0]["trace_id"], TRACE)
    self.assertEqual(lines[0]["span_id"], call.span_id.hex())
    self.assertEqual(lines[0]["traceparent"], SAMPLED)
    self.assertNotIn("trace_id", lines[1])
    self.assertNotIn("span_id", lines[1])

  def test_metrics_and_the_end(self):
    collector, server = self.start("--trace-sample", "1")
    for _ in range(700):
      server.stub.Score(request(NGRAM, "the"))
    wait_for(lambda: server.metrics()["lm_trace_spans_exported_total"] >= 512,
             "a full batch")
    for _ in range(7):
      server.stub.Score(request(NGRAM, "the"))
    self.assertEqual(
        {name: value for name, value in server.metrics().items()
         if "exported" not in name},
        {f'lm_trace_spans_dropped_total{{reason="{reason}"}}': 0
         for reason in ("queue_full", "unsent", "rejected")})
    # What is queued is sent before the end.
    self.assertEqual(server.stop()[0], 0)
    self.assertEqual(len(collector.spans(SCORE)), 707)
    self.assertEqual(len(collector.spans("compute")), 707)

  def test_without_a_collector(self):
    with socket.socket() as unused:
      unused.bind(("127.0.0.1", 0))
      address = f"127.0.0.1:{unused.getsockname()[1]}"
    server = Server(self.store, "--trace-endpoint", address, "--trace-sample",
                    "1")
    self.addCleanup(server.stop)
    start = time.monotonic()
    for _ in range(100):
      server.stub.Score(request(NGRAM, "the"))
    self.assertLess(time.monotonic() - start, 20)
    wait_for(lambda: server.metrics().get(
        'lm_trace_spans_dropped_total{reason="unsent"}', 0) >= 1, "drops")
    self.assertTrue([line for line in server.log
                     if "the collector does not take spans" in line["message"]])
    code, seconds = server.stop()
    self.assertEqual(code, 0)
    self.assertLess(seconds, 20)

  def test_a_collector_that_hangs(self):
    collector = Collector()
    collector.delay = SOON
    _, server = self.start("--trace-sample", "1", collector=collector)
    for _ in range(20):
      server.stub.Score(request(NGRAM, "the"))
    code, seconds = server.stop()
    self.assertEqual(code, 0)
    self.assertLess(seconds, 20)

  def test_off(self):
    server = Server(self.store)
    self.addCleanup(server.stop)
    server.stub.Score(request(NGRAM, "the"),
                      metadata=[("traceparent", SAMPLED)])
    self.assertEqual(server.metrics(), {})
    line = wait_for(lambda: [line for line in server.log
                             if line.get("method") == "Score"], "a line")[0]
    self.assertEqual(line["traceparent"], SAMPLED)
    self.assertNotIn("trace_id", line)

  def test_wrong_options(self):
    empty = os.path.join(self.directory.name, "empty")
    pathlib.Path(empty).touch()
    for code, message, *options in (
        (2, "--trace-sample", "--trace-sample", "2"),
        (2, "--trace-sample", "--trace-sample", "-0.1"),
        (2, "expected HOST:PORT", "--trace-endpoint", "http://localhost:4317"),
        (2, "requires --trace-tls", "--trace-tls-ca", empty),
        (1, "expected a certificate in PEM", "--trace-endpoint", "localhost:1",
         "--trace-tls", "--trace-tls-ca", empty),
        (1, "missing", "--trace-endpoint", "localhost:1", "--trace-tls",
         "--trace-tls-ca", "missing")):
      result = subprocess.run(
          [os.path.join(PROGRAMS, "lm_server"), "--store", self.store,
           "--check-config", *options], check=False, text=True,
          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SOON)
      self.assertEqual(result.returncode, code, options)
      self.assertIn(message, result.stderr)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
