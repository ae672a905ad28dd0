# SPDX-License-Identifier: Apache-2.0
"""A server for tests of the OpenAI dialect, and the same calls over gRPC.

A program that imports this module gets two arguments first:

    PROGRAMS  the directory of lm_trainer and lm_server
    PROTO     the directory of the .proto files

It exits with 77 if a module that the tests need is missing.
"""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder)
                for folder in ("testing", "end_to_end", "docs")]
# pylint: disable=wrong-import-position
import python_stubs

PROGRAMS = pathlib.Path(sys.argv[1])
python_stubs.import_stubs(sys.argv[2])
import grpc
from lm.v1 import language_model_pb2 as lm
from lm.v1 import language_model_pb2_grpc as lm_grpc

SOON = 20  # seconds
IMPOSSIBLE = -9999.0  # stands for -infinity, which JSON does not have


def run_trainer(*arguments):
  return subprocess.run([PROGRAMS / "lm_trainer", *arguments], check=True,
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                        text=True).stdout


def make_store(directory):
  """Trains small models: demo@1 (also demo@stable) and demo@2, which are n-gram
  models, lstm, bidirectional, translation and classifier.
  """
  store = directory / "store"
  corpus = directory / "corpus"
  corpus.write_text(run_trainer("demo-corpus", "--sentences", "600"),
                    encoding="utf-8")
  for order in ("2", "3"):
    run_trainer("ngram", "--corpus", corpus, "--order", order, "--store", store,
                "--model", "demo", "--smoothing", "witten-bell")
  run_trainer("alias", "stable", "--store", store, "--model", "demo@1")
  run_trainer("recurrent", "--corpus", corpus, "--valid", corpus, "--cell",
              "lstm", "--layers", "1", "--units", "16", "--embedding", "16",
              "--epochs", "1", "--store", store, "--model", "lstm")
  run_trainer("recurrent", "--corpus", corpus, "--valid", corpus,
              "--bidirectional", "--units", "8", "--epochs", "1", "--store",
              store, "--model", "bidirectional")
  run_trainer("translation", "--source", corpus, "--corpus", corpus,
              "--valid-source", corpus, "--valid", corpus, "--units", "8",
              "--epochs", "1", "--store", store, "--model", "translation")
  labeled = directory / "labeled"
  labeled.write_text(run_trainer("demo-corpus", "--labels", "sentences",
                                 "--sentences", "100"), encoding="utf-8")
  run_trainer("classifier", "--corpus", labeled, "--valid", labeled, "--layers",
              "1", "--units", "4", "--embedding", "4", "--epochs", "1",
              "--store", store, "--model", "classifier")
  return store


class Server:
  """A running lm_server."""

  def __init__(self, store, *arguments):
    # pylint: disable=consider-using-with
    self.process = subprocess.Popen(
        [PROGRAMS / "lm_server", "--store", store, "--listen", "127.0.0.1:0",
         "--admin-listen", "", "--http-listen", "127.0.0.1:0", *arguments],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    addresses = [self.process.stdout.readline().split()[-1] for _ in range(2)]
    self.grpc, self.http = addresses
    self._log = []
    self._reader = threading.Thread(
        target=lambda: self._log.extend(self.process.stderr))
    self._reader.start()

  @property
  def url(self):
    return f"http://{self.http}"

  def stop(self):
    self.process.send_signal(signal.SIGTERM)
    code = self.process.wait(60)
    self._reader.join()
    self.process.stdout.close()
    self.process.stderr.close()
    if code != 0:
      raise AssertionError(f"lm_server: exit code {code}: {self._log}")


def open_stream(server):
  """Returns the connection of a call that is in progress until it is closed."""
  host, port = server.http.rsplit(":", 1)
  connection = socket.create_connection((host, int(port)), SOON)
  connection.sendall(b"POST /lm/v1/score:stream HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Type: application/x-ndjson\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
  line = b'{"model":"demo","texts":[{"text":"the"}]}\n'
  connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
  if not connection.recv(1 << 16).startswith(b"HTTP/1.1 200 "):
    raise AssertionError("the stream was refused")
  return connection


def bits(numbers):
  """The floats of a model as bytes, for a comparison to the bit."""
  return [number if number is None else struct.pack("<f", number)
          for number in numbers]


def finite(numbers):
  """What JSON has for the numbers of gRPC."""
  return [number if number > float("-inf") else IMPOSSIBLE for number in numbers]


class ServedTest(unittest.TestCase):
  """Tests with a server of the models of make_store()."""

  @classmethod
  def make_arguments(cls):
    return ()

  @classmethod
  def setUpClass(cls):
    # pylint: disable=consider-using-with
    cls.directory = tempfile.TemporaryDirectory()
    cls.path = pathlib.Path(cls.directory.name)
    cls.store = make_store(cls.path)
    cls.server = Server(cls.store, *cls.make_arguments())
    cls.channel = grpc.insecure_channel(cls.server.grpc)
    cls.stub = lm_grpc.LanguageModelServiceStub(cls.channel)

  @classmethod
  def tearDownClass(cls):
    cls.channel.close()
    cls.server.stop()
    cls.directory.cleanup()

  def score(self, model, text, alternatives=0, include_end=None):
    """Returns the WordScores of a text or a list of ids."""
    form = (lm.Text(text=text) if isinstance(text, str) else
            lm.Text(ids=lm.WordIdList(ids=text)))
    if include_end is None and model != "bidirectional":
      include_end = False  # a bidirectional model never scores it
    return self.stub.Score(lm.ScoreRequest(
        model=model, texts=[form], per_word=True, alternatives=alternatives,
        include_end=include_end)).scores[0].words

  def generate(self, model, prompt, **options):
    """Returns the generated words, and how generation ended."""
    words = []
    for message in self.stub.Generate(lm.GenerateRequest(
        model=model, prompt=lm.Text(text=prompt), **options)):
      if message.HasField("word"):
        words.append(message.word)
    return words, message.end

  def vocabulary(self, model):
    return [word for message in self.stub.GetVocabulary(
        lm.GetVocabularyRequest(model=model)) for word in message.words]
