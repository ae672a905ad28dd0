# SPDX-License-Identifier: Apache-2.0
"""Sends what lm-evaluation-harness 0.4.13 sends, and reads answers as it does.

    lm_eval_replay_test.py PROGRAMS PROTO

dialect.py explains PROGRAMS and PROTO. The rules are those of the harness' model
`local-completions` with `tokenizer_backend=remote`, written again without it, so
that they are tested where its packages cannot be installed. Exits with 77 if a
module that the test needs is missing.
"""

import http.client
import json
import sys
import unittest

if len(sys.argv) != 3:
  sys.exit(__doc__)
import dialect
from dialect import bits

# Contexts and their continuations. The greedy word after some is </s>.
PAIRS = [
    ("the cat", "is small ."),
    ("the cat is small .", ""),
    ("jane is walking home after", "school ."),
    ("the zebra is", "quagga ."),
    ("the cat is", "zebra zebra"),
    ("", "the cat is small ."),
    ("a", "the the the ."),
    ("the students opened their", "books ."),
    ("the cat is small", "."),
]


class Harness:
  """The part of the harness that talks to a server."""

  def __init__(self, address, path, model):
    self._address, self._path, self._model = address, path, model
    info = self.ask("GET", "/tokenizer_info")
    self.end = info["eos_token"]
    self.begin_id = self.tokenize(info.get("bos_token") or self.end)[0]

  def ask(self, method, path, body=None):
    host, port = self._address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port),
                                            timeout=dialect.SOON)
    try:
      connection.request(method, self._path + path,
                         None if body is None else json.dumps(body),
                         {"Content-Type": "application/json",
                          "Authorization": "Bearer "} if body else {})
      answer = connection.getresponse()
      text = answer.read()
    finally:
      connection.close()
    if answer.status != 200:
      raise AssertionError(f"{path}: {answer.status} {text}")
    return json.loads(text)

  def tokenize(self, text):
    return self.ask("POST", "/tokenize", {
        "prompt": text, "add_special_tokens": False})["tokens"]

  def encode_pair(self, context, continuation):
    """Returns the ids of a context and of what follows it."""
    if not context:
      return [self.begin_id], self.tokenize(continuation)
    spaces = len(context) - len(context.rstrip())
    if spaces:
      continuation = context[-spaces:] + continuation
      context = context[:-spaces]
    whole = self.tokenize(context + continuation)
    size = len(self.tokenize(context))
    return whole[:size], whole[size:]

  def loglikelihood(self, pairs):
    """Returns for each pair of ids (sum, is greedy, log-probabilities)."""
    prompts = [context + continuation for context, continuation in pairs]
    answer = self.ask("POST", "/v1/completions", {
        "prompt": prompts, "model": self._model, "max_tokens": 1, "logprobs": 1,
        "echo": True, "temperature": 0, "seed": 1234})
    results = []
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    for (context, _), prompt, choice in zip(pairs, prompts, choices):
      values = choice["logprobs"]["token_logprobs"]
      if len(values) != len(prompt) + 1:
        raise AssertionError(f"expected {len(prompt) + 1} entries, "
                             f"found {choice}")
      if len(choice["logprobs"]["top_logprobs"]) != len(values):
        raise AssertionError(f"lists of different lengths: {choice}")
      values = values[len(context):-1]
      tops = choice["logprobs"]["top_logprobs"][len(context):-1]
      greedy = all(value == max(top.values()) for value, top in zip(values, tops))
      results.append((sum(values), greedy, values))
    return results

  def generate(self, contexts, stop, max_tokens=256):
    """Returns what follows each context, until a stop string."""
    answer = self.ask("POST", "/v1/completions", {
        "prompt": [self.tokenize(context) for context in contexts],
        "model": self._model, "max_tokens": max_tokens, "temperature": 0,
        "stop": stop + [self.end], "seed": 1234})
    return [choice["text"] for choice in
            sorted(answer["choices"], key=lambda choice: choice["index"])]


