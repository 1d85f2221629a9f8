// A real Chromium with the playground open in tabs, and what a person does and sees there. It keeps count of all that
// must not happen: an error, a breach of the page's own policy, a request to any other host.

import assert from 'node:assert/strict';
import { PATIENCE_MS, address, load, safe } from './server.mjs';

const { chromium } = load('playwright-core');

const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--no-proxy-server',
];

export class Browser {
  #context;
  /** What must not happen, as it happened. */
  #complaints = [];

  static async open(options = {}) {
    const browser = new Browser();
    // The certificate of a test is known to nobody.
    const trust = safe ? ['--ignore-certificate-errors'] : [];
    browser.#context = await chromium.launchPersistentContext(process.env.TEST_PROFILE, {
      executablePath: process.env.TEST_CHROMIUM, args: [...ARGUMENTS, ...trust], ...options,
    });
    browser.#context.setDefaultTimeout(PATIENCE_MS);
    browser.#context.on('page', (page) => browser.#listen(page));
    for (const page of browser.#context.pages()) browser.#listen(page);
    browser.#context.on('request', (request) => browser.#judge(request.url()));
    browser.#context.on('weberror', (error) => browser.#complaints.push(`uncaught: ${error.error()}`));
    return browser;
  }

  #listen(page) {
    page.on('websocket', (socket) => this.#judge(socket.url()));
    page.on('console', (message) => {
      // The end of a connection to a server that goes away is none of the page's faults.
      const expected = message.text().startsWith(`WebSocket connection to 'ws${safe}://${address}/' failed`);
      if (['error', 'warning'].includes(message.type()) && !expected) this.#complaints.push(message.text());
    });
  }

  #judge(text) {
    const { protocol, host } = new URL(text);
    if (protocol !== 'data:' && host !== address) this.#complaints.push(`a request to ${text}`);
  }

  async tab() {
    const tab = new Tab(await this.#context.newPage());
    await tab.page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy ${event.violatedDirective} breached by ${event.blockedURI}`);
      });
    });
    await tab.page.goto(`http${safe}://${address}/`);
    await tab.connected();
    return tab;
  }

  /** Opens tabs until two are on different workers, and closes the others. */
  async tabsOnTwoWorkers() {
    const first = await this.tab();
    for (let tries = 0; tries < 40; tries += 1) {
      const next = await this.tab();
      if (await next.text('#worker') !== await first.text('#worker')) return [first, next];
      await next.page.close();
    }
    throw new Error('40 tabs came to the same worker');
  }

  /** Fails when anything happened that must not. */
  expectNoComplaints() {
    assert.deepEqual(this.#complaints, []);
  }

  async close() {
    await this.#context.close();
  }
}

/** One tab, by what is on the page. */
export class Tab {
  constructor(page) {
    this.page = page;
  }

  text(selector) {
    return this.page.locator(selector).innerText();
  }

  /** Waits for a condition on the page, which gets the argument. */
  async until(what, condition, argument) {
    try {
      await this.page.waitForFunction(condition, argument);
    } catch (error) {
      const page = await this.page.locator('body').innerText();
      throw new Error(`${what}: ${error.message}\n--- the page\n${page}`);
    }
  }

  /** Waits until it is connected and in its channels, and returns its id. */
  async connected() {
    await this.until('to be connected', () => {
      const chips = [...document.querySelectorAll('#channels .chip')];
      return document.querySelector('#state').textContent === 'connected'
        && /^\d+$/.test(document.querySelector('#connection-id').textContent)
        && chips.length > 0 && chips.every((chip) => !chip.classList.contains('wanted'));
    });
    return this.text('#connection-id');
  }

  async subscribe(channel) {
    await this.page.fill('#channel', channel);
    await this.page.click('#subscribe');
    await this.until(`to be in ${channel}`, (name) => {
      const chip = document.querySelector(`#channels [data-channel="${name}"]`);
      return chip && !chip.classList.contains('wanted');
    }, channel);
  }

  async say(text) {
    await this.page.fill('#message', text);
    await this.page.click('#send');
  }

  /** Waits for a message and returns who sent it, in which channel, and whether it is shown as this tab's own. */
  async hear(text) {
    await this.until(`to hear ${text}`, (wanted) =>
      [...document.querySelectorAll('#messages .body')].some((body) => body.textContent === wanted), text);
    return this.page.evaluate((wanted) => {
      const bodies = [...document.querySelectorAll('#messages .body')].filter((body) => body.textContent === wanted);
      const { dataset, classList } = bodies[0].closest('li');
      const { sender, channel } = dataset;
      return { times: bodies.length, sender, channel, own: classList.contains('own') };
    }, text);
  }

  /** Fails when a message is shown more than once. Only for a chat in which nobody repeats himself. */
  async expectNothingTwice() {
    const texts = await this.page.locator('#messages .body').allInnerTexts();
    assert.deepEqual(texts, [...new Set(texts)]);
  }
}
