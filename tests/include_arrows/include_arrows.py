# SPDX-License-Identifier: Apache-2.0
"""Checks which folders include and link which, by a table of the layout.

    include_arrows.py ROOT          checks the sources and targets below ROOT
    include_arrows.py --self-check  checks that forbidden arrows are found
"""

import pathlib
import re
import sys
import tempfile

# What each folder may include, from the bottom of the project to the top. A row is
# a folder without its subfolders, or one header that has more rights (or more users)
# than its folder. Its sources may include the headers of the row and of the rows
# that it names, and no other headers of the project. "models/" with a slash at
# the end stands for the folder and everything below it.
ARROWS = {
    # The mathematics: interfaces and vocabulary, the families of models, the
    # search that uses them. The factory creates a model of any family; a
    # mixture and a model with caches create their members by the factory.
    "models": [],
    "models/ngram": ["models"],
    "models/ngram/fast": ["models", "models/ngram"],
    "models/ngram/compact": ["models", "models/ngram"],
    "models/neural": ["models"],
    "models/mixture": ["models", "models/model_factory"],
    "models/cache": ["models", "models/neural/kernels",
                     "models/neural/weight_matrix", "models/mixture"],
    "models/search": ["models", "models/neural/kernels"],
    "models/neural_families": ["models", "models/neural"],
    "models/model_factory": ["models", "models/ngram/", "models/neural",
                             "models/mixture", "models/cache"],

    # Versions of models on disk and in memory.
    "model_store": ["models", "models/model_factory"],

    # Candidate lists and their metrics, without a model.
    "reranking": [],

    # Texts as files: compressed, with byte order marks, or not text at all.
    "text_io": [],

    # Files of n-gram models that other programs write.
    "ngram_files": ["models/", "model_store", "text_io"],

    # Models inside another program, and their Python package.
    "local": ["models/", "model_store", "reranking", "ngram_files"],
    "local/python": ["local", "models/"],
    # Programs of a user, who includes installed headers.
    "examples": [],

    # Command lines of all programs, over CLI11.
    "command_line": [],

    # lm_store: copies of stores elsewhere.
    "remote_store": ["model_store", "command_line", "models/printable_text"],

    # lm_trainer: demo, text <- counting <- ngram; text <- neural; ngram, neural
    # <- charts, evaluation, tuning <- commands <- main.
    "trainer/demo": [],
    "trainer/text": ["models", "model_store", "text_io"],
    "trainer/counting": ["trainer/text", "models", "models/ngram/ngram_table",
                         "model_store", "text_io"],
    "trainer/neural": ["trainer/text", "models/", "model_store"],
    "trainer/ngram": ["trainer/text", "trainer/counting", "models/",
                      "model_store", "text_io", "ngram_files"],
    "trainer/charts": ["trainer/neural", "models"],
    "trainer/evaluation": ["trainer/text", "trainer/neural", "models/",
                           "model_store", "text_io"],
    "trainer/tuning": ["trainer/text", "trainer/evaluation", "models/utf8",
                       "models/quoted", "reranking",
                       "text_io"],
    "trainer/commands": ["trainer/text", "trainer/demo", "trainer/neural",
                         "trainer/counting", "trainer/ngram", "trainer/charts",
                         "trainer/evaluation", "trainer/tuning", "models/",
                         "model_store", "reranking", "text_io", "ngram_files",
                         "command_line"],
    "trainer": ["trainer/commands", "command_line",
                "models/printable_text"],

    # lm_server: call <- batching, admission <- handlers <- telemetry
    # <- transport <- rpc, http <- server; http <- openai.
    "server/call": ["models"],
    "server/batching": ["server/call", "models", "model_store"],
    "server/admission": ["server/call", "model_store/mutex",
                         "model_store/sha256", "model_store/stored_file"],
    "server/connections": ["model_store/mutex", "model_store/stored_file"],
    "server/handlers": ["server/call", "server/batching", "server/admission",
                        "models/", "model_store", "reranking"],
    "server/telemetry": ["server/call", "server/batching", "server/admission",
                         "server/connections", "server/handlers",
                         "model_store", "models/printable_text"],
    "server/transport": ["server/call", "server/admission",
                         "server/telemetry", "model_store/mutex", "models/utf8"],
    "server/rpc": ["server/call", "server/admission",
                   "server/connections", "server/handlers",
                   "server/telemetry", "server/transport", "models",
                   "model_store"],
    "server/http": ["server/call", "server/admission", "server/connections",
                    "server/handlers", "server/transport",
                    "models/printable_text", "models/utf8", "model_store"],
    "server/openai": ["server/call", "server/admission", "server/handlers",
                      "server/transport", "server/http", "models", "model_store"],
    "server": ["server/call", "server/batching", "server/admission",
               "server/handlers", "server/telemetry", "server/transport",
               "server/connections", "server/rpc", "server/http",
               "server/openai", "model_store",
               "models/printable_text", "command_line"],

    # The client library and lm_client: they know the server by its messages.
    "client": ["reranking", "text_io", "command_line",
               "models/printable_text", "models/utf8"],
    # A program of a user, who includes installed headers.
    "client/examples/cpp": [],
}

