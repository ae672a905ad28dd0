# SPDX-License-Identifier: Apache-2.0
"""Tests the server from Python, with stubs generated from the .proto files.

    python_client_test.py PROGRAMS PROTO

PROGRAMS is the directory of lm_trainer and lm_server, PROTO that of the .proto
files. Exits with 77 if a program or module that the test needs is missing.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
import unittest

import python_stubs

if len(sys.argv) != 3:
  sys.exit(__doc__)
PROGRAMS, PROTO = sys.argv[1:]
python_stubs.import_stubs(PROTO)
# pylint: disable=wrong-import-position
import grpc
from grpc.health.v1 import health_pb2
from grpc.health.v1 import health_pb2_grpc
from lm.v1 import language_model_pb2 as lm
from lm.v1 import language_model_pb2_grpc as lm_grpc

# An additive unigram model of this text, which has 5 tokens and 4 possible next
# words: P(a) = P(</s>) = 3/9, P(b) = 2/9, P(<unk>) = 1/9.
CORPUS = "a b\na\n"
LN3 = math.log(3)
LN9 = math.log(9)


class PythonClientTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    cls.store = tempfile.TemporaryDirectory()
    subprocess.run(
        [os.path.join(PROGRAMS, "lm_trainer"), "ngram", "--corpus", "-",
         "--order", "1", "--smoothing", "additive", "--store", cls.store.name,
         "--model", "ab"],
        input=CORPUS, text=True, check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    cls.server = subprocess.Popen(
        [os.path.join(PROGRAMS, "lm_server"), "--store", cls.store.name,
         "--listen", "127.0.0.1:0", "--admin-listen", ""],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    address = cls.server.stdout.readline().split()[-1]
    cls.channel = grpc.insecure_channel(address)
    cls.stub = lm_grpc.LanguageModelServiceStub(cls.channel)

  @classmethod
  def tearDownClass(cls):
    cls.channel.close()
    cls.server.send_signal(signal.SIGTERM)
    exit_code = cls.server.wait(60)
    cls.server.stdout.close()
    cls.store.cleanup()
    if exit_code != 0:
      raise AssertionError(f"lm_server: exit code {exit_code}")

  def test_score(self):
    response = self.stub.Score(
        lm.ScoreRequest(
            model="ab", per_word=True,
            texts=[lm.Text(text="a c"),
                   lm.Text(words=lm.WordList(words=["b"]))]))
    self.assertEqual((response.model.name, response.model.version), ("ab", 1))
    first, second = response.scores
    self.assertAlmostEqual(first.log_prob, -LN3 - LN9 - LN3, 5)
    self.assertEqual((first.word_count, first.unknown_count), (3, 1))
    self.assertAlmostEqual(first.known_perplexity, 3, 5)
    self.assertEqual(list(first.words.words), ["a", "<unk>", "</s>"])
    self.assertEqual(list(first.words.unknown), [False, True, False])
    self.assertAlmostEqual(second.log_prob, math.log(2 / 9) - LN3, 5)

  def test_score_stream(self):
    texts = ["a", "b", "a b a", "c"] * 250
    expected = [-2 * LN3, math.log(2 / 9) - LN3,
                math.log(2 / 9) - 3 * LN3, -LN9 - LN3] * 250
    responses = self.stub.ScoreStream(
        lm.ScoreRequest(model="ab", texts=[lm.Text(text=text)])
        for text in texts)
    found = [response.scores[0].log_prob for response in responses]
    self.assertEqual(len(found), len(expected))
    for a, b in zip(found, expected):
      self.assertAlmostEqual(a, b, 5)

  def test_predict(self):
    response = self.stub.Predict(
        lm.PredictRequest(model="ab", k=4, contexts=[lm.Text(text="a")]))
    next_words = response.predictions[0]
    self.assertEqual(set(next_words.words[:2]), {"a", "</s>"})
    self.assertEqual(list(next_words.words[2:]), ["b", "<unk>"])
    self.assertAlmostEqual(sum(map(math.exp, next_words.log_probs)), 1, 5)

  def test_rerank(self):
    response = self.stub.Rerank(
        lm.RerankRequest(
            models=["ab"], weights={"ab": 1, "tm": 2},
            candidates=[
                lm.Candidate(text=lm.Text(text="a"), features={"tm": -3}),
                lm.Candidate(text=lm.Text(text="b"), features={"tm": -1})]))
    self.assertEqual([ranked.index for ranked in response.candidates], [1, 0])
    self.assertAlmostEqual(response.candidates[1].score, -2 * LN3 - 6, 5)

  def test_generate(self):
    def generate():
      return list(self.stub.Generate(
          lm.GenerateRequest(model="ab", seed=5, max_words=20)))

    messages = generate()
    self.assertTrue(messages[-1].HasField("end"))
    self.assertEqual(messages[-1].end.word_count, len(messages) - 1)
    self.assertEqual(messages[-1].end.seed, 5)
    self.assertLessEqual({message.word.word for message in messages[:-1]},
                         {"a", "b"})
    self.assertEqual(generate(), messages)

  def test_health(self):
    health = health_pb2_grpc.HealthStub(self.channel)
    for service in ("", "ab", "lm.v1.LanguageModelService"):
      response = health.Check(health_pb2.HealthCheckRequest(service=service))
      self.assertEqual(response.status, health_pb2.HealthCheckResponse.SERVING)

  def test_errors_have_their_codes(self):
    with self.assertRaises(grpc.RpcError) as raised:
      self.stub.Score(
          lm.ScoreRequest(model="nobody", texts=[lm.Text(text="a")]))
    self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
    with self.assertRaises(grpc.RpcError) as raised:
      self.stub.Score(lm.ScoreRequest(
          model="ab", texts=[lm.Text(words=lm.WordList(words=["a b"]))]))
    self.assertEqual(raised.exception.code(),
                     grpc.StatusCode.INVALID_ARGUMENT)
    self.assertIn("texts[0]", raised.exception.details())


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
