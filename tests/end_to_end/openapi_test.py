# SPDX-License-Identifier: Apache-2.0
"""Checks that what clients and the server send is what openapi.json describes.

    openapi_test.py PROGRAMS PROTO CACHE

Runs the tests of http_test.py that compare HTTP with gRPC, and checks each
request and each answer by the schemas of the description that the server sends.
PROGRAMS and PROTO are as for http_test.py; CACHE is a directory for packages of
PyPI. Exits with 77 if something that the test needs is missing.
"""

import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
# pylint: disable=wrong-import-position
import pypi

if len(sys.argv) != 4:
  sys.exit(__doc__)
pypi.enter(sys.argv[3], "jsonschema==4.26.0")
del sys.argv[3]
import http_test
import jsonschema
import referencing
import referencing.jsonschema

NAME = "urn:lmserve"  # of the description, in references
LONG = 200_000  # bytes of a body; the validator is slow
SERVER = "/lm/v1/openapi.json"


class Description:
  """Finds the operation of a request and checks bodies by it."""

  def __init__(self, document):
    self.document = document
    self._registry = referencing.Registry().with_resource(
        NAME, referencing.Resource(
            contents=document,
            specification=referencing.jsonschema.DRAFT202012))
    self._paths = [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(path))), item)
        for path, item in document["paths"].items()]
    self.seen = set()  # ids of the operations that were checked

  def operation(self, method, path):
    path = path.partition("?")[0].replace("%40", "@")
    found = [item[method.lower()] for pattern, item in self._paths
             if pattern.fullmatch(path)]
    if len(found) != 1:
      raise AssertionError(f"{path}: expected one operation, found {found}")
    return found[0]

  def check(self, value, schema):
    schema = json.loads(json.dumps(schema).replace('"#/', f'"{NAME}#/'))
    jsonschema.Draft202012Validator(schema, registry=self._registry).validate(
        value)

  def check_content(self, body, kind, content):
    """Checks a body of a media type by the Content of a request or response."""
    described = content[kind.partition(";")[0]]
    if len(body) > LONG or kind.startswith("text/plain"):
      return
    text = body.decode() if isinstance(body, bytes) else body
    if kind == http_test.JSON:
      self.check(json.loads(text), described["schema"])
      return
    lines = text.splitlines()
    if kind == "text/event-stream":
      lines = [line.removeprefix("data: ") for line in lines
               if line not in ("", "data: [DONE]")]
    for line in lines[:20]:
      self.check(json.loads(line), described["x-itemSchema"])

  def check_exchange(self, method, path, body, kind, answer):
    operation = self.operation(method, path)
    # An error of a stream may come after its first message.
    response = (operation["responses"].get(str(answer.code)) or
                operation["responses"]["default"])
    if "$ref" in response:
      name = response["$ref"].rpartition("/")[2]
      response = self.document["components"]["responses"][name]
    self.check_content(answer.body, answer.headers["Content-Type"],
                       response["content"])
    if answer.code == 200:
      self.seen.add(operation["operationId"])
      if body is not None:
        self.check_content(body, kind, operation["requestBody"]["content"])


class OpenApiTest(http_test.ConformanceTest):
  """The tests of ConformanceTest, with a look at each message."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.ask = staticmethod(http_test.ask)
    answer = cls.ask(cls.server.http, "GET", SERVER)
    cls.description = Description(answer.json)
    http_test.ask = cls.checked

  @classmethod
  def tearDownClass(cls):
    http_test.ask = cls.ask
    super().tearDownClass()
    known = {operation["operationId"]
             for path, item in cls.description.document["paths"].items()
             for operation in item.values()}
    missing = known - cls.description.seen - {"getDescription"}
    if missing:
      raise AssertionError(f"not checked: {sorted(missing)}")

  @classmethod
  def checked(cls, address, method, path, body=None, headers=None):
    answer = cls.ask(address, method, path, body, headers)
    if address in (cls.server.http, cls.server.http_admin):
      kind = (headers or {}).get("Content-Type", http_test.JSON)
      cls.description.check_exchange(method, path, body, kind, answer)
    return answer

  def test_models_in_paths(self):
    for path, body in (("predict", '{"contexts":[{"text":"a"}]}'),
                       ("generate", '{"seed":1,"maxWords":3}'),
                       ("inspect", '{"text":{"text":"a"}}'),
                       ("embed", '{"texts":[{"text":"a"}]}')):
      answer = self.post(f"/lm/v1/models/gru:{path}", body)
      self.assertEqual(answer.code, 200, answer.body)
    for path, body in (("pos:tag", '{"sentences":[{"text":"a"}]}'),
                       ("kind:classify", '{"texts":[{"text":"a"}],"best":1}')):
      answer = self.post(f"/lm/v1/models/{path}", body)
      self.assertEqual(answer.code, 200, answer.body)

  def test_unloading(self):
    address = self.server.http_admin
    for action in ("unload", "load"):
      answer = http_test.ask(address, "POST", f"/lm/v1/models/gru:{action}",
                             '{"version":1}')
      self.assertEqual(answer.code, 200, answer.body)

  def test_openai(self):
    for base in ("", "/models/gru"):
      for path in ("/v1/models", "/v1/models/gru", "/tokenizer_info?model=gru"):
        self.assertEqual(self.get(base + path).code, 200)
      for path, body in (
          ("/tokenize", {"prompt": "a", "return_token_strs": True}),
          ("/detokenize", {"tokens": [3, 4]}),
          ("/v1/completions", {"prompt": ["a", ""], "logprobs": 2, "echo": True}),
          ("/v1/completions", {"prompt": [[0, 4]], "logprobs": 0, "n": 2,
                               "echo": True, "max_tokens": 0}),
          ("/v1/embeddings", {"input": "a b"}),
          ("/v1/embeddings", {"input": [[3, 4], [5]], "pooling": "max",
                              "encoding_format": "base64", "dimensions": 8,
                              "normalize": False}),
          ("/v1/completions", {
              "prompt": "a", "seed": -1, "stream": True, "stop": "dog",
              "stream_options": {"include_usage": True}})):
        answer = self.post(base + path, json.dumps({"model": "gru"} | body))
        self.assertEqual(answer.code, 200, answer.body)
    for path, body, code in (
        ("/v1/completions", '{"model":"gru","n":0}', 400),
        ("/v1/completions", '{"model":"none"}', 404), ("/tokenize", "{}", 400)):
      self.assertEqual(self.post(path, body).code, code)
    self.assertEqual(self.get("/v1/models/none").code, 404)

  def test_what_is_wrong_is_found(self):
    score = self.description.document["components"]["schemas"]["ScoreRequest"]
    for wrong in ({"modle": "en"}, {"model": 1}, {"alternatives": -1},
                  {"texts": [{"text": "a", "ids": {"ids": [1]}}]},
                  {"texts": [{"ids": {"ids": [2**32]}}]}):
      with self.assertRaises(jsonschema.ValidationError, msg=wrong):
        self.description.check(wrong, score)

  def test_the_description_is_a_file_like_those_of_the_page(self):
    plain = self.ask(self.server.http, "GET", SERVER)
    self.assertEqual(plain.code, 200)
    self.assertEqual(plain.headers["Content-Type"], http_test.JSON)
    again = self.ask(self.server.http, "GET", SERVER, headers={
        "If-None-Match": plain.headers["ETag"]})
    self.assertEqual((again.code, again.body), (304, b""))


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
