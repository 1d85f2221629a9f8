// The playground page in a real Chromium. Usage: playground.mjs NAME, with the environment of server.mjs and the paths
// of the browser, its profile and the directory for pictures.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Browser } from './browser.mjs';
import { ROOM, main, run } from './server.mjs';

/** Runs the command that the page shows for a terminal, with the key in its place. */
async function curl(tab, message) {
  const shown = await tab.text('#curl');
  const command = shown.replace('Hello!', message);
  assert.ok(command !== shown && command.includes('$KEY'), shown);
  const env = { ...process.env, KEY: process.env.TEST_API_KEY, no_proxy: '*' };
  const { stdout } = await promisify(execFile)('sh', ['-c', `${command} --silent --show-error --fail`], { env });
  return JSON.parse(stdout);
}

/** Two tabs on two workers chat, before and after a reload of the server. */
async function chat() {
  const browser = await Browser.open();
  const [ann, bob] = await browser.tabsOnTwoWorkers();
  const [annId, bobId] = [await ann.connected(), await bob.connected()];
  assert.notEqual(annId, bobId);
  assert.deepEqual([await ann.text('#worker'), await bob.text('#worker')].sort(), ['0', '1']);
  await ann.until('a round trip', () => /^[\d.]+ ms$/.test(document.querySelector('#round-trip').textContent));

  const heardBy = async (tab, text, sender, own, channel = ROOM) => {
    assert.deepEqual(await tab.hear(text), { times: 1, sender, channel, own }, text);
  };
  await ann.say('Hello from Ann 🎈');
  await heardBy(ann, 'Hello from Ann 🎈', annId, true);
  await heardBy(bob, 'Hello from Ann 🎈', annId, false);
  await bob.say('Hello from Bob');
  await heardBy(bob, 'Hello from Bob', bobId, true);
  await heardBy(ann, 'Hello from Bob', bobId, false);

  // What somebody says is text and never markup.
  const markup = '<img src="https://elsewhere.invalid/x.png" onerror="document.title=\'gotcha\'">';
  await ann.say(markup);
  await heardBy(bob, markup, annId, false);
  assert.equal(await bob.page.title(), 'wsmaster');

  // From a terminal into the channel of both, and into one that only one of them is in.
  assert.equal((await curl(ann, 'from a terminal')).delivered, 2);
  for (const tab of [ann, bob]) await heardBy(tab, 'from a terminal', '', false);
  await bob.subscribe('news.today');
  assert.equal((await curl(bob, 'for readers of the news')).delivered, 1);
  await heardBy(bob, 'for readers of the news', '', false, 'news.today');
  await bob.page.click(`#channels [data-channel="${ROOM}"] .name`);
  await bob.say('back in the room');
  await heardBy(ann, 'back in the room', bobId, false);
  assert.ok(!(await ann.text('#messages')).includes('readers of the news'));
  await ann.subscribe('news.today');
  assert.equal((await curl(ann, 'for both')).delivered, 2);
  for (const tab of [ann, bob]) await heardBy(tab, 'for both', '', false, 'news.today');

  // A wrong name is refused with a word and changes nothing.
  await ann.page.fill('#channel', 'no such name!');
  await ann.page.click('#subscribe');
  await ann.until('the refusal', () => !document.querySelector('#notice').hidden);
  await ann.until('the channels to be as before', () => document.querySelectorAll('#channels .chip').length === 2);

  // The tabs come back by themselves, to their channels, as new connections.
  await run('reload');
  for (const [tab, oldId] of [[ann, annId], [bob, bobId]]) {
    await tab.until('a new connection', (old) => {
      const id = document.querySelector('#connection-id').textContent;
      return /^\d+$/.test(id) && id !== old;
    }, oldId);
  }
  const [annNext, bobNext] = [await ann.connected(), await bob.connected()];
  await ann.page.click(`#channels [data-channel="${ROOM}"] .name`);
  await ann.say('after the reload');
  await heardBy(ann, 'after the reload', annNext, true);
  await heardBy(bob, 'after the reload', annNext, false);
  await bob.say('I am here, too');
  await heardBy(ann, 'I am here, too', bobNext, false);

  // By hand: away and back.
  await ann.page.click('#disconnect');
  await ann.until('to be disconnected', () => document.querySelector('#state').textContent === 'disconnected');
  await bob.say('while Ann was away');
  await bob.hear('while Ann was away');
  await ann.page.click('#reconnect');
  assert.notEqual(await ann.connected(), annNext);
  await bob.say('with Ann');
  await heardBy(ann, 'with Ann', bobNext, false);
  assert.ok(!(await ann.text('#messages')).includes('while Ann was away'));

  for (const tab of [ann, bob]) await tab.expectNothingTwice();
  browser.expectNoComplaints();
  await browser.close();
}

/** The page sends a ping as often as the welcome says, and any frame that a person writes. */
async function heartbeat() {
  const browser = await Browser.open();
  const tab = await browser.tab();
  const pongs = '#raw-log [data-kind="pong"]';
  await tab.until('three heartbeats', (selector) => document.querySelectorAll(selector).length >= 3, pongs);
  await tab.page.fill('#raw-text', '{"action":"ping","id":"by hand"}');
  await tab.page.click('#raw-send');
  await tab.until('the answer to a frame by hand', (selector) =>
    [...document.querySelectorAll(selector)].some((row) => row.dataset.text.includes('"by hand"')), pongs);
  assert.equal(await tab.text('#heartbeat'), 'every 1 s');
  assert.equal(await tab.text('#state'), 'connected');
  browser.expectNoComplaints();
  await browser.close();
}

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

/** Pictures of the page with a chat under way, large and small, light and dark; nothing is wider than the window. */
async function screens() {
  const browser = await Browser.open({ deviceScaleFactor: 1.5 });
  const [ann, bob] = await browser.tabsOnTwoWorkers();
  await bob.subscribe('news.today');
  await bob.page.click(`#channels [data-channel="${ROOM}"] .name`);
  for (const [tab, text] of [
    [ann, 'Hi! Which worker are you on?'],
    [bob, `Worker ${await bob.text('#worker')}. You are on ${await ann.text('#worker')}, and still we talk.`],
    [ann, 'And a third voice, from a terminal?'],
  ]) {
    await tab.say(text);
    for (const listener of [ann, bob]) await listener.hear(text);
  }
  await curl(bob, 'Hello from curl');
  const frame = { action: 'message', data: { channel: ROOM, message: { any: ['JSON', 1.5, true, null] } }, id: 'raw' };
  await bob.page.fill('#raw-text', JSON.stringify(frame));
  await bob.page.click('#raw-send');
  await bob.until('the JSON', () => document.querySelector('#messages .body.json'));
  await bob.say('All of it arrives once, in order.');
  await bob.hear('All of it arrives once, in order.');

  for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    await bob.page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await bob.page.emulateMedia({ colorScheme });
      await bob.page.evaluate(() => {
        document.activeElement.blur();
        for (const id of ['chat-stream', 'raw-stream']) document.getElementById(id).scrollTop = 1e6;
      });
      await bob.page.screenshot({ path: join(process.env.TEST_SCREENS, `${size}-${colorScheme}.png`), fullPage: true });
      const [wide, window] = await bob.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= window, `${size}: ${wide} px of page in a window of ${window}`);
    }
  }
  browser.expectNoComplaints();
  await browser.close();
}

await main({ chat, heartbeat, screens });
