// Every page that is looked at: its name, its address, and what is opened on it before the picture.

/** `open` gets the page once it is there; `sizes` are those at which there is something to see. */
export const PAGES = [
  { name: 'instances', path: ({ tenantId }) => `/tenants/${tenantId}/instances` },
  {
    name: 'instances-create', path: ({ tenantId }) => `/tenants/${tenantId}/instances`,
    open: create,
  },
  { name: 'overview', path: inInstance('overview') },
  { name: 'get-started', path: inInstance('get-started') },
  {
    name: 'get-started-token', path: inInstance('get-started'),
    open: async (page) => {
      const issue = page.locator('.start-steps button[type=submit]');
      if (await issue.count() > 0) await issue.click();
      await page.locator('[data-step="1"][data-done=true]').waitFor();
      await page.locator('[data-live=listening]').waitFor({ timeout: 8_000 });
      await page.locator('.try-form button[type=submit]').click();
      await page.locator('.live-messages li').first().waitFor();
    },
  },
  {
    name: 'menu', path: inInstance('overview'), sizes: ['phone'],
    open: (page) => page.locator('.header-menu').click(),
  },
  {
    name: 'switcher', path: inInstance('overview'), sizes: ['desktop'],
    open: (page) => page.locator('.header-instance').click(),
  },
  {
    name: 'range', path: inInstance('overview'),
    open: (page) => page.locator('.page-actions button').last().click(),
  },
  { name: 'finder', path: inInstance('overview'), open: (page) => page.keyboard.press('Control+k') },
  { name: 'tokens', path: inInstance('tokens') },
  { name: 'tokens-issue', path: inInstance('tokens'), open: create },
  { name: 'credentials', path: inInstance('credentials') },
  { name: 'credentials-create', path: inInstance('credentials'), open: create },
  { name: 'topics', path: inInstance('topics') },
  { name: 'topics-create', path: inInstance('topics'), open: create },
  {
    name: 'topics-durability', path: inInstance('topics'),
    open: async (page) => {
      await create(page);
      await choices(page, '#durability');
    },
  },
  { name: 'messages', path: inInstance('messages') },
  {
    name: 'messages-publish', path: inInstance('messages'),
    open: (page) => page.locator('.page-actions button').last().click(),
  },
  {
    name: 'messages-publish-properties', path: inInstance('messages'),
    open: async (page) => {
      await page.locator('.page-actions button').last().click();
      await page.locator('.publish-properties .ant-collapse-header').click();
      await page.locator('.publish-pairs button').last().click();
    },
  },
  {
    name: 'messages-detail', path: inInstance('messages'),
    open: (page) => page.locator('.page tbody button.link').first().click(),
  },
  { name: 'shared-groups-none', path: inEmpty('shared-subscriptions') },
  { name: 'shared-groups', path: inInstance('shared-subscriptions') },
  { name: 'alarms', path: inInstance('alarms') },
  { name: 'alarm-rules', path: inInstance('alarms?tab=rules') },
  { name: 'alarm-rule-create', path: inInstance('alarms'), open: create },
  { name: 'channels', path: inInstance('channels') },
  { name: 'missing', path: () => '/no/such/page' },
  { name: 'settings', path: inInstance('settings') },
  {
    name: 'settings-durability', path: inInstance('settings'),
    open: (page) => choices(page, '#durability'),
  },
  {
    name: 'settings-delete', path: inInstance('settings'),
    open: (page) => page.locator('.end-row button.ant-btn-dangerous').click(),
  },
];

/** The documentation is made by the server; it is the same for everybody. */
export const DOCS = ['mqtt', 'limits', 'durability', 'shared-subscriptions', 'replay'];

/** Opens the list below a field. */
function choices(page, field) {
  return page.locator(field).click();
}

/** The button of a page that makes something new. */
function create(page) {
  return page.locator('.page-actions .ant-btn-primary').first().click();
}

/** The page of an instance that has nothing. */
function inEmpty(page) {
  return ({ emptyInstanceId }) => `/instances/${emptyInstanceId}/${page}`;
}

function inInstance(page) {
  return ({ instanceId }) => `/instances/${instanceId}/${page}`;
}
