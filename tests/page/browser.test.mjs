// SPDX-License-Identifier: Apache-2.0
// Uses the page as a person would, in Chromium, with a server and small models.
//
//   LMSERVE_BIN       the folder of lm_server and lm_trainer
//   LMSERVE_MODULES   the node_modules with playwright-core and axe-core
//   LMSERVE_CHROMIUM  the browser
//   LMSERVE_SHOTS     where screenshots are left
//   LMSERVE_PAGE_URL  a server that is running already, instead of LMSERVE_BIN

import assert from "node:assert/strict";
import {execFileSync, spawn} from "node:child_process";
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, afterEach, before, beforeEach, test} from "node:test";

const require = createRequire(join(process.env.LMSERVE_MODULES, "package.json"));
const {chromium} = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = process.env.LMSERVE_SHOTS;
const VIEWS = ["read", "write", "rerank", "translate", "label", "models"];
const EXAMS = "as the proctor started the clock the students opened their exams .";

let folder, server, browser, url, context, page, problems;

// Trains small models: seconds, and enough to tell a likely word from an unlikely one.
function makeStore(store) {
  const run = (program, args, options = {}) => execFileSync(join(process.env.LMSERVE_BIN, program), args, {stdio: ["ignore", "pipe", "ignore"], maxBuffer: 1 << 26, ...options});
  const train = join(folder, "train.txt");
  const valid = join(folder, "valid.txt");
  const text = String(run("lm_trainer", ["demo-corpus", "--sentences", "4000"]));
  writeFileSync(train, text);
  writeFileSync(valid, String(run("lm_trainer", ["demo-corpus", "--sentences", "100", "--seed", "2"])));
  const into = (model) => ["--store", store, "--model", model];
  run("lm_trainer", ["ngram", "--corpus", train, "--order", "5", ...into("demo")]);
  const texts = ["--corpus", train, "--valid", valid, "--epochs", "1"];
  run("lm_trainer", ["window", "--embedding", "12", "--hidden", "12", ...texts, ...into("window")]);
  run("lm_trainer", ["recurrent", "--cell", "lstm", "--layers", "1", "--units", "24", "--embedding", "12", "--learning-rate", "0.02", ...texts, ...into("lstm")]);
  const labeled = (kind, seed, sentences) => {
    const file = join(folder, `${kind}.${seed}`);
    writeFileSync(file, String(run("lm_trainer", ["demo-corpus", "--labels", kind, "--seed", seed, "--sentences", sentences])));
    return file;
  };
  const labeler = (model, kind, ...command) =>
    run("lm_trainer", [...command, "--layers", "1", "--units", "12", "--embedding", "12", "--epochs", "2", "--learning-rate", "0.02", "--corpus", labeled(kind, "1", "1500"), "--valid", labeled(kind, "2", "100"), ...into(model)]);
  labeler("pos", "words", "tagger", "--format", "columns", "--character-units", "4");
  labeler("kind", "sentences", "classifier");
  const reversed = (lines) => lines.split("\n").map((line) => line.split(" ").reverse().join(" ")).join("\n");
  writeFileSync(`${train}.reversed`, reversed(text));
  writeFileSync(`${valid}.reversed`, reversed(readFileSync(valid, "utf8")));
  run("lm_trainer", ["translation", "--bidirectional", "--attention", "--units", "24", "--learning-rate", "0.02", "--source", `${train}.reversed`, "--valid-source", `${valid}.reversed`, ...texts, ...into("reversed-en")]);
}

async function startServer(store) {
  const args = ["--store", store, "--listen", "127.0.0.1:0", "--admin-listen", "none", "--http-listen", "127.0.0.1:0"];
  server = spawn(join(process.env.LMSERVE_BIN, "lm_server"), args, {stdio: ["ignore", "pipe", "ignore"]});
  return new Promise((resolve, reject) => {
    let output = "";
    server.stdout.on("data", (data) => {
      output += data;
      const found = /^http on (\S+)$/m.exec(output);
      if (found) resolve(`http://${found[1].replace(/^https?:\/\//, "")}`);
    });
    server.on("exit", (code) => reject(new Error(`lm_server ended with ${code}: ${output}`)));
  });
}

