# SPDX-License-Identifier: Apache-2.0
"""The package that is built with LMSERVE_NEURAL=OFF."""

import pathlib

import pytest

from lmserve_local import Model, kenlm


def test_no_library_of_networks_is_loaded(arpa):
  Model.from_arpa(arpa).score("the cat")
  loaded = pathlib.Path("/proc/self/maps").read_text(encoding="ascii")
  assert "/_core." in loaded
  assert "libdnnl" not in loaded


def test_ngram_models_answer(arpa, store):
  assert kenlm.Model(arpa).score("the cat is small") == pytest.approx(-1.25)
  model = Model.open(store, "ngram")
  assert model.score("the cow") < 0
  assert len(model.predict("the", 3)) == 3


@pytest.mark.parametrize("name", ["lstm", "window", "tagger", "classifier"])
def test_networks_are_refused(store, name):
  with pytest.raises(OSError, match="no neural networks"):
    Model.open(store, name)
