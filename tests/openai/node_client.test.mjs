// SPDX-License-Identifier: Apache-2.0
//
// Uses the server with the openai package of npm. node_client_test.py sets:
//   LMSERVE_MODULES      node_modules with the package
//   LMSERVE_URL          a server; LMSERVE_SECURED_URL one with tokens
//   LMSERVE_BUSY         HOST:PORT of one that allows one call at a time
//   LMSERVE_EXPECTED     what gRPC answers, in JSON
import assert from 'node:assert/strict';
import net from 'node:net';
import {describe, test} from 'node:test';
import {pathToFileURL} from 'node:url';

const {default: OpenAI} = await import(
  pathToFileURL(`${process.env.LMSERVE_MODULES}/openai/index.mjs`).href);
const url = process.env.LMSERVE_URL;
const expected = JSON.parse(process.env.LMSERVE_EXPECTED);

/** A client that sends nothing twice, unless told. */
function connect(baseURL = `${url}/v1`, options = {}) {
  return new OpenAI({baseURL, apiKey: 'none', maxRetries: 0, ...options});
}

const client = connect();
const complete = (options) =>
  client.completions.create({model: 'lstm', prompt: 'the cat', ...options});

/** The floats that are nearest to numbers. */
const floats = (numbers) => Array.from(Float32Array.from(numbers));

/** The error with which a promise fails. */
async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('expected an error');
}

describe('models', () => {
  test('are listed and found by name', async () => {
    const ids = [];
    for await (const model of client.models.list()) {
      assert.equal(model.object, 'model');
      assert.equal(model.owned_by, 'lmserve');
      ids.push(model.id);
    }
    for (const id of ['demo', 'demo@1', 'demo@2', 'lstm', 'lstm@1']) {
      assert.ok(ids.includes(id), id);
    }
    assert.equal((await client.models.retrieve('demo@1')).id, 'demo@1');
  });

  test('that do not exist are not found', async () => {
    const error = await errorOf(client.models.retrieve('nobody'));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
  });
});

describe('completions', () => {
  test('echo a prompt with the scores of gRPC', async () => {
    const {choices: [choice]} = await complete(
      {prompt: expected.prompt, echo: true, max_tokens: 0, logprobs: 2});
    const {tokens, token_logprobs, top_logprobs, text_offset} = choice.logprobs;
    assert.equal(choice.text, expected.prompt);
    assert.equal(tokens.join(''), expected.prompt);
    assert.deepEqual(text_offset, [0, 3, 5]);
    assert.deepEqual(floats(token_logprobs), floats(expected.logProbs));
    top_logprobs.forEach((best, i) => assert.deepEqual(
      floats(Object.values(best)).slice(0, 2), floats(expected.best[i])));
  });

  test('have the words that gRPC draws', async () => {
    const options = {seed: 3, max_tokens: 30, logprobs: 0};
    const {choices: [choice], usage, model} = await complete(options);
    assert.equal(choice.text, expected.text);
    assert.equal(choice.finish_reason, expected.reason);
    assert.equal(choice.logprobs.top_logprobs, null);
    const count = expected.textLogProbs.length;
    assert.deepEqual(floats(choice.logprobs.token_logprobs.slice(0, count)),
                     floats(expected.textLogProbs));
    assert.equal(usage.prompt_tokens, 2);
    assert.equal(model, 'lstm@1');

    let text = '';
    let reason = null;
    let counted = null;
    const stream = await complete(
      {...options, stream: true, stream_options: {include_usage: true}});
    for await (const chunk of stream) {
      if (chunk.usage) counted = chunk.usage;
      for (const piece of chunk.choices) {
        text += piece.text;
        reason ??= piece.finish_reason;
      }
    }
    assert.deepEqual([text, reason], [choice.text, choice.finish_reason]);
    assert.deepEqual(counted, usage);
  });

  test('take lists, ids and stop strings', async () => {
    const {choices} = await complete({prompt: ['a', 'the'], n: 2, seed: 1});
    assert.deepEqual(choices.map(({index}) => index), [0, 1, 2, 3]);
    const ids = await complete({prompt: [[4, 5], [4]], echo: true, max_tokens: 0});
    assert.equal(ids.choices.length, 2);
    assert.ok(ids.choices[0].text.startsWith(`${ids.choices[1].text} `));
    const stopped = await complete({seed: 3, stop: [expected.text.slice(4, 7)]});
    assert.equal(stopped.choices[0].finish_reason, 'stop');
    assert.ok(expected.text.startsWith(stopped.choices[0].text));
  });

  test('of a model in the path', async () => {
    const {choices} = await connect(`${url}/models/demo@1/v1`).completions.create(
      {model: 'demo@1', prompt: 'the', seed: 1});
    const {choices: same} = await complete(
      {model: 'demo@1', prompt: 'the', seed: 1});
    assert.deepEqual(choices, same);
  });

  test('end when a client leaves the stream', async () => {
    for await (const chunk of await complete({stream: true, max_tokens: 500})) {
      assert.ok(chunk.id);
      break;
    }
    assert.equal((await complete({seed: 1})).choices.length, 1);
  });
});

describe('errors', () => {
  test('name the parameter', async () => {
    for (const [param, value] of [['temperature', -1], ['suffix', 'end'],
                                  ['best_of', 3], ['stop', '']]) {
      const error = await errorOf(complete({[param]: value}));
      assert.ok(error instanceof OpenAI.BadRequestError, param);
      assert.equal(error.param, param);
      assert.equal(error.type, 'invalid_request_error');
    }
  });

  test('and answers have the id of the request', async () => {
    const headers = {'x-request-id': 'mine'};
    const answer = await client.completions.create(
      {model: 'lstm', prompt: 'the'}, {headers});
    assert.equal(answer._request_id, 'mine');
    const error = await errorOf(client.completions.create(
      {model: 'lstm', prompt: 'the', n: 0}, {headers}));
    assert.equal(error.requestID, 'mine');
  });

  test('of a call without a token', async () => {
    const base = `${process.env.LMSERVE_SECURED_URL}/v1`;
    const error = await errorOf(connect(base).models.list());
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    const known = connect(base, {apiKey: '0123456789abcdef'});
    assert.ok((await known.models.list()).data.length > 0);
  });

  test('of a busy server are tried again, and too large requests are not', async () => {
    const codes = [];
    const [host, port] = process.env.LMSERVE_BUSY.split(':');
    let held;
    const busy = connect(`http://${host}:${port}/v1`, {
      maxRetries: 5,
      fetch: async (...args) => {
        const response = await fetch(...args);
        codes.push(response.status);
        if (response.status === 429) held.destroy();
        return response;
      },
    });
    const large = await errorOf(
      busy.completions.create({model: 'demo', prompt: 'the '.repeat(20_000)}));
    assert.equal(large.status, 413);
    assert.deepEqual(codes.splice(0), [413]);

    // A call of gRPC's kind, which is in progress until its connection ends.
    held = net.connect(Number(port), host);
    held.write('POST /lm/v1/score:stream HTTP/1.1\r\nHost: localhost\r\n' +
      'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '2a\r\n{"model":"demo","texts":[{"text":"the"}]}\n\r\n');
    await new Promise((resolve) => held.once('data', resolve));
    const answer = await busy.completions.create({model: 'demo', prompt: 'the'});
    assert.equal(answer.object, 'text_completion');
    assert.equal(codes[0], 429);
    assert.equal(codes.at(-1), 200);
  });
});
