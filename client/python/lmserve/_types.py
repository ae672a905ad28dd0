"""What goes into the clients' methods and what comes out of them.

The names are those of the messages in proto/lm/v1/language_model.proto, whose
comments say more. Log-probabilities are natural logarithms.
"""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, SupportsIndex, Union

# A text to split into words, words as they stand, or ids of the vocabulary.
Text = Union[str, Sequence[str], Sequence[int]]

# Handles or ids: a list, a tuple, an array.array, an array of NumPy ...
Ids = Iterable[SupportsIndex]


@dataclasses.dataclass(frozen=True)
class Tls:
  """How a connection is encrypted and who its ends are.

  A str or path names a PEM file; bytes are its contents.

  Attributes:
    root_certificates: whom to trust; None for the authorities that gRPC knows.
    private_key: the client's, for a server that asks for one.
    certificate_chain: the client's certificate, which goes with the key.
    server_name: the name that the server's certificate must have, where it is
      not the host of the address.
  """

  root_certificates: str | os.PathLike[str] | bytes | None = None
  private_key: str | os.PathLike[str] | bytes | None = (
      dataclasses.field(default=None, repr=False))
  certificate_chain: str | os.PathLike[str] | bytes | None = None
  server_name: str | None = None


class Normalization(enum.Enum):
  """What Rerank divides a model's log-probability of n words by."""

  SUM = 0  # 1
  MEAN = 1  # n
  POWER = 2  # n^alpha
  UNKNOWN = -1  # only in a Reranker

  @classmethod
  def _missing_(cls, value: Any) -> Normalization:
    """One that only newer servers know."""
    return cls.UNKNOWN


class Utility(enum.Enum):
  """How alike two texts are, from 0 to 100, as sacrebleu says of sentences."""

  BLEU = 0  # words are what stands between white space
  CHRF = 1
  UNKNOWN = -1  # only in a Reranker

  @classmethod
  def _missing_(cls, value: Any) -> Utility:
    """One that only newer servers know."""
    return cls.UNKNOWN


