# SPDX-License-Identifier: Apache-2.0
"""Tests the API over HTTP against the one over gRPC, and the server's defenses.

    http_test.py PROGRAMS PROTO

PROGRAMS is the directory of lm_trainer and lm_server, PROTO that of the .proto
files. Exits with 77 if a program or module that the test needs is missing.
"""

import http.client
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import python_stubs

if len(sys.argv) != 3:
  sys.exit(__doc__)
PROGRAMS, PROTO = sys.argv[1:]
python_stubs.import_stubs(PROTO)
# pylint: disable=wrong-import-position
import grpc
from google.protobuf import json_format
from lm.v1 import language_model_pb2 as lm
from lm.v1 import language_model_pb2_grpc as lm_grpc

CORPUS = "the cat is small\nthe dog is big\na cat and a dog\nthe end\n" * 4
SOON = 20  # seconds
JSON = "application/json"
NDJSON = "application/x-ndjson"

# The table of docs/http.md.
CODES = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}


def run_trainer(*arguments, to=os.devnull):
  """Runs lm_trainer, whose standard output becomes the file `to`."""
  with open(to, "w", encoding="utf-8") as file:
    subprocess.run([os.path.join(PROGRAMS, "lm_trainer"), *arguments],
                   check=True, stdout=file, stderr=subprocess.DEVNULL)


class Server:
  """A running lm_server."""

  def __init__(self, store, *arguments):
    self.process = subprocess.Popen(  # pylint: disable=consider-using-with
        [os.path.join(PROGRAMS, "lm_server"), "--store", store,
         "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
         "--http-listen", "127.0.0.1:0", "--http-admin-listen", "127.0.0.1:0",
         "--metrics-listen", "127.0.0.1:0", *arguments],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    self.addresses = {}
    for name in ("listening on", "admin on", "http on", "http admin on",
                 "metrics on port"):
      line = self.process.stdout.readline()
      if not line.startswith(name + " "):
        raise AssertionError(f"expected '{name}', found '{line}': "
                             f"{self.process.stderr.read()}")
      self.addresses[name] = line.split()[-1]
    self.log = []
    self.reader = threading.Thread(
        target=lambda: self.log.extend(self.process.stderr))
    self.reader.start()

  @property
  def grpc(self):
    return self.addresses["listening on"]

  @property
  def http(self):
    return self.addresses["http on"]

  @property
  def http_admin(self):
    return self.addresses["http admin on"]

  def stop(self):
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGTERM)
    code = self.process.wait(60)
    self.reader.join()
    self.process.stdout.close()
    self.process.stderr.close()
    return code


class Answer:
  """An answer over HTTP: code, headers and body."""

  def __init__(self, response):
    self.code = response.status
    self.headers = response.headers
    self.body = response.read()

  @property
  def json(self):
    return json.loads(self.body)


def ask(address, method, path, body=None, headers=None):
  host, port = address.rsplit(":", 1)
  connection = http.client.HTTPConnection(host, int(port), timeout=SOON)
  headers = dict(headers or {})
  if body is not None:
    headers.setdefault("Content-Type", JSON)
  try:
    connection.request(method, path, body, headers)
    return Answer(connection.getresponse())
  finally:
    connection.close()


def raw(address, sent, then=None):
  """Sends bytes and returns all that comes until the connection ends."""
  host, port = address.rsplit(":", 1)
  with socket.create_connection((host, int(port)), SOON) as connection:
    connection.sendall(sent)
    if then is not None:
      then(connection)
    received = b""
    while True:
      try:
        part = connection.recv(65536)
      except ConnectionError:
        return received
      if not part:
        return received
      received += part


def head(method="POST", path="/lm/v1/score", *fields, host="localhost"):
  lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
  return "\r\n".join(lines).encode()


def codes(answers):
  """The codes of all answers in some bytes."""
  return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answers)]


def wait_for(condition):
  end = time.monotonic() + SOON
  while not condition():
    if time.monotonic() > end:
      return False
    time.sleep(0.02)
  return True


