# SPDX-License-Identifier: Apache-2.0
"""Client of lmserve, a gRPC server for small, fast language models.

Client is blocking; AsyncClient is for asyncio. Both have the same methods.
"""

from lmserve._async_client import AsyncClient, AsyncGeneration
from lmserve._async_decode import AsyncDecodeSession
from lmserve._client import Client, Generation
from lmserve._decode import DecodeSession, Pending
from lmserve._errors import LmserveError
from lmserve._types import (Batch, BeamSearchResponse, BestWords, Candidate,
                            ClassifiedText, ClassifyResponse, DecodedBest,
                            DecodeExtended, DecodeStarted, EmbedResponse,
                            EndReason, GeneratedWord, GenerationEnd, Hypothesis,
                            InspectedLayer, InspectResponse, LabelScores,
                            ListModelsResponse, MinimumBayesRisk, ModelInfo,
                            ModelVersion, NextWords, Normalization, Pooling,
                            PredictResponse, Quantity, RankedCandidate,
                            RefusedVersion, Reranker, RerankerMember,
                            RerankResponse, ScoreResponse, TaggedSentence,
                            TagResponse, Text, TextScore, Tls, Utility,
                            Vocabulary, WordScores)
from lmserve._version import __version__

__all__ = [
    "AsyncClient",
    "AsyncDecodeSession",
    "AsyncGeneration",
    "Batch",
    "BeamSearchResponse",
    "BestWords",
    "Candidate",
    "ClassifiedText",
    "ClassifyResponse",
    "Client",
    "DecodeExtended",
    "DecodeSession",
    "DecodeStarted",
    "DecodedBest",
    "EmbedResponse",
    "EndReason",
    "GeneratedWord",
    "Generation",
    "GenerationEnd",
    "Hypothesis",
    "InspectResponse",
    "InspectedLayer",
    "LabelScores",
    "ListModelsResponse",
    "LmserveError",
    "MinimumBayesRisk",
    "ModelInfo",
    "ModelVersion",
    "NextWords",
    "Normalization",
    "Pending",
    "Pooling",
    "PredictResponse",
    "Quantity",
    "RankedCandidate",
    "RefusedVersion",
    "RerankResponse",
    "Reranker",
    "RerankerMember",
    "ScoreResponse",
    "TagResponse",
    "TaggedSentence",
    "Text",
    "TextScore",
    "Tls",
    "Utility",
    "Vocabulary",
    "WordScores",
    "__version__",
]