# The headers of other projects that a row may include: the first part of an
# #include, or the whole of it. Every row may include headers of the language and of
# the operating system; models/ only some of them (see OPERATING_SYSTEM).
PROTOBUF = ["google"]
STORE_MESSAGES = ["lm/v1/manifest.pb.h", "lm/v1/reranker.pb.h"]
SERVICE_MESSAGES = ["lm/v1/language_model.pb.h", "lm/v1/reranker.pb.h"]
GRPC = ["grpcpp", "grpc", "lm/v1/language_model.grpc.pb.h"]
LIBRARIES = {
    "command_line": ["absl", "CLI"],
    "models/": ["absl", "Eigen", "hwy", "dnnl.hpp", "oneapi", "nlohmann"],
    "model_store/": ["absl", "openssl"] + PROTOBUF + STORE_MESSAGES,
    "reranking/": ["absl"],
    "remote_store": ["absl", "nlohmann"] + STORE_MESSAGES,
    "trainer/": ["absl", "nlohmann"] + STORE_MESSAGES,
    "ngram_files": ["absl"],
    "local/": ["absl"],
    "local/python": ["nanobind"] + STORE_MESSAGES,
    "examples": ["absl", "lmserve"],
    "text_io": ["absl", "zlib.h", "lzma.h", "bzlib.h", "zstd.h"],
    "server/": ["absl"],
    "server/call": PROTOBUF + SERVICE_MESSAGES,
    "server/admission": ["spdlog", "openssl"],
    "server/handlers": PROTOBUF + SERVICE_MESSAGES + STORE_MESSAGES,
    "server/telemetry": ["prometheus", "spdlog", "nlohmann"] + PROTOBUF +
                        SERVICE_MESSAGES,
    "server/connections": ["boost", "openssl", "spdlog"],
    "server/transport": PROTOBUF,
    "server/http": ["boost", "nlohmann"] + PROTOBUF + SERVICE_MESSAGES,
    "server/openai": ["nlohmann"] + SERVICE_MESSAGES,
    "server/rpc": GRPC + PROTOBUF + SERVICE_MESSAGES + ["opentelemetry"],
    "server": ["spdlog", "nlohmann"] + GRPC + PROTOBUF,
    "client/": ["absl", "nlohmann"] + GRPC + PROTOBUF +
               SERVICE_MESSAGES,
    "client/examples/cpp": ["lmserve"],
}

# models/ may use no files, no threads and no operating system.
OPERATING_SYSTEM = re.compile(
    r"^(fstream|filesystem|cstdio|stdio\.h|iostream|thread|mutex|shared_mutex|"
    r"condition_variable|future|stop_token|semaphore|latch|barrier|atomic|"
    r"pthread\.h|unistd\.h|fcntl\.h|dirent\.h|signal\.h|csignal|sys/.*|"
    r"absl/synchronization/.*)$")

# What the targets of a top folder may link, besides those of their own folder.
LINKS = {
    "command_line": r"absl::|CLI11::",
    "models": r"absl::|Eigen3::|hwy::|DNNL::|OpenMP::|nlohmann_json::",
    "model_store": r"absl::|lm_models$|lm_\w+_proto$|OpenSSL::|Threads::",
    "reranking": r"absl::",
    "remote_store": r"absl::|lm_(model_store|command_line|printable_text)$|"
                    r"nlohmann_json::",
    "text_io": r"absl::|ZLIB::|LibLZMA::|BZip2::|zstd::",
    "trainer": r"absl::|"
               r"lm_(models|model_store|reranking|text_io|ngram_files|"
               r"command_line)$|"
               r"Threads::|nlohmann_json::",
    "ngram_files": r"absl::|lm_(models|model_store|text_io)$",
    "local": r"absl::|lm_(models|model_store|reranking|ngram_files)$|Threads::",
    "examples": r"lmserve::",
    "server": r"absl::|lm_(models|model_store|reranking|command_line)$|"
              r"lm_\w+_proto$|gRPC::|prometheus-cpp::|OpenSSL::|"
              r"spdlog::|Boost::|Threads::|nlohmann_json::",
    "client": r"absl::|lm_(reranking|text_io|command_line|printable_text)$|"
              r"lm_\w+_proto$|gRPC::|nlohmann_json::",
}
# Interface targets that have only flags.
FLAGS = re.compile(r"lmserve_options$")

