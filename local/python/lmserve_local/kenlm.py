# SPDX-License-Identifier: Apache-2.0
"""The classes of the Python module of KenLM over the models of lmserve.

Model reads ARPA files, plain or compressed, of orders up to 32, tries of KenLM's
build_binary, and models of a store, networks among them. All probabilities are
log10. Differences from the module kenlm 0.3:

- State pickles, and copy.deepcopy() copies it.
- n-grams with <s> after their first word are left out of an ARPA file.
- The n-gram length of a word counts n-grams of the file only, and not those
  that KenLM adds for suffixes that pruning removed.
- Config changes nothing: a model is always read and checked at once.
"""

from lmserve_local._core import FullScoreReturn, KenlmModel, State

__all__ = ["ARPALoadComplain", "Config", "FullScoreReturn", "LanguageModel",
           "LoadMethod", "Model", "State"]

Model = KenlmModel
Model.__module__ = __name__
Model.__name__ = Model.__qualname__ = "Model"
FullScoreReturn.__module__ = __name__

# The name of older programs.
LanguageModel = Model


class LoadMethod:
  """How KenLM loads binary files; without effect here."""

  LAZY = 0
  POPULATE_OR_LAZY = 1
  POPULATE_OR_READ = 2
  READ = 3
  PARALLEL_READ = 4


class ARPALoadComplain:
  """What KenLM says when it reads an ARPA file; without effect here."""

  ALL = 0
  EXPENSIVE = 1
  NONE = 2


class Config:
  """The options of a model; accepted, and without effect."""

  def __init__(self) -> None:
    self.load_method: int = LoadMethod.POPULATE_OR_READ
    self.show_progress: bool = True
    self.arpa_complain: int = ARPALoadComplain.ALL
