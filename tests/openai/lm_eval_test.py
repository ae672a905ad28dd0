# SPDX-License-Identifier: Apache-2.0
"""Runs lm-evaluation-harness against a server and checks what it computes.

    lm_eval_test.py PROGRAMS PROTO CACHE

dialect.py explains PROGRAMS and PROTO; CACHE is a directory for the harness. Runs
scripts/lm-eval, as a user does, and compares the numbers with those of gRPC. Exits
with 77 if something that the test needs is missing.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import unittest

if len(sys.argv) != 4:
  sys.exit(__doc__)
CACHE = pathlib.Path(sys.argv.pop())
# pylint: disable=wrong-import-position
import dialect
import page as pages
import pypi

# Of sums of log-probabilities, relative: the harness adds numbers with the fewest
# digits that mean a 32-bit float.
TOLERANCE = 1e-7
TOKEN = "0123456789abcdef"


def install():
  """Lets the script install the harness, or skips the test."""
  try:
    subprocess.run([dialect.ROOT / "scripts/lm-eval", "--install"], check=True,
                   timeout=800, text=True,
                   env={**os.environ, "LM_EVAL_FOLDER": str(CACHE)},
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  except subprocess.CalledProcessError as error:
    pypi.skip(f"cannot install the harness: {error.output}")
  except subprocess.TimeoutExpired:
    pypi.skip("installing the harness takes too long")


class LmEvalTest(dialect.ServedTest):

  @classmethod
  def make_arguments(cls):
    tokens = cls.path / "tokens"
    tokens.write_text(f"read {TOKEN}\n", encoding="utf-8")
    return ("--tokens", tokens)

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    for name in ("Score", "Generate", "GetVocabulary"):
      method = getattr(cls.stub, name)
      setattr(cls.stub, name, lambda request, method=method: method(
          request, metadata=metadata))

  def test_the_command_of_the_docs(self):
    page = (dialect.ROOT / "docs/openai.md").read_text(encoding="utf-8")
    (block,) = [block for block in pages.parse(page)
                if any(line.startswith("lm_eval run") for line in block.lines)]
    install, *command = block.lines
    script = (dialect.ROOT / "scripts/lm-eval").read_text(encoding="utf-8")
    self.assertIn(install.removeprefix("pip install "), script)
    server = dialect.Server(self.store)
    self.addCleanup(server.stop)
    result = subprocess.run(
        ["bash", "-ec", "\n".join(command).replace("localhost:8080", server.http)],
        cwd=dialect.ROOT, check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={
            **os.environ, "PATH": f"{CACHE}/bin:{os.environ['PATH']}",
            "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"})
    self.assertEqual(result.returncode, 0, result.stdout)
    self.assertRegex(result.stdout, r"lmserve_texts +\|")

  def evaluate(self, model, *arguments):
    """Runs the harness. Returns its results and samples by task."""
    output = self.path / f"output-{len(list(self.path.iterdir()))}"
    result = subprocess.run(
        [dialect.ROOT / "scripts/lm-eval", model, "--log_samples",
         "--output_path", output, *arguments], check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={
            **os.environ, "LM_EVAL_FOLDER": str(CACHE),
            "LMSERVE_HTTP": self.server.url, "LMSERVE_TOKEN": TOKEN,
            "PYTHONDONTWRITEBYTECODE": "1"})
    self.assertEqual(result.returncode, 0, result.stdout)
    print("\n".join(line for line in result.stdout.splitlines()
                    if line.startswith("|")))
    self.assertNotIn("Retrying", result.stdout)
    (results,) = output.rglob("results_*.json")
    samples = {}
    for path in output.rglob("samples_*.jsonl"):
      task = path.name.removeprefix("samples_").rpartition("_")[0]
      with path.open(encoding="utf-8") as file:
        samples[task] = [json.loads(line) for line in file]
    return json.loads(results.read_text(encoding="utf-8"))["results"], samples

  def log_likelihood(self, model, context, continuation):
    """Returns the sum over the continuation, and whether it is greedy."""
    words = self.score(model, f"{context} {continuation}", 1)
    begin = len(context.split())
    values = words.log_probs[begin:]
    return sum(values), all(
        best.log_probs[0] == value
        for best, value in zip(words.alternatives[begin:], values))

  def check(self, model, results, samples):
    right = 0
    for sample in samples["lmserve_agreement"]:
      document = sample["doc"]
      found = [(float(value), greedy in (True, "True"))
               for ((value, greedy),) in sample["resps"]]
      expected = [self.log_likelihood(model, document["context"], choice)
                  for choice in document["choices"]]
      self.assertEqual(len(found), len(expected))
      for (value, greedy), (same, is_greedy) in zip(found, expected):
        self.assertTrue(math.isclose(value, same, rel_tol=TOLERANCE))
        self.assertEqual(greedy, is_greedy)
      sums = [value for value, _ in expected]
      right += sums.index(max(sums)) == document["answer"]
    self.assertEqual(len(samples["lmserve_agreement"]), 10)
    self.assertAlmostEqual(results["lmserve_agreement"]["acc,none"], right / 10)

    total = words = bytes_ = 0
    for sample in samples["lmserve_texts"]:
      text = sample["doc"]["text"]
      ((value,),) = sample["resps"]
      expected = sum(self.score(model, text).log_probs)
      self.assertTrue(math.isclose(float(value), expected, rel_tol=TOLERANCE))
      total += expected
      words += len(text.split())
      bytes_ += len(text.encode())
    self.assertEqual(len(samples["lmserve_texts"]), 5)
    self.assertAlmostEqual(results["lmserve_texts"]["word_perplexity,none"],
                           math.exp(-total / words), 3)
    self.assertAlmostEqual(results["lmserve_texts"]["bits_per_byte,none"],
                           -total / bytes_ / math.log(2), 5)

    for sample in samples["lmserve_continuation"]:
      ((text,),) = sample["resps"]
      drawn, _ = self.generate(model, sample["doc"]["beginning"], temperature=0,
                               max_words=20)
      expected = "".join(" " + word.word for word in drawn)
      self.assertEqual(text, expected.partition(" .")[0])
    self.assertEqual(len(samples["lmserve_continuation"]), 3)

  def test_tasks(self):
    for model in ("demo", "lstm"):
      with self.subTest(model=model):
        results, samples = self.evaluate(model)
        self.check(model, results, samples)
    # Batches are lists of ids of different lengths.
    _, batched = self.evaluate("lstm", "--batch_size", "8")
    for task, expected in samples.items():
      self.assertEqual([sample["resps"] for sample in batched[task]],
                       [sample["resps"] for sample in expected])


if __name__ == "__main__":
  install()
  unittest.main(argv=sys.argv[:1])
