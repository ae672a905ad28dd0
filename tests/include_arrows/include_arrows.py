"""Checks who includes whom, against the rules of the layout.

    include_arrows.py ROOT          checks the sources and targets below ROOT
    include_arrows.py --self-check  checks that a forbidden arrow is found
"""

import pathlib
import re
import sys
import tempfile

# What a folder may use: the first part of an #include, or the whole of it.
COMMON = {"absl"}
GRPC = {"grpcpp", "grpc", "lm/v1/language_model.pb.h",
        "lm/v1/language_model.grpc.pb.h"}
MANIFEST = {"lm/v1/manifest.pb.h", "lm/v1/reranker.pb.h", "google"}
COMMAND_LINE = {"command_line", "nlohmann"}
ALLOWED = {
    "command_line": COMMON | {"command_line", "CLI"},
    "models": COMMON | {"models", "Eigen", "hwy", "dnnl.hpp", "oneapi",
                        "nlohmann"},
    "model_store": COMMON | {"model_store", "models", "openssl"} | MANIFEST,
    "reranking": COMMON | {"reranking"},
    "trainer": COMMON | {"trainer", "models", "model_store", "reranking",
                         "zlib.h", "lzma.h",
                         "lm/v1/manifest.pb.h",
                         "lm/v1/reranker.pb.h"} | COMMAND_LINE,
    "server": COMMON | GRPC | {"server", "models", "model_store", "reranking",
                               "command_line", "spdlog", "google", "prometheus",
                               "openssl", "lm/v1/manifest.pb.h",
                               "lm/v1/reranker.pb.h"},
    "client": COMMON | GRPC | {"client", "reranking", "google"} | COMMAND_LINE,
}

# Of the headers without a folder, those that a folder may not have: files,
# threads and the operating system are not for the mathematics.
OPERATING_SYSTEM = re.compile(
    r"^(fstream|filesystem|cstdio|stdio\.h|iostream|thread|mutex|shared_mutex|"
    r"condition_variable|future|stop_token|semaphore|latch|barrier|atomic|"
    r"pthread\.h|unistd\.h|fcntl\.h|dirent\.h|signal\.h|csignal|sys/.*)$")
THREADS_OF_ABSEIL = re.compile(r"^absl/synchronization/")

