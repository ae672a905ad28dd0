# SPDX-License-Identifier: Apache-2.0
"""A well-behaved client that measures how long its calls take.

    good_client.py --target HOST:PORT --expect HEX

Calls Score at a fixed rate over one connection, and less often over a new one
each. Prints a line for each call: kind (kept or new), time of the day in
seconds when the call was due, seconds from then to its answer, and OK, the code
of the error, or WRONG if the answer is not the expected one. Runs until its
standard input is closed.
"""

import argparse
import sys
import threading
import time

import grpc

import messages as lm

TEXT = "the cat is small ."
DEADLINE = 5.0


def connect(address, ca):
  # A pool of its own, so that the connection is a new one.
  options = [("grpc.use_local_subchannel_pool", 1),
             ("grpc.initial_reconnect_backoff_ms", 100),
             ("grpc.max_reconnect_backoff_ms", 500)]
  if ca is None:
    return grpc.insecure_channel(address, options=options)
  with open(ca, "rb") as file:
    credentials = grpc.ssl_channel_credentials(file.read())
  options.append(("grpc.ssl_target_name_override", "localhost"))
  return grpc.secure_channel(address, credentials, options=options)


def measure(kind, period, channel, arguments, stop):
  """Makes a call each period, late ones at once, and prints its line."""
  request = lm.score_request("en", [TEXT])
  metadata = []
  if arguments.token:
    metadata.append(("authorization", f"Bearer {arguments.token}"))
  due = time.time()
  while not stop.is_set():
    time.sleep(max(0, due - time.time()))
    code = "OK"
    own = channel or connect(arguments.target, arguments.tls_ca)
    try:
      reply = own.unary_unary(lm.SCORE)(
          request, timeout=DEADLINE, metadata=metadata)
      if arguments.expect and lm.first(reply, 2).hex() != arguments.expect:
        code = "WRONG"
    except grpc.RpcError as error:
      code = error.code().name
    end = time.time()
    if own is not channel:
      own.close()
    sys.stdout.write(f"{kind} {due:.6f} {end - due:.6f} {code}\n")
    due = max(due + period, end - 0.2)  # does not catch up for ever


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--target", required=True)
  parser.add_argument("--tls-ca")
  parser.add_argument("--token")
  parser.add_argument("--expect")
  arguments = parser.parse_args()
  sys.stdout.reconfigure(line_buffering=True)
  stop = threading.Event()
  kept = connect(arguments.target, arguments.tls_ca)
  threads = [
      threading.Thread(target=measure,
                       args=("kept", 0.01, kept, arguments, stop)),
      threading.Thread(target=measure,
                       args=("new", 0.1, None, arguments, stop))]
  for thread in threads:
    thread.start()
  sys.stdin.read()
  stop.set()
  for thread in threads:
    thread.join()
  kept.close()


if __name__ == "__main__":
  main()
