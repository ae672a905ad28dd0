# SPDX-License-Identifier: Apache-2.0
"""count_ngrams.py, started by spark-submit."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from counts_test import make_text

SCRIPT = pathlib.Path(
    os.environ["LMSERVE_SOURCES"]) / "trainer" / "spark" / "count_ngrams.py"


def submit(*arguments, master="local[2]"):
  """Starts the script without this test's PYTHONPATH, as on a cluster.

  spark-submit writes what a script prints to its standard output.
  """
  environment = {
      key: value for key, value in os.environ.items() if key != "PYTHONPATH"
  }
  return subprocess.Popen(
      [
          "spark-submit", "--master", master, "--conf",
          "spark.ui.enabled=false", "--conf",
          "spark.ui.showConsoleProgress=false", "--conf",
          "spark.sql.shuffle.partitions=4", SCRIPT, *map(str, arguments)
      ],
      env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
      text=True)


def test_command(tmp_path, models):
  text = make_text(tmp_path / "text", 1000)
  process = submit(text, "--output", tmp_path / "counts", "--parts", 3)
  messages, _ = process.communicate()
  assert process.returncode == 0, messages
  assert "words: " in messages and "windows: " in messages
  models.check_counts(tmp_path / "counts", text)


@pytest.mark.parametrize("arguments,problem", [
    (["no-such-file"], "no-such-file"),
    (["<text>", "--markers", "refuse"], "sentence marker </s> inside the line"),
])
def test_errors_are_one_line(tmp_path, arguments, problem):
  (tmp_path / "bad").write_text("a </s> b\n", encoding="utf-8")
  process = submit(*[
      str(tmp_path / "bad") if argument == "<text>" else argument
      for argument in arguments
  ], "--output", tmp_path / "counts")
  messages, _ = process.communicate()
  assert process.returncode == 1
  line, = (line for line in messages.splitlines() if line.startswith("error: "))
  assert problem in line


@pytest.mark.parametrize("option,value,problem", [
    ("--order", "17", "expected an integer from 1 to 16, found '17'"),
    ("--format", "json", "--format: expected --column, too"),
    ("--order-by", "day", "--order-by: expected --column, too"),
])
def test_wrong_command_line(tmp_path, option, value, problem):
  process = submit("text", "--output", tmp_path / "counts", option, value)
  messages, _ = process.communicate()
  assert process.returncode == 2
  assert problem in messages


def find_executors(driver):
  """Returns the executors that a local cluster has started."""
  found = []
  for task in pathlib.Path(f"/proc/{driver}/task").iterdir():
    for child in (task / "children").read_text(encoding="ascii").split():
      command = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
      if b"CoarseGrainedExecutorBackend" in command:
        found.append(int(child))
  return found


def test_killed_executors_are_replaced(tmp_path, models):
  text = make_text(tmp_path / "text", 60_000)
  process = submit(text, "--output", tmp_path / "counts", "--parts", 5,
                   master="local-cluster[2,1,1024]")
  killed, messages = 0, []
  for line in process.stdout:
    messages.append(line)
    if line.strip() in ("words...", "windows..."):
      executors = find_executors(process.pid)
      while not executors:
        time.sleep(0.1)
        executors = find_executors(process.pid)
      time.sleep(1)
      os.kill(executors[0], signal.SIGKILL)
      killed += 1
  process.wait()
  assert process.returncode == 0, "".join(messages)
  assert killed == 2
  models.check_counts(tmp_path / "counts", text)
