// SPDX-License-Identifier: Apache-2.0
//
// Scores, generates and decodes with a model of lm_server.
//
//     node example.js localhost:50051 ca.pem TOKEN
//
// PROTO is the folder proto/ of lmserve.
'use strict';

const fs = require('fs');
const path = require('path');
const {setTimeout: sleep} = require('timers/promises');

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

const MODEL = 'en';
const PROTO = process.env.PROTO || path.join(__dirname, '../../../proto');

const {lm} = grpc.loadPackageDefinition(loader.loadSync(
    'lm/v1/language_model.proto',
    {includeDirs: [PROTO], defaults: true, oneofs: true, longs: String}));
const details =
    protobuf.loadSync(path.join(PROTO, 'google/rpc/error_details.proto'));

function connect(address, certificate, token) {
  const tls = grpc.credentials.createSsl(fs.readFileSync(certificate));
  const bearer = grpc.credentials.createFromMetadataGenerator(
      (unused, callback) => {
        const metadata = new grpc.Metadata();
        metadata.set('authorization', `Bearer ${token}`);
        callback(null, metadata);
      });
  return new lm.v1.LanguageModelService(
      address, grpc.credentials.combineChannelCredentials(tls, bearer), {
        'grpc.max_receive_message_length': 64 << 20,
        // Connections are retried as often as calls are.
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2000,
        'grpc.enable_retries': 0,
      });
}

// Returns the milliseconds of an error's google.rpc.RetryInfo, or undefined.
function retryInfo(error) {
  for (const bytes of error.metadata?.get('grpc-status-details-bin') ?? []) {
    const status = details.lookupType('google.rpc.Status').decode(bytes);
    for (const detail of status.details) {
      if (detail.type_url.endsWith('/google.rpc.RetryInfo')) {
        const {retryDelay} =
            details.lookupType('google.rpc.RetryInfo').decode(detail.value);
        return Number(retryDelay.seconds) * 1000 + retryDelay.nanos / 1e6;
      }
    }
  }
  return undefined;
}

// Makes a call until it succeeds, fails with an error that is not temporary, or
// the deadline, a Date, is over. Then throws the last error of the server.
async function retry(deadline, call) {
  for (let pause = 100;; pause = Math.min(2 * pause, 2000)) {
    try {
      return await call();
    } catch (error) {
      const asked = retryInfo(error);
      const isTemporary =
          asked !== undefined || error.code === grpc.status.UNAVAILABLE;
      const delay = asked ?? pause * (0.8 + 0.4 * Math.random());
      if (!isTemporary || Date.now() + delay > deadline) throw error;
      await sleep(delay);
    }
  }
}

function inSeconds(seconds) {
  return new Date(Date.now() + 1000 * seconds);
}

// Reads the messages of a stream one by one; null is its end.
function reader(stream) {
  const messages = stream[Symbol.asyncIterator]();
  return async () => {
    const {value, done} = await messages.next();
    return done ? null : value;
  };
}

// Makes a unary call, of low priority and with metadata of its own.
async function score(client) {
  const deadline = inSeconds(5);
  const metadata = new grpc.Metadata();
  metadata.set('lm-priority', 'bulk');
  metadata.set('x-request-id', 'example-1');
  const request = {model: MODEL, texts: [{text: 'the cat is small .'}]};
  const response = await retry(
      deadline, () => new Promise((resolve, reject) => {
        client.score(
            request, metadata, {deadline},
            (error, found) => error ? reject(error) : resolve(found));
      }));
  console.log(`score ${response.scores[0].logProb.toFixed(4)}`);
}

// Reads a stream and prints each word as soon as it arrives. Tries again until
// the first message.
async function generate(client) {
  const deadline = inSeconds(60);
  const request = {
    model: MODEL,
    prompt: {text: 'the cat'},
    temperature: 0,
    maxWords: 5,
  };
  let read;
  let message = await retry(deadline, () => {
    read = reader(client.generate(request, {deadline}));
    return read();
  });
  process.stdout.write('generate');
  for (; message !== null; message = await read()) {
    if (message.word) process.stdout.write(` ${message.word.word}`);
  }
  console.log();
}

// A decode stream, which answers its steps in order.
class Session {
  // Opens a session. Tries again until the start is answered.
  static async start(client, words, deadline) {
    return retry(deadline, async () => {
      const session = new Session(client.decode({deadline}));
      const response = await session.step({start: {model: MODEL, words}});
      session.started = response.started;
      return session;
    });
  }

  constructor(stream) {
    this.stream = stream;
    this.read = reader(stream);
  }

  // Sends a request and waits for its answer. The session stays usable after a
  // step that failed, but not after an error of the stream.
  async step(request) {
    this.stream.write(request);
    const response = await this.read();
    if (response === null) throw new Error('the server has ended the session');
    if (response.failed) {
      throw Object.assign(
          new Error(response.failed.message), {code: response.failed.code});
    }
    return response;
  }

  end() {
    this.stream.end();
  }
}

// Prints ln P(the cat) and the words that may follow. The server keeps the state
// of each hypothesis; the client refers to it by a handle.
async function decode(client) {
  const session = await Session.start(client, ['the', 'cat'], inSeconds(60));
  let {handle} = session.started;
  let logProb = 0;
  for (const word of session.started.ids) {
    const {extended} = await session.step(
        {extend: {handles: [handle], words: [word]}, release: [handle]});
    handle = extended.handles[0];
    logProb += extended.logProbs[0];
  }
  const {best} =
      await session.step({best: {handles: [handle], k: 3, words: true}});
  session.end();
  console.log(`decode ${logProb.toFixed(4)} ${best.words.join(' ')}`);
}

async function main() {
  if (process.argv.length !== 5) {
    throw new Error('usage: example.js ADDRESS CA_CERTIFICATE TOKEN');
  }
  const client = connect(...process.argv.slice(2));
  await score(client);
  await generate(client);
  await decode(client);
  client.close();
}

main().catch((error) => {
  console.error(`example: ${error.message}`);
  process.exit(1);
});