TOP_FOLDERS = sorted({row.split("/")[0] for row in ARROWS})
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LINK = re.compile(r"target_link_libraries\(\s*(\S+)([^)]*)\)")
TARGET = re.compile(r"add_(?:library|executable)\(\s*(\S+)")


def row_of(path):
  """The row of a source or header: its own, or else its folder's."""
  stem = str(pathlib.PurePosixPath(path).with_suffix(""))
  return stem if stem in ARROWS else str(pathlib.PurePosixPath(path).parent)


def is_below(row, name):
  """Whether a row is the one named, or below one that ends in a slash."""
  return row == name or (name.endswith("/") and (row + "/").startswith(name))


def is_system(header):
  """Whether a header is of the language or the operating system."""
  return (header not in ("zlib.h", "lzma.h", "bzlib.h", "zstd.h", "dnnl.hpp") and
          ("/" not in header or
           re.match(r"(sys|netinet|arpa|bits)/", header)))


def include_problem(path, header):
  """Returns the rule that an #include breaks, or None."""
  row = row_of(path)
  if row not in ARROWS:
    return f"{row}/ has no row in the table of arrows"
  first = header.split("/")[0]
  if row.split("/")[0] == "models" and OPERATING_SYSTEM.match(header):
    return "models/ uses no files, no threads, no operating system"
  if first in TOP_FOLDERS or first == "tests":
    target = row_of(header)
    stem = header.removesuffix(".h")
    allowed = [row] + ARROWS[row]
    if any(is_below(target, name) or stem == name for name in allowed):
      return None
    return f"{row} may know {', '.join(ARROWS[row]) or 'no other folder'}"
  allowed = [library for name, libraries in LIBRARIES.items()
             if is_below(str(pathlib.PurePosixPath(path).parent), name)
             for library in libraries]
  if first in allowed or header in allowed or is_system(header):
    return None
  return f"{row} may use {', '.join(sorted(set(allowed)))}"


def check_includes(root, folder):
  problems = []
  for path in sorted((root / folder).rglob("*")):
    if path.suffix not in (".h", ".cc"):
      continue
    name = path.relative_to(root).as_posix()
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
      match = INCLUDE.match(line)
      rule = match and include_problem(name, match[2])
      if rule:
        problems.append(f"{name}:{number}: {match[2]}: {rule}")
  return problems


def check_links(root, folder):
  """Checks the target_link_libraries() of a top folder."""
  path = root / folder / "CMakeLists.txt"
  if not path.exists():
    return []
  text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
  text = re.sub(r"\$<(?:BUILD_INTERFACE|LINK_ONLY):([^>]*)>", r"\1", text)
  own = set(TARGET.findall(text))
  allowed = re.compile(LINKS[folder])
  problems = []
  for match in LINK.finditer(text):
    number = text.count("\n", 0, match.start()) + 1
    for word in match[2].split():
      library = re.sub(r"^\$<BUILD_INTERFACE:(.*)>$", r"\1", word)
      if (library in ("PUBLIC", "PRIVATE", "INTERFACE") or library in own or
          FLAGS.match(library) or allowed.match(library)):
        continue
      problems.append(f"{folder}/CMakeLists.txt:{number}: {library}: "
                      f"{folder}/ may link {LINKS[folder]}")
  return problems


def check_table():
  """Checks that no row names a later row, so that includes cannot form a cycle.

  The mixture and the factory, which include each other, are the only exception.
  """
  problems = []
  rows = list(ARROWS)
  for index, (row, known) in enumerate(ARROWS.items()):
    for name in known:
      later = [other for other in rows[index + 1:] if is_below(other, name)]
      if later and (row, name) != ("models/mixture", "models/model_factory"):
        problems.append(f"the table: {row} names {name}, a later row")
      if not any(is_below(other, name) or name.startswith(other + "/")
                 for other in rows):
        problems.append(f"the table: {row} names {name}, which does not exist")
  return problems


def check(root):
  problems = []
  sources = 0
  for folder in TOP_FOLDERS:
    sources += sum(1 for _ in (root / folder).rglob("*.cc"))
    problems += check_includes(root, folder) + check_links(root, folder)
  return problems, sources