class HttpTestCase(unittest.TestCase):
  arguments = ()

  @classmethod
  def setUpClass(cls):
    # pylint: disable=consider-using-with
    cls.directory = tempfile.TemporaryDirectory()
    cls.store = os.path.join(cls.directory.name, "store")
    corpus = os.path.join(cls.directory.name, "corpus")
    with open(corpus, "w", encoding="utf-8") as file:
      file.write(CORPUS)
    for order in ("3", "2"):
      run_trainer("ngram", "--corpus", corpus, "--order", order, "--store",
                  cls.store, "--model", "en", "--smoothing", "witten-bell")
    run_trainer("alias", "stable", "--store", cls.store, "--model", "en@1")
    run_trainer("recurrent", "--corpus", corpus, "--valid", corpus, "--cell",
                "gru", "--layers", "1", "--units", "8", "--embedding", "8",
                "--epochs", "1", "--store", cls.store, "--model", "gru")
    for model, command, labels in (
        ("pos", ("tagger", "--format", "columns"), "words"),
        ("kind", ("classifier",), "sentences")):
      run_trainer("demo-corpus", "--labels", labels, "--sentences", "100",
                  to=corpus)
      run_trainer(*command, "--corpus", corpus, "--valid", corpus, "--layers",
                  "1", "--units", "4", "--embedding", "4", "--epochs", "1",
                  "--store", cls.store, "--model", model)
    cls.server = Server(cls.store, *cls.make_arguments())
    cls.channel = grpc.insecure_channel(cls.server.grpc)
    cls.stub = lm_grpc.LanguageModelServiceStub(cls.channel)
    cls.models = lm_grpc.ModelServiceStub(cls.channel)

  @classmethod
  def make_arguments(cls):
    return cls.arguments

  @classmethod
  def tearDownClass(cls):
    cls.channel.close()
    code = cls.server.stop()
    cls.directory.cleanup()
    if code != 0:
      raise AssertionError(f"lm_server: exit code {code}")

  def get(self, path, **headers):
    return ask(self.server.http, "GET", path, headers=headers)

  def post(self, path, body, headers=None):
    return ask(self.server.http, "POST", path, body, headers)

  def metric(self, name):
    text = ask("127.0.0.1:" + self.server.addresses["metrics on port"], "GET",
               "/metrics").body.decode()
    match = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(match[1]) if match else 0


def text(words):
  return lm.Text(text=words)