@dataclasses.dataclass(frozen=True)
class MinimumBayesRisk:
  """Chooses the candidate that is most like all, not that of the best score.

  Each of all counts by how probable it is: one of score s by exp(scale s).

  Attributes:
    utility: what candidates are compared by.
    scale: 0 stands for 1.
  """

  utility: Utility = Utility.BLEU
  scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A text to rerank with features of its own, the same for all candidates."""

  text: Text
  features: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Batch:
  """Texts to score with what they translate, one for all or one a text."""

  texts: Sequence[Text]
  sources: Sequence[Text]


@dataclasses.dataclass(frozen=True)
class ModelVersion:
  """The model and version that answered."""

  name: str
  version: int


@dataclasses.dataclass(frozen=True)
class WordScores:
  """Parallel tuples, an element a word scored; the last word may be </s>."""

  words: tuple[str, ...]
  log_probs: tuple[float, ...]
  unknown: tuple[bool, ...]


@dataclasses.dataclass(frozen=True)
class TextScore:
  """How probable a text is; of a bidirectional model, its pseudo-likelihood.

  Attributes:
    log_prob: the sum over all words, </s> included.
    word_count: how many they are.
    unknown_count: how many of them were scored as <unk>.
    known_log_prob: the sum without those.
    perplexity: exp(-log_prob / word_count).
    known_perplexity: the same over the known words; 0 if there are none.
    words: word by word, if that was asked for.
  """

  log_prob: float
  word_count: int
  unknown_count: int
  known_log_prob: float
  perplexity: float
  known_perplexity: float
  words: WordScores | None = None


@dataclasses.dataclass(frozen=True)
class ScoreResponse:
  """A score for each text, in order."""

  model: ModelVersion
  scores: tuple[TextScore, ...]


@dataclasses.dataclass(frozen=True)
class NextWords:
  """Parallel tuples: the best words, best first, or the words asked about."""

  words: tuple[str, ...]
  ids: tuple[int, ...]
  log_probs: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class PredictResponse:
  """The next words of each context, in order."""

  model: ModelVersion
  predictions: tuple[NextWords, ...]


@dataclasses.dataclass(frozen=True)
class RankedCandidate:
  """A candidate by its position in the request.

  Attributes:
    index: that position, from 0.
    score: the sum of weights times features.
    features: in the order of RerankResponse.feature_names.
    expected_utility: with a minimum Bayes risk, what it ranks by; else 0.
  """

  index: int
  score: float
  features: tuple[float, ...]
  expected_utility: float = 0.0


@dataclasses.dataclass(frozen=True)
class RerankResponse:
  """The candidates, best first, and the weights that made them so.

  Of the models, those in reverse come last; of a reranker they are its members.

  Attributes:
    reranker: which one answered, if one was asked.
  """

  models: tuple[ModelVersion, ...]
  feature_names: tuple[str, ...]
  weights: tuple[float, ...]
  candidates: tuple[RankedCandidate, ...]
  reranker: ModelVersion | None = None


@dataclasses.dataclass(frozen=True)
class GeneratedWord:
  """A word and ln P of it under the model itself, whatever the sampling."""

  word: str
  id: int
  log_prob: float


class EndReason(enum.Enum):
  """Why there are no more words."""

  UNSPECIFIED = 0
  END_OF_SENTENCE = 1
  MAX_WORDS = 2
  STOP_WORD = 3
  NO_WORD = 4  # the model gives every allowed word probability 0

  @classmethod
  def _missing_(cls, value: Any) -> EndReason:
    """A reason that only newer servers know."""
    return cls.UNSPECIFIED


@dataclasses.dataclass(frozen=True)
class GenerationEnd:
  """What is known when the last word was generated.

  Attributes:
    reason: why it was the last.
    word_count: how many there were.
    log_prob: ln P of them under the model, and of </s> if it was drawn.
    seed: the seed used, given or drawn.
  """

  reason: EndReason
  word_count: int
  log_prob: float
  seed: int


@dataclasses.dataclass(frozen=True)
class Hypothesis:
  """A text that a beam search found.

  Attributes:
    words: those after the prompt, without </s>.
    ids: of the words.
    log_probs: ln P of the words and, if it ended, of </s>.
    log_prob: their sum.
    score: what it is ranked by.
    ended: with </s>; otherwise max_words cut it off.
  """

  words: tuple[str, ...]
  ids: tuple[int, ...]
  log_probs: tuple[float, ...]
  log_prob: float
  score: float
  ended: bool

  @property
  def text(self) -> str:
    """The words with spaces between."""
    return " ".join(self.words)


@dataclasses.dataclass(frozen=True)
class BeamSearchResponse:
  """The likeliest texts that were found, best first."""

  model: ModelVersion
  hypotheses: tuple[Hypothesis, ...]


@dataclasses.dataclass(frozen=True)
class DecodeStarted:
  """What a decoder knows of its model when it starts.

  Attributes:
    model: which answers for the whole session.
    handle: of the state in which only <s> was read.
    vocabulary_size: ids are below it.
    vocabulary_key: equal where vocabularies are, word by word.
    unknown_id: of <unk>.
    end_id: of </s>.
    ids: of the words asked about; unknown_id where the model has none.
    most_handles: that the session may have at a time.
  """

  model: ModelVersion
  handle: int
  vocabulary_size: int
  vocabulary_key: int
  unknown_id: int
  end_id: int
  ids: tuple[int, ...]
  most_handles: int


@dataclasses.dataclass(frozen=True)
class DecodeExtended:
  """Parallel tuples, an element a pair of handle and word.

  Attributes:
    handles: of the new states; empty if only scores were asked for.
    log_probs: of the words.
    unknown: whether the word is <unk>.
    recombination_keys: of the new states: those with the same key give every
      continuation the same probability. Empty if only scores were asked for.
  """

  handles: tuple[int, ...]
  log_probs: tuple[float, ...]
  unknown: tuple[bool, ...]
  recombination_keys: tuple[int, ...]


class BestWords(NamedTuple):
  """The likeliest next words of a state, best first, and their log_probs.

  Where fewer are possible at all, the rest has log-probability -infinity.
  """

  ids: tuple[int, ...]
  log_probs: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class RerankerMember:
  """A model, and what its features are named after.

  Attributes:
    model: NAME, NAME@VERSION or NAME@ALIAS.
    feature: as the model's own name in Client.rerank.
    reverse: whether it is one of rerank's reverse_models.
  """

  model: str
  feature: str
  reverse: bool


@dataclasses.dataclass(frozen=True)
class Reranker:
  """How a reranker of the model store weighs candidates.

  Attributes:
    members: the models.
    weights: by feature name; a feature without one has weight 0. Empty: the
      members' log-probabilities have weight 1 each.
    normalization: of the members' log-probabilities.
    alpha: of Normalization.POWER.
    minimum_bayes_risk: None: the best score is chosen.
  """

  members: tuple[RerankerMember, ...]
  weights: Mapping[str, float]
  normalization: Normalization
  alpha: float
  minimum_bayes_risk: MinimumBayesRisk | None


@dataclasses.dataclass(frozen=True)
class ModelInfo:
  """What a server says about a version of a model.

  Attributes:
    aliases: that point to this version.
    is_default: whether the name alone stands for it.
    family: "ngram", ...
    properties: architecture and training, for people.
    state_bytes: the size of the model's state, if it has one.
    file_bytes: the size of its files.
    bidirectional: whether it fills gaps, and does not generate.
    load_seconds: what loading took, verification and all.
    translation: whether it translates, and is asked with a source.
    reranker: of the family "reranker", which is no model: it has no words, and
      only Client.rerank_with takes its name. Of a model, None.
  """

  name: str
  version: int
  aliases: tuple[str, ...]
  is_default: bool
  family: str
  properties: Mapping[str, str]
  vocabulary_size: int
  state_bytes: int
  file_bytes: int
  bidirectional: bool
  load_seconds: float
  translation: bool
  reranker: Reranker | None = None


@dataclasses.dataclass(frozen=True)
class RefusedVersion:
  """A version that failed to load."""

  name: str
  version: int
  reason: str


@dataclasses.dataclass(frozen=True)
class ListModelsResponse:
  """All versions a server has, those it refused, and those it is loading."""

  models: tuple[ModelInfo, ...]
  refused: tuple[RefusedVersion, ...]
  loading: tuple[ModelVersion, ...]
