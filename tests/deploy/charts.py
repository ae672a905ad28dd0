# SPDX-License-Identifier: Apache-2.0
"""Renders the Helm chart with Helm's own code, of helm-python-sdk."""

import pathlib

import helm_python
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "lmserve"
RELEASE, NAMESPACE = "lm", "models"
# The kinds of the object that makes the servers.
WORKLOADS = ("Deployment", "StatefulSet")


def merge(base, more):
  """Returns a copy of nested dictionaries, with more values."""
  merged = dict(base)
  for key, value in more.items():
    both = isinstance(value, dict) and isinstance(merged.get(key), dict)
    merged[key] = merge(merged[key], value) if both else value
  return merged


def example(name):
  """Returns the values of ci/NAME-values.yaml."""
  path = CHART / "ci" / f"{name}-values.yaml"
  return yaml.safe_load(path.read_text(encoding="utf-8"))


EXAMPLES = sorted(path.name.removesuffix("-values.yaml")
                  for path in (CHART / "ci").glob("*-values.yaml"))


def render(values, release=RELEASE):
  """Returns the objects of the chart and the text of NOTES.txt.

  Raises an exception of helm_python if the values do not fit the schema or a
  template refuses them.
  """
  with helm_python.Chart.load(CHART) as chart:
    chart.validate_schema(values)
    files = chart.render(values, name=release, namespace=NAMESPACE)
  notes = "".join(text for path, text in files.items()
                  if path.endswith("NOTES.txt"))
  objects = [document for path, text in sorted(files.items())
             if path.endswith(".yaml")
             for document in yaml.safe_load_all(text) if document]
  return objects, notes


def find(objects, kind, name=None):
  """Returns the only object of a kind, or of a kind and name."""
  found = [entry for entry in objects if entry["kind"] == kind and
           (name is None or entry["metadata"]["name"] == name)]
  if len(found) != 1:
    raise AssertionError(f"{kind} {name}: expected one, found {len(found)}")
  return found[0]


def workload(objects):
  """Returns the object that makes the servers."""
  found, = (entry for entry in objects if entry["kind"] in WORKLOADS)
  return found
