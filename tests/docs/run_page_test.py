# SPDX-License-Identifier: Apache-2.0
"""Tests that run_page notices what a reader of a page would stumble over."""

import pathlib
import tempfile
import time
import unittest

import page as pages
import run_page


class RunPageTest(unittest.TestCase):

  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self._directory = pathlib.Path(directory.name)
    self._reports = []

  def run_text(self, text, seconds=20):
    """Runs a page in a clone that has nothing else. Returns the problems."""
    clone = self._directory / "clone"
    clone.mkdir()
    (clone / "page.md").write_text(text, encoding="utf-8")
    return run_page.run_page(clone, "page.md", seconds, self._directory / "run",
                             self._reports.append)

  def test_blocks_share_a_shell_and_a_directory(self):
    self.assertEqual(self.run_text(
        "```sh\nnumber=3\necho text > file\n```\n"
        "```sh\n[ $number = 3 ]\ngrep -q text file\n```\n"), [])

  def test_names_page_line_and_command(self):
    problems = self.run_text("# Title\n\n```sh\ntrue\n\nfalse 7\ntrue\n```\n")
    self.assertIn("page.md:6: exit code 1: false 7", problems[0])

  def test_shows_what_the_failing_block_printed(self):
    problems = self.run_text("```sh\necho before\nfalse\n```\n")
    self.assertIn("before", problems[1])

  def test_a_command_in_a_pipeline_fails(self):
    self.assertIn("page.md:2:", self.run_text("```sh\nfalse | cat\n```\n")[0])

  def test_a_syntax_error_fails(self):
    self.assertIn("code", self.run_text("```sh\nif true\n```\n")[0])

  def test_a_command_that_does_not_end_fails(self):
    problems = self.run_text("```sh\ntrue\n```\n```sh\nsleep 60\n```\n", 0.5)
    self.assertIn("page.md:4: expected an end", problems[0])

  def test_commands_that_must_fail(self):
    self.assertEqual(self.run_text("```sh\n! false\n! ls \\\n  /none |\n  cat\n```\n"), [])
    for line in ("! true", "! ls \\\n  .", "! true |\n  cat"):
      with self.subTest(line):
        self.setUp()
        problems = self.run_text(f"```sh\n{line}\n```\n")
        self.assertIn("false expected a failure", problems[0])

  def test_ends_what_a_page_leaves(self):
    self.assertEqual(self.run_text(
        "```sh\n(sleep 0.3; mkdir -p ../late) &\n```\n"), [])
    time.sleep(0.6)
    self.assertFalse(any(path.name == "late"
                         for path in self._directory.rglob("*")))

  def test_runs_only_shell_blocks(self):
    self.assertEqual(self.run_text(
        "```text\nfalse\n```\n```cpp\nint i;\n```\n    false\n"), [])

  def test_indented_blocks_and_here_documents(self):
    self.assertEqual(self.run_text(
        "- A list:\n\n  ```sh\n  text=$(cat <<'END'\n  a\n  END\n  )\n"
        "  [ \"$text\" = a ]\n  ```\n"), [])

  def test_blocks_that_need_more_are_skipped_with_a_message(self):
    self.assertEqual(self.run_text(
        "<!-- needs: sh, no-such-program -->\n```sh\nfalse\n```\n"
        "<!-- not run: it takes an hour -->\n\n```sh\nfalse\n```\n"
        "<!-- needs: no_such_module.py -->\n```sh\nfalse\n```\n"), [])
    self.assertEqual(self._reports, [
        "page.md:2: skipped: requires no-such-program",
        "page.md:7: skipped: it takes an hour",
        "page.md:11: skipped: requires no_such_module.py"])

  def test_blocks_whose_needs_are_there_run(self):
    self.assertIn("page.md:3:", self.run_text(
        "<!-- needs: sh, json.py -->\n```sh\nfalse\n```\n")[0])

  def test_saves_files(self):
    self.assertEqual(self.run_text(
        "<!-- file: new/script.py -->\n```python\nprint('a $b')\n```\n"
        "```sh\n[ \"$(python3 new/script.py)\" = 'a $b' ]\n```\n"), [])

  def test_compares_output(self):
    self.assertEqual(self.run_text(
        "```sh\necho above\necho 'ln P   -6.3206  words'\necho below\n```\n"
        "prints\n<!-- output -->\n```text\nln P -6.3210 words\n```\n"), [])

  def test_other_output_fails(self):
    for line in ("ln P -6.5 words", "ln P -6.3206 texts", "ln P words"):
      with self.subTest(line):
        self.setUp()
        problems = self.run_text(
            "```sh\necho 'ln P -6.3206 words'\n```\n"
            f"<!-- output -->\n```text\n{line}\n```\n")
        self.assertIn(f"page.md:6: expected the output '{line}'", problems[0])

  def test_output_in_another_order_fails(self):
    problems = self.run_text("```sh\necho a\necho b\n```\n"
                             "<!-- output -->\n```text\nb\na\n```\n")
    self.assertIn("page.md:8: expected the output 'a'", problems[0])

  def test_tolerance_of_output(self):
    text = ("```sh\necho 100 MB\n```\n<!-- output: within 20 % -->\n"
            "```text\n{} MB\n```\n")
    self.assertEqual(self.run_text(text.format(85)), [])
    self.setUp()
    self.assertIn("page.md:6:", self.run_text(text.format(80))[0])

  def test_output_of_a_skipped_block_is_not_compared(self):
    self.assertEqual(self.run_text(
        "<!-- needs: no-such-program -->\n```sh\ntrue\n```\n"
        "<!-- output -->\n```text\na\n```\n"), [])

  def test_comments_without_a_block_are_errors(self):
    for text in ("<!-- output -->\ntext\n```sh\n```\n", "<!-- needs: a -->\n",
                 "```sh\ntrue\n", "<!-- output -->\n```text\na\n```\n",
                 "```sh\necho 1\n```\n<!-- output: 20 -->\n```text\n1\n```\n"):
      with self.subTest(text):
        self.setUp()
        with self.assertRaises(pages.PageError):
          self.run_text(text)


if __name__ == "__main__":
  unittest.main()
