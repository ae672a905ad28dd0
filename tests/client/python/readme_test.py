# SPDX-License-Identifier: Apache-2.0
"""Runs the Python blocks of client/python/README.md as they are written."""

import pathlib
import re
import subprocess
import sys

import certificates
import live_server
import pytest

README = (pathlib.Path(__file__).resolve().parents[3] / "client" / "python" /
          "README.md")
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"),
                    re.S)
SENTENCES = ["the cat is small .", "a cat is small .", "the dog is big .",
             "i have a book ."]


@pytest.fixture(scope="module", name="server")
def serve(tmp_path_factory):
  """Serves models with the names that the page uses."""
  folder = tmp_path_factory.mktemp("readme")
  source, target = folder / "source.txt", folder / "target.txt"
  target.write_text("\n".join(SENTENCES), encoding="utf-8")
  source.write_text("\n".join(" ".join(reversed(sentence.split()))
                              for sentence in SENTENCES), encoding="utf-8")
  store = folder / "store"
  live_server.train_ngram(store, "en", "\n".join(SENTENCES), order=2)
  live_server.train_translation(store, "turned", source, target)
  live_server.train_recurrent(store, "lstm", folder / "text")
  live_server.train_labels(store, "pos", folder / "words", "words", "tagger",
                           "--format", "columns")
  live_server.train_labels(store, "kind", folder / "sentences", "sentences",
                           "classifier")
  # Neither model alone ranks both references first, so both get a weight.
  lists = [[("b", {"en": -2, "turned": -1, "turned.words": 2}),
            ("a", {"en": -1, "turned": -3, "turned.words": 2})],
           [("b", {"en": -2.5, "turned": -3, "turned.words": 2}),
            ("a", {"en": -3, "turned": -1, "turned.words": 2})]]
  live_server.tune_reranker(store, "best", folder, lists, ["a", "a"],
                            "--member", "en", "--member", "turned")
  with live_server.LiveServer(store) as server:
    yield server.address


@pytest.fixture(scope="module", name="folder")
def make_folder(tmp_path_factory):
  """Makes the certificates that the page names, in the current folder."""
  folder = tmp_path_factory.mktemp("certificates")
  certificates.make_certificate(folder, "ca", "lm.example")
  certificates.make_certificate(folder, "client", "somebody")
  return folder


def test_the_page_has_blocks():
  assert len(BLOCKS) >= 9


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(server, folder, number):
  block = BLOCKS[number]
  script = block.replace("localhost:50051", server)
  assert "lm.example" in block or script != block, "expected a server"
  if "import lmserve" not in script:
    script = f"import lmserve\n{script}"
  run = subprocess.run([sys.executable, "-c", script], cwd=folder, check=False,
                       capture_output=True, text=True, timeout=60)
  assert run.returncode == 0, f"{block}\n{run.stderr}"
  assert not run.stderr
  assert run.stdout or "print(" not in block
