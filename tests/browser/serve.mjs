// Uses the page of `birnn serve` in a real browser, like a person who types, presses and reads.
//
//     node serve.mjs http://127.0.0.1:PORT [--token T] [--pictures FOLDER] [--scheme light|dark]
//
// The page must say what the server says, ask nothing of any other server, print no error, keep nothing, and have, in each
// state, no horizontal overflow at 390 and at 1280 pixels, in light and in dark, and no violation that axe finds. What a server
// in order does not do (to be busy, slow, broken or away) is put in its place here. With --pictures, screenshots are kept,
// with --scheme only one of the two is looked at.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = [390, 1280];
const TEXT = "Not bad at all: a good film, and <b>never</b> dull & long!\nzzqxv";

let failures = 0;
let name = "";
const check = (isTrue, message) => {
  if (isTrue) return;
  failures += 1;
  console.error(`${name}: ${message}`);
};
const same = (found, wanted, what) => {
  const [a, b] = [found, wanted].map((value) => JSON.stringify(value));
  check(a === b, `${what}: ${a}, not ${b}`);
};

const parameters = process.argv.slice(2);
const option = (flag) => {
  const at = parameters.indexOf(flag);
  return at < 0 ? null : parameters.splice(at, 2)[1];
};
const token = option("--token");
const pictures = option("--pictures");
const scheme = option("--scheme");
if (parameters.length !== 1) throw new Error("name the address of a server");
const address = parameters[0].replace(/\/?$/, "/");

