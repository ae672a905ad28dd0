# SPDX-License-Identifier: Apache-2.0
"""Checks the description of the HTTP API, server/http/openapi/openapi.json.

    openapi_test.py generated|valid --cache DIR

`generated` checks that it is what scripts/generate-openapi makes of the .proto
files; `valid` that it conforms to OpenAPI 3.1, with a package of PyPI that is kept
in --cache. Exits with 77 if something that the check needs is missing.
"""

import argparse
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/testing"))
import pypi  # pylint: disable=wrong-import-position

DESCRIPTION = ROOT / "server/http/openapi/openapi.json"
VALIDATOR = "openapi-spec-validator==0.9.0"


def check_generated():
  if not shutil.which("protoc") or not importlib.util.find_spec("google.protobuf"):
    pypi.skip("no protoc or no module google.protobuf")
  subprocess.run([sys.executable, "-B", ROOT / "scripts/generate-openapi",
                  "--check"], check=True)


def is_valid(python, path):
  return subprocess.run([python, "-m", "openapi_spec_validator", path],
                        check=False).returncode == 0


def check_valid(cache):
  python = pypi.install(cache, VALIDATOR)
  if not is_valid(python, DESCRIPTION):
    sys.exit(f"{DESCRIPTION} is not valid")
  broken = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
  broken["paths"]["/lm/v1/score"]["post"]["requestBody"] = "score"
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / "broken.json"
    path.write_text(json.dumps(broken), encoding="utf-8")
    if is_valid(python, path):
      sys.exit("the validator finds nothing wrong with a broken description")


def main():
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("check", choices=("generated", "valid"))
  parser.add_argument("--cache", type=pathlib.Path, required=True)
  options = parser.parse_args()
  if options.check == "generated":
    check_generated()
  else:
    check_valid(options.cache)


if __name__ == "__main__":
  main()
