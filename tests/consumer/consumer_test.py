# SPDX-License-Identifier: Apache-2.0
"""Builds and runs a project that uses the libraries of lmserve.

    consumer_test.py build         the programs of the build of lmserve run
    consumer_test.py subdirectory  a project with add_subdirectory(lmserve)
                                   compiles without our flags and packages
    consumer_test.py install       a project with find_package(lmserve), after
                                   `cmake --install`, compiles, links and runs
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MODEL = "en"
TEXT = "the cat is small"

# Flags that only our own sources must have.
OURS = re.compile(r"-Wall|-Wextra|-Wpedantic|-Wthread-safety|-march|gtest|gmock|"
                  r"googletest|-O1")
# Packages that the libraries do not need.
NOT_NEEDED = ("GTest", "benchmark", "spdlog", "prometheus-cpp", "CLI11")


def run(*command, **more):
  """Runs a command; if it fails, exits with its output."""
  result = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **more)
  if result.returncode != 0:
    raise SystemExit(f"{' '.join(map(str, command))}\n{result.stdout}")
  return result.stdout


def configure(options, build, *arguments, source=HERE):
  run(options.cmake, "-S", source, "-B", build, "-G", "Ninja",
      f"-DCMAKE_CXX_COMPILER={options.compiler}", "-DCMAKE_BUILD_TYPE=Release",
      *arguments)


def check_flags(build, source):
  """Checks the compile lines of the consumer's own sources."""
  commands = json.loads((build / "compile_commands.json").read_text())
  ours = [c["command"] for c in commands
          if pathlib.Path(c["file"]).parent == HERE]
  if len(ours) != 2:
    raise SystemExit(f"expected 2 compile lines, found {len(ours)}")
  for command in ours:
    found = OURS.search(command.replace(str(source), ""))
    if found:
      raise SystemExit(f"expected no {found[0]} in: {command}")
    for folder in re.findall(r"(?:-I|-isystem )\s*(\S+)", command):
      for name in ("models", "local", "client", "lm"):
        if (pathlib.Path(folder) / name).is_dir():
          raise SystemExit(f"{folder} has a folder {name}/: {command}")


def check_packages(build):
  cache = (build / "CMakeCache.txt").read_text()
  for package in NOT_NEEDED:
    if re.search(rf"^{package}_(DIR|LIBRARY)", cache, re.M):
      raise SystemExit(f"{package}: expected no search for this package")


def public_headers(source):
  """The headers in the lists of public headers, and what protoc generates."""
  headers = {"lm/v1/language_model.pb.h", "lm/v1/language_model.grpc.pb.h",
             "lm/v1/manifest.pb.h", "lm/v1/reranker.pb.h"}
  for folder in ("models", "model_store", "reranking", "local", "client"):
    text = (source / folder / "CMakeLists.txt").read_text()
    for arguments in re.findall(r"lm_public_headers\(([^)]*)\)", text):
      headers.update(arguments.split()[2:])
  return headers


def check_headers(prefix, source):
  include = prefix / "include"
  installed = {str(path.relative_to(include / "lmserve"))
               for path in include.rglob("*") if path.is_file()}
  if [path.name for path in include.iterdir()] != ["lmserve"]:
    raise SystemExit(f"expected only lmserve/ in {include}")
  expected = public_headers(source)
  if installed != expected:
    raise SystemExit(f"not installed: {sorted(expected - installed)}; "
                     f"not public: {sorted(installed - expected)}")
  if "models/neural/linear.h" in installed:
    raise SystemExit("a private header is installed")


def check_examples(examples, store):
  """Checks that the programs of examples/ agree about a text."""
  lines = run(examples / "score_text", store, MODEL, TEXT).splitlines()
  score, text = lines[0].split("\t")
  if len(lines) != 4 or text != TEXT or not float(score) < 0:
    raise SystemExit(f"score_text: {lines}")
  # The second hypothesis ends in the place of the last word.
  _, ended = run(examples / "keep_states", store, MODEL,
                 *f"{TEXT} .".split()).split()
  if abs(float(ended) - float(score)) > 1e-3:
    raise SystemExit(f"keep_states: {ended}, score_text: {score}")


def check_programs(bin_folder, programs, examples, folder):
  """Checks that a text has the same score in process and from a server."""
  store = folder / "store"
  corpus = run(bin_folder / "lm_trainer", "demo-corpus", "--sentences", "500")
  run(bin_folder / "lm_trainer", "ngram", "--corpus", "-", "--store", store,
      "--model", MODEL, input=corpus)
  local = run(programs / "score_in_process", store, MODEL, TEXT)
  with subprocess.Popen(
      [bin_folder / "lm_server", "--store", store, "--listen", "127.0.0.1:0",
       "--admin-listen", ""], stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL, text=True) as server:
    try:
      address = server.stdout.readline().split()[-1]
      remote = run(programs / "score_remotely", address, MODEL, TEXT)
    finally:
      server.terminate()
  if not float(local) < 0 or local != remote:
    raise SystemExit(f"in process: {local}, by the server: {remote}")
  check_examples(examples, store)
  version = run(bin_folder / "lm_client", "--version")
  if not re.fullmatch(r"lmserve \d+\.\d+\.\d+ \(([0-9a-f]{12}|unknown)\)\n",
                      version):
    raise SystemExit(f"version: {version}")


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("way", choices=("build", "subdirectory", "install"))
  parser.add_argument("--source", type=pathlib.Path, required=True)
  parser.add_argument("--build", type=pathlib.Path, required=True)
  parser.add_argument("--cmake", required=True)
  parser.add_argument("--compiler", required=True)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    if options.way == "build":
      check_flags(options.build, options.source)
      check_programs(options.build / "bin", options.build / "tests",
                     options.build / "tests", folder)
    elif options.way == "subdirectory":
      build = folder / "build"
      configure(options, build, f"-DLMSERVE_SOURCE={options.source}")
      check_flags(build, options.source)
      check_packages(build)
      # Only the consumer's own sources: the libraries are those of the build.
      objects = [f"CMakeFiles/{program}.dir/{program}.cc.o"
                 for program in ("score_in_process", "score_remotely")]
      run(options.cmake, "--build", build, "--target", *objects)
    else:
      prefix = folder / "prefix"
      run(options.cmake, "--install", options.build, "--prefix", prefix)
      check_headers(prefix, options.source)
      build = folder / "build"
      configure(options, build, f"-DCMAKE_PREFIX_PATH={prefix}")
      check_flags(build, options.source)
      run(options.cmake, "--build", build)
      examples = folder / "examples"
      configure(options, examples, f"-DCMAKE_PREFIX_PATH={prefix}",
                source=options.source / "examples")
      run(options.cmake, "--build", examples)
      check_programs(prefix / "bin", build, examples, folder)


if __name__ == "__main__":
  main()