// What the server itself says.
async function ask(where, body) {
  const headers = { "Content-Type": "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(new URL(where, address), body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  if (!answer.ok) throw new Error(`${where}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
const predict = async (model, text) => {
  const answer = await ask(`v1/models/${encodeURIComponent(model.name)}/predict`, { inputs: text, details: true });
  return Array.isArray(answer) ? answer[0] : answer;
};
const inWords = (answer) => (answer.labels ?? [answer.label]).join(", ") || "none of the labels";
const { models } = await ask("v1/models");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
for (const colorScheme of scheme ? [scheme] : ["light", "dark"]) {
  // What does not come at all ends the use, but does not hide where.
  await usePage(colorScheme).catch((error) => check(false, error.stack));
}
await browser.close();
if (failures > 0) {
  console.error(`${failures} problems`);
  process.exit(1);
}
console.log(`the page of ${models.length} models: it does what it should, no errors, no violations`);

async function usePage(colorScheme) {
  name = colorScheme;
  const context = await browser.newContext({ colorScheme, acceptDownloads: true });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(address).origin });
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  const sent = [];
  // The browser itself prints a line for an answer that is an error: such lines are right where one is put in place.
  let isBroken = false;
  page.on("console", (line) => {
    const isOwn = isBroken && line.text().startsWith("Failed to load resource");
    check(isOwn || !["error", "warning"].includes(line.type()), `console: ${line.text()}`);
  });
  page.on("pageerror", (error) => check(false, `error: ${error}`));
  page.on("request", (request) => {
    const isOwn = request.url().startsWith(address) || /^(data|blob):/.test(request.url());
    check(isOwn, `asks for ${request.url()}`);
    if (request.method() === "POST") sent.push(request.postDataJSON());
  });

  const at = (id) => page.locator(`#${id}`);
  const text = (id) => at(id).textContent();
  const focused = () => page.evaluate(() => document.activeElement.id);
  // Until the work of a part is done.
  const done = async (part) => {
    await page.waitForFunction((id) => !document.getElementById(id).disabled, `${part}-go`);
  };
  const press = async (part) => {
    await at(`${part}-go`).click();
    await done(part);
  };
  const isPredict = (url) => url.pathname.endsWith("/predict");

  // Looks at a state in both widths.
  async function look(state) {
    name = `${colorScheme}, ${state}`;
    // What fades has faded.
    await page.waitForTimeout(100);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(overflow <= 0, `${overflow} pixels too wide at ${width}`);
      const found = await page.evaluate(`${axe}; axe.run()`);
      for (const violation of found.violations) {
        const place = violation.nodes[0].target.join(" ");
        check(false, `axe: ${violation.id} (${violation.nodes.length} places, ${place}) at ${width}: ${violation.help}`);
      }
      if (pictures) {
        await page.screenshot({ path: path.join(pictures, `serve-${state.replaceAll(/[^\w-]+/g, "-")}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
  }

  // The answer of a model in the page is that of the server.
  async function sameAnswer(card, model, of) {
    const answer = await predict(model, of);
    same(await card.locator(".predicted").textContent(), inWords(answer), `what ${model.name} predicts`);
    await card.locator("details:has(.shares)").evaluateAll((parts) => parts.forEach((part) => { part.open = true; }));
    const rows = await card.locator(".shares li").evaluateAll((items) => items.map((item) => ({
      name: item.querySelector(".name").textContent,
      shown: item.children[1].textContent,
      width: item.querySelector(".bar > div").getBoundingClientRect().width / item.querySelector(".bar").getBoundingClientRect().width,
    })));
    same(rows.map((row) => row.name).sort(), Object.keys(answer.scores).sort(), "the classes");
    for (const row of rows) {
      const share = answer.scores[row.name];
      check(Math.abs(row.width - share) < 0.02, `the bar of ${row.name} is ${row.width} wide, not ${share}`);
      const number = Number(/[\d.]+/.exec(row.shown)[0]);
      check(Math.abs(number - 100 * share) < 0.11, `${row.name} has ${row.shown}, not ${share}`);
    }
    const words = await card.textContent();
    const unknown = `${answer.unknown_tokens} of ${answer.tokens} words`;
    check(words.includes(unknown) === answer.unknown_tokens > 0, `it does not say how many words are unknown (${unknown})`);
    check(/Only .+ of the text was read/.test(words) === answer.truncated, "it does not say that the text was cut");
    same(await card.locator(".explained").textContent(), of, "the explained text");
    return answer;
  }

  await page.setViewportSize({ width: WIDTHS[1], height: 900 });
  isBroken = token !== null;
  await page.goto(address);
  if (token !== null) {
    name = `${colorScheme}, token`;
    await at("access").waitFor();
    same(await focused(), "token", "the focus");
    await look("token");
    const why = await text("access-why");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await page.waitForFunction((old) => document.getElementById("access-why").textContent !== old, why);
    check(await at("access").isVisible(), "a wrong token is taken");
    await at("token").fill(token);
    await page.keyboard.press("Enter");
    await at("access").waitFor({ state: "hidden" });
    same(await at("token").inputValue(), "", "what is left in the field of the token");
    check((await text("program-curl")).includes("$TOKEN"), "the line for curl has no token");
    check(!(await page.content()).includes(token), "the token is in the page");
  }
  await done("text");
  isBroken = false;
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await look("empty");
  name = `${colorScheme}, models`;
  check((await text("text-model-note")).includes(models[0].labels[0]), "the classes are not named");
  if (models.length === 1) {
    check((await text("text-model-note")).includes(models[0].name), "the model is not named");
    check(!(await at("text-model").isVisible()) && !(await at("text-other").isVisible()), "there is a choice of one model");
  } else {
    same(await at("text-model").locator("option").allTextContents(), models.map((model) => model.name), "the models");
  }
  check((await text("program-curl")).includes(`${address}v1/predict`), "the line for curl has another address");

  name = `${colorScheme}, no text`;
  await at("text-go").click();
  check((await text("text-error")).includes("no text"), "nothing is said of a missing text");
  same(await focused(), "text-input", "the focus");

  // With nothing but the keyboard, from the top of the page.
  name = `${colorScheme}, keyboard`;
  await page.goto(address);
  if (token !== null) {
    isBroken = true;
    await at("access").waitFor();
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await at("access").waitFor({ state: "hidden" });
    isBroken = false;
  }
  await done("text");
  await page.evaluate(() => document.activeElement.blur());
  const stops = [];
  for (let count = 0; count < 12 && stops.at(-1) !== "text-input"; count += 1) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
  }
  if (token === null) same(stops[0], "skip", "the first stop of the keyboard");
  same(stops.at(-1), "text-input", `after ${stops}`);
  await page.keyboard.type("A dull and boring film");
  await page.keyboard.press("Control+Enter");
  await page.locator(".answer .predicted").waitFor();
  await done("text");
  same(await focused(), "text-input", "the focus after Ctrl+Enter");
  await sameAnswer(page.locator(".answer"), models[0], "A dull and boring film");
  for (let count = 0; count < 6 && (await focused()) !== "text-go"; count += 1) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await done("text");
  same(await focused(), "text-go", "the focus after the button");

  name = `${colorScheme}, one text`;
  await at("text-input").fill(TEXT);
  await press("text");
  const answer = await sameAnswer(page.locator(".answer"), models[0], TEXT);
  check((await text("text-status")).includes(inWords(answer)), "the answer is not announced");
  const marks = await page.locator(".explained mark").evaluateAll((all) => all.map((mark) => [mark.title, mark.className]));
  check(marks.length > 0, "no word is marked");
  for (const [title, kind] of marks) check(new RegExp(`^${title} m[123]$`).test(kind), `a mark "${title}" has the class "${kind}"`);
  check(await at("text-key").isVisible(), "nothing says what the marks mean");
  same(await page.locator(".answer b, .answer img").count(), 0, "elements made of what is in a text");
  await look("one text");

  name = `${colorScheme}, long text`;
  const longest = "good ".repeat(models[0].max_tokens > 0 ? Math.min(models[0].max_tokens + 9, 20000) : 1);
  await at("text-input").fill(longest);
  await press("text");
  const cut = await predict(models[0], longest);
  same(/Only .+ of the text was read/.test(await page.locator(".answer").textContent()), cut.truncated, "whether it says that the text was cut");
  const beginning = (await page.locator(".explained").textContent()).split(" … (")[0];
  check(longest.startsWith(beginning) && beginning.length > 0, "the text that was cut is not shown");
  await at("text-input").fill(TEXT);
  await press("text");

  if (models.length > 1) {
    name = `${colorScheme}, compare`;
    await at("text-other").selectOption(models[1].name);
    await press("text");
    const cards = await page.locator(".answer").all();
    same(cards.length, 2, "the answers");
    for (const [index, card] of cards.entries()) await sameAnswer(card, models[index], TEXT);
    await look("compare");
    name = `${colorScheme}, compare`;
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      const [a, b] = await Promise.all(cards.map((card) => card.boundingBox()));
      check(width < 600 ? b.y >= a.y + a.height : a.y === b.y && b.x > a.x, `the answers are not where they should be at ${width}`);
    }
    // A model is not compared with itself.
    await at("text-model").selectOption(models[1].name);
    same(await at("text-other").inputValue(), "", "what the second model is compared with");
    check((await text("program-curl")).includes(encodeURIComponent(models[1].name)), "the line for curl has another model");
    for (const model of models.slice(1)) {
      await at("text-model").selectOption(model.name);
      await press("text");
      await sameAnswer(page.locator(".answer"), model, TEXT);
      await look(`model ${model.name}`);
    }
    await at("text-model").selectOption(models[0].name);
  }

  name = `${colorScheme}, lines`;
  const lines = Array.from({ length: 70 }, (_, index) => ["A good film", "A dull \"film\", and long", "Ünïcode\tand a tab", "<i>boring</i>"][index % 4] + ` ${index}`);
  lines[5] = "";
  const texts = lines.filter(Boolean);
  sent.length = 0;
  await at("lines-input").fill(lines.join("\n"));
  await press("lines");
  same(sent.flatMap((body) => body.inputs), texts, "the texts that were sent");
  check(sent.every((body) => body.inputs.length <= 32), "more than 32 lines were sent at once");
  check((await text("lines-status")).startsWith(`${texts.length} lines`), "the end is not announced");
  same(await at("lines-progress").isVisible(), false, "the progress is still shown");
  const rows = () => at("lines-rows").locator("tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v)))));
  const first = await rows();
  same(first.map((row) => row[3]), texts, "the texts in the table");
  same(first[5][0], 7, "the number of the line after an empty one");
  for (const row of first.slice(0, 4)) {
    const told = await predict(models[0], row[3]);
    same(row[1], inWords(told), `the class of line ${row[0]}`);
    check(Math.abs(row[2] - told.score) < 1e-4, `the probability of line ${row[0]} is ${row[2]}, not ${told.score}`);
  }
  for (const [column, head] of (await page.locator("#lines-result th button").all()).entries()) {
    for (const [order, sign] of [["ascending", 1], ["descending", -1]]) {
      await head.click();
      same(await head.evaluate((button) => button.parentElement.ariaSort), order, `column ${column}`);
      const values = (await rows()).map((row) => row[column]);
      const isSorted = values.every((value, index) => index === 0 || sign * (typeof value === "number" ? value - values[index - 1] : value.localeCompare(values[index - 1], "en")) >= 0);
      check(isSorted, `column ${column} is not ${order}`);
    }
  }
  const counts = await at("lines-counts").locator("li").evaluateAll((all) => all.map((item) => [item.children[0].textContent, parseInt(item.children[1].textContent, 10)]));
  for (const [label, count] of counts) same(count, first.filter((row) => row[1].split(", ").includes(label)).length, `the count of ${label}`);
  await at("lines-copy").click();
  await page.waitForFunction(() => document.getElementById("lines-status").textContent === "Copied.");
  const tsv = (await page.evaluate(() => navigator.clipboard.readText())).replaceAll("\r\n", "\n").trimEnd().split("\n").map((row) => row.split("\t"));
  same(tsv[0], ["line", "class", "probability", "text"], "the head of the TSV");
  same(tsv.slice(1).map((row) => row[3]), texts.map((line) => line.replaceAll("\t", " ")), "the texts of the TSV");
  const [file] = await Promise.all([page.waitForEvent("download"), at("lines-save").click()]);
  const csv = readFileSync(await file.path(), "utf8").split("\r\n");
  same(file.suggestedFilename(), "classes.csv", "the name of the file");
  same(csv.length, texts.length + 2, "the lines of the CSV");
  check(csv[2].endsWith(`,"A dull ""film"", and long 1"`), `the CSV has ${csv[2]}`);
  await look("lines");

  // Long lines go in smaller requests.
  name = `${colorScheme}, long`;
  sent.length = 0;
  const long = Array.from({ length: 4 }, (_, index) => `${index} ${"a good film ".repeat(8000)}`);
  await at("lines-input").fill(long.join("\n"));
  await press("lines");
  same(sent.map((body) => body.inputs.length).reduce((sum, count) => sum + count, 0), 4, "the long lines");
  check(sent.every((body) => JSON.stringify(body).length < 300000), "a request is too long");
  await at("lines-input").fill(lines.join("\n"));

  // A server that is busy is asked again.
  name = `${colorScheme}, busy`;
  let isBusy = true;
  isBroken = true;
  await page.route(isPredict, (route) => {
    if (!isBusy) return route.fallback();
    isBusy = false;
    return route.fulfill({ status: 429, headers: { "Retry-After": "1" }, json: { error: "Busy.", error_type: "Overloaded", code: "busy", remedy: "Wait." } });
  });
  await at("text-input").fill("good");
  await at("text-go").click();
  await page.waitForFunction(() => document.getElementById("text-status").textContent.includes("busy: trying again in 1 second (1 of 5)"));
  await done("text");
  await sameAnswer(page.locator(".answer"), models[0], "good");
  await page.unroute(isPredict);

  // The answer for an earlier text does not take the place of that for a later one.
  name = `${colorScheme}, slow`;
  await page.route(isPredict, async (route) => {
    if (route.request().postDataJSON().inputs === "slow") await new Promise((resolve) => { setTimeout(resolve, 800); });
    await route.fallback().catch(() => {});
  });
  await at("text-input").fill("slow");
  await page.keyboard.press("Control+Enter");
  await at("text-stop").waitFor();
  check(await at("text-go").isDisabled(), "the button is not disabled while an answer is awaited");
  same(await at("text-result").getAttribute("aria-busy"), "true", "aria-busy");
  await at("text-input").fill("quick and good");
  await page.keyboard.press("Control+Enter");
  await done("text");
  await page.waitForTimeout(900);
  await sameAnswer(page.locator(".answer"), models[0], "quick and good");
  same(await at("text-result").getAttribute("aria-busy"), null, "aria-busy");
  await at("text-input").fill("slow");
  await page.keyboard.press("Control+Enter");
  await at("text-stop").click();
  await done("text");
  same(await text("text-status"), "Stopped.", "the status after Stop");
  await page.unroute(isPredict);

  // Lines that fail in the middle: what there is already is shown.
  name = `${colorScheme}, half`;
  let batches = 0;
  await page.route(isPredict, (route) => {
    batches += 1;
    return batches === 1 ? route.fallback() : route.fulfill({ status: 503, json: { error: "the server stops", error_type: "Unavailable", code: "draining", remedy: "ask another one" } });
  });
  await press("lines");
  check((await text("lines-error")).includes("Ask another one."), "the remedy is not shown");
  const half = (await rows()).length;
  check(half > 0 && half < texts.length, `${half} lines are shown`);
  await page.unroute(isPredict);

  name = `${colorScheme}, error`;
  await page.route(isPredict, (route) => route.fulfill({ status: 400, json: { error: "The text is <b>too</b> long.", error_type: "Validation", code: "text_too_long", remedy: "Send a shorter one." } }));
  await press("text");
  const problem = at("text-error");
  same(await problem.locator("p").allTextContents(), ["The text is <b>too</b> long.", "Send a shorter one."], "the error");
  same(await problem.getAttribute("role"), "alert", "the role of the error");
  check(!(await at("text-result").isVisible()), "an old answer is shown with the error");
  await look("error");
  await page.unroute(isPredict);

  for (const [what, answerOf, told] of [
    ["a page of a proxy", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" }), "502"],
    ["no answer", (route) => route.abort(), "does not answer"],
  ]) {
    name = `${colorScheme}, ${what}`;
    await page.route(isPredict, answerOf);
    await press("text");
    check((await problem.textContent()).includes(told), `the error is "${await problem.textContent()}"`);
    await page.unroute(isPredict);
  }
  isBroken = false;
  name = `${colorScheme}, again`;
  await press("text");
  same(await problem.textContent(), "", "the error after all is well again");

  name = `${colorScheme}, theme`;
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await back();
  await at("theme").click();
  check((await back()) !== before, "the theme does not change");

  name = `${colorScheme}, kept`;
  same(await page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length, (await caches.keys()).length]), [0, 0, "", 0, 0], "what is kept");
  same((await context.cookies()).length, 0, "the cookies");
  same(page.url(), address, "the address");
  await context.close();
}
