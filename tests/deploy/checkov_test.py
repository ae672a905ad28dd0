# SPDX-License-Identifier: Apache-2.0
"""Checks what the Helm chart renders with checkov, a static analysis of security.

    checkov_test.py CACHE CHECKOV_CACHE

CACHE is a folder for packages of PyPI, as of chart_test.py. Exits with 77 if checkov
is neither on the PATH nor in CHECKOV_CACHE; with LMSERVE_CHECKOV=1 it is installed
there, which takes minutes.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
import pypi  # pylint: disable=wrong-import-position

if len(sys.argv) != 3:
  sys.exit(__doc__)
pypi.enter(sys.argv[1], "helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0",
           "PyYAML")

# pylint: disable=wrong-import-position
import charts
import yaml


def find_checkov():
  cache = pathlib.Path(sys.argv[2])
  if program := shutil.which("checkov"):
    return program
  if (cache / "installed").exists() or os.environ.get("LMSERVE_CHECKOV"):
    return pypi.install(cache, "checkov==3.3.30").parent / "checkov"
  return pypi.skip("checkov is not installed; LMSERVE_CHECKOV=1 installs it")


CHECKOV = find_checkov()
# What the chart leaves out, and why.
ACCEPTED = {
    "CKV_K8S_11": "a limit of CPU slows batches down; requests share the CPU",
    "CKV_K8S_15": "images have tags of releases or digests, so none is pulled again",
    "CKV_K8S_35": "rclone takes credentials of buckets from the environment",
    "CKV_K8S_43": "the digests are those of the user's images: image.digest",
}
ACCEPTED_OF_TEST = {
    "CKV_K8S_8": "the pod of helm test ends",
    "CKV_K8S_9": "the pod of helm test ends",
    "CKV2_K8S_6": "the pod of helm test listens nowhere",
}
# Only in the example that leaves everything as it is.
ACCEPTED_OF_DEFAULTS = {"CKV2_K8S_6": "networkPolicy is off by default"}


class CheckovTest(unittest.TestCase):

  def findings(self, objects):
    """Returns pairs (check, resource) of what checkov finds."""
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory, "rendered.yaml")
      path.write_text(yaml.safe_dump_all(objects), "utf-8")
      result = subprocess.run(
          [CHECKOV, "--file", path, "--framework", "kubernetes", "--output",
           "json", "--skip-download", "--soft-fail"], check=True,
          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    report = json.loads(result.stdout)
    self.assertGreater(report["summary"]["passed"], 20)
    return {(entry["check_id"], entry["resource"])
            for entry in report["results"]["failed_checks"]}

  def test_the_examples(self):
    for name in charts.EXAMPLES:
      with self.subTest(name):
        objects, _ = charts.render(charts.example(name))
        for check, resource in sorted(self.findings(objects)):
          accepted = dict(ACCEPTED)
          if resource.endswith("-test"):
            accepted.update(ACCEPTED_OF_TEST)
          if name in ("claim", "image"):
            accepted.update(ACCEPTED_OF_DEFAULTS)
          self.assertIn(check, accepted, resource)

  def test_that_it_finds_something(self):
    objects, _ = charts.render(charts.merge(
        charts.example("claim"), {"securityContext": {"privileged": True}}))
    self.assertIn("CKV_K8S_16", {check for check, _ in self.findings(objects)})


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1])