before(async () => {
  mkdirSync(SHOTS, {recursive: true});
  folder = mkdtempSync(join(tmpdir(), "lmserve-page-"));
  url = process.env.LMSERVE_PAGE_URL;
  if (!url) {
    const store = join(folder, "store");
    makeStore(store);
    url = await startServer(store);
  }
  browser = await chromium.launch({executablePath: process.env.LMSERVE_CHROMIUM, args: ["--no-sandbox", "--disable-gpu"]});
});

after(async () => {
  await browser?.close();
  server?.removeAllListeners("exit");
  server?.kill("SIGTERM");
  rmSync(folder, {recursive: true});
});

beforeEach(() => (problems = []));

afterEach(async () => {
  await context?.close();
  context = undefined;
  // A server without Inspect answers 404 or 501, which the page says in words.
  const unexpected = problems.filter((problem) => !/\/lm\/v1\/inspect/.test(problem));
  assert.deepEqual(unexpected, []);
});

// Opens a view, and collects whatever goes wrong in the browser.
async function open(fragment, {width = 1400, height = 900, colorScheme = "light", ...more} = {}) {
  context = await browser.newContext({viewport: {width, height}, colorScheme, reducedMotion: "reduce", permissions: ["clipboard-read", "clipboard-write"], ...more});
  page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(`${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => problems.push(error.message));
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error("CSP", event.violatedDirective, event.blockedURI)));
  await page.goto(`${url}/${fragment}`);
  await page.waitForFunction(() => document.querySelector("#view .view") !== null);
  return page;
}

const settled = () => page.waitForTimeout(700);
// A long text is cut into several tables, one below the other.
const valuesOf = async (group, model) => {
  const tables = await page.locator("table.line").all();
  const values = tables.map((table) => {
    const rows = table.locator("tbody", {hasText: group}).locator("tr:not(.group)");
    return rows.filter({has: page.locator("th", {hasText: model})}).first().locator("td").allTextContents();
  });
  return (await Promise.all(values)).flat().map((text) => text.trim());
};
const chosenWord = () => page.locator(".panel-word").first().textContent();

test("the server sends the page with its policy", async () => {
  const answer = await fetch(`${url}/`);
  assert.equal(answer.status, 200);
  const policy = answer.headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "require-trusted-types-for 'script'"]) assert.ok(policy.includes(part), part);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.equal((await fetch(`${url}/page.js`)).headers.get("content-type"), "text/javascript; charset=utf-8");
  assert.equal((await fetch(`${url}/../server.cc`)).status, 404);
});

test("read: words, tracks, and what was expected", async () => {
  await open("#read");
  await page.waitForSelector("table.line");
  await settled();
  assert.deepEqual(await page.locator(".word").evaluateAll((words) => words.map((word) => word.firstChild.textContent)), [...EXAMS.split(" "), "end"]);
  assert.equal(await chosenWord(), "exams");
  const bits = await valuesOf("surprisal", "demo");
  assert.equal(bits.length, 13);
  assert.ok(bits.every((text) => /^\d+\.\d$/.test(text)), bits.join(" "));
  // A short context cannot know the word, and the network's memory can.
  assert.ok(Number(bits[10]) > 1, bits[10]);
  const influences = await valuesOf("influence", "demo");
  assert.equal(influences[2], "0");
});

test("read: the numbers are those of the API", async () => {
  await open("#read?models=demo&tracks=surprisal,rank,entropy");
  await page.waitForSelector("table.line");
  await settled();
  const answer = await fetch(`${url}/lm/v1/score`, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({model: "demo", texts: [{text: EXAMS}], perWord: true, ranks: true}),
  });
  const {words} = (await answer.json()).scores[0];
  assert.deepEqual(await valuesOf("surprisal", "demo"), words.logProbs.map((logProb) => Math.max(0, -logProb / Math.LN2).toFixed(1)));
  assert.deepEqual(await valuesOf("rank", "demo"), words.ranks.map(String));
  assert.deepEqual(await valuesOf("entropy", "demo"), words.entropies.map((nats) => (nats / Math.LN2).toFixed(1)));
});

test("read: an edit is answered, and a word can be tried in its place", async () => {
  await open("#read?text=the+cat+is+small+.&at=0.1&models=demo&tracks=surprisal");
  await settled();
  assert.equal(await chosenWord(), "cat");
  await page.locator(".panel button.bar-word").first().click();
  await settled();
  const text = await page.locator(".text-field").inputValue();
  assert.notEqual(text, "the cat is small .");
  assert.match(text, /^the \S+ is small \.$/);
  await page.locator(".text-field").fill("small is the cat .\nthe zyx is small .");
  await settled();
  assert.equal(await page.locator(".text").count(), 2);
  assert.match(page.url(), /text=small\+is\+the\+cat/);
});

test("read: gates and states, and the numbers of a unit", async (t) => {
  const request = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({model: "lstm", text: {text: "the cat"}, mostVariable: 1})};
  const answer = await fetch(`${url}/lm/v1/inspect`, request);
  if (answer.status !== 200) return t.skip("the server has no Inspect");
  const inspected = await answer.json();
  await open("#read?models=lstm&tracks=c,f&text=the+cat&at=0.1");
  await settled();
  assert.equal(await page.locator("canvas").count(), 2);
  assert.match(await page.locator("canvas").first().getAttribute("aria-label"), /final memory c after each word: 24 units over 3 words/);
  const unit = inspected.layers[0].units[0];
  await page.getByLabel("Unit of lstm to see in numbers").first().selectOption(String(unit));
  await settled();
  const cells = await page.locator("tbody", {hasText: "final memory"}).locator("tr", {hasText: `unit ${unit}`}).last().locator(".cell").allTextContents();
  const quantity = inspected.layers[0].quantities.indexOf("QUANTITY_FINAL_MEMORY");
  const values = inspected.layers[0].values.slice(quantity * 3 + 1, quantity * 3 + 3).map((value) => Number(value).toFixed(2).replace("-", "−"));
  assert.deepEqual(cells, values);
  assert.match(page.url(), new RegExp(`unit=${unit}`));
});

test("read: unknown words are marked", async () => {
  await open("#read?text=the+zyx+is+small+.&models=demo&tracks=unknown");
  await settled();
  assert.deepEqual(await valuesOf("", "demo"), ["", "unknown", "", "", "", ""]);
});

test("read: long texts wrap, and no word is cut", async () => {
  await open(`#read?models=demo&tracks=surprisal&text=${"the+cat+is+small+.+".repeat(12)}`);
  await settled();
  assert.ok((await page.locator("table.line").count()) > 2);
  const cut = await page.locator(".word").evaluateAll((words) => words.filter((word) => word.scrollWidth > word.clientWidth + 1).length);
  assert.equal(cut, 0);
});

