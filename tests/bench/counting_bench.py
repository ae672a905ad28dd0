#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the training of n-gram models in files, by the size of the text.

    LMSERVE_PROGRAMS=build/release/bin tests/bench/counting_bench.py measure \\
      DIRECTORY --memory 1G --results counting.tsv TEXT...
    tests/bench/counting_bench.py plot counting.tsv counting.svg

"measure" trains a model of order 5 on each text, with temporary files in
DIRECTORY. With --kenlm it also trains one with KenLM's lmplz and build_binary,
which are in that directory, with the same memory. It appends a line for each
run to the results: seconds of wall time and of all processors, the most memory
of the process, the most bytes of temporary files, and the bytes of the result.

"plot" draws time and memory against the number of words.
"""

import argparse
import math
import os
import pathlib
import shutil
import subprocess
import threading
import time

COLUMNS = ("what", "words", "wall", "processor", "memory", "disk", "size")


def bytes_below(directory):
  """Returns the bytes of disk that the files of a directory use."""
  total = 0
  for path in pathlib.Path(directory).rglob("*"):
    try:
      total += path.stat().st_blocks * 512
    except OSError:  # removed meanwhile
      pass
  return total


def open_bytes(pid):
  """Returns the bytes of the files that a process has open without a name."""
  total = 0
  try:
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
      if os.readlink(entry).endswith(" (deleted)"):
        total += entry.stat().st_blocks * 512
  except OSError:  # the process has ended
    pass
  return total


def measure(command, directory, **files):
  """Runs a command and returns what it used."""
  process = subprocess.Popen(command, **files)  # waited for by wait4()
  peak = 0
  ended = threading.Event()

  def watch():
    nonlocal peak
    while not ended.wait(0.5):
      peak = max(peak, bytes_below(directory) + open_bytes(process.pid))

  watcher = threading.Thread(target=watch)
  watcher.start()
  start = time.perf_counter()
  _, status, usage = os.wait4(process.pid, 0)
  wall = time.perf_counter() - start
  ended.set()
  watcher.join()
  if status != 0:
    raise SystemExit(f"{command[0]} failed")
  return {"wall": wall, "processor": usage.ru_utime + usage.ru_stime,
          "memory": usage.ru_maxrss * 1024, "disk": peak}


def count_words(text):
  with open(text, "rb") as file:
    return sum(len(line.split()) for line in file)


def measure_lmserve(text, options, work):
  program = os.path.join(os.environ["LMSERVE_PROGRAMS"], "lm_trainer")
  store = os.path.join(options.directory, "store")
  command = [program, "ngram", "--corpus", text, "--order", "5", "--layout",
             "compact", "--memory", options.memory, "--temporary", work,
             "--store", store, "--model", "model"]
  result = measure(command, work, stdout=subprocess.DEVNULL)
  result["size"] = os.stat(f"{store}/model/1/ngram.bin").st_size
  shutil.rmtree(store)
  yield "lm_trainer", result


def measure_kenlm(text, options, work):
  arpa = os.path.join(options.directory, "kenlm.arpa")
  with open(text, "rb") as source, open(arpa, "wb") as target:
    result = measure([f"{options.kenlm}/lmplz", "-o", "5", "-S", options.memory,
                      "-T", work + "/", "--skip_symbols"],
                     work, stdin=source, stdout=target,
                     stderr=subprocess.DEVNULL)
  result["size"] = os.stat(arpa).st_size
  yield "lmplz", result
  binary = os.path.join(options.directory, "kenlm.trie")
  result = measure([f"{options.kenlm}/build_binary", "-S", options.memory, "-T",
                    work + "/", "trie", arpa, binary],
                   work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  result["size"] = os.stat(binary).st_size
  os.remove(arpa)
  os.remove(binary)
  yield "build_binary", result


def run_measure(options):
  work = os.path.join(options.directory, "temporary")
  os.makedirs(work, exist_ok=True)
  for text in options.texts:
    words = count_words(text)
    runs = list(measure_lmserve(text, options, work))
    if options.kenlm:
      runs += measure_kenlm(text, options, work)
    for what, result in runs:
      row = [what, str(words)] + [f"{result[c]:.1f}" if c in COLUMNS[2:4] else
                                  str(result[c]) for c in COLUMNS[2:]]
      with open(options.results, "a", encoding="utf-8") as file:
        file.write("\t".join(row) + "\n")
      print("\t".join(row), flush=True)


WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 260, 68, 28, 40


def panel(x, title, unit, series):
  """Returns SVG of one chart with logarithmic axes."""
  words = [w for _, points, _ in series for w, _ in points]
  values = [v for _, points, _ in series for _, v in points]
  low_w, high_w = math.log10(min(words)) - 0.2, math.log10(max(words)) + 0.2
  low_v, high_v = (math.floor(math.log10(min(values))),
                   math.ceil(math.log10(max(values))))

  def at(word, value):
    return (x + LEFT + (math.log10(word) - low_w) / (high_w - low_w) *
            (WIDTH - LEFT - 16),
            HEIGHT - BOTTOM - (math.log10(value) - low_v) / (high_v - low_v) *
            (HEIGHT - BOTTOM - TOP))

  lines = [f'<text x="{x + LEFT}" y="16" font-weight="bold">{title}</text>']
  for power in range(low_v, high_v + 1):
    _, y = at(min(words), 10.0**power)
    lines.append(f'<path d="M{x + LEFT} {y:.1f}H{x + WIDTH - 16}" '
                 'stroke="#ddd"/>')
    lines.append(f'<text x="{x + LEFT - 6}" y="{y + 4:.1f}" '
                 f'text-anchor="end">{10.0**power:g} {unit}</text>')
  for word in sorted(set(words)):
    column, _ = at(word, 10.0**low_v)
    lines.append(f'<text x="{column:.1f}" y="{HEIGHT - BOTTOM + 16}" '
                 f'text-anchor="middle">{word / 1e6:,.0f} M</text>')
  lines.append(f'<text x="{x + (LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" '
               'text-anchor="middle">words</text>')
  for row, (name, points, color) in enumerate(series):
    places = [at(*point) for point in sorted(points)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    lines.append(f'<polyline points="{path}" fill="none" stroke="{color}" '
                 'stroke-width="2"/>')
    lines += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{color}"/>'
              for a, b in places]
    lines.append(f'<text x="{x + LEFT + 8}" y="{TOP + 12 + 15 * row}" '
                 f'fill="{color}">{name}</text>')
  return lines


def run_plot(options):
  rows = []
  with open(options.results, encoding="utf-8") as file:
    for line in file:
      row = dict(zip(COLUMNS, line.rstrip("\n").split("\t")))
      rows.append(row)

  def points(whats, column, unit):
    """Returns the sum over several programs, by the number of words."""
    sums = {}
    for what in whats:
      for row in rows:
        if row["what"] == what:
          sums.setdefault(int(row["words"]), {})[what] = float(row[column])
    return [(words, sum(values.values()) / unit)
            for words, values in sums.items() if len(values) == len(whats)]

  kenlm = ("lmplz", "build_binary")
  time_series = [
      ("lm_trainer", points(("lm_trainer",), "wall", 1), "#0b62a4"),
      ("lmplz", points(("lmplz",), "wall", 1), "#d98200"),
      ("lmplz and build_binary trie", points(kenlm, "wall", 1), "#b03020")]
  memory_series = [
      ("lm_trainer", points(("lm_trainer",), "memory", 1e9), "#0b62a4"),
      ("lmplz", points(("lmplz",), "memory", 1e9), "#d98200")]
  lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" '
           f'height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{2 * WIDTH}" height="{HEIGHT}" fill="white"/>']
  lines += panel(0, "Time to a model, seconds", "s",
                 [s for s in time_series if s[1]])
  lines += panel(WIDTH, "Memory of the process, gigabytes", "GB",
                 [s for s in memory_series if s[1]])
  lines.append("</svg>\n")
  with open(options.picture, "w", encoding="utf-8") as file:
    file.write("\n".join(lines))


def main():
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  commands = parser.add_subparsers(required=True)
  command = commands.add_parser("measure")
  command.add_argument("directory")
  command.add_argument("texts", nargs="+")
  command.add_argument("--memory", default="1G")
  command.add_argument("--kenlm", help="directory of lmplz and build_binary")
  command.add_argument("--results", default="counting.tsv")
  command.set_defaults(run=run_measure)
  command = commands.add_parser("plot")
  command.add_argument("results")
  command.add_argument("picture")
  command.set_defaults(run=run_plot)
  options = parser.parse_args()
  options.run(options)


if __name__ == "__main__":
  main()
