# SPDX-License-Identifier: Apache-2.0
"""Calls whose answers can be compared to the bit.

Each call is made with a channel, the name of a model and the options of a call
(timeout, metadata). It returns the version that answered and a digest of
everything in the answer that depends only on the content of that version.
"""

import hashlib
import queue

import messages as lm

TEXTS = ["the cat is small .", "jane is walking home after school .",
         "a word that nobody knows", "small is the cat ."]
CANDIDATES = ["i has a book .", "i have a book .", "me have a book ."]


def digest(parts):
  return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def kept(message, *numbers):
  """Returns the fields of a message with these numbers, as bytes."""
  return digest(repr(field).encode() for field in lm.fields(message)
                if field[0] in numbers).encode()


def unary(path, request, version_field, kept_field):
  def call(channel, model, **options):
    reply = channel.unary_unary(path)(request(model), **options)
    return (lm.model_version(lm.first(reply, version_field)),
            digest([kept(reply, kept_field)]))
  return call


def score_stream(channel, model, **options):
  requests = [lm.score_request(model, [text]) for text in TEXTS * 5]
  replies = list(channel.stream_stream(lm.SCORE_STREAM)(
      iter(requests), **options))
  versions = {lm.model_version(lm.first(reply, 1)) for reply in replies}
  if len(replies) != len(requests):
    return max(versions, default=("", 0)), f"{len(replies)} replies"
  # The versions of a stream may change between its requests.
  if len(versions) > 1:
    return None, ""
  return versions.pop(), digest(kept(reply, 2) for reply in replies)


def generate(channel, model, **options):
  replies = list(channel.unary_stream(lm.GENERATE)(
      lm.generate_request(model, 20, 7), **options))
  version = lm.model_version(lm.first(replies[0], 1)) if replies else ("", 0)
  return version, digest(kept(reply, 2, 3, 4, 5) for reply in replies)


def decode(channel, model, **options):
  requests = queue.SimpleQueue()
  replies = channel.stream_stream(lm.DECODE)(
      iter(requests.get, None), **options)
  parts = []
  try:
    requests.put(lm.decode_start(model, ["the", "cat", "nobody"]))
    started = lm.first(next(replies), 1)
    version = lm.model_version(lm.first(started, 1))
    parts.append(kept(started, 3, 4, 5, 6, 7))
    words = list(varints(lm.first(started, 7)))
    handle = lm.first(started, 2, 0)
    for _ in range(5):
      requests.put(lm.decode_extend([handle] * len(words), words))
      extended = lm.first(next(replies), 2)
      parts.append(kept(extended, 2, 3, 4))
      handle = next(varints(lm.first(extended, 1)))
  finally:
    requests.put(None)
  for _ in replies:
    pass
  return version, digest(parts)


def varints(packed):
  value = shift = 0
  for byte in packed:
    value |= (byte & 127) << shift
    shift += 7
    if byte < 128:
      yield value
      value = shift = 0


CALLS = {
    "Score": unary(lm.SCORE,
                   lambda model: lm.score_request(model, TEXTS, True), 1, 2),
    "Predict": unary(lm.PREDICT,
                     lambda model: lm.predict_request(model, TEXTS, 5), 1, 2),
    "Rerank": unary(lm.RERANK,
                    lambda model: lm.rerank_request(model, CANDIDATES), 1, 4),
    "ScoreStream": score_stream,
    "Generate": generate,
    "Decode": decode,
}