class ConformanceTest(HttpTestCase):
  """Every number over HTTP has the bits of the one over gRPC."""

  def check(self, request, rpc, path, method="POST"):
    expected = rpc(request)
    body = json_format.MessageToJson(request) if method == "POST" else None
    answer = ask(self.server.http, method, path, body)
    self.assertEqual(answer.code, 200, answer.body)
    self.assertEqual(answer.headers["Content-Type"], JSON)
    found = json_format.Parse(answer.body, type(expected)())
    # load_seconds and the like are the same in both, too.
    self.assertEqual(found, expected)
    self.assertEqual(found.SerializeToString(deterministic=True),
                     expected.SerializeToString(deterministic=True))
    return answer.json

  def test_score(self):
    for model in ("en", "en@1", "en@stable", "gru"):
      for request in (
          lm.ScoreRequest(texts=[text("the cat is small"), text(""),
                                 text("zebra")], per_word=True),
          lm.ScoreRequest(texts=[text("a dog and a cat")] * 3, alternatives=4,
                          ranks=True),
          lm.ScoreRequest(texts=[lm.Text(words=lm.WordList(words=["the"])),
                                 lm.Text(ids=lm.WordIdList(ids=[3, 4]))])):
        request.model = model
        self.check(request, self.stub.Score, "/lm/v1/score")
    request.ClearField("model")
    named = lm.ScoreRequest()
    named.CopyFrom(request)
    named.model = "gru"
    answer = self.post("/lm/v1/models/gru:score",
                       json_format.MessageToJson(request))
    self.assertEqual(json_format.Parse(answer.body, lm.ScoreResponse()),
                     self.stub.Score(named))

  def test_floats_in_the_text_are_the_floats_of_the_model(self):
    request = lm.ScoreRequest(model="gru", texts=[text("the cat is small")],
                              per_word=True)
    scores = self.stub.Score(request).scores[0]
    answer = self.post("/lm/v1/score", json_format.MessageToJson(request))
    found = answer.json["scores"][0]
    self.assertEqual(found["logProb"], scores.log_prob)
    self.assertEqual(
        [struct.pack("f", number) for number in found["words"]["logProbs"]],
        [struct.pack("f", number) for number in scores.words.log_probs])

  def test_defaults_are_printed(self):
    answer = self.post("/lm/v1/score", '{"model":"en","texts":[{"text":"the"}]}')
    self.assertEqual(answer.json["scores"][0]["unknownCount"], 0)
    self.assertNotIn("words", answer.json["scores"][0])

  def test_predict(self):
    for model in ("en", "gru"):
      for request in (
          lm.PredictRequest(contexts=[text("the"), text("")], k=7),
          lm.PredictRequest(contexts=[text("a")], words=["cat", "</s>", "x"]),
          lm.PredictRequest(contexts=[text("the")], prefix="c"),
          lm.PredictRequest(contexts=[text("the")], include_unknown=False)):
        request.model = model
        self.check(request, self.stub.Predict, "/lm/v1/predict")

  def test_rerank(self):
    self.check(
        lm.RerankRequest(
            models=["en", "gru"], weights={"en": 1, "gru": 0.3, "tm": 0.1},
            candidates=[lm.Candidate(text=text(words), features={"tm": value})
                        for words, value in (("the cat is", -1.25),
                                             ("cat the is", 1e-30),
                                             ("", 3))]),
        self.stub.Rerank, "/lm/v1/rerank")

  def test_inspect(self):
    for request in (
        lm.InspectRequest(text=text("the cat is small")),
        lm.InspectRequest(text=text("a dog"), most_variable=2,
                          quantities=[lm.QUANTITY_HIDDEN])):
      request.model = "gru"
      answer = self.check(request, self.stub.Inspect, "/lm/v1/inspect")
      self.assertGreater(len(answer["layers"][0]["values"]), 0)

  def test_embed(self):
    for model in ("gru", "pos", "kind"):
      for request in (
          lm.EmbedRequest(texts=[text("the cat is small"), text("")]),
          lm.EmbedRequest(texts=[text("a dog")], pooling=lm.POOLING_MAX,
                          normalize=True),
          lm.EmbedRequest(texts=[lm.Text(ids=lm.WordIdList(ids=[3, 4]))],
                          pooling=lm.POOLING_LAST)):
        request.model = model
        answer = self.check(request, self.stub.Embed, "/lm/v1/embed")
        self.assertEqual(len(answer["embeddings"]), len(request.texts))

  def test_tag(self):
    for alternatives in (0, 3):
      answer = self.check(
          lm.TagRequest(model="pos", alternatives=alternatives,
                        sentences=[text("the cat zyx is small"), text("")]),
          self.stub.Tag, "/lm/v1/tag")
      self.assertEqual(len(answer["sentences"][0]["labels"]), 5)

  def test_classify(self):
    for best in (0, 1):
      answer = self.check(
          lm.ClassifyRequest(model="kind", best=best,
                             texts=[text("the cat zyx is small"), text("")]),
          self.stub.Classify, "/lm/v1/classify")
      self.assertEqual(len(answer["texts"]), 2)

  def test_models(self):
    listed = self.check(lm.ListModelsRequest(), self.models.ListModels,
                        "/lm/v1/models", "GET")
    self.assertEqual(len(listed["models"]), 5)
    self.check(lm.GetModelRequest(model="en@1"), self.models.GetModel,
               "/lm/v1/models/en%401", "GET")
    self.check(lm.GetModelRequest(model="gru"), self.models.GetModel,
               "/lm/v1/models/gru", "GET")

  def read_stream(self, answer, form):
    if form == JSON:
      return answer.json
    body = answer.body.decode()
    if form == NDJSON:
      return [json.loads(line) for line in body.splitlines()]
    self.assertTrue(body.endswith("\n\n"))
    events = body[:-2].split("\n\n")
    self.assertTrue(all(event.startswith("data: ") for event in events))
    return [json.loads(event[len("data: "):]) for event in events]

  def check_stream(self, request, rpc, path, method="POST"):
    expected = list(rpc(request))
    body = json_format.MessageToJson(request) if method == "POST" else None
    for form in ("text/event-stream", NDJSON, JSON):
      answer = ask(self.server.http, method, path, body, {"Accept": form})
      self.assertEqual(answer.code, 200, answer.body)
      self.assertEqual(answer.headers["Content-Type"], form)
      found = [json_format.ParseDict(message, type(expected[0])())
               for message in self.read_stream(answer, form)]
      self.assertEqual(found, expected)

  def test_generate(self):
    for model in ("en", "gru"):
      for request in (
          lm.GenerateRequest(seed=7, max_words=30),
          lm.GenerateRequest(seed=7, prompt=text("the"), temperature=0),
          lm.GenerateRequest(seed=1, top_k=3, stop_words=["is"]),
          lm.GenerateRequest(max_words=5,
                             beam_search=lm.BeamSearch(size=4, best=3))):
        request.model = model
        self.check_stream(request, self.stub.Generate, "/lm/v1/generate")

  def test_vocabulary(self):
    self.check_stream(lm.GetVocabularyRequest(model="gru"),
                      self.stub.GetVocabulary, "/lm/v1/models/gru/vocabulary",
                      "GET")

  def lines(self, requests):
    return "".join(json.dumps(json_format.MessageToDict(request)) + "\n"
                   for request in requests).encode()

  def check_lines(self, requests, rpc, path):
    expected = list(rpc(iter(requests)))
    answer = self.post(path, self.lines(requests), {"Content-Type": NDJSON})
    self.assertEqual(answer.code, 200, answer.body)
    self.assertEqual(answer.headers["Content-Type"], NDJSON)
    found = [json_format.Parse(line, type(expected[0])())
             for line in answer.body.splitlines()]
    self.assertEqual(found, expected)

  def test_score_stream(self):
    self.check_lines(
        [lm.ScoreRequest(model="en", texts=[text("the cat")] * (i % 7 + 1),
                         per_word=True) for i in range(300)],
        self.stub.ScoreStream, "/lm/v1/score:stream")

  def test_decode(self):
    self.check_lines(
        [lm.DecodeRequest(start=lm.DecodeStart(model="en", words=["cat"])),
         lm.DecodeRequest(extend=lm.DecodeExtend(handles=[0, 0], words=[3, 4])),
         lm.DecodeRequest(best=lm.DecodeBest(handles=[0, 1, 2], k=3,
                                             words=True)),
         lm.DecodeRequest(best=lm.DecodeBest(handles=[99])),
         lm.DecodeRequest(release=[1])],
        self.stub.Decode, "/lm/v1/decode")

  def test_a_stream_is_answered_while_it_comes(self):
    host, port = self.server.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), SOON) as connection:
      connection.sendall(head("POST", "/lm/v1/score:stream",
                              f"Content-Type: {NDJSON}",
                              "Transfer-Encoding: chunked"))
      reader = connection.makefile("rb")
      line = self.lines([lm.ScoreRequest(model="en", texts=[text("the")])])
      for i in range(3):
        connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        if i == 0:
          while reader.readline() != b"\r\n":
            pass
        size = int(reader.readline(), 16)
        self.assertIn(b'"wordCount":2', reader.read(size + 2))
      connection.sendall(b"0\r\n\r\n")
      self.assertEqual(reader.readline(), b"0\r\n")

  def test_errors_are_those_of_grpc(self):
    many = ["w"] * 20_000
    cases = [
        (self.stub.Score, "/lm/v1/score", lm.ScoreRequest(model="none")),
        (self.stub.Score, "/lm/v1/score", lm.ScoreRequest(model="en")),
        (self.stub.Score, "/lm/v1/score",
         lm.ScoreRequest(model="en", texts=[
             lm.Text(words=lm.WordList(words=["a b"]))])),
        (self.stub.Score, "/lm/v1/score",
         lm.ScoreRequest(model="en", texts=[
             lm.Text(words=lm.WordList(words=many))])),
        (self.stub.Score, "/lm/v1/score",
         lm.ScoreRequest(model="en", texts=[text("a")] * 10_001)),
        (self.stub.Predict, "/lm/v1/predict", lm.PredictRequest(model="en")),
        (self.stub.Inspect, "/lm/v1/inspect", lm.InspectRequest(model="en")),
        (self.stub.Rerank, "/lm/v1/rerank", lm.RerankRequest(models=["en"])),
        (self.stub.Embed, "/lm/v1/embed",
         lm.EmbedRequest(model="en", texts=[text("a")])),
        (self.stub.Tag, "/lm/v1/tag", lm.TagRequest(model="pos")),
        (self.stub.Tag, "/lm/v1/tag",
         lm.TagRequest(model="kind", sentences=[text("a")])),
        (self.stub.Classify, "/lm/v1/classify",
         lm.ClassifyRequest(model="kind", texts=[text("a")] * 10_001)),
        (self.stub.Score, "/lm/v1/score",
         lm.ScoreRequest(model="pos", texts=[text("a")])),
        (lambda request: list(self.stub.Generate(request)), "/lm/v1/generate",
         lm.GenerateRequest(model="en", temperature=-1)),
        (self.models.LoadModel, "/lm/v1/models/en:load",
         lm.LoadModelRequest(version=1)),
    ]
    for rpc, path, request in cases:
      if isinstance(request, lm.LoadModelRequest):
        body = "{}"
      else:
        body = json_format.MessageToJson(request)
      with self.assertRaises(grpc.RpcError) as raised:
        rpc(request)
      name = raised.exception.code().name
      answer = self.post(path, body)
      error = answer.json["error"]
      self.assertEqual(error["status"], name)
      # Without a RetryInfo it is too large forever.
      self.assertEqual(answer.code, CODES.get(name, 413))
      self.assertEqual(error["code"], answer.code)
      self.assertEqual(error["message"], raised.exception.details())

  def test_a_request_past_its_deadline(self):
    answer = self.post("/lm/v1/score", '{"model":"gru","texts":[{"text":"a"}]}',
                       {"grpc-timeout": "1n"})
    self.assertEqual(answer.code, 504)
    self.assertEqual(answer.json["error"]["status"], "DEADLINE_EXCEEDED")

  def test_health_and_metrics(self):
    for path in ("/healthz", "/readyz", "/lm/v1/health?service=en"):
      answer = self.get(path)
      self.assertEqual((answer.code, answer.json), (200, {"status": "SERVING"}))
    self.assertEqual(self.get("/lm/v1/health?service=no").code, 404)
    metrics = self.get("/metrics")
    self.assertTrue(metrics.headers["Content-Type"].startswith("text/plain"))
    self.assertIn(b"lm_http_requests_total ", metrics.body)
    before = self.metric('grpc_server_call_started_total{method="Predict"}')
    self.post("/lm/v1/predict", "{}")
    self.assertEqual(
        self.metric('grpc_server_call_started_total{method="Predict"}'),
        before + 1)

  def test_ids_of_a_call(self):
    answer = self.get("/lm/v1/models", **{"X-Request-Id": "abc"})
    self.assertEqual(answer.headers["x-request-id"], "abc")
    self.assertTrue(self.get("/lm/v1/models").headers["x-request-id"])

  def test_long_answers_and_requests(self):
    request = lm.ScoreRequest(model="en", per_word=True, alternatives=2,
                              texts=[text("the cat is small " * 50)] * 100)
    self.check(request, self.stub.Score, "/lm/v1/score")

  def test_administrators(self):
    address = self.server.http_admin
    loaded = ask(address, "POST", "/lm/v1/models/en:load", '{"version":"1"}')
    self.assertEqual(loaded.code, 200, loaded.body)
    self.assertEqual(loaded.json["model"]["version"], "1")
    alias = "/lm/v1/models/en/aliases/tested"
    set_alias = ask(address, "PUT", alias, '{"version":"2"}')
    self.assertEqual(set_alias.json["model"]["aliases"], ["tested"])
    self.assertEqual(self.get("/lm/v1/models/en@tested").code, 200)
    wrong = ask(address, "PUT", alias,
                '{"version":"1","expectedVersion":"1"}')
    self.assertEqual(wrong.code, 400)
    self.assertEqual(wrong.json["error"]["status"], "FAILED_PRECONDITION")
    self.assertEqual(ask(address, "PUT", alias, "{}").code, 400)
    self.assertEqual(ask(address, "DELETE", alias).code, 200)
    self.assertEqual(self.get("/lm/v1/models/en@tested").code, 404)
    # The stable alias keeps version 1.
    kept = ask(address, "POST", "/lm/v1/models/en:unload", '{"version":"1"}')
    self.assertEqual(kept.json["error"]["status"], "FAILED_PRECONDITION")
    self.assertEqual(ask(address, "POST", "/lm/v1/score", "{}").code, 404)


