# SPDX-License-Identifier: Apache-2.0
"""Tests the OpenAI dialect with the openai package of PyPI, against gRPC.

    python_client_test.py PROGRAMS PROTO CACHE

dialect.py explains PROGRAMS and PROTO; CACHE is a directory for the package.
Exits with 77 if something that the test needs is missing.
"""

import asyncio
import base64
import json
import pathlib
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
# pylint: disable=wrong-import-position
import pypi

if len(sys.argv) != 4:
  sys.exit(__doc__)
pypi.enter(sys.argv[3], "openai==3.57.0")
import dialect
from dialect import bits
import httpx2
import openai
import page as pages

# Prompts with unknown words, white space of all kinds, and characters of one to
# four bytes.
PROMPTS = (
    "the cat is small .",
    "the",
    "zebra",
    "  the  cat\tis\nsmall .",
    "the Žluťoučký 猫 😀 is small",
    "the <unk> cat",
)


def joined(logprobs):
  """The text that the tokens make; the end adds none."""
  return "".join(token for token in logprobs.tokens if token != "</s>")


class ClientTestCase(dialect.ServedTest):

  def setUp(self):
    self.client = self.connect()

  def connect(self, path="/v1", **options):
    options = {"api_key": "none", "max_retries": 0, "timeout": 30} | options
    client = openai.OpenAI(base_url=self.server.url + path, **options)
    self.addCleanup(client.close)
    return client

  def complete(self, model="demo", prompt="the cat", **options):
    return self.client.completions.create(model=model, prompt=prompt, **options)

  def refused(self, kind, call, *arguments, **options):
    with self.assertRaises(kind) as raised:
      call(*arguments, **options)
    self.assertIs(type(raised.exception), kind)
    return raised.exception


