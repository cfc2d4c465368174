// The console in a browser: started, signed in to, and the API as the signed-in page reaches it.
import { chromium } from 'playwright-core';

export const URL_BASE = required('IOTMQ_TEST_URL').replace(/\/$/, '');
export const EMAIL = required('IOTMQ_TEST_EMAIL');
export const PASSWORD = required('IOTMQ_TEST_PASSWORD');
/** The own password, where the given one was good for one sign-in. */
export const OWN_PASSWORD = process.env.IOTMQ_TEST_OWN_PASSWORD ?? 'a password of its own';

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set`);
  return value;
}

export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.IOTMQ_TEST_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
}

/** A page of its own, whose errors are collected in `page.faults`. */
export async function openPage(browser, options) {
  const context = await browser.newContext({ locale: 'en', timezoneId: 'Asia/Shanghai', ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  page.on('console', (message) => {
    // A refused request is reported by the page itself; what the content policy stops is reported only here.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      page.faults.push(message.text());
    }
  });
  return page;
}

/** Signs in, choosing an own password where the given one was for one time; `onStep` sees both forms. */
export async function signIn(page, onStep = async () => {}) {
  await page.goto(`${URL_BASE}/sign-in`);
  await page.locator('input[type=email]').waitFor();
  await onStep('sign-in');
  await attempt(page, PASSWORD);
  const outcome = await Promise.race([
    page.locator('#again').waitFor().then(() => 'own'),
    page.locator('.shell').waitFor().then(() => 'in'),
    page.locator('.ant-alert').waitFor().then(() => 'refused'),
  ]);
  if (outcome === 'own') {
    await onStep('own-password');
    await page.locator('#password').fill(OWN_PASSWORD);
    await page.locator('#again').fill(OWN_PASSWORD);
    await page.locator('button[type=submit]').click();
  } else if (outcome === 'refused') {
    await attempt(page, OWN_PASSWORD);
  }
  await page.locator('.shell').waitFor();
}

async function attempt(page, password) {
  await page.locator('input[type=email]').fill(EMAIL);
  await page.locator('input[autocomplete=current-password]').fill(password);
  await page.locator('button[type=submit]').click();
}

/** A request as the page itself makes it. */
export async function api(page, method, path, body) {
  return page.evaluate(async ({ method, path, body }) => {
    const session = await (await fetch('/v1/session')).json();
    const response = await fetch(path, {
      method,
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': session.csrf_token, Prefer: 'wait=5' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  }, { method, path, body });
}

/** As `api`; throws where the answer is not a success. */
export async function apiOk(page, method, path, body) {
  const answer = await api(page, method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** The tenant and instance that a fresh product comes with. */
export async function findInstance(page) {
  const tenants = await apiOk(page, 'GET', '/v1/tenants?limit=1');
  const tenantId = tenants.items[0].id;
  const { items } = await apiOk(page, 'GET', `/v1/tenants/${tenantId}/instances?limit=1&sort=created_at`);
  return { tenantId, instanceId: items[0].id };
}
