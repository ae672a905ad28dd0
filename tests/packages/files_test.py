# SPDX-License-Identifier: Apache-2.0
"""Tests the files of the Debian packages: versions, dependencies, completion.

    files_test.py SOURCES PROGRAMS
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCES, PROGRAMS = (pathlib.Path(argument).resolve()
                     for argument in sys.argv[1:3])
SERVICE = SOURCES / "debian/lmserve-server.lmserve.service"
COMPLETION = SOURCES / "packaging/completion"


def complete_in_bash(*words):
  """Returns what bash offers for the last of the words."""
  script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            '_lmserve; printf "%s\\n" "${COMPREPLY[@]}"')
  output = subprocess.run(
      ["bash", "-c", script, "bash", COMPLETION / "lmserve.bash", *words],
      check=True, capture_output=True, text=True).stdout
  return output.split()


def complete_in_fish(*words):
  """Returns what fish offers for the last of the words, but names of files."""
  line = " ".join(words)
  with tempfile.TemporaryDirectory() as empty:
    output = subprocess.run(
        ["fish", "--no-config", "-c",
         f"source {COMPLETION}/lmserve.fish; complete -C '{line}'"],
        cwd=empty, check=True, capture_output=True, text=True).stdout
  return [offer.split("\t")[0] for offer in output.splitlines()]


class FilesTest(unittest.TestCase):

  def test_versions_are_those_of_the_project(self):
    project = re.search(r"project\(lmserve VERSION ([\d.]+)",
                        (SOURCES / "CMakeLists.txt").read_text()).group(1)
    package = re.match(r"lmserve \(([\d.]+)\)",
                       (SOURCES / "debian/changelog").read_text()).group(1)
    self.assertEqual(package, project)

  def test_packages_are_built_with_what_install_packages_installs(self):
    text = (SOURCES / "scripts/install-packages").read_text()
    listed = re.search(r"^build=\((.*?)\)", text, re.M | re.S).group(1).split()
    control = (SOURCES / "debian/control").read_text()
    needed = re.search(r"^Build-Depends:\n(.*?)^\S", control,
                       re.M | re.S).group(1)
    needed = {name.split()[0] for name in needed.split(",") if name.strip()}
    essential = {"ca-certificates", "g++", "git"}  # of build-essential, of Git
    self.assertLessEqual(set(listed) - essential, needed)
    self.assertLessEqual(needed - set(listed), {
        "debhelper-compat", "dh-python", "help2man", "python3",
        "python3-setuptools"})

  def test_options_of_the_configuration_are_those_of_the_server(self):
    text = (SOURCES / "packaging/server.conf").read_text()
    options = re.findall(r"^#?([a-z-]+)=", text, re.M)
    self.assertIn("store", options)
    output = subprocess.run([PROGRAMS / "lm_server", "--help"], check=True,
                            capture_output=True, text=True).stdout
    for option in options:
      self.assertRegex(output, rf"\n  --{option} ")

  def test_the_server_takes_the_configuration(self):
    conf = (SOURCES / "packaging/server.conf").read_text()
    with_options = re.sub(r"^#([a-z-]+=)", r"\1", conf, flags=re.M)
    store = pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
    for text in (conf, with_options):
      checked = subprocess.run(
          [PROGRAMS / "lm_server", "--config", "/dev/stdin", "--store", store,
           "--check-config"], input=text, capture_output=True, text=True)
      self.assertEqual(checked.returncode, 0, checked.stderr)

  def test_the_service_is_restricted(self):
    if shutil.which("systemd-analyze") is None:
      self.skipTest("systemd-analyze is not installed")
    analyzed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20",
         "--no-pager", SERVICE], capture_output=True, text=True)
    self.assertEqual(analyzed.returncode, 0,
                     analyzed.stdout + analyzed.stderr)

  def test_the_service_waits_for_the_drain(self):
    limit = int(re.search(r"^TimeoutStopSec=(\d+)$", SERVICE.read_text(),
                          re.M).group(1))
    conf = (SOURCES / "packaging/server.conf").read_text()
    drain = sum(int(re.search(rf"^{option}=(\d+)$", conf, re.M).group(1))
                for option in ("drain-seconds", "drain-grace-seconds"))
    self.assertGreater(limit, drain)


class CompletionTest(unittest.TestCase):

  def check(self, complete):
    client = str(PROGRAMS / "lm_client")
    trainer = str(PROGRAMS / "lm_trainer")
    server = str(PROGRAMS / "lm_server")
    self.assertEqual(complete(client, "sc"), ["score"])
    self.assertIn("predict", complete(client, ""))
    self.assertEqual(complete(client, "--js"), ["--json"])
    self.assertEqual(complete(client, "score", "--per"), ["--per-word"])
    self.assertEqual(complete(client, "score", "--tls-k"), ["--tls-key"])
    self.assertEqual(sorted(complete(trainer, "recurrent", "--cell", "")),
                     ["gru", "lstm", "rnn"])
    self.assertEqual(complete(trainer, "recurrent", "--cell", "g"), ["gru"])
    self.assertEqual(complete(server, "--drain-g"), ["--drain-grace-seconds"])

  def test_bash(self):
    self.check(complete_in_bash)

  def test_bash_leaves_values_to_names_of_files(self):
    self.assertEqual(
        complete_in_bash(str(PROGRAMS / "lm_server"), "--store", ""), [])

  def test_fish(self):
    if shutil.which("fish") is None:
      self.skipTest("fish is not installed")
    self.check(complete_in_fish)

  def test_zsh_reads_the_file(self):
    if shutil.which("zsh") is None:
      self.skipTest("zsh is not installed")
    subprocess.run(["zsh", "-n", COMPLETION / "_lmserve"], check=True)


class ManualTest(unittest.TestCase):

  def test_each_command_has_a_page(self):
    if shutil.which("help2man") is None:
      self.skipTest("help2man is not installed")
    output = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))
    subprocess.run([SOURCES / "scripts/make-man-pages", PROGRAMS, output],
                   check=True)
    pages = {page.name for page in output.iterdir()}
    self.assertLessEqual({"lm_server.1", "lm_client.1", "lm_trainer.1",
                          "lm_client-score.1", "lm_trainer-ngram.1"}, pages)
    for program in ("lm_client", "lm_trainer", "lm_store"):
      text = subprocess.run([PROGRAMS / program, "--help"], check=True,
                            capture_output=True, text=True).stdout
      commands = re.findall(r"^  ([a-z][a-z-]*) ",
                            text.partition("Subcommands:")[2], re.M)
      self.assertGreater(len(commands), 3)
      for command in commands:
        page = (output / f"{program}-{command}.1").read_text()
        self.assertIn(".SH OPTIONS", page)
        self.assertNotIn("help2man: can't", page)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
