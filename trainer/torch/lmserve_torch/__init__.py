# SPDX-License-Identifier: Apache-2.0
"""Trains the networks of `lm_trainer recurrent` with PyTorch, in many processes."""
