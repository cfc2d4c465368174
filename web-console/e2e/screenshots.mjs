// Pictures of every page: both languages, desktop and phone. `node screenshots.mjs <folder> [page …]`
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { URL_BASE, findInstance, openPage, signIn, startBrowser } from './console.mjs';
import { DOCS, PAGES } from './pages.mjs';
import { seed } from './seed.mjs';

const [folder, ...only] = process.argv.slice(2);
if (!folder) throw new Error('the folder for the pictures must be named');

const SIZES = {
  desktop: { viewport: { width: 1440, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true },
};
const LANGUAGES = ['en', 'zh-CN'];
const THEME = process.env.IOTMQ_TEST_THEME ?? 'light';
/** Long enough for the first answers of a live page and for its charts. */
const SETTLE_MILLIS = 900;
const SEED_SETTLE_MILLIS = 12_000;

await mkdir(folder, { recursive: true });
const browser = await startBrowser();
let failures = 0;
let leave = async () => {};
try {
  const { state, place } = await prepare();
  for (const [size, options] of Object.entries(SIZES)) {
    for (const language of LANGUAGES) await look(size, { ...options, storageState: state }, language, place);
  }
} finally {
  await leave();
  await browser.close();
}
if (failures > 0) {
  console.error(`${failures} pages could not be pictured`);
  process.exitCode = 1;
}

/** Signs in once, with pictures of both forms, and puts something there to see. */
async function prepare() {
  const page = await openPage(browser, SIZES.desktop);
  await speak(page, 'en');
  await signIn(page, (step) => picture(page, `${step}-desktop-en`));
  const found = await findInstance(page);
  const seeded = await seed(page, found);
  leave = seeded.leave;
  const place = { ...found, emptyInstanceId: seeded.emptyInstanceId };
  // Metrics and alarms follow the samples of the nodes.
  if (only.length === 0) await page.waitForTimeout(SEED_SETTLE_MILLIS);
  const state = await page.context().storageState();
  await page.context().close();
  return { state, place };
}

async function look(size, options, language, place) {
  const page = await openPage(browser, options);
  await speak(page, language);
  if (only.length === 0) {
    const stranger = await openPage(browser, { ...options, storageState: undefined });
    await speak(stranger, language);
    await stranger.goto(`${URL_BASE}/sign-in`);
    await stranger.locator('input[type=email]').waitFor();
    await picture(stranger, `sign-in-${size}-${language}`);
    await stranger.context().close();
  }
  for (const name of DOCS.filter((name) => only.length === 0 || only.includes(`docs-${name}`))) {
    await page.goto(`${URL_BASE}/docs/${language}/${name}`);
    await picture(page, `docs-${name}-${size}-${language}`);
  }
  for (const { name, path, open, sizes = [size] } of PAGES) {
    if (!sizes.includes(size)) continue;
    if (only.length > 0 && !only.includes(name)) continue;
    try {
      await page.goto(URL_BASE + path(place));
      await page.locator('.page h1, .empty h3').first().waitFor();
      await page.waitForTimeout(SETTLE_MILLIS);
      if (open !== undefined) {
        await open(page);
        await page.waitForTimeout(SETTLE_MILLIS);
      }
    } catch (error) {
      failures += 1;
      console.error(`${name} (${size}, ${language}): ${error.message}`);
    }
    await picture(page, `${name}-${size}-${language}`);
    for (const fault of page.faults.splice(0)) console.error(`${name} (${size}, ${language}): ${fault}`);
  }
  await page.context().close();
}

function speak(page, language) {
  return page.addInitScript(([language, theme]) => {
    const key = 'iotmq.preferences';
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}');
    localStorage.setItem(key, JSON.stringify({ ...kept, language, theme }));
  }, [language, THEME]);
}

async function picture(page, name) {
  await page.evaluate(() => window.scrollTo(0, 0));
  // Forms in drawers and dialogs are as large as the window; everything else is pictured whole.
  const covered = await page.locator('.ant-drawer-open, .ant-modal-wrap:visible, .ant-popover:visible').count() > 0;
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: !covered });
}