test("read: the tracks are copied as CSV, and a link reopens what one sees", async () => {
  await open("#read?models=demo&tracks=surprisal,rank&at=0.2&text=the+cat+is+small+.");
  await settled();
  await page.getByRole("button", {name: "Copy as CSV"}).click();
  await page.waitForTimeout(100);
  const csv = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(csv, /^quantity,model,the,cat,is,small,\.,<\/s>\r\n"surprisal, bits",demo,[\d.]+,/);
  await page.getByRole("button", {name: "Link"}).click();
  await page.waitForTimeout(100);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  await page.goto("about:blank");
  await page.goto(link);
  await page.waitForSelector("table.line");
  await settled();
  assert.equal(await chosenWord(), "is");
  assert.equal(await page.locator(".toggle[aria-pressed=true]").count(), 3);
});

test("the keyboard alone: views, tracks, words, alternatives", async () => {
  await open("#read?models=demo&tracks=surprisal&at=0.3&text=the+cat+is+small+.");
  await settled();
  await page.keyboard.press("w");
  await page.keyboard.press("ArrowLeft");
  await settled();
  assert.equal(await chosenWord(), "is");
  await page.keyboard.press("End");
  await page.keyboard.press("Home");
  await settled();
  assert.equal(await chosenWord(), "the");
  await page.keyboard.press("r");
  await settled();
  assert.equal((await valuesOf("rank", "demo")).length, 6);
  await page.keyboard.press("?");
  assert.ok(await page.locator("dialog.help").isVisible());
  await page.keyboard.press("Escape");
  await page.keyboard.press("e");
  await page.keyboard.press("End");
  await page.keyboard.type(" r");
  await settled();
  // A key that is typed into a field is no command.
  assert.equal(await page.locator(".text-field").inputValue(), "the cat is small . r");
  await page.keyboard.press("Escape");
  await page.keyboard.press("2");
  await page.waitForSelector(".view.write");
  assert.match(page.url(), /#write/);
  await page.keyboard.press("6");
  await page.waitForSelector(".view.models");
  // Every control can be reached by Tab, and shows that it has the focus.
  const seen = new Set();
  for (let i = 0; i < 24; ++i) {
    await page.keyboard.press("Tab");
    seen.add(await page.evaluate(() => document.activeElement.textContent.trim().slice(0, 30)));
  }
  for (const name of ["Read", "Models", "Link", "Keys"]) assert.ok(seen.has(name), [...seen].join(", "));
});

test("keys of one character can be switched off", async () => {
  await open("#read?models=demo&tracks=surprisal&text=the+cat");
  await page.keyboard.press("?");
  await page.locator("dialog.help input[type=checkbox]").uncheck();
  await page.getByRole("button", {name: "Close"}).click();
  await page.keyboard.press("2");
  await settled();
  assert.match(page.url(), /#read/);
});

test("write: next words while typing, and a continuation", async () => {
  await open("#write?models=demo&by=demo&text=the+cat+");
  await settled();
  assert.equal(await chosenWord(), "Next");
  await page.locator(".text-field").focus();
  await page.keyboard.press("End");
  await page.keyboard.type("i");
  await settled();
  assert.equal(await chosenWord(), "i…");
  const words = await page.locator(".panel .bar-word").allTextContents();
  assert.ok(words.length > 0 && words.every((word) => word.startsWith("i")), words.join(" "));
  await page.locator(".panel button.bar-word", {hasText: /^is$/}).click();
  await settled();
  assert.equal(await page.locator(".text-field").inputValue(), "the cat is ");
  await page.locator("input[aria-label=Seed]").fill("7");
  await page.keyboard.press("Tab");
  await page.getByRole("button", {name: "Continue"}).click();
  await page.waitForSelector(".ending button");
  await settled();
  const drawn = await page.locator('.word[data-role="drawn"]').allTextContents();
  assert.ok(drawn.length > 0);
  assert.match(page.url(), /seed=7.*drawn=1/);
  // The same seed gives the same words, so that a link shows the same.
  await page.reload();
  await page.waitForSelector(".ending button");
  await settled();
  assert.deepEqual(await page.locator('.word[data-role="drawn"]').allTextContents(), drawn);
  await page.getByRole("button", {name: "Keep"}).click();
  await settled();
  assert.equal((await page.locator(".text-field").inputValue()).trim(), `the cat is ${drawn.join(" ")}`);
});

test("write: a continuation can be stopped", async () => {
  await open("#write?models=demo&by=lstm&text=the&words=200&temperature=2");
  await settled();
  await page.keyboard.press("g");
  await page.keyboard.press("g");
  await settled();
  assert.ok(await page.getByRole("button", {name: "Continue"}).isVisible());
});

test("rerank: weights move the rows", async () => {
  await open("#rerank?models=demo");
  await page.waitForSelector("table.ranks");
  await settled();
  const order = () => page.locator("table.ranks tbody .candidate").allTextContents();
  const byModel = await order();
  assert.equal(byModel[0], "i have a book .");
  const slider = page.getByRole("slider", {name: "Weight of demo", exact: true});
  await slider.fill("0");
  await settled();
  const byFeature = await order();
  assert.equal(byFeature[0], "me have a book .");
  assert.match(page.url(), /weights=demo/);
  await page.locator("table.ranks tbody button").last().click();
  await settled();
  assert.equal(await page.locator("[data-mark]").count() > 0, true);
  assert.equal(await page.locator(".candidate button[aria-pressed=true]").count(), 1);
});

test("translate: a beam, its attention, and its way to rerank", async () => {
  await open("#translate");
  await page.waitForSelector("table.ranks tbody tr");
  await settled();
  const translations = await page.locator("table.ranks tbody .candidate").allTextContents();
  assert.equal(translations.length, 8);
  await page.locator("table.ranks tbody button").nth(1).click();
  await settled();
  assert.deepEqual((await page.locator(".word").evaluateAll((words) => words.map((word) => word.firstChild.textContent))).slice(0, -1).join(" "), translations[1]);
  await page.getByRole("button", {name: "Rerank these"}).click();
  await page.waitForSelector(".view.rerank table.ranks tbody tr");
  assert.equal(await page.locator("table.ranks tbody tr").count(), 8);
});

test("label: colored words, bars of labels, and what the API says", async () => {
  await open("#label?text=is+the+cat+small+?%0Athe+wug+is+small+.&at=0.2");
  await page.waitForSelector("table.line");
  await settled();
  const post = async (path, body) => (await fetch(`${url}/lm/v1/${path}`, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)})).json();
  const texts = ["is the cat small ?", "the wug is small ."].map((text) => ({text}));
  const tagged = (await post("tag", {model: "pos", sentences: texts, alternatives: 12})).sentences;
  const classified = (await post("classify", {model: "kind", texts})).texts;
  const labels = await valuesOf("labels", "pos");
  assert.deepEqual(labels, tagged.flatMap((sentence) => sentence.labels));
  // Equal labels have equal colors, and others do not.
  const colors = await page.locator('[data-look="label"]').evaluateAll((cells) => cells.map((cell) => [cell.textContent, getComputedStyle(cell).backgroundColor]));
  assert.ok(new Set(colors.map(([, color]) => color)).size > 2, colors.join(" "));
  for (const [label, color] of colors) assert.equal(colors.find(([other]) => other === label)[1], color);
  assert.equal(await chosenWord(), "cat");
  const bars = () => page.locator(".panel .expectation").last().locator(".bar-word").allTextContents();
  assert.deepEqual(await bars(), classified[0].labels.slice(0, 8));
  const best = await page.locator("table.ranks tbody td").allTextContents();
  assert.deepEqual(best.map((text) => text.split(" ")[0]), classified.map((text) => text.labels[0]));
  await page.locator("table.ranks tbody button").nth(1).click();
  await settled();
  assert.equal(await chosenWord(), "the");
  assert.deepEqual(await bars(), classified[1].labels.slice(0, 8));
  assert.match(page.url(), /at=1\.0/);
  await page.keyboard.press("w");
  await page.keyboard.press("ArrowRight");
  await settled();
  assert.equal(await chosenWord(), "wug");
  assert.match(await page.locator(".panel").textContent(), /unknown word/);
  await page.getByRole("button", {name: "Copy as CSV"}).click();
  await page.waitForTimeout(100);
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^quantity,model,is,the,cat,small,\?\r\nlabels,pos,/);
  // A model can be left out.
  await page.getByRole("button", {name: /^pos/}).click();
  await settled();
  assert.equal(await page.locator('[data-look="label"]').count(), 0);
  assert.match(page.url(), /models=kind/);
});

