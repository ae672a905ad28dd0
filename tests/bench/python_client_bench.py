#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the Python package with a server that it starts.

    PYTHONPATH=build/release/python LMSERVE_PROGRAMS=build/release/bin \\
      /usr/bin/python3 tests/bench/python_client_bench.py

Prints one line for each measurement: the median of five rounds.
"""

import argparse
import asyncio
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "client" / "python"))

# pylint: disable=wrong-import-position
import certificates
import live_server
import lmserve

TEXTS = ["the cat is small .", "i have a book .", "jane is walking home ."]


async def calls_per_second(call, seconds, concurrency):
  """Returns how often tasks make a call."""
  count = 0
  end = time.perf_counter() + seconds

  async def repeat():
    nonlocal count
    while time.perf_counter() < end:
      await call()
      count += 1

  start = time.perf_counter()
  await asyncio.gather(*(repeat() for _ in range(concurrency)))
  return count / (time.perf_counter() - start)


async def asyncio_score(address, tls, seconds):
  async with lmserve.AsyncClient(address, tls=tls) as client:
    return await calls_per_second(
        lambda: client.score("en", TEXTS[:1]), seconds, 16)


async def asyncio_predict(address, tls, seconds):
  async with lmserve.AsyncClient(address, tls=tls) as client:
    return await calls_per_second(
        lambda: client.predict("en", ["the cat is"], k=10), seconds, 16)


def blocking_score(address, tls, seconds):
  """Returns the calls of one thread per second."""
  with lmserve.Client(address, tls=tls) as client:
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
      client.score("en", TEXTS[:1])
      count += 1
    return count / (time.perf_counter() - start)


def endless(seconds):
  """Yields batches of 100 texts for some seconds."""
  end = time.perf_counter() + seconds
  while time.perf_counter() < end:
    yield [TEXTS[i % len(TEXTS)] for i in range(100)]


def stream(address, tls, seconds):
  """Returns the texts that score_stream scores per second."""
  with lmserve.Client(address, tls=tls) as client:
    start = time.perf_counter()
    count = sum(len(response.scores)
                for response in client.score_stream("en", endless(seconds)))
    return count / (time.perf_counter() - start)


async def asyncio_stream(address, tls, seconds):
  async with lmserve.AsyncClient(address, tls=tls) as client:
    count, start = 0, time.perf_counter()
    async for response in client.score_stream("en", endless(seconds)):
      count += len(response.scores)
    return count / (time.perf_counter() - start)


def decode(address, tls, seconds):
  """Returns the (state, word) pairs that a session extends per second."""
  with lmserve.Client(address, tls=tls) as client:
    with client.decode("en", ["the", "cat"]) as session:
      words = session.start.ids * 5000
      handles = session.extend([session.start.handle] * len(words),
                               words).handles
      count, start = 0, time.perf_counter()
      while time.perf_counter() < start + seconds:
        handles = session.extend(handles, words, release=handles).handles
        count += len(words)
      return count / (time.perf_counter() - start)


def best(address, tls, seconds):
  """Returns the states for which a session asks the ten best words."""
  with lmserve.Client(address, tls=tls) as client:
    with client.decode("en") as session:
      handles = [session.start.handle] * 1000
      count, start = 0, time.perf_counter()
      while time.perf_counter() < start + seconds:
        count += len(session.best(handles, 10))
      return count / (time.perf_counter() - start)


MEASUREMENTS = {
    "asyncio Score, calls/s": asyncio_score,
    "asyncio Predict, calls/s": asyncio_predict,
    "blocking Score, calls/s": blocking_score,
    "score_stream, texts/s": stream,
    "asyncio score_stream, texts/s": asyncio_stream,
    "Decode extend, pairs/s": decode,
    "Decode best of 10, states/s": best,
}


def measure(measurement, *arguments):
  result = measurement(*arguments)
  return asyncio.run(result) if asyncio.iscoroutine(result) else result


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--seconds", type=float, default=2,
                      help="length of a round [%(default)s]")
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    certificates.make_certificate(folder, "server", "localhost")
    corpus = subprocess.run(
        [live_server.PROGRAMS / "lm_trainer", "demo-corpus"], check=True,
        stdout=subprocess.PIPE, text=True).stdout
    live_server.train_ngram(folder / "store", "en", corpus, order=5)
    with live_server.LiveServer(
        folder / "store", "--tls-certificate", folder / "server.pem",
        "--tls-key", folder / "server.key", listen="localhost:0") as server:
      address = f"localhost:{server.address.rpartition(':')[2]}"
      tls = lmserve.Tls(root_certificates=folder / "server.pem")
      for label, measurement in MEASUREMENTS.items():
        rounds = [measure(measurement, address, tls, options.seconds)
                  for _ in range(5)]
        print(f"{statistics.median(rounds):12.0f}  {label}", flush=True)


if __name__ == "__main__":
  main()