class ReplayTest(dialect.ServedTest):

  def harnesses(self):
    return [(model, Harness(self.server.http, "/models/" + path, model))
            for model, path in (("demo", "demo"), ("lstm", "lstm"),
                                ("demo@1", "demo@1"), ("demo@1", "demo%401"))]

  def test_the_tokenizer(self):
    for model, harness in self.harnesses():
      vocabulary = self.vocabulary(model)
      info = harness.ask("GET", "/tokenizer_info")
      self.assertEqual((info["bos_token"], info["eos_token"], info["unk_token"]),
                       ("<s>", "</s>", "<unk>"))
      self.assertTrue(info["tokenizer_class"])
      self.assertGreater(info["model_max_length"], 0)
      for text in ("the cat is small .", "  the\tcat\n", "zebra", "", "<s>",
                   "</s>", "the <s> </s>"):
        answer = harness.ask("POST", "/tokenize", {
            "prompt": text, "add_special_tokens": False})
        unknown = vocabulary.index("<unk>")
        if text in ("<s>", "</s>"):
          expected = [vocabulary.index(text)]
        else:
          expected = [vocabulary.index(word)
                      if word in vocabulary and word not in ("<s>", "</s>")
                      else unknown for word in text.split()]
        self.assertEqual(answer["tokens"], expected)
        self.assertEqual(answer["count"], len(expected))
        self.assertEqual(answer["max_model_len"], info["model_max_length"])
        self.assertEqual(
            harness.ask("POST", "/detokenize", {"tokens": expected})["prompt"],
            " ".join(vocabulary[i] for i in expected))
      strings = harness.ask("POST", "/tokenize", {
          "prompt": "the zebra", "return_token_strs": True})["token_strs"]
      self.assertEqual(len(strings), 2)

  def test_loglikelihood(self):
    for model, harness in self.harnesses():
      vocabulary = self.vocabulary(model)
      pairs = []
      for context, continuation in PAIRS:
        space = " " if context and continuation else ""
        pairs.append(harness.encode_pair(context, space + continuation))
        words = f"{context} {continuation}".split()
        ids = [vocabulary.index(word if word in vocabulary else "<unk>")
               for word in words]
        self.assertEqual(sum(pairs[-1], []),
                         ids if context else [harness.begin_id] + ids)
      greedy_ones = 0
      together = harness.loglikelihood(pairs)
      for pair, (total, greedy, values) in zip(pairs, together):
        # The sum does not depend on the batch.
        self.assertEqual(harness.loglikelihood([pair])[0],
                         (total, greedy, values))
        context, continuation = pair
        ids = [i for i in context + continuation if i != harness.begin_id]
        scores = self.score(model, ids, 1)
        begin = len(ids) - len(continuation)
        self.assertEqual(len(values), len(continuation))
        self.assertEqual(bits(values), bits(scores.log_probs[begin:]))
        self.assertAlmostEqual(total, sum(scores.log_probs[begin:]), delta=1e-6)
        self.assertEqual(greedy, all(
            best.log_probs[0] == value for best, value in
            zip(scores.alternatives[begin:], scores.log_probs[begin:])))
        greedy_ones += greedy and bool(continuation)
      self.assertLess(greedy_ones, len(pairs))
      # What the model itself would say is greedy.
      best = self.score(model, pairs[0][0], 1, include_end=True)
      word = best.alternatives[-1].ids[0]
      if word != vocabulary.index("</s>"):
        self.assertTrue(harness.loglikelihood([(pairs[0][0], [word])])[0][1])

  def test_the_entry_after_the_prompt_is_there_when_the_text_ends(self):
    ended = 0
    for model, harness in self.harnesses():
      ids = harness.tokenize("the cat is small .")
      answer = harness.ask("POST", "/v1/completions", {
          "prompt": [ids, ids[:2]], "model": model, "max_tokens": 1,
          "logprobs": 1, "echo": True, "temperature": 0, "seed": 1234})
      for prompt, choice in zip([ids, ids[:2]], answer["choices"]):
        self.assertEqual(len(choice["logprobs"]["tokens"]), len(prompt) + 1)
        self.assertEqual(len(choice["logprobs"]["text_offset"]), len(prompt) + 1)
        ended += choice["logprobs"]["tokens"][-1] == "</s>"
        self.assertTrue(all(choice["logprobs"]["top_logprobs"]))
    self.assertGreater(ended, 0)

  def test_loglikelihood_rolling(self):
    text = "the cat is small . jane is walking home after zebra ."
    for model, harness in self.harnesses():
      ids = harness.tokenize(text)
      # One window: the mark of the beginning is the context.
      total, _, values = harness.loglikelihood([([harness.begin_id], ids)])[0]
      scores = self.score(model, text)
      self.assertEqual(bits(values), bits(scores.log_probs))
      self.assertAlmostEqual(total, sum(scores.log_probs), delta=1e-6)

  def test_generate_until(self):
    contexts = ["the cat", "jane is", "zebra"]
    for model, harness in self.harnesses():
      found = harness.generate(contexts, [" .", "\n\n"])
      for context, text in zip(contexts, found):
        words, _ = self.generate(model, context, temperature=0, max_words=256)
        expected = "".join(" " + word.word for word in words)
        self.assertEqual(text, expected.partition(" .")[0])


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