test("models: what is served, and what happens now", async () => {
  await open("#models");
  await page.waitForSelector("table.ranks tbody tr");
  const names = await page.locator("table.ranks tbody th .name").allTextContents();
  for (const name of ["demo", "lstm", "reversed-en", "window"]) assert.ok(names.includes(name), names.join(" "));
  await page.getByRole("button", {name: "lstm"}).click();
  await page.waitForSelector("tr.details");
  assert.match(await page.locator("tr.details").textContent(), /cell.*lstm/);
  await page.waitForFunction(() => /\d/.test(document.querySelector(".gauge-value")?.textContent ?? ""), null, {timeout: 8000});
});

test("a server with tokens is asked with the one that the reader gives", async () => {
  context = await browser.newContext({viewport: {width: 1000, height: 800}});
  page = await context.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  await page.route("**/lm/v1/**", (route) =>
    route.request().headers().authorization === "Bearer 0123456789abcdef"
      ? route.continue()
      : route.fulfill({status: 401, contentType: "application/json", body: '{"error": {"code": 401, "message": "the server needs a token"}}'}),
  );
  await page.goto(`${url}/#read?models=demo&tracks=surprisal&text=the+cat`);
  await page.getByLabel("Token").fill("0123456789abcdef");
  await page.keyboard.press("Enter");
  await page.waitForSelector("table.line");
  // The token stays in the tab: neither in the address nor in what other tabs see.
  assert.ok(!page.url().includes("0123456789abcdef"));
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("0123456789abcdef")), false);
});

