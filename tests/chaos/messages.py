# SPDX-License-Identifier: Apache-2.0
"""Writes and reads the protocol buffers of the API by hand.

Requests are needed as bytes, for frames, and replies are compared as bytes. The
field numbers are those of proto/lm/v1/language_model.proto.
"""

import struct

SERVICE = "/lm.v1.LanguageModelService/"
SCORE, SCORE_STREAM = SERVICE + "Score", SERVICE + "ScoreStream"
PREDICT, RERANK = SERVICE + "Predict", SERVICE + "Rerank"
GENERATE, DECODE = SERVICE + "Generate", SERVICE + "Decode"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = ("/grpc.reflection.v1alpha.ServerReflection/"
              "ServerReflectionInfo")


def varint(value):
  """Returns an integer in base 128."""
  result = bytearray()
  while value >= 128:
    result.append(value % 128 + 128)
    value //= 128
  result.append(value)
  return bytes(result)


def number(field, value):
  """Returns a field with an integer."""
  return varint(field << 3) + varint(value)


def text_field(field, value):
  """Returns a field with a str, bytes or a message."""
  value = value.encode() if isinstance(value, str) else value
  return varint(field << 3 | 2) + varint(len(value)) + value


def fields(message):
  """Yields the fields of a message as pairs of number and value."""
  position = 0

  def read_varint():
    nonlocal position
    value = shift = 0
    while True:
      byte = message[position]
      position += 1
      value |= (byte & 127) << shift
      if byte < 128:
        return value
      shift += 7

  while position < len(message):
    tag = read_varint()
    kind = tag & 7
    if kind == 0:
      yield tag >> 3, read_varint()
      continue
    size = {1: 8, 5: 4}.get(kind)
    if size is None:
      size = read_varint()
    yield tag >> 3, message[position:position + size]
    position += size


def first(message, field, default=b""):
  """Returns the first value of a field of a message."""
  return next((value for number_, value in fields(message) if number_ == field),
              default)


def text(words):
  return text_field(1, words)


def score_request(model, texts, per_word=False):
  return (text_field(1, model) +
          b"".join(text_field(2, text(words)) for words in texts) +
          (number(3, 1) if per_word else b""))


def predict_request(model, contexts, k):
  return (text_field(1, model) +
          b"".join(text_field(2, text(words)) for words in contexts) +
          number(3, k))


def rerank_request(model, candidates):
  return text_field(1, model) + b"".join(
      text_field(2, text_field(1, text(words))) for words in candidates)


def generate_request(model, max_words, seed):
  return text_field(1, model) + number(3, max_words) + number(8, seed)


def greedy_request(model, prompt, max_words):
  """Generates the most probable words, repeatedly after the same prompt."""
  return (text_field(1, model) + text_field(2, text(prompt)) +
          number(3, max_words) + varint(4 << 3 | 5) + struct.pack("<f", 0))


def beam_request(model, max_words, width):
  """Searches for the most probable texts."""
  return (text_field(1, model) + number(3, max_words) +
          text_field(12, number(1, width)))


def decode_start(model, words=()):
  return text_field(1, text_field(1, model) +
                    b"".join(text_field(2, word) for word in words))


def decode_extend(handles, words):
  return text_field(2, text_field(1, b"".join(map(varint, handles))) +
                    text_field(2, b"".join(map(varint, words))))


def health_request(service=""):
  return text_field(1, service) if service else b""


def reflection_request():
  return text_field(7, "*")  # list_services


def model_version(version):
  """Returns the (name, version) of a ModelVersion."""
  return first(version, 1).decode(), first(version, 2, 0)
