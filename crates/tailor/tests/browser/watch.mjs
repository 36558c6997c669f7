// The page of a running search in headless Chromium. run.sh beside it runs this; its arguments: the command `tailor`, the root of the
// repository, a folder for what it makes, screenshots among it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [tailor, root, out] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const study = mkdtempSync(join(out, "study-"));
const children = [];
const start = (...args) => {
  const child = spawn(tailor, args, { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  child.text = "";
  child.stdout.on("data", (data) => (child.text += data));
  child.stderr.on("data", (data) => (child.text += data));
  return child;
};
const ended = (child) => new Promise((resolve) => (child.exitCode ?? child.signalCode) === null ? child.on("exit", resolve) : resolve());
const until = async (what, holds, seconds = 60) => {
  for (const begun = Date.now(); Date.now() - begun < 1000 * seconds; await new Promise((wait) => setTimeout(wait, 50))) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`${what}: not within ${seconds} s`);
};
const serve = async (folder, ...more) => {
  const server = start("serve", folder, "--port", "0", ...more);
  return { server, url: await until("the address", () => server.text.match(/http:\S+/)?.[0]) };
};

// A page that notes what it asks for and what goes wrong.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const requests = [];
const problems = [];
const open = async (url, options = {}) => {
  const page = await browser.newPage(options);
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(`${url}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`${url}: ${error}`));
  const answer = await page.goto(url);
  assert.match(answer.headers()["content-security-policy"], /^default-src 'self'/);
  return page;
};
const origins = new Set();
const shot = (page, name) => page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
const wide = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true };

try {
  // A search in a folder of its own; its page is opened as soon as there is a study.
  rmSync(study, { recursive: true });
  const arguments_ = ["--trials", "400", "--quiet", "--out", study];
  let search = start("search", join(root, "examples/quickstart.toml"), ...arguments_);
  await until("the study", () => existsSync(join(study, "study.toml")));
  const { server, url } = await serve(study);
  origins.add(new URL(url).origin);
  const page = await open(url, wide);
  const dots = () => page.locator("#curve circle").count();
  const state = () => page.locator("#state .mark").textContent();
  const newest = async () => Number(await page.locator("#trials tbody a").first().textContent());

  // The curve grows while the page is open, and the table with it, without a reload.
  await page.evaluate(() => (window.sameDocument = true));
  const seen = [];
  await until("the curve grows", async () => {
    const now = await dots();
    if (now > (seen.at(-1) ?? 0)) seen.push(now);
    return seen.length >= 4;
  });
  console.log(`the curve grew to ${seen.join(", ")} dots`);
  assert.equal(await state(), "running");
  assert.ok(await until("the newest trial", async () => (await newest()) + 1 >= seen[2]));
  await until("the layer map", () => page.locator("#map svg").count());

  // The search is killed: nobody is working. It goes on with `tailor resume`.
  search.kill("SIGKILL");
  await ended(search);
  await until("that nobody works", async () => (await state()) === "nobody is working");
  const killed = await dots();
  search = start("resume", study, "--quiet");
  await until("that it goes on", async () => (await dots()) > killed && (await state()) === "running");
  await shot(page, "running");

  // A trial is opened in its place; the table stays there while the search goes on.
  // By its name, as its place changes with each new trial.
  const trial = await newest();
  await page.locator(`#trial-${trial}`).click();
  await page.locator(`#trial-${trial}[aria-expanded="true"]`).waitFor();
  await page.locator(".full-trial dl.point").waitFor();
  await page.locator("#filter-full").click();
  await until("the filter", async () => (await page.locator("#trials tbody tr.partial").count()) === 0);
  await page.locator("#filter-all").click();
  await ended(search);
  assert.equal(search.exitCode, 0, search.text);
  await until("the end", async () => (await state()) === "finished");
  assert.ok(await page.evaluate(() => window.sameDocument), "the page was loaded again");
  await shot(page, "light");
  for (const [name, options] of [["dark", { ...wide, colorScheme: "dark" }], ["phone", phone], ["phone-dark", { ...phone, colorScheme: "dark" }]]) {
    const other = await open(`${url}?trial=20&before=25`, options);
    await other.locator("#map svg").waitFor();
    const over = await other.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${name}: the page is ${over} pixels too wide`);
    await shot(other, name);
    await other.close();
  }
  // Without scripts the page says the same.
  const context = await browser.newContext({ ...wide, javaScriptEnabled: false });
  const plain = await context.newPage();
  await plain.goto(`${url}?state=full`);
  assert.ok((await plain.locator("#curve circle").count()) > 100 && (await plain.locator("tr.full").count()) > 5);
  await context.close();

  // The server goes and comes again at the same port.
  server.kill("SIGINT");
  await ended(server);
  await until("that the connection is lost", async () => (await page.locator("#connection").textContent()).startsWith("Connection lost"));
  problems.splice(0, problems.length, ...problems.filter((text) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET/.test(text)));
  start("serve", study, "--port", new URL(url).port);
  await until("that it is back", () => page.locator("#connection").isHidden());
  problems.splice(0, problems.length, ...problems.filter((text) => !/ERR_CONNECTION_REFUSED/.test(text)));
  await page.close();

  // A study that several processes share: one of its workers is killed, and shown as lost.
  const shared = mkdtempSync(join(out, "shared-"));
  rmSync(shared, { recursive: true });
  const studyFile = join(out, "shared.toml");
  const examples = join(root, "examples");
  const text = readFileSync(join(examples, "quickstart.toml"), "utf8").replaceAll('"family/', `"${examples}/family/`);
  writeFileSync(studyFile, `store = "directory"\n${text.replace("trials = 200", "trials = 2000\nlease = 2")}`);
  const leader = start("search", studyFile, "--quiet", "--out", shared);
  await until("the shared study", () => existsSync(join(shared, "study.toml")));
  const worker = start("work", shared, "--quiet");
  const watched = await serve(shared);
  origins.add(new URL(watched.url).origin);
  const crowd = await open(watched.url, wide);
  const states = () => crowd.locator("#workers tbody tr").allInnerTexts();
  await until("two workers at work", async () => (await states()).filter((row) => row.includes("working")).length === 2);
  worker.kill("SIGKILL");
  await ended(worker);
  await until("that a worker is lost", async () => (await states()).some((row) => row.includes("lost")));
  await until("the other one goes on", async () => (await states()).some((row) => row.includes("working")));
  console.log("a worker that was killed is shown as lost");
  await shot(crowd, "workers");
  leader.kill("SIGKILL");
  await crowd.close();

  // A page with a token: the address needs it once.
  const guarded = await serve(study, "--host", "0.0.0.0");
  origins.add(new URL(guarded.url).origin);
  const secret = await open(guarded.url, wide);
  await until("events with the cookie", async () => !(await secret.url()).includes("token"));
  await secret.reload();
  await secret.locator("#trials tbody a").first().click();
  await secret.locator(".full-trial").waitFor();
  await secret.close();

  // The bar: first content within 200 ms with 10,000 trials, which the test `ten_thousand_trials_are_a_page` has left here.
  const many = join(root, "target/tmp/serve-10000");
  if (existsSync(many)) {
    const large = await serve(many);
    origins.add(new URL(large.url).origin);
    const paints = [];
    for (let time = 0; time < 10; time++) {
      const first = await open(large.url, wide);
      paints.push(await first.evaluate(() => new Promise((resolve) => {
        const found = () => performance.getEntriesByName("first-contentful-paint")[0];
        const wait = () => (found() ? resolve(found().startTime) : setTimeout(wait, 5));
        wait();
      })));
      if (time === 9) await shot(first, "ten-thousand");
      await first.close();
    }
    paints.sort((a, b) => a - b);
    console.log(`first content with 10,000 trials: median ${paints[5].toFixed(0)} ms, worst ${paints[9].toFixed(0)} ms`);
  }

  const foreign = requests.filter((request) => !origins.has(new URL(request).origin));
  assert.deepEqual(foreign, [], "requests beyond the page's own origin");
  assert.deepEqual(problems, [], "errors in the console");
  console.log(`${requests.length} requests, all to the page's own origin; no errors; pictures in ${out}`);
} finally {
  await browser.close();
  for (const child of children) child.kill("SIGKILL");
  for (const folder of readdirSync(out).filter((name) => /^(study|shared)-/.test(name))) rmSync(join(out, folder), { recursive: true, force: true });
}
