# SPDX-License-Identifier: Apache-2.0
"""Scores, generates and decodes with a model of lm_server.

    python3 example.py localhost:50051 ca.pem TOKEN
"""

import sys

import lmserve

MODEL = "en"


def decode(client):
  """Prints ln P(the cat) and the words that may follow.

  The server keeps the state of each hypothesis; the client refers to it by a
  handle.
  """
  with client.decode(MODEL, words=["the", "cat"]) as session:
    handle, log_prob = session.start.handle, 0.0
    for word in session.start.ids:
      extended = session.extend([handle], [word], release=[handle])
      handle = extended.handles[0]
      log_prob += float(extended.log_probs[0])  # which may be a NumPy float32
    words = session.best([handle], k=3, words=True).words[0]
  print(f"decode {log_prob:.4f}", *words)


def main():
  address, certificate, token = sys.argv[1:]
  # The client retries: see the section on retries. All limits are seconds.
  with lmserve.Client(
      address, token=token, tls=lmserve.Tls(root_certificates=certificate),
      deadline=5, stream_deadline=60) as client:
    # A unary call, of low priority and with metadata of its own.
    response = client.with_options(
        priority="bulk", metadata={"x-request-id": "example-1"}).score(
            MODEL, ["the cat is small ."])
    print(f"score {response.scores[0].log_prob:.4f}")

    # A stream: each word is printed as soon as it arrives.
    print("generate", end="")
    for word in client.generate(MODEL, "the cat", temperature=0, max_words=5):
      print("", word.word, end="", flush=True)
    print()

    decode(client)


if __name__ == "__main__":
  try:
    main()
  except lmserve.LmserveError as error:
    sys.exit(f"example: {error}")
