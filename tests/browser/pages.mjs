// Looks at pages that birnn writes, in a real browser.
//
//     node pages.mjs PAGE.html... [--pictures FOLDER]
//
// Each page must ask nothing of any server, print no error, have no horizontal overflow at 390 and at 1280 pixels, in light
// and in dark, and no violation that axe finds; each of its controls is used: the theme, the parts that open, the columns
// that sort, the fields that search, and the keyboard. With --pictures, screenshots are kept.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = [390, 1280];

let failures = 0;
const check = (page, isTrue, message) => {
  if (isTrue) return;
  failures += 1;
  console.error(`${page}: ${message}`);
};

const parameters = process.argv.slice(2);
const at = parameters.indexOf("--pictures");
const pictures = at < 0 ? null : parameters.splice(at, 2)[1];
if (parameters.length === 0) throw new Error("name a page");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
for (const file of parameters) {
  const address = pathToFileURL(path.resolve(file)).href;
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ colorScheme });
    const page = await context.newPage();
    const name = `${path.basename(file)}, ${colorScheme}`;
    page.on("console", (line) => check(name, !["error", "warning"].includes(line.type()), `console: ${line.text()}`));
    page.on("pageerror", (error) => check(name, false, `error: ${error}`));
    page.on("request", (request) => {
      const isOwn = request.url() === address || request.url().startsWith("data:");
      check(name, isOwn, `asks for ${request.url()}`);
    });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      await page.goto(address);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(name, overflow <= 0, `${overflow} pixels too wide at ${width}`);
      const found = await page.evaluate(`${axe}; axe.run()`);
      for (const violation of found.violations) {
        const place = violation.nodes[0].target.join(" ");
        check(name, false, `axe: ${violation.id} (${violation.nodes.length} places, ${place}): ${violation.help}`);
      }
      if (pictures) {
        const picture = `${path.basename(file, ".html")}-${width}-${colorScheme}.png`;
        await page.screenshot({ path: path.join(pictures, picture), fullPage: true });
      }
    }
    // By the keyboard, the first stop is the link to the content.
    await page.keyboard.press("Tab");
    const first = await page.evaluate(() => document.activeElement.className);
    check(name, first === "skip", `the first stop of the keyboard is "${first}"`);
    await useControls(page, name);
    await context.close();
  }
}
await browser.close();
if (failures > 0) {
  console.error(`${failures} problems`);
  process.exit(1);
}
console.log(`${parameters.length} pages: no requests, no errors, no violations`);

// Uses every control of a page once, and looks at what it does.
async function useControls(page, name) {
  const theme = page.locator("#theme");
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await back();
  await theme.click();
  check(name, (await back()) !== before, "the theme does not change");
  await theme.click();
  check(name, (await back()) === before, "the theme does not change back");

  for (const part of await page.locator("summary").all()) {
    await part.evaluate((summary) => summary.scrollIntoView());
    await part.focus();
    await page.keyboard.press("Enter");
    const isOpen = await part.evaluate((summary) => summary.parentElement.open);
    check(name, isOpen, "a part does not open");
  }
  for (const table of await page.locator(".table").all()) {
    const heads = await table.locator("th button").all();
    for (const [column, head] of heads.entries()) {
      for (const [press, sign] of [["ascending", 1], ["descending", -1]]) {
        await head.evaluate((button) => button.click());
        const sorted = await table.evaluate((box, [column, sign]) => {
          const values = [...box.querySelectorAll("tbody tr")].map((row) => {
            const cell = row.cells[column];
            return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
          });
          return values.every((value, index) => {
            if (index === 0) return true;
            const last = values[index - 1];
            return typeof value === "number" ? sign * (value - last) >= 0 : sign * value.localeCompare(last, "en") >= 0;
          });
        }, [column, sign]);
        const caption = await table.locator("caption").textContent();
        check(name, sorted, `"${caption}", column ${column}: not ${press}`);
      }
    }
    const field = table.locator("input[type=search]");
    if ((await field.count()) > 0) {
      const rows = await table.locator("tbody tr").count();
      await field.fill("no text has this word zzqx");
      check(name, (await table.locator("tbody tr:visible").count()) === 0, "the search does not hide rows");
      check(name, (await table.locator("output").textContent()) === `0 of ${rows}`, "the search does not count");
      await field.fill("");
      check(name, (await table.locator("tbody tr:visible").count()) === rows, "the search does not show rows again");
    }
  }
}