class CompletionTest(ClientTestCase):

  def check_tokens(self, choice, scores, texts, with_top=True, offset=0):
    """Compares the log-probabilities of a choice with those of gRPC.

    Args:
      scores: WordScores of all tokens of the choice.
      texts: The tokens, each with the white space before it.
      offset: Where the first one begins.
    """
    logprobs = choice.logprobs
    self.assertEqual(logprobs.tokens, texts)
    self.assertEqual(bits(logprobs.token_logprobs),
                     bits(dialect.finite(scores.log_probs)))
    offsets = []
    for text in texts:
      offsets.append(offset)
      offset += 0 if text == "</s>" else len(text)
    self.assertEqual(logprobs.text_offset, offsets)
    if not with_top:
      self.assertIsNone(logprobs.top_logprobs)
      return
    self.assertEqual(len(logprobs.top_logprobs), len(texts))
    for i, (token, found) in enumerate(zip(texts, logprobs.top_logprobs)):
      space = "" if logprobs.text_offset[i] == 0 else " "
      best = scores.alternatives[i]
      expected = {}
      for word, log_prob in zip(best.words, best.log_probs):
        if word == scores.words[i]:  # an unknown word keeps its own text
          word = token
        elif word != "</s>":
          word = space + word
        expected[word] = log_prob
      expected[token] = scores.log_probs[i]
      self.assertEqual(list(found), list(expected))
      self.assertEqual(bits(found.values()),
                       bits(dialect.finite(expected.values())))
      self.assertEqual(found[token], logprobs.token_logprobs[i])

  def tokens_of(self, prompt):
    """The words of a prompt, each with the white space before it."""
    tokens = []
    end = 0
    for word in prompt.split():
      begin = prompt.index(word, end)
      tokens.append(prompt[end:begin] + word)
      end = begin + len(word)
    return tokens

  def test_the_scores_of_a_prompt(self):
    for model in ("demo", "demo@1", "lstm", "bidirectional"):
      for prompt in PROMPTS:
        for logprobs in (0, 1, 5, 40):
          with self.subTest(model=model, prompt=prompt, logprobs=logprobs):
            answer = self.complete(model, prompt, max_tokens=0, echo=True,
                                   logprobs=logprobs, temperature=0)
            self.assertEqual(answer.object, "text_completion")
            self.assertEqual(len(answer.choices), 1)
            choice = answer.choices[0]
            self.assertEqual(choice.text, prompt)
            self.assertEqual(choice.finish_reason, "length")
            self.assertEqual(joined(choice.logprobs), prompt)
            self.check_tokens(choice, self.score(model, prompt, logprobs),
                              self.tokens_of(prompt), logprobs > 0)
            self.assertEqual(answer.usage.completion_tokens, 0)
            self.assertEqual(answer.usage.prompt_tokens, len(prompt.split()))
            self.assertEqual(answer.usage.total_tokens, len(prompt.split()))

  def test_no_logprobs_unless_asked_for(self):
    self.assertIsNone(self.complete(echo=True).choices[0].logprobs)
    self.assertIsNone(self.complete(logprobs=None).choices[0].logprobs)

  def test_ids(self):
    for model in ("demo", "lstm"):
      vocabulary = self.vocabulary(model)
      begin, end = vocabulary.index("<s>"), vocabulary.index("</s>")
      ids = [vocabulary.index(word) for word in "the cat is".split()]
      options = {"max_tokens": 0, "echo": True, "logprobs": 3}
      choice = self.complete(model, ids, **options).choices[0]
      scores = self.score(model, ids, 3)
      self.assertEqual(choice.text, "the cat is")
      self.check_tokens(choice, scores, ["the", " cat", " is"])
      for mark in (begin, end):
        marked = self.complete(model, [mark] + ids, **options)
        logprobs = marked.choices[0].logprobs
        self.assertEqual(marked.choices[0].text, "the cat is")
        self.assertEqual(logprobs.tokens[0], vocabulary[mark])
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertIsNone(logprobs.top_logprobs[0])
        self.assertEqual(logprobs.text_offset[:2], [0, 0])
        for name in ("tokens", "token_logprobs", "top_logprobs"):
          self.assertEqual(getattr(logprobs, name)[1:],
                           getattr(choice.logprobs, name))
        self.assertEqual(marked.usage.prompt_tokens, 4)
        elsewhere = self.refused(openai.BadRequestError, self.complete, model,
                                 ids + [mark], **options)
        self.assertEqual(elsewhere.param, "prompt")
      beyond = self.refused(openai.BadRequestError, self.complete, model,
                            [len(vocabulary)], **options)
      self.assertEqual(beyond.param, "prompt")

  def test_several_prompts(self):
    options = {"max_tokens": 3, "echo": True, "logprobs": 2, "seed": 5, "n": 2}
    prompts = ["the cat", "a", "the dog is"]
    together = self.complete("lstm", prompts, **options)
    self.assertEqual([choice.index for choice in together.choices],
                     list(range(6)))
    for i, prompt in enumerate(prompts):
      alone = self.complete("lstm", prompt, **options)
      for j in range(2):
        found, expected = together.choices[2 * i + j], alone.choices[j]
        self.assertEqual(found.text, expected.text)
        self.assertEqual(found.logprobs, expected.logprobs)
        self.assertTrue(found.text.startswith(prompt))
    vocabulary = self.vocabulary("lstm")
    ids = [[vocabulary.index(word) for word in prompt.split()]
           for prompt in prompts]
    by_ids = self.complete("lstm", ids, **options)
    self.assertEqual(by_ids.choices, together.choices)
    self.assertEqual(by_ids.usage, together.usage)
    self.assertEqual(together.usage.prompt_tokens, 6)

  def test_many_choices(self):
    # More than the server draws at a time, of different lengths.
    prompts = ["the", "a cat", "jane is walking", ""] * 20
    options = {"max_tokens": 9, "logprobs": 1, "echo": True, "n": 2}
    together = self.complete("lstm", prompts, seed=1, **options)
    self.assertEqual([choice.index for choice in together.choices],
                     list(range(160)))
    streamed = ["" for _ in together.choices]
    for chunk in self.complete("lstm", prompts, seed=1, stream=True, **options):
      streamed[chunk.choices[0].index] += chunk.choices[0].text
    self.assertEqual(streamed, [choice.text for choice in together.choices])
    for i, prompt in enumerate(prompts[:4]):
      alone = self.complete("lstm", prompt, seed=1, **options).choices
      for j in range(2):
        for k in range(2 * i + j, 160, 8):
          self.assertEqual(together.choices[k].text, alone[j].text)
          self.assertEqual(together.choices[k].logprobs, alone[j].logprobs)
    # A prompt counts once, however many choices it has.
    self.assertEqual(together.usage.prompt_tokens, 20 * (1 + 2 + 3 + 0))
    self.assertEqual(
        together.usage.completion_tokens,
        sum(len(choice.logprobs.tokens) for choice in together.choices) -
        2 * together.usage.prompt_tokens)

  def check_generation(self, model, prompt, options, grpc_options):
    words, end = self.generate(model, prompt, **grpc_options)
    answer = self.complete(model, prompt, logprobs=3, **options)
    choice = answer.choices[0]
    texts = [(" " if prompt or i > 0 else "") + word.word
             for i, word in enumerate(words)]
    self.assertEqual(choice.text, "".join(texts))
    ended = end.reason == end.REASON_END_OF_SENTENCE
    self.assertEqual(choice.finish_reason, "stop" if ended else "length")
    self.assertEqual(answer.usage.completion_tokens, len(words) + ended)
    self.assertEqual(answer.usage.prompt_tokens, len(prompt.split()))
    self.assertEqual(bits(choice.logprobs.token_logprobs[:len(words)]),
                     bits(word.log_prob for word in words))
    # Scoring the text gives each drawn word the same numbers.
    scores = self.score(model, prompt + choice.text, 3, include_end=True)
    begin = len(prompt.split())
    size = begin + len(words) + ended
    rest = dialect.lm.WordScores(
        words=scores.words[begin:size], log_probs=scores.log_probs[begin:size],
        alternatives=scores.alternatives[begin:size])
    self.check_tokens(choice, rest, texts + ["</s>"] * ended,
                      offset=len(prompt))
    return choice

  def test_words_are_those_of_generate(self):
    ends = set()
    for model in ("demo", "lstm"):
      for prompt in ("the cat", ""):
        for options, same in (
            ({"seed": 3, "max_tokens": 30}, {"seed": 3, "max_words": 30}),
            ({"seed": 4}, {"seed": 4, "max_words": 16}),
            ({"seed": 2**63 - 1, "temperature": 0.5},
             {"seed": 2**63 - 1, "temperature": 0.5, "max_words": 16}),
            ({"seed": 9, "top_p": 0.4}, {"seed": 9, "top_p": 0.4,
                                        "max_words": 16}),
            ({"temperature": 0, "max_tokens": 40},
             {"temperature": 0, "max_words": 40}),
            ({"seed": 1, "extra_body": {"top_k": 2, "repetition_penalty": 1.5}},
             {"seed": 1, "top_k": 2, "repetition_penalty": 1.5,
              "max_words": 16})):
          with self.subTest(model=model, prompt=prompt, options=options):
            ends.add(self.check_generation(model, prompt, options,
                                           same).finish_reason)
    self.assertEqual(ends, {"stop", "length"})

  def test_greedy_words_are_the_most_probable(self):
    logprobs = self.complete("lstm", "the", temperature=0, max_tokens=10,
                             logprobs=1).choices[0].logprobs
    for token, value, best in zip(logprobs.tokens, logprobs.token_logprobs,
                                  logprobs.top_logprobs):
      # Words that must not be drawn, such as <unk>, may be more probable.
      if " <unk>" not in best:
        self.assertEqual(best, {token: value})

  def test_choices_have_seeds_of_their_own(self):
    several = self.complete("lstm", "the", n=4, seed=11).choices
    for i, choice in enumerate(several):
      self.assertEqual(choice.index, i)
      self.assertEqual(choice.text, self.complete(
          "lstm", "the", seed=11 + i).choices[0].text)
    self.assertGreater(len({choice.text for choice in several}), 1)
    # Without a seed the server takes one.
    texts = {self.complete("lstm", "the", max_tokens=12).choices[0].text
             for _ in range(8)}
    self.assertGreater(len(texts), 1)

  def test_negative_seeds(self):
    first, second = (self.complete("lstm", "the", seed=-7).choices[0].text
                     for _ in range(2))
    self.assertEqual(first, second)

  def test_white_space_at_the_end_of_a_prompt(self):
    plain = self.complete("lstm", "the cat", seed=2).choices[0].text
    for end in (" ", "\n\t "):
      prompt = "the cat" + end
      self.assertEqual(
          self.complete("lstm", prompt, seed=2).choices[0].text,
          plain.removeprefix(" "))
      echoed = self.complete("lstm", prompt, seed=2, echo=True, logprobs=1)
      self.assertEqual(echoed.choices[0].text, prompt + plain.removeprefix(" "))
      self.assertEqual(joined(echoed.choices[0].logprobs),
                       echoed.choices[0].text)
      scored = self.complete("lstm", prompt, echo=True, logprobs=1, max_tokens=0)
      self.assertEqual(scored.choices[0].text, prompt)
      self.assertEqual(joined(scored.choices[0].logprobs), prompt)

  def test_stop_strings_end_the_text_before_them(self):
    full = self.complete("lstm", "the", seed=21, max_tokens=14).choices[0].text
    words = full.split()
    self.assertGreater(len(words), 5)
    stops = [
        words[3],                              # a word
        words[2][1:],                          # the end of a word
        words[2][-1] + " " + words[3][:1],     # over the border of two words
        " ".join(words[2:5]),                  # three words
        [words[4], words[2]],                  # whichever comes first
        ["never", "x" * 200, words[1] + " "],
        " ",
    ]
    for stop in stops:
      found = [stop] if isinstance(stop, str) else stop
      at = min(full.find(s) for s in found if s in full)
      with self.subTest(stop=stop):
        choice = self.complete("lstm", "the", seed=21, max_tokens=14, stop=stop,
                               logprobs=1).choices[0]
        self.assertEqual(choice.text, full[:at])
        self.assertEqual(choice.finish_reason, "stop")
        self.assertTrue(joined(choice.logprobs).startswith(choice.text))
        pieces = [chunk.choices[0].text for chunk in self.complete(
            "lstm", "the", seed=21, max_tokens=14, stop=stop, stream=True)]
        self.assertEqual("".join(pieces), full[:at])
    # A beginning of a stop string that nothing follows is a part of the text.
    kept = self.complete("lstm", "the", seed=21, max_tokens=14,
                         stop=full[-3:] + " and more").choices[0]
    self.assertEqual(kept.text, full)

  def test_streams(self):
    for options in ({}, {"echo": True}, {"logprobs": 2}, {"n": 3},
                    {"echo": True, "logprobs": 1, "n": 2},
                    {"prompt": ["a", "the cat"]}, {"max_tokens": 0, "echo": True},
                    {"prompt": ""}):
      with self.subTest(options=options):
        options = {"model": "lstm", "seed": 8, "max_tokens": 12,
                   "prompt": "the"} | options
        whole = self.complete(**options)
        texts, reasons = {}, {}
        tokens = {}
        ids = set()
        with self.complete(**options, stream=True) as chunks:
          for chunk in chunks:
            ids.add(chunk.id)
            self.assertEqual(chunk.object, "text_completion")
            self.assertIsNone(chunk.usage)
            (choice,) = chunk.choices
            i = choice.index
            texts[i] = texts.get(i, "") + choice.text
            self.assertNotIn(i, reasons, "a piece after the end")
            if choice.finish_reason:
              reasons[i] = choice.finish_reason
            if choice.logprobs:
              parts = tokens.setdefault(i, {})
              for name in ("tokens", "token_logprobs", "top_logprobs",
                           "text_offset"):
                parts.setdefault(name, []).extend(
                    getattr(choice.logprobs, name) or [])
        self.assertEqual(len(ids), 1)
        for choice in whole.choices:
          self.assertEqual(texts[choice.index], choice.text)
          self.assertEqual(reasons[choice.index], choice.finish_reason)
          if choice.logprobs:
            self.assertEqual(tokens[choice.index], choice.logprobs.to_dict())

  def test_usage_at_the_end_of_a_stream(self):
    options = {"model": "lstm", "seed": 8, "prompt": ["the", "a cat"], "n": 2}
    expected = self.complete(**options).usage
    chunks = list(self.complete(**options, stream=True,
                                stream_options={"include_usage": True}))
    self.assertEqual(chunks[-1].choices, [])
    self.assertEqual(chunks[-1].usage, expected)
    self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))
    self.assertEqual(expected.prompt_tokens, 3)
    self.assertEqual(expected.total_tokens,
                     expected.prompt_tokens + expected.completion_tokens)

  def test_the_bytes_of_a_stream(self):
    response = httpx2.post(
        self.server.url + "/v1/completions", timeout=30,
        json={"model": "demo", "prompt": "the", "seed": 1, "stream": True})
    self.assertEqual(response.status_code, 200)
    self.assertEqual(response.headers["content-type"].partition(";")[0],
                     "text/event-stream")
    *events, last, rest = response.text.split("\n\n")
    self.assertEqual((last, rest), ("data: [DONE]", ""))
    for event in events:
      self.assertIn("choices", json.loads(event.removeprefix("data: ")))

  def test_a_stream_that_the_client_leaves(self):
    with self.complete("lstm", "the", max_tokens=2000, stream=True,
                       extra_body={"repetition_penalty": 2}) as chunks:
      next(iter(chunks))
    self.assertEqual(self.complete().model, "demo@2")

  def test_names_and_times(self):
    begin = int(time.time()) - 1
    answers = [self.complete("demo@1"), self.complete("demo"),
               self.complete("lstm")]
    self.assertEqual([answer.model for answer in answers],
                     ["demo@1", "demo@2", "lstm@1"])
    self.assertEqual(len({answer.id for answer in answers}), 3)
    for answer in answers:
      self.assertTrue(answer.id.startswith("cmpl-"))
      self.assertGreaterEqual(answer.created, begin)
      self.assertLessEqual(answer.created, time.time() + 1)

  def test_a_model_in_the_path(self):
    for model in ("demo@1", "lstm"):
      client = self.connect(f"/models/{model}/v1")
      expected = self.complete(model, seed=3).choices
      found = client.completions.create(model=model, prompt="the cat", seed=3)
      self.assertEqual(found.choices, expected)
    other = self.refused(openai.BadRequestError, client.completions.create,
                         model="demo", prompt="the")
    self.assertEqual(other.param, "model")

  def test_translation(self):
    options = {"extra_body": {"source": "the cat is small ."}}
    answer = self.complete("translation", "", seed=1, **options)
    words, _ = self.generate(
        "translation", "", seed=1, max_words=16,
        source=dialect.lm.Text(text="the cat is small ."))
    self.assertEqual(answer.choices[0].text,
                     " ".join(word.word for word in words))
    missing = self.refused(openai.BadRequestError, self.complete, "translation")
    self.assertEqual(missing.param, "source")

  def test_a_model_that_only_scores(self):
    error = self.refused(openai.BadRequestError, self.complete, "bidirectional")
    self.assertIn("bidirectional", error.message)

  def test_the_example_of_the_docs(self):
    page = (dialect.ROOT / "docs/openai.md").read_text(encoding="utf-8")
    (example,) = [block.lines for block in pages.parse(page)
                  if block.language == "py"]
    code = "\n".join(example).replace("localhost:8080", self.server.http)
    printed = subprocess.run([sys.executable, "-c", code], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    self.assertTrue(printed.startswith(" "), printed)
    self.assertLessEqual(len(printed.split()), 5)

  def test_what_clients_send_besides(self):
    expected = self.complete(seed=1).choices
    found = self.complete(
        seed=1, user="somebody", best_of=1, frequency_penalty=0,
        presence_penalty=0, suffix=None, logit_bias={}, stop=None, n=None,
        logprobs=None, extra_body={"nonsense": {"a": [1]}, "metadata": None})
    self.assertEqual(found.choices, expected)
    self.assertEqual(self.complete(seed=1, n=2, best_of=2).choices[0],
                     expected[0])

  def test_asynchronous_client(self):
    async def complete():
      async with openai.AsyncOpenAI(base_url=self.server.url + "/v1",
                                    api_key="none") as client:
        answers = await asyncio.gather(*(
            client.completions.create(model="lstm", prompt="the", seed=seed)
            for seed in range(8)))
        stream = await client.completions.create(
            model="lstm", prompt="the", seed=0, stream=True)
        streamed = [chunk.choices[0].text async for chunk in stream]
        return answers, streamed

    answers, streamed = asyncio.run(complete())
    self.assertEqual("".join(streamed), answers[0].choices[0].text)
    for seed, answer in enumerate(answers):
      self.assertEqual(answer.choices,
                       self.complete("lstm", "the", seed=seed).choices)


class ModelsTest(ClientTestCase):

  def test_models(self):
    demo, lstm = ["demo", "demo@1", "demo@2"], ["lstm", "lstm@1"]
    both = ["bidirectional", "bidirectional@1"]
    classifier = ["classifier", "classifier@1"]
    translation = ["translation", "translation@1"]
    for path, names in (("/v1", both + classifier + demo + lstm + translation),
                        ("/models/demo/v1", demo), ("/models/lstm/v1", lstm),
                        ("/models/demo@1/v1", ["demo@1"])):
      models = list(self.connect(path).models.list())
      self.assertEqual(sorted(model.id for model in models), names)
      for model in models:
        self.assertEqual(model.object, "model")
        self.assertEqual(model.owned_by, "lmserve")
        self.assertLess(abs(model.created - time.time()), 600)
        self.assertEqual(self.client.models.retrieve(model.id), model)
    model = self.client.models.retrieve("lstm")
    self.assertEqual(model.family, "recurrent")
    self.assertEqual(model.vocabulary_size, len(self.vocabulary("lstm")))
    self.assertIs(model.bidirectional, False)
    self.assertIs(self.client.models.retrieve(both[0]).bidirectional, True)
    self.assertIs(self.client.models.retrieve(translation[0]).translation, True)
    self.assertIs(self.client.models.retrieve(classifier[0]).classifier, True)
    self.assertEqual(self.client.models.retrieve("demo@stable").version, 1)

  def test_a_model_that_is_not_there(self):
    for call in (self.client.models.retrieve,
                 lambda name: self.complete(name)):
      error = self.refused(openai.NotFoundError, call, "nobody")
      self.assertEqual((error.code, error.param), ("model_not_found", "model"))
      self.assertIn("nobody", error.message)


class ErrorTest(ClientTestCase):

  def test_bad_requests_name_the_parameter(self):
    for param, value in (
        ("temperature", -1), ("temperature", "hot"), ("top_p", 0), ("top_p", 2),
        ("max_tokens", -1), ("max_tokens", "many"), ("n", 0), ("logprobs", -1),
        ("logprobs", True), ("echo", "yes"), ("stop", ""), ("stop", [1]),
        ("seed", 0.5), ("stream", 1), ("prompt", 5), ("prompt", [-1]),
        ("prompt", [["a"]]), ("prompt", "a </s> b"), ("suffix", "end"),
        ("frequency_penalty", 0.5), ("presence_penalty", -0.5),
        ("logit_bias", {"5": 1}), ("best_of", 3), ("stream_options", 5),
        ("top_k", -1), ("repetition_penalty", 0),
        ("source", "a source for a model that does not translate")):
      with self.subTest(param=param, value=value):
        body = {"model": "demo", "prompt": "the", param: value}
        error = self.refused(openai.BadRequestError, self.client.post,
                             "/completions", body=body, cast_to=object)
        self.assertEqual(error.param, param)
        self.assertEqual(error.type, "invalid_request_error")
        self.assertEqual(set(error.body), {"message", "type", "param", "code"})
        self.assertIn(param, error.message)

  def test_errors_of_the_transport_have_the_form_of_openai(self):
    url = self.server.url + "/v1/completions"
    for response, code in (
        (httpx2.get(url), 405), (httpx2.post(url, json=[]), 400),
        (httpx2.post(url, data={"prompt": "the"}), 415),
        (httpx2.post(url, content="{", headers={
            "content-type": "application/json"}), 400)):
      self.assertEqual(response.status_code, code)
      self.assertEqual(set(response.json()["error"]),
                       {"message", "type", "param", "code"})

  def test_errors_before_a_stream_are_plain(self):
    error = self.refused(openai.BadRequestError, self.complete, stream=True,
                         temperature=-1)
    self.assertEqual(error.param, "temperature")

  def test_what_is_not_there(self):
    error = self.refused(
        openai.NotFoundError, self.client.chat.completions.create, model="demo",
        messages=[{"role": "user", "content": "hi"}])
    self.assertIn("completions", error.message)
    error = self.refused(openai.NotFoundError, self.client.moderations.create,
                         input="the cat")
    self.assertEqual(error.type, "invalid_request_error")
    error = self.refused(openai.BadRequestError, self.client.models.retrieve,
                         "a/b")
    self.assertEqual(error.param, "model")

  def test_the_id_of_a_request(self):
    named = self.complete(extra_headers={"x-request-id": "mine"})
    self.assertEqual(named._request_id, "mine")  # pylint: disable=protected-access
    first, second = self.complete(), self.complete()
    # pylint: disable=protected-access
    self.assertTrue(first._request_id)
    self.assertNotEqual(first._request_id, second._request_id)
    error = self.refused(openai.BadRequestError, self.complete, n=0,
                         extra_headers={"x-request-id": "wrong"})
    self.assertEqual(error.request_id, "wrong")

  def test_a_deadline(self):
    error = self.refused(openai.InternalServerError, self.complete, "lstm",
                         max_tokens=4000, extra_headers={"grpc-timeout": "1n"})
    self.assertEqual(error.status_code, 504)


class EmbeddingTest(ClientTestCase):

  def embed(self, texts, model="lstm", **options):
    """Returns the vectors of Embed."""
    response = self.stub.Embed(dialect.lm.EmbedRequest(
        model=model, texts=texts, **options))
    return [list(embedding.values) for embedding in response.embeddings]

  def texts(self, *texts):
    lm = dialect.lm
    return [lm.Text(text=text) if isinstance(text, str) else
            lm.Text(ids=lm.WordIdList(ids=text)) for text in texts]

  def create(self, texts, model="lstm", **options):
    return self.client.embeddings.create(model=model, input=texts, **options)

  def test_vectors_are_those_of_grpc(self):
    # The client asks for base64 unless it is told otherwise.
    for options in ({}, {"encoding_format": "float"},
                    {"encoding_format": "base64"}):
      answer = self.create(list(PROMPTS), **options)
      self.assertEqual(answer.object, "list")
      self.assertEqual(answer.model, "lstm@1")
      self.assertEqual([item.index for item in answer.data],
                       list(range(len(PROMPTS))))
      found = [item.embedding for item in answer.data]
      if options.get("encoding_format") == "base64":
        found = [struct.unpack(f"<{len(bytes_) // 4}f", bytes_) for bytes_ in
                 map(base64.b64decode, found)]
      expected = self.embed(self.texts(*PROMPTS), normalize=True)
      self.assertEqual([bits(vector) for vector in found],
                       [bits(vector) for vector in expected])
      words = sum(len(prompt.split()) for prompt in PROMPTS)
      self.assertEqual((answer.usage.prompt_tokens, answer.usage.total_tokens),
                       (words, words))

  def test_all_models_with_vectors(self):
    listed = {model.id: model.embedding_dimensions
              for model in self.client.models.list().data}
    self.assertEqual(listed["demo"], 0)
    for model in ("lstm", "bidirectional", "translation", "classifier"):
      answer = self.create("the cat", model)
      self.assertEqual(len(answer.data[0].embedding), listed[model])
      self.assertEqual(
          bits(answer.data[0].embedding),
          bits(self.embed(self.texts("the cat"), model, normalize=True)[0]))

  def test_forms_of_the_input(self):
    for texts in ("the cat", ["the cat", ""], [3, 4, 5], [[3, 4], [5]]):
      is_one = isinstance(texts, str) or isinstance(texts[0], int)
      expected = self.embed(self.texts(*([texts] if is_one else texts)),
                            normalize=True)
      found = [item.embedding for item in self.create(texts).data]
      self.assertEqual(list(map(bits, found)), list(map(bits, expected)))

  def test_extra_members(self):
    for pooling in ("max", "mean", "last"):
      answer = self.create("the cat", dimensions=16,
                           extra_body={"pooling": pooling, "normalize": False})
      expected, = self.embed(
          self.texts("the cat"),
          pooling=getattr(dialect.lm, f"POOLING_{pooling.upper()}"))
      self.assertEqual(bits(answer.data[0].embedding), bits(expected))

  def test_the_path_may_name_the_model(self):
    client = self.connect("/models/lstm/v1")
    answer = client.embeddings.create(model="lstm", input="the cat")
    self.assertEqual(answer.model, "lstm@1")

  def test_errors(self):
    bad = openai.BadRequestError
    for arguments, param, message in (
        (("the", "demo"), None, "cannot embed texts"),
        (([],), "input", "expected at least one text, found none"),
        ((["the", "the <s>"],), "input", "input[1]: word 1: expected no"),
        (([[3], [4_000_000]],), "input", "input[1]: id 0: expected a word id")):
      error = self.refused(bad, self.create, *arguments)
      self.assertEqual(error.param, param)
      self.assertIn(message, error.message)
    for options, param in (
        ({"dimensions": 8}, "dimensions"),
        ({"extra_body": {"pooling": "min"}}, "pooling"),
        ({"extra_body": {"normalize": 1}}, "normalize")):
      error = self.refused(bad, self.create, "the", **options)
      self.assertEqual(error.param, param)
    error = self.refused(openai.NotFoundError, self.create, "the", "nobody")
    self.assertEqual((error.param, error.code), ("model", "model_not_found"))
    refused = self.refused(bad, self.complete, "classifier")
    self.assertIn("call Classify", refused.message)


class LimitsTest(ClientTestCase):

  @classmethod
  def make_arguments(cls):
    return ("--max-message-bytes", "65536", "--max-calls-per-client", "1")

  def counting(self, statuses, on_refusal=lambda: None, **options):
    """A client that notes the status of each answer."""
    def note(response):
      statuses.append(response.status_code)
      if response.status_code == 429:
        on_refusal()

    return self.connect(
        http_client=httpx2.Client(event_hooks={"response": [note]}), **options)

  def test_what_is_too_large_is_not_sent_again(self):
    statuses = []
    client = self.counting(statuses, max_retries=2)
    too_large = self.refused(openai.APIStatusError, client.completions.create,
                             model="demo", prompt="the " * 20_000)
    self.assertEqual(too_large.status_code, 413)
    self.assertEqual(statuses, [413])

  def test_a_busy_server_is_asked_again(self):
    # Until the stream ends, the client may not make another call.
    stream = dialect.open_stream(self.server)
    busy = self.refused(openai.RateLimitError, self.complete)
    self.assertEqual(busy.code, "rate_limit_exceeded")
    self.assertGreaterEqual(int(busy.response.headers["retry-after"]), 1)
    self.assertGreater(int(busy.response.headers["retry-after-ms"]), 0)
    statuses = []
    client = self.counting(statuses, stream.close, max_retries=5)
    answer = client.completions.create(model="demo", prompt="the cat", seed=1)
    self.assertEqual(answer.model, "demo@2")
    self.assertEqual((statuses[0], statuses[-1]), (429, 200))


class TokensTest(ClientTestCase):

  @classmethod
  def make_arguments(cls):
    tokens = cls.path / "tokens"
    tokens.write_text("read 0123456789abcdef somebody\n", encoding="utf-8")
    return ("--tokens", tokens)

  def test_tokens(self):
    for call in (self.client.models.list, self.complete,
                 lambda: self.complete(stream=True)):
      error = self.refused(openai.AuthenticationError, call)
      self.assertEqual(error.code, "invalid_api_key")
    client = self.connect(api_key="0123456789abcdef")
    self.assertTrue(client.models.list().data)
    self.assertTrue(client.completions.create(model="demo", prompt="a").choices)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