# What a folder's targets may link, besides those of their own folder.
LINKS = {
    "command_line": r"absl::|CLI11::|lmserve_options$",
    "models": r"absl::|Eigen3::|hwy::|DNNL::|OpenMP::|nlohmann_json::|"
              r"lmserve_options$",
    "model_store": r"absl::|lmserve_options$|lm_models$|lm_manifest_proto$|lm_reranker_proto$|"
                   r"OpenSSL::|Threads::",
    "reranking": r"absl::|lmserve_options$",
    "trainer": r"absl::|lm_models$|lm_model_store$|lm_reranking$|Threads::|"
               r"ZLIB::|LibLZMA::|lm_command_line$|nlohmann_json::|lmserve_options$",
    "server": r"absl::|lm_models$|lm_model_store$|lm_reranking$|lm_service_proto$|"
              r"lm_error_details_proto$|gRPC::|prometheus-cpp::|OpenSSL::|lm_command_line$|spdlog::|lmserve_options$|Threads::",
    "client": r"absl::|lm_service_proto$|lm_health_proto$|lm_reranking$|"
              r"gRPC::|lm_command_line$|nlohmann_json::|lmserve_options$",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LINK = re.compile(r"target_link_libraries\(\s*(\S+)([^)]*)\)")
TARGET = re.compile(r"add_(?:library|executable)\(\s*(\S+)")


def is_system(header):
  """Whether a header is of the language or the operating system."""
  return "/" not in header or re.match(r"(sys|netinet|arpa|bits)/", header)


def include_problem(folder, header):
  """What rule an #include breaks, or None."""
  first = header.split("/")[0]
  if first in ("tests", "server") and first != folder:
    return f"nothing includes {first}/"
  if folder == "models" and (OPERATING_SYSTEM.match(header) or
                             THREADS_OF_ABSEIL.match(header)):
    return "models/ has no files, no threads, no operating system"
  if first in ALLOWED[folder] or header in ALLOWED[folder]:
    return None
  if is_system(header) and not header.endswith(".hpp"):
    return None
  return f"{folder}/ may use {', '.join(sorted(ALLOWED[folder]))}"


def check_includes(root, folder):
  problems = []
  for path in sorted((root / folder).rglob("*")):
    if path.suffix not in (".h", ".cc"):
      continue
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
      match = INCLUDE.match(line)
      rule = match and include_problem(folder, match[2])
      if rule:
        problems.append(f"{path.relative_to(root)}:{number}: "
                        f"{match[2]}: {rule}")
  return problems


def check_links(root, folder):
  """Checks the target_link_libraries() of a folder."""
  path = root / folder / "CMakeLists.txt"
  if not path.exists():
    return []
  text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
  text = re.sub(r"\$<BUILD_INTERFACE:([^>]*)>", r"\1", text)
  own = set(TARGET.findall(text))
  allowed = re.compile(LINKS[folder])
  problems = []
  for match in LINK.finditer(text):
    number = text.count("\n", 0, match.start()) + 1
    for library in match[2].split():
      if library in ("PUBLIC", "PRIVATE", "INTERFACE") or library in own:
        continue
      if not allowed.match(library):
        problems.append(f"{folder}/CMakeLists.txt:{number}: {library}: "
                        f"{folder}/ may link {LINKS[folder]}")
  return problems


def check(root):
  problems = []
  sources = 0
  for folder in ALLOWED:
    sources += sum(1 for _ in (root / folder).rglob("*.cc"))
    problems += check_includes(root, folder) + check_links(root, folder)
  return problems, sources


# A line of a source or of a CMakeLists.txt, and whether it is all right.
SELF_CHECKS = [
    ("models/a.h", '#include "absl/types/span.h"', True),
    ("models/a.cc", "#include <vector>", True),
    ("models/ngram/a.cc", '#include "models/text.h"', True),
    ("models/neural/a.cc", "#include <nlohmann/json.hpp>", True),
    ("models/a.cc", "#include <fstream>", False),
    ("models/a.cc", "#include <filesystem>", False),
    ("models/a.cc", "#include <unistd.h>", False),
    ("models/a.cc", "#include <sys/mman.h>", False),
    ("models/a.cc", "  #  include <thread>", False),
    ("models/a.cc", '#include "absl/synchronization/mutex.h"', False),
    ("models/a.cc", '#include "lm/v1/manifest.pb.h"', False),
    ("models/a.cc", "#include <grpcpp/server.h>", False),
    ("models/a.cc", '#include "model_store/publish.h"', False),
    ("model_store/a.cc", "#include <unistd.h>", True),
    ("model_store/a.cc", "#include <nlohmann/json.hpp>", False),
    ("model_store/a.cc", '#include "lm/v1/manifest.pb.h"', True),
    ("model_store/a.cc", '#include "lm/v1/language_model.pb.h"', False),
    ("model_store/a.cc", '#include "trainer/text/corpus.h"', False),
    ("reranking/a.cc", '#include "models/text.h"', False),
    ("trainer/a.cc", '#include "model_store/publish.h"', True),
    ("trainer/a.cc", '#include "reranking/metric.h"', True),
    ("trainer/a.cc", '#include "command_line/cli.h"', True),
    ("trainer/ngram/a.cc", '#include "server/server.h"', False),
    ("trainer/a.cc", "#include <grpcpp/channel.h>", False),
    ("server/a.cc", '#include "server/handlers/score.h"', True),
    ("server/a.cc", '#include "client/client.h"', False),
    ("server/a.cc", '#include "trainer/text/corpus.h"', False),
    ("server/a.cc", '#include "tests/testing/process.h"', False),
    ("client/a.cc", '#include "lm/v1/language_model.grpc.pb.h"', True),
    ("client/a.cc", '#include "models/text.h"', False),
    ("client/a.cc", '#include "server/server.h"', False),
    ("client/a.cc", "#include <boost/asio.hpp>", False),
    ("client/a.cc", "// #include <boost/asio.hpp>", True),
    ("models/CMakeLists.txt",
     "target_link_libraries(lm_models PUBLIC absl::span)", True),
    ("models/CMakeLists.txt",
     "target_link_libraries(lm_models PUBLIC gRPC::grpc++)", False),
    ("client/CMakeLists.txt",
     "add_library(a a.cc)\nadd_library(b b.cc)\n"
     "target_link_libraries(b\n  PUBLIC a\n  PRIVATE lm_models)", False),
]


def self_check():
  problems = []
  for name, text, right in SELF_CHECKS:
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory) / name
      path.parent.mkdir(parents=True)
      path.write_text(f"// a comment\n{text}\n".replace(
          "// a comment", "# a comment" if name.endswith("txt") else
          "// a comment"), encoding="utf-8")
      found, _ = check(pathlib.Path(directory))
    if right and found:
      problems.append(f"{name}: {text}: expected no finding, found {found}")
    if not right and not (len(found) == 1 and found[0].startswith(f"{name}:")):
      problems.append(f"{name}: {text}: expected one finding, found {found}")
  return problems, len(SELF_CHECKS)


def main(arguments):
  if arguments == ["--self-check"]:
    problems, checked = self_check()
  elif len(arguments) == 1:
    problems, checked = check(pathlib.Path(arguments[0]))
    if checked == 0:
      problems.append(f"{arguments[0]}: expected sources, found none")
  else:
    print(__doc__, file=sys.stderr)
    return 2
  for problem in problems:
    print(problem)
  print(f"{checked} checked, {len(problems)} forbidden")
  return 1 if problems else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
