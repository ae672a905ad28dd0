# SPDX-License-Identifier: Apache-2.0
"""Calls lm_server all the time and reports each answer that is not right.

    load_client.py < CONFIGURATION

The configuration is one line of JSON: "target", "ca" and "token" (or null),
"models" (names), "expected" (for each content of a version, a map from call to
digest) and "seed". It prints lines of JSON: {"seen": [model, version,
contents]} once for each version and call, with the contents that have this
answer (none if the answer is wrong), {"failed": ...} for each call that fails
or takes 2 s (whose "code" is then SLOW), {"hangs": ...} for one that has not
ended long after its deadline, and {"calls": number} each second. Runs until its
standard input is closed.
"""

import json
import random
import sys
import threading
import time

import grpc

import checked_calls
import good_client

DEADLINE = 5.0
SLOW = 2.0
PAUSE = 0.01


class Load:
  """The calls of all threads."""

  def __init__(self, configuration):
    self._configuration = configuration
    self._options = {"timeout": DEADLINE}
    if configuration["token"]:
      self._options["metadata"] = [
          ("authorization", f"Bearer {configuration['token']}")]
    self._mutex = threading.Lock()
    self._seen, self._calls, self._running = set(), 0, {}
    self.stop = threading.Event()

  def _connect(self):
    return good_client.connect(self._configuration["target"],
                               self._configuration["ca"])

  def _print(self, **fields):
    with self._mutex:
      sys.stdout.write(json.dumps(fields) + "\n")

  def _print_failed(self, model, name, begin, code, message):
    self._print(failed={"model": model, "call": name, "begin": begin,
                        "end": time.time(), "code": code, "message": message})

  def run(self, model, number, new_connections):
    """Makes calls of a model until stop is set."""
    random_ = random.Random(f"{self._configuration['seed']}.{number}")
    channel = self._connect()
    while not self.stop.wait(PAUSE * (20 if new_connections else 1)):
      if new_connections:
        channel.close()
        channel = self._connect()
      name = random_.choice(list(checked_calls.CALLS))
      begin = time.time()
      self._running[number] = (begin, model, name)
      try:
        version, found = checked_calls.CALLS[name](
            channel, model, **self._options)
      except grpc.RpcError as error:
        self._print_failed(model, name, begin, error.code().name,
                           error.details()[:300])
        continue
      finally:
        self._running.pop(number, None)
      if time.time() - begin > SLOW:
        self._print_failed(model, name, begin, "SLOW", "")
      self._check(version, name, found)
    channel.close()

  def _check(self, version, name, found):
    with self._mutex:
      self._calls += 1
    key = (version, name, found)
    if version is None or key in self._seen:
      return
    self._seen.add(key)
    contents = [content for content, answers in
                self._configuration["expected"].items()
                if answers.get(name) == found]
    self._print(seen=[*version, contents], call=name, time=time.time())

  def watch(self):
    """Prints the number of calls, and those that hang."""
    reported = set()
    while not self.stop.wait(1):
      self._print(calls=self._calls)
      for number, running in list(self._running.items()):
        if time.time() > running[0] + DEADLINE + 5 and running not in reported:
          reported.add(running)
          self._print(hangs=[number, *running])


def main():
  sys.stdout.reconfigure(line_buffering=True)
  configuration = json.loads(sys.stdin.readline())
  load, models = Load(configuration), configuration["models"]
  threads = [threading.Thread(target=load.watch)]
  for number, model in enumerate(models):
    threads.append(threading.Thread(target=load.run,
                                    args=(model, number, False)))
  threads.append(threading.Thread(
      target=load.run, args=(models[0], len(models), True)))
  for thread in threads:
    thread.daemon = True
    thread.start()
  sys.stdin.read()
  load.stop.set()
  for thread in threads:
    thread.join(DEADLINE + 5)


if __name__ == "__main__":
  main()