test("light and dark can be chosen, and stay", async () => {
  await open("#read?models=demo&tracks=surprisal&text=the+cat");
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.keyboard.press("t");
  await page.keyboard.press("t");
  const dark = await paper();
  assert.notEqual(dark, light);
  await page.reload();
  await page.waitForSelector("table.line");
  assert.equal(await paper(), dark);
});

test("a newer edit wins over an older one that is answered later", async () => {
  await open("#read?models=demo&tracks=surprisal&text=the+cat");
  await page.waitForSelector("table.line");
  let isFirst = true;
  await page.route("**/lm/v1/score", async (route) => {
    if (isFirst) {
      isFirst = false;
      await page.waitForTimeout(900);
    }
    await route.continue().catch(() => {});
  });
  await page.locator(".text-field").fill("the slow dog");
  await page.waitForTimeout(200);
  await page.locator(".text-field").fill("the quick fox jumps");
  await page.waitForTimeout(1600);
  assert.equal(await page.locator(".word").count(), 5);
});

test("errors are said in words", async () => {
  await open("#read?models=demo&text=the+%3Cs%3E+cat");
  await settled();
  assert.match(await page.locator(".message").first().textContent(), /<s>/);
  problems = problems.filter((problem) => !/status of 400/.test(problem));
});

for (const colorScheme of ["light", "dark"]) {
  for (const view of VIEWS) {
    test(`axe finds nothing in ${view}, ${colorScheme}`, async () => {
      await open(`#${view}${view === "write" ? "?seed=3&drawn=1" : ""}`, {colorScheme});
      await page.waitForSelector("#view table, #view ol");
      await page.waitForTimeout(view === "models" ? 2500 : 1200);
      await page.screenshot({path: join(SHOTS, `${view}-${colorScheme}.png`), fullPage: true});
      await page.evaluate(AXE);
      const result = await page.evaluate(() => globalThis.axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}));
      assert.deepEqual(result.violations.map(({id, nodes}) => [id, nodes.slice(0, 4).map(({target, failureSummary}) => `${target} ${failureSummary}`)]), []);
    });
  }
}

for (const view of VIEWS) {
  test(`${view} fits 320 pixels`, async () => {
    await open(`#${view}`, {width: 320, height: 640});
    await page.waitForSelector("#view table, #view ol");
    await settled();
    await page.screenshot({path: join(SHOTS, `${view}-320.png`), fullPage: true});
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  });
}

test("paper gets the figure without the tools", async () => {
  await open("#read");
  await page.waitForSelector("table.line");
  await settled();
  await page.emulateMedia({media: "print"});
  assert.equal(await page.locator("header").isVisible(), false);
  assert.equal(await page.locator(".controls").isVisible(), false);
  assert.ok(await page.locator("table.line").first().isVisible());
  await page.pdf({path: join(SHOTS, "read.pdf"), format: "A4", printBackground: true});
});
