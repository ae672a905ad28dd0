# SPDX-License-Identifier: Apache-2.0
"""Any left-to-right model as a language model of pyctcdecode.

    decoder = pyctcdecode.BeamSearchDecoderCTC(
        alphabet, LanguageModel(Model.open("store", "lstm")))

N-gram models may as well be used by pyctcdecode's own LanguageModel, with
lmserve_local.kenlm.Model in the place of kenlm.Model.
"""

from typing import Any, Optional, cast

import pyctcdecode.language_model as base

import lmserve_local

__all__ = ["LanguageModel", "LanguageModelState"]


class LanguageModelState(base.AbstractLMState):  # type: ignore[misc]
  """The state of a hypothesis."""

  def __init__(self, state: lmserve_local.State) -> None:
    self.state = state

  def get_mp_safe_state(self) -> "LanguageModelState":
    """Returns the state itself, which pickles."""
    return self


class LanguageModel(base.AbstractLanguageModel):  # type: ignore[misc]
  """A model of lmserve as pyctcdecode's AbstractLanguageModel.

  Pickles as the name of its model. The scores are those of pyctcdecode's own
  LanguageModel: alpha * ln P + beta for each word.
  """

  def __init__(self, model: lmserve_local.Model, alpha: float = 0.5,
               beta: float = 1.5, unk_score_offset: float = -10.0,
               score_boundary: bool = True,
               partial_words: Optional[bool] = None) -> None:
    """Wraps a model.

    Args:
      model: A left-to-right model.
      alpha: The weight of ln P.
      beta: What each word adds.
      unk_score_offset: What an unknown word adds to its log10 probability.
      score_boundary: Whether texts begin after <s> and end with </s>. False is
        only for n-gram models.
      partial_words: Whether beginnings of words that no known word has are given
        unk_score_offset while they grow. None: if the vocabulary has fewer than
        a million words.
    """
    self._model = model
    self.alpha = alpha
    self.beta = beta
    self.unk_score_offset = unk_score_offset
    self.score_boundary = score_boundary
    if partial_words is None:
      partial_words = model.vocabulary_size < 1_000_000
    self._partial_words = partial_words
    self._beginnings: Optional[Any] = None

  @property
  def order(self) -> int:
    """The number of words that matter for the next one; large for networks."""
    return self._model.order or 1_000

  def get_start_state(self) -> LanguageModelState:
    """Returns the state before a text."""
    if self.score_boundary:
      return LanguageModelState(self._model.start())
    return LanguageModelState(lmserve_local.State())

  def score_partial_token(self, partial_token: str) -> float:
    """Returns the score of the beginning of a word."""
    if not self._partial_words:
      return 0.0
    if self._beginnings is None:
      import pygtrie
      self._beginnings = pygtrie.CharTrie.fromkeys(self._model.words())
    if self._beginnings.has_node(partial_token):
      return 0.0
    # Longer than most words: all the less a word.
    return self.unk_score_offset * max(1.0, len(partial_token) / 6)

  def score(self, prev_state: LanguageModelState, word: str,
            is_last_word: bool = False) -> tuple[float, LanguageModelState]:
    """Returns the score of a word and the state after it."""
    log_probs, states = self._model.extend([prev_state.state], [word])
    log_prob = float(log_probs[0])
    if word not in self._model:
      log_prob += self.unk_score_offset * 2.302585092994046
    if is_last_word and self.score_boundary:
      end, _ = self._model.extend(states, ["</s>"])
      log_prob += float(end[0])
    return self.alpha * log_prob + self.beta, LanguageModelState(states[0])

  def reset_params(self, **params: Any) -> None:
    """Sets alpha, beta, unk_score_offset or score_boundary."""
    for name in ("alpha", "beta", "unk_score_offset", "score_boundary"):
      if params.get(name) is not None:
        setattr(self, name, params[name])

  def __getstate__(self) -> dict[str, Any]:
    return {**self.__dict__, "_beginnings": None}

  @classmethod
  def load_from_dir(cls, filepath: str) -> "LanguageModel":
    """Not supported: open the model of a store."""
    return cast("LanguageModel", super().load_from_dir(filepath))