class DefenseTest(HttpTestCase):
  """What clients and web pages must not do."""

  @classmethod
  def make_arguments(cls):
    return ("--http-hosts", "models.example", "--http-origins",
            "https://page.example", "--max-message-bytes", "65536",
            "--max-calls-per-client", "2", "--drain-seconds", "1")

  def test_paths_methods_and_types(self):
    self.assertEqual(self.get("/nothing").code, 404)
    wrong = self.get("/lm/v1/score")
    self.assertEqual((wrong.code, wrong.headers["Allow"]), (405, "POST"))
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
      answer = self.post("/lm/v1/score", "{}", {"Content-Type": kind})
      self.assertEqual(answer.code, 415)
    self.assertEqual(
        self.post("/lm/v1/score", "{}", {"Content-Encoding": "gzip"}).code, 415)
    for body in ("", "{", "[]", "null", '{"modle":"en"}', '{"model":1e999}',
                 b'{"model":"\xff"}', "[" * 50_000):
      answer = self.post("/lm/v1/score", body)
      self.assertEqual(answer.code, 400, body[:20])
      self.assertEqual(answer.json["error"]["status"], "INVALID_ARGUMENT")

  def test_a_body_that_is_too_long(self):
    answer = self.post("/lm/v1/score", " " * 65_537)
    self.assertEqual(answer.code, 413)
    self.assertEqual(answer.headers["Connection"], "close")
    # Without a length it is known only after a while.
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    answers = raw(self.server.http,
                  head("POST", "/lm/v1/score", f"Content-Type: {JSON}",
                       "Transfer-Encoding: chunked") + 3 * chunk)
    self.assertEqual(codes(answers), [413])
    line = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    answers = raw(self.server.http,
                  head("POST", "/lm/v1/score:stream", f"Content-Type: {NDJSON}",
                       "Transfer-Encoding: chunked") + 3 * line)
    self.assertEqual(codes(answers), [413])

  def test_hosts(self):
    for host, code in (("127.0.0.1", 200), ("models.example", 200),
                       ("[::1]:80", 200), ("a.localhost", 200),
                       ("evil.example", 403), ("localhost.evil.example", 403)):
      answers = raw(self.server.http,
                    head("GET", "/healthz", "Connection: close", host=host))
      self.assertEqual(codes(answers), [code], host)
    answers = raw(self.server.http,
                  head("GET", "http://evil.example/healthz",
                       "Connection: close"))
    self.assertEqual(codes(answers), [403])
    self.assertIn(b"--http-hosts", answers)

  def test_pages(self):
    body = '{"model":"en","texts":[{"text":"the"}]}'
    foreign = self.post("/lm/v1/score", body,
                        {"Origin": "https://evil.example",
                         "Sec-Fetch-Site": "cross-site"})
    self.assertEqual(foreign.code, 403)
    self.assertNotIn("Access-Control-Allow-Origin", foreign.headers)
    listed = self.post("/lm/v1/score", body,
                       {"Origin": "https://page.example",
                        "Sec-Fetch-Site": "cross-site"})
    self.assertEqual(listed.code, 200)
    self.assertEqual(listed.headers["Access-Control-Allow-Origin"],
                     "https://page.example")
    self.assertEqual(listed.headers["Vary"], "Origin")
    preflight = ask(self.server.http, "OPTIONS", "/lm/v1/score", headers={
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST"})
    self.assertEqual(preflight.code, 204)

  def test_smuggling(self):
    body = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for fields in (
        (f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"),
        ("Content-Length: 0", f"Content-Length: {len(body)}"),
        ("Transfer-Encoding: gzip",), ("Transfer-Encoding: chunked, gzip",),
        ("Transfer-Encoding : chunked",), ("Content-Length: +1",),
        ("X: a", " Content-Length: 1"), ("Host: evil.example",)):
      answers = raw(self.server.http,
                    head("POST", "/lm/v1/score", f"Content-Type: {JSON}",
                         *fields) + body)
      self.assertEqual(codes(answers), [400], fields)
    for field in (f"X: {'x' * 20_000}", "\r\n".join(["X: y"] * 101)):
      answers = raw(self.server.http, head("GET", "/healthz", field) + body)
      self.assertEqual(codes(answers), [431])

  def test_garbage(self):
    for sent, code in ((b"\x00" * 100, 400), (b"\r\n\r\n", 400),
                       (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
                       (os.urandom(64).replace(b"\n", b"") + b"\r\n\r\n", 400),
                       (b"A" * 100_000, 431)):
      found = codes(raw(self.server.http, sent))
      self.assertIn(found, ([code], [400]), sent[:20])

  def test_a_slow_head(self):
    begin = time.monotonic()
    answers = raw(self.server.http, b"GET /healthz HTTP/1.1\r\nHost:")
    self.assertEqual(codes(answers), [408])
    self.assertLess(time.monotonic() - begin, 15)

  def test_clients_that_leave(self):
    def running():
      return self.metric("lm_calls_under_way")

    self.assertTrue(wait_for(lambda: running() == 0))
    request = json.dumps({"model": "gru", "maxWords": 10_000,
                          "allowUnknown": True, "topK": 3,
                          "beamSearch": None}).encode()
    host, port = self.server.http.rsplit(":", 1)
    for _ in range(20):
      connection = socket.create_connection((host, int(port)), SOON)
      connection.sendall(head("POST", "/lm/v1/generate",
                              f"Content-Type: {JSON}",
                              f"Content-Length: {len(request)}") + request)
      connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))  # close() resets it
      connection.close()
    self.assertTrue(wait_for(lambda: running() == 0))
    self.assertEqual(self.get("/healthz").code, 200)

  def test_too_many_calls_are_told_when_to_retry(self):
    host, port = self.server.http.rsplit(":", 1)
    self.assertTrue(wait_for(lambda: self.metric("lm_calls_under_way") == 0))
    streams = []
    for _ in range(2):
      streams.append(socket.create_connection((host, int(port)), SOON))
      streams[-1].sendall(head("POST", "/lm/v1/score:stream",
                               f"Content-Type: {NDJSON}",
                               "Transfer-Encoding: chunked"))
    self.assertTrue(wait_for(lambda: self.metric("lm_calls_under_way") == 2))
    answer = self.get("/lm/v1/models")
    self.assertEqual(answer.code, 429)
    self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
    self.assertIn("RetryInfo", answer.json["error"]["details"][0]["@type"])
    for stream in streams:
      stream.close()
    self.assertTrue(wait_for(lambda: self.metric("lm_calls_under_way") == 0))


class TokensTest(HttpTestCase):

  @classmethod
  def make_arguments(cls):
    tokens = os.path.join(cls.directory.name, "tokens")
    with open(tokens, "w", encoding="utf-8") as file:
      file.write("read 0123456789abcdef somebody\nadmin fedcba9876543210\n")
    return ("--tokens", tokens, "--log-level", "debug")

  def test_tokens(self):
    read = {"Authorization": "Bearer 0123456789abcdef"}
    admin = {"Authorization": "Bearer fedcba9876543210"}
    none = self.get("/lm/v1/models")
    self.assertEqual((none.code, none.headers["WWW-Authenticate"]),
                     (401, "Bearer"))
    self.assertEqual(self.get("/lm/v1/models", **read).code, 200)
    self.assertEqual(self.get("/healthz").code, 200)
    self.assertEqual(self.get("/metrics").code, 401)
    self.assertEqual(self.get("/metrics", **read).code, 200)
    for headers, code in ((None, 401), (read, 403), (admin, 200)):
      answer = ask(self.server.http_admin, "POST", "/lm/v1/models/en:load",
                   "{}", headers)
      self.assertEqual(answer.code, code)

  def test_the_log_has_the_client_and_no_secrets(self):
    self.post("/lm/v1/score", '{"model":"en","texts":[{"text":"secret"}]}',
              {"Authorization": "Bearer 0123456789abcdef",
               "X-Request-Id": "logged-id"})
    self.assertTrue(wait_for(
        lambda: any("logged-id" in line for line in self.server.log)))
    line = next(line for line in self.server.log if "logged-id" in line)
    self.assertIn("Score of en@2 from ipv4:127.0.0.1 (token somebody", line)
    self.assertNotIn("secret", "".join(self.server.log))
    self.assertNotIn("0123456789abcdef", "".join(self.server.log))


class DrainTest(HttpTestCase):
  """Each test stops the server of its own."""

  arguments = ("--drain-seconds", "1")

  def test_sigterm(self):
    server = Server(self.store, "--drain-seconds", "20")
    host, port = server.http.rsplit(":", 1)
    kept = http.client.HTTPConnection(host, int(port), timeout=SOON)
    kept.request("GET", "/healthz")
    kept.getresponse().read()
    stream = socket.create_connection((host, int(port)), SOON)
    stream.sendall(head("POST", "/lm/v1/score:stream",
                        f"Content-Type: {NDJSON}",
                        "Transfer-Encoding: chunked"))
    line = b'{"model":"en","texts":[{"text":"the"}]}\n'
    stream.sendall(b"%x\r\n%s\r\n" % (len(line), line))
    self.assertIn(b"200", stream.recv(65536))
    server.process.send_signal(signal.SIGTERM)
    # The connection that waits is closed, and nobody listens any more.
    self.assertEqual(kept.sock.recv(1), b"")
    with self.assertRaises(ConnectionError):
      socket.create_connection((host, int(port)), SOON).close()
    # The call in progress goes on to its end.
    stream.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(line), line))
    rest = b""
    while part := stream.recv(65536):
      rest += part
    self.assertIn(b"wordCount", rest)
    self.assertTrue(rest.endswith(b"0\r\n\r\n"), rest)
    self.assertEqual(server.stop(), 0)

  def test_a_stream_that_does_not_end(self):
    server = Server(self.store, "--drain-seconds", "1")
    host, port = server.http.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)), SOON)
    stream.sendall(head("POST", "/lm/v1/score:stream",
                        f"Content-Type: {NDJSON}",
                        "Transfer-Encoding: chunked"))
    line = b'{"model":"en","texts":[{"text":"the"}]}\n'
    stream.sendall(b"%x\r\n%s\r\n" % (len(line), line))
    self.assertIn(b"200", stream.recv(65536))
    begin = time.monotonic()
    self.assertEqual(server.stop(), 0)
    self.assertLess(time.monotonic() - begin, 10)
    rest = b""
    while part := stream.recv(65536):
      rest += part
    self.assertIn(b'"status":"UNAVAILABLE"', rest)
    stream.close()


