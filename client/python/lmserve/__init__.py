"""A client of lmserve, a gRPC server for small, fast language models.

Client blocks, AsyncClient is for asyncio; their methods are the same.
"""

from lmserve._async_client import AsyncClient, AsyncGeneration
from lmserve._client import Client, Generation
from lmserve._errors import LmserveError
from lmserve._types import (Candidate, EndReason, GeneratedWord, GenerationEnd,
                            ListModelsResponse, ModelInfo, ModelVersion,
                            NextWords, Normalization, PredictResponse,
                            RankedCandidate, RefusedVersion, RerankResponse,
                            ScoreResponse, Text, TextScore, Tls, WordScores)

__all__ = [
    "AsyncClient",
    "AsyncGeneration",
    "Candidate",
    "Client",
    "EndReason",
    "GeneratedWord",
    "Generation",
    "GenerationEnd",
    "ListModelsResponse",
    "LmserveError",
    "ModelInfo",
    "ModelVersion",
    "NextWords",
    "Normalization",
    "PredictResponse",
    "RankedCandidate",
    "RefusedVersion",
    "RerankResponse",
    "ScoreResponse",
    "Text",
    "TextScore",
    "Tls",
    "WordScores",
]