# A line of a source or of a CMakeLists.txt, and whether it is allowed.
SELF_CHECKS = [
    ("models/a.h", '#include "absl/types/span.h"', True),
    ("models/a.cc", "#include <vector>", True),
    ("models/ngram/a.cc", '#include "models/text.h"', True),
    ("models/ngram/a.cc", '#include "models/neural/kernels.h"', False),
    ("models/neural/a.cc", '#include "models/model_factory.h"', False),
    ("models/text.cc", '#include "models/ngram/fast/ngram_model.h"', False),
    ("models/model_factory.cc", '#include "models/ngram/fast/ngram_model.h"', True),
    ("models/search/a.cc", '#include "models/neural/kernels.h"', True),
    ("models/search/a.cc", '#include "models/neural/linear.h"', False),
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
    ("models/new/a.cc", "#include <vector>", False),
    ("model_store/a.cc", "#include <unistd.h>", True),
    ("model_store/a.cc", "#include <nlohmann/json.hpp>", False),
    ("model_store/a.cc", '#include "lm/v1/manifest.pb.h"', True),
    ("model_store/a.cc", '#include "models/ngram/fast/ngram_model.h"', False),
    ("model_store/a.cc", '#include "lm/v1/language_model.pb.h"', False),
    ("model_store/a.cc", '#include "trainer/text/corpus.h"', False),
    ("reranking/a.cc", '#include "models/text.h"', False),
    ("remote_store/a.cc", '#include "model_store/publish.h"', True),
    ("remote_store/a.cc", '#include "trainer/text/corpus.h"', False),
    ("model_store/a.cc", '#include "remote_store/transport.h"', False),
    ("trainer/ngram/a.cc", '#include "model_store/publish.h"', True),
    ("trainer/ngram/a.cc", '#include "trainer/neural/network.h"', False),
    ("trainer/ngram/a.cc", '#include "server/server.h"', False),
    ("trainer/text/a.cc", '#include "trainer/neural/batches.h"', False),
    ("text_io/a.cc", "#include <zlib.h>", True),
    ("trainer/text/a.cc", '#include "text_io/line_reader.h"', True),
    ("trainer/text/a.cc", "#include <zlib.h>", False),
    ("trainer/ngram/a.cc", "#include <zlib.h>", False),
    ("trainer/tuning/a.cc", '#include "reranking/metric.h"', True),
    ("trainer/neural/a.cc", '#include "trainer/commands/command.h"', False),
    ("trainer/neural/a.cc", "#include <CLI/CLI.hpp>", False),
    ("trainer/commands/a.cc", '#include "command_line/cli.h"', True),
    ("trainer/commands/a.cc", "#include <CLI/CLI.hpp>", False),
    ("command_line/a.cc", "#include <CLI/CLI.hpp>", True),
    ("trainer/commands/a.cc", "#include <grpcpp/channel.h>", False),
    ("trainer/main.cc", '#include "trainer/commands/command.h"', True),
    ("trainer/main.cc", '#include "trainer/text/corpus.h"', False),
    ("server/handlers/a.cc", '#include "server/batching/batcher.h"', True),
    ("server/handlers/a.cc", '#include "server/telemetry/metrics.h"', False),
    ("server/handlers/a.cc", "#include <grpcpp/server.h>", False),
    ("server/batching/a.cc", '#include "server/admission/budget.h"', False),
    ("server/transport/a.cc", "#include <grpcpp/server.h>", False),
    ("server/transport/a.cc", '#include "server/rpc/unary.h"', False),
    ("server/admission/a.cc", '#include "model_store/mutex.h"', True),
    ("server/admission/a.cc", '#include "model_store/model_store.h"', False),
    ("server/rpc/a.cc", '#include "server/server.h"', False),
    ("server/rpc/a.cc", "#include <grpcpp/server.h>", True),
    ("server/http/a.cc", "#include <grpcpp/server.h>", False),
    ("server/http/a.cc", '#include "server/rpc/unary.h"', False),
    ("server/http/a.cc", "#include <boost/beast/http/error.hpp>", True),
    ("server/rpc/a.cc", "#include <boost/asio/post.hpp>", False),
    ("server/rpc/a.cc", '#include "server/http/http_call.h"', False),
    ("server/a.cc", '#include "server/rpc/unary.h"', True),
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
  problems = check_table()
  for name, text, right in SELF_CHECKS:
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory) / name
      path.parent.mkdir(parents=True)
      comment = "#" if name.endswith("txt") else "//"
      path.write_text(f"{comment} a comment\n{text}\n", encoding="utf-8")
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