class TlsTest(HttpTestCase):

  @classmethod
  def make_arguments(cls):
    cls.certificate = os.path.join(cls.directory.name, "certificate")
    cls.key = os.path.join(cls.directory.name, "key")
    try:
      subprocess.run(
          ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
           "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
           "-keyout", cls.key, "-out", cls.certificate], check=True,
          stderr=subprocess.DEVNULL)
    except FileNotFoundError as error:
      raise unittest.SkipTest(str(error))
    return ("--tls-certificate", cls.certificate, "--tls-key", cls.key)

  def connect(self, protocols=None):
    context = ssl.create_default_context(cafile=self.certificate)
    if protocols:
      context.set_alpn_protocols(protocols)
    host, port = self.server.http.rsplit(":", 1)
    return context.wrap_socket(socket.create_connection((host, int(port)), SOON),
                               server_hostname="localhost")

  def test_tls(self):
    for protocols in (None, ["http/1.1"], ["h2", "http/1.1"]):
      with self.connect(protocols) as connection:
        self.assertIn(connection.selected_alpn_protocol(), (None, "http/1.1"))
        body = b'{"model":"en","texts":[{"text":"' + b"the " * 5000 + b'"}]}'
        connection.sendall(head("POST", "/lm/v1/score", f"Content-Type: {JSON}",
                                f"Content-Length: {len(body)}") + body)
        self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200"))
        connection.sendall(head("GET", "/healthz"))
        self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200"))
    with self.assertRaises(ssl.SSLError):
      self.connect(["h2"])

  def test_without_tls(self):
    self.assertEqual(codes(raw(self.server.http, head("GET", "/healthz"))), [])


class FlagsTest(unittest.TestCase):

  def run_server(self, *arguments):
    with tempfile.TemporaryDirectory() as store:
      return subprocess.run(
          [os.path.join(PROGRAMS, "lm_server"), "--store", store,
           "--check-config", *arguments],
          text=True, capture_output=True, check=False)

  def test_everybody_must_be_let_in_by_name(self):
    refused = self.run_server("--http-listen", "0.0.0.0:0")
    self.assertEqual(refused.returncode, 2)
    self.assertIn("--http-without-tokens", refused.stderr)
    for arguments in (("--http-listen", "127.0.0.1:0"),
                      ("--http-listen", "localhost:0"),
                      ("--http-listen", "[::1]:0"),
                      ("--http-listen", "unix:/tmp/x"),
                      ("--http-listen", "0.0.0.0:0", "--http-without-tokens")):
      self.assertEqual(self.run_server(*arguments).returncode, 0, arguments)
    for arguments in (("--http-origins", "*"), ("--http-origins", "null"),
                      ("--http-origins", "https://a.example/x"),
                      ("--http-listen", "nowhere")):
      self.assertEqual(self.run_server(*arguments).returncode, 2, arguments)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
