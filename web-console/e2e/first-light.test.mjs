// The first path of a tenant, in a browser against a running product: a topic, a token, a message seen as it arrives,
// found again by the query, a shared subscription that it waits for, and an alarm rule over it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import mqtt from 'mqtt';
import { apiOk, findInstance, openPage, signIn, startBrowser, URL_BASE } from './console.mjs';

const TOPIC = `e2e${Date.now().toString(36)}`;
const WAIT = { timeout: 20_000 };

let browser;
let page;
let place;
let connection;

before(async () => {
  browser = await startBrowser();
  page = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  page.setDefaultTimeout(WAIT.timeout);
});

after(async () => {
  const faults = page?.faults ?? [];
  await browser?.close();
  assert.deepEqual(faults, [], 'the page reported no fault, and its content policy stopped nothing');
});

test('signing in, choosing an own password where the first is for one time', async () => {
  await signIn(page);
  place = await findInstance(page);
  assert.match(page.url(), /\/(instances|tenants)\//);
});

test('a wrong password is refused with words', async () => {
  const stranger = await openPage(browser, {});
  await stranger.goto(`${URL_BASE}/instances/${place.instanceId}/overview`);
  await stranger.locator('input[type=email]').fill('nobody@example.com');
  await stranger.locator('input[autocomplete=current-password]').fill('not the password');
  await stranger.getByRole('button', { name: 'Sign in' }).click();
  await stranger.getByText('The address or the password is wrong.').waitFor();
  await stranger.context().close();
});

test('a topic with message history', async () => {
  await open('topics');
  await page.getByRole('button', { name: 'Create topic' }).first().click();
  const drawer = page.getByRole('dialog');
  await drawer.getByLabel('Topic', { exact: true }).fill(TOPIC);
  await drawer.getByRole('switch').first().check();
  await drawer.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('cell', { name: TOPIC, exact: false }).first().waitFor();
  const { history } = await apiOk(page, 'GET', `/v1/instances/${place.instanceId}/topics/${TOPIC}`);
  assert.equal(history.enabled, true);
});

test('a token for a client of the page, and the page listens by itself', async () => {
  await open('get-started');
  await page.getByLabel('Topic').first().click();
  await page.locator('.ant-select-item-option').filter({ hasText: TOPIC }).click();
  await page.getByRole('button', { name: 'Issue token' }).click();
  await page.locator('[data-step="1"][data-done=true]').waitFor();
  await page.locator('[data-live=listening]').waitFor();
  connection = await filledIn();
  assert.match(connection.clientId, /^demo-/);
});

test('the first message is shown as it arrives', async () => {
  const client = await mqtt.connectAsync(`mqtt://${connection.host}:${connection.port}`, {
    clientId: connection.clientId, username: connection.username, password: connection.password, reconnectPeriod: 0,
  });
  await client.publishAsync(`${TOPIC}/hello`, 'hello from a device', { qos: 1 });
  await client.endAsync();
  await page.locator('.live-messages').getByText('hello from a device').waitFor();
  await page.locator('[data-step="2"][data-done=true]').waitFor();
  await page.locator('[data-step="3"][data-done=true]').waitFor();
});

test('publishing from the browser is acknowledged', async () => {
  await page.locator('.try-form').getByRole('button', { name: 'Publish' }).click();
  await page.getByText(/Acknowledged after \d+ ms/).waitFor();
  await page.locator('.live-messages').getByText('from this browser').waitFor();
});

test('the message query finds it', async () => {
  await page.goto(`${URL_BASE}/instances/${place.instanceId}/messages?filter=${TOPIC}/%23`);
  await page.getByText(`${TOPIC}/hello`).first().waitFor();
  const { items } = await apiOk(page, 'GET',
    `/v1/instances/${place.instanceId}/messages?topic_filter=${TOPIC}/%23&include=payload`);
  const found = items.find(({ topic }) => topic === `${TOPIC}/hello`);
  assert.equal(found.client_id, connection.clientId);
  assert.equal(found.payload.data, 'hello from a device');
});

test('a shared subscription is shown with what waits for it, and ends with its last member', async (t) => {
  const filter = `$share/${TOPIC}/${TOPIC}/+`;
  const connect = async () => {
    const member = mqtt.connect(`mqtt://${connection.host}:${connection.port}`, {
      clientId: connection.clientId, username: connection.username, password: connection.password, reconnectPeriod: 0,
      clean: false,
    });
    t.after(() => member.endAsync(true));
    const got = [];
    member.on('message', (_, payload) => got.push(payload.toString()));
    await once(member, 'connect');
    return { member, got };
  };
  const { member } = await connect();
  const [granted] = await member.subscribeAsync(filter, { qos: 2 });
  assert.equal(granted.qos, 1, 'one at most');
  await open('shared-subscriptions');
  const row = page.getByRole('row').filter({ hasText: TOPIC });
  await shown(row, '1 connected').waitFor();
  await member.endAsync();
  for (const text of ['one', 'two']) {
    await apiOk(page, 'POST', `/v1/instances/${place.instanceId}/messages/publish`, {
      topic: `${TOPIC}/work`, qos: 1, payload: { encoding: 'utf8', data: text },
    });
  }
  // By itself: the page asks every ten seconds.
  await shown(row, '1 away').waitFor();
  await row.getByRole('cell', { name: '2', exact: true }).waitFor();
  const groups = `/v1/instances/${place.instanceId}/shared-groups?group=${TOPIC}`;
  const { items: [group] } = await apiOk(page, 'GET', groups);
  assert.deepEqual([group.topic_filter, group.waiting_messages, group.members_away], [`${TOPIC}/+`, 2, 1]);
  const back = await connect();
  while (back.got.length < 2) await once(back.member, 'message');
  assert.deepEqual(back.got, ['one', 'two']);
  await back.member.unsubscribeAsync(filter);
  await row.waitFor({ state: 'detached' });
});

test('an alarm rule rings in the console', async () => {
  const name = `silent ${TOPIC}`;
  await open('alarms');
  await page.getByRole('button', { name: 'Create alarm rule' }).first().click();
  const drawer = page.getByRole('dialog');
  await drawer.getByLabel('Name', { exact: true }).fill(name);
  // One connection at most: true of a product that only this test uses, with nothing to wait for.
  await choose(drawer.getByLabel('is', { exact: true }), 'at most');
  await drawer.getByLabel('Threshold', { exact: true }).fill('1000');
  await drawer.getByLabel('Clears at or above', { exact: true }).fill('1001');
  await choose(drawer.getByLabel('for', { exact: true }), 'at once');
  await drawer.getByRole('button', { name: 'Create', exact: true }).click();
  await drawer.waitFor({ state: 'hidden' });
  // Samples come every ten seconds.
  await page.getByText(name).first().waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: /alarms? firing/ }).waitFor({ timeout: 60_000 });
});

/** Text as it stands at this width: tables hold what narrow screens show in a place of its own. */
function shown(where, text) {
  return where.getByText(text).filter({ visible: true });
}

function open(name) {
  return page.goto(`${URL_BASE}/instances/${place.instanceId}/${name}`);
}

/** Chooses from a list that opens below its field. */
async function choose(field, option) {
  await field.click();
  await page.locator('.ant-select-dropdown:visible .ant-select-item-option').filter({ hasText: option }).first().click();
}

/** What the page has filled in for a device. */
async function filledIn() {
  const [host, port, clientId, username, password] = await page.locator('.connect-facts code').allTextContents();
  return { host, port: Number(port), clientId, username, password };
}
