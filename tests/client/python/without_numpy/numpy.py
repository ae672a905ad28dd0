# SPDX-License-Identifier: Apache-2.0
"""Hides NumPy from the tests that have this folder in PYTHONPATH."""

raise ImportError("hidden by a test")
