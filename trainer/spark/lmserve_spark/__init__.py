# SPDX-License-Identifier: Apache-2.0
"""N-gram counts of large texts on Apache Spark, for lm_trainer."""

from lmserve_spark.counts import count_ngrams
from lmserve_spark.lines import lines_of, read_lines
from lmserve_spark.sentences import Rules, TextError

__all__ = ["Rules", "TextError", "count_ngrams", "lines_of", "read_lines"]
