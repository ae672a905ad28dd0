# SPDX-License-Identifier: Apache-2.0
"""Models in child processes: forked, and opened again from a pickle."""

import multiprocessing
import os
import pathlib

import pytest

from lmserve_local import Model, kenlm
from conftest import write_random_arpa

TEXT = "the cat is small ."


def score(model):
  return model.score(TEXT)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("name", ["ngram", "lstm"])
def test_pools(store, method, name, monkeypatch):
  # A child that is spawned imports this file.
  monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parent))
  model = Model.open(store, name)
  expected = model.score(TEXT)
  with multiprocessing.get_context(method).Pool(2) as pool:
    assert pool.map(score, [model] * 4) == [expected] * 4


def test_kenlm_in_a_pool(arpa):
  model = kenlm.Model(arpa)
  with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(score, [model] * 4) == [model.score(TEXT)] * 4


def private_kilobytes():
  """Memory that only this process has, which wrote to it."""
  text = pathlib.Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
  return sum(int(line.split()[1]) for line in text.splitlines()
             if line.startswith(("Private_Dirty", "Private_Clean")))


def use_and_measure(model, barrier, queue):
  before = private_kilobytes()
  for _ in range(3):
    model.score_batch([f"w{i} w{i + 1} w{i + 2}" for i in range(1000)])
  barrier.wait()  # while all children live
  queue.put(private_kilobytes() - before)
  barrier.wait()


def memory_of_children(path, count):
  """Returns what 8 children that use a model of `count` words have of their own."""
  with path.open("w", encoding="utf-8") as out:
    out.write(f"\\data\\\nngram 1={count + 3}\n\n\\1-grams:\n"
              "-6 <unk>\n-99 <s>\n-1 </s>\n")
    out.writelines(f"-{5 + i / count} w{i}\n" for i in range(count))
    out.write("\n\\end\\\n")
  model = Model.from_arpa(path)
  context = multiprocessing.get_context("fork")
  barrier, queue = context.Barrier(8), context.Queue()
  children = [context.Process(target=use_and_measure,
                              args=(model, barrier, queue)) for _ in range(8)]
  for child in children:
    child.start()
  own = [queue.get(timeout=60) for _ in children]
  for child in children:
    child.join()
  return own


def test_forked_children_share_the_memory_of_the_model(tmp_path):
  count = 300_000
  small = memory_of_children(tmp_path / "small.arpa", 1000)
  large = memory_of_children(tmp_path / "large.arpa", count)
  size = 20 * count // 1024  # kilobytes of the large model, at least
  # What a child needs for its results is the same for both.
  assert max(large) - min(small) < size / 4, (small, large)


def test_a_version_is_mapped(store):
  model = Model.open(store, "ngram")
  maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8")
  assert os.path.join(store, "ngram", "1", "ngram.bin") in maps
  model.close()
  maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8")
  assert os.path.join(store, "ngram", "1", "ngram.bin") not in maps


def test_random_models_in_children(tmp_path):
  path = tmp_path / "random.arpa"
  words = write_random_arpa(path)
  model = kenlm.Model(str(path))
  reader, writer = os.pipe()
  child = os.fork()
  if child == 0:
    os.write(writer, repr(model.score(" ".join(words))).encode())
    os._exit(0)
  os.waitpid(child, 0)
  assert float(os.read(reader, 100)) == model.score(" ".join(words))
