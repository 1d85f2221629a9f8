// The server under test as its environment describes it, and what the scenarios of all clients share.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

/** HOST:PORT. */
export const address = process.env.TEST_ADDRESS;
/** "s" where the server speaks TLS. Whom to believe is in NODE_EXTRA_CA_CERTS, which Node.js reads. */
export const safe = process.env.TEST_SAFE ?? '';
export const url = `ws${safe}://${address}/`;
export const ROOM = 'chat.room.1';

/** How long a scenario waits for what must happen. Only a failing one ever does. */
export const PATIENCE_MS = 20_000;

/** Loads a package that scripts/setup has installed, which is not beside these files. */
export const load = createRequire(process.env.TEST_MODULES);

/** Runs a command of wsmaster about the server, as an operator does. */
export function run(...command) {
  return promisify(execFile)(process.env.TEST_PROGRAM, [...command, '--pid-file', process.env.TEST_PID_FILE]);
}

/** Calls the HTTP interface. An answer other than 200 is an exception. */
export async function post(command, body) {
  const reply = await fetch(`http${safe}://${address}/api/${command}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${process.env.TEST_API_KEY}` },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  assert.equal(reply.status, 200, await reply.clone().text());
  return reply.json();
}

/** The value of a promise that must be there in time. */
export function inTime(promise, what, ms = PATIENCE_MS) {
  const { promise: late, reject } = Promise.withResolvers();
  const timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What comes in, kept in order until somebody asks for it. */
export class Inbox {
  #kept = [];
  #waiting = [];

  put(item) {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#kept.push(item);
  }

  take(what = 'a message') {
    if (this.#kept.length) return Promise.resolve(this.#kept.shift());
    const { promise, resolve } = Promise.withResolvers();
    this.#waiting.push(resolve);
    return inTime(promise, what);
  }
}

/**
 * A client of the channel server over any kind of client: `send(text)`, `receive()` for the next text, `close()`.
 */
export class Member {
  constructor(client, welcome) {
    this.client = client;
    this.id = welcome.connection_id;
    this.worker = welcome.worker;
  }

  /** Reads the welcome, which is the first message. */
  static async join(client) {
    const welcome = JSON.parse(await client.receive());
    assert.equal(welcome.action, 'welcome');
    assert.equal(welcome.authenticated, false);
    assert.ok(welcome.heartbeat_interval > 0 && Number.isSafeInteger(welcome.connection_id), JSON.stringify(welcome));
    return new Member(client, welcome);
  }

  /** Connects until the kernel has chosen the worker in this slot. */
  static async onWorker(worker, open) {
    for (let tries = 0; tries < 200; tries += 1) {
      const member = await Member.join(await open());
      if (member.worker === worker) return member;
      await member.client.close();
    }
    throw new Error(`no connection came to worker ${worker}`);
  }

  send(action, data) {
    this.client.send(JSON.stringify({ action, data }));
  }

  async receive() {
    return JSON.parse(await this.client.receive());
  }

  /** Sends a request; the next message must be its answer. */
  async ask(action, data) {
    this.send(action, data);
    return this.receive();
  }

  async subscribe(channel) {
    assert.deepEqual(await this.ask('subscribe', { channel }), { success: true, action: 'subscribe', channel });
  }
}

/** Two clients on two workers, and the seed's requests with their answers. */
export async function channels(open) {
  const ann = await Member.onWorker(0, open);
  const bob = await Member.onWorker(1, open);
  for (const member of [ann, bob]) await member.subscribe(ROOM);

  for (const [sender, other] of [[ann, bob], [bob, ann]]) {
    for (const message of ['hello', 7, 1.5, null, [], { any: ['JSON', { välue: '🎈' }] }]) {
      sender.send('message', { channel: ROOM, message });
      // The sender gets its own message and the answer, in either order.
      const got = [await sender.receive(), await sender.receive()];
      const answer = got.findIndex((frame) => frame.action === 'message_sent');
      assert.deepEqual(got.splice(answer, 1), [{ success: true, action: 'message_sent', channel: ROOM }]);
      for (const { time, ...delivery } of [got[0], await other.receive()]) {
        assert.ok(time > 1_600_000_000);
        assert.deepEqual(delivery, { action: 'message', channel: ROOM, sender: sender.id, message });
      }
    }
  }

  assert.equal((await post('publish', { channel: ROOM, message: 'news' })).delivered, 2);
  for (const member of [ann, bob]) {
    const { sender, message } = await member.receive();
    assert.deepEqual([sender, message], [null, 'news']);
  }
  await bob.ask('unsubscribe', { channel: ROOM });
  assert.equal((await bob.ask('message', { channel: ROOM, message: 1 })).code, 'not_subscribed');
  assert.equal((await post('push', { connection: bob.id, json: { for: 'you' } })).result, 'delivered');
  assert.deepEqual(await bob.receive(), { for: 'you' });
  for (const member of [ann, bob]) await member.client.close();
}

/** Joins again. Who meets a worker that is just leaving is sent away once more, and tries again. */
async function comeBack(open) {
  for (let left = 50; ; left -= 1) {
    try {
      return await Member.join(await open());
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** A reload closes with 1001 and says when to come back; who comes back then is served. */
export async function reload(open) {
  const before = [await Member.onWorker(0, open), await Member.onWorker(1, open)];
  const reloaded = run('reload');
  const after = await Promise.all(before.map(async (member) => {
    const { code, reason } = await member.client.closed;
    assert.equal(code, 1001);
    const [, ms] = /^restarting; retry_after_ms=(\d+)$/.exec(reason) ?? assert.fail(reason);
    assert.ok(Number(ms) <= 300, reason);
    await new Promise((resolve) => setTimeout(resolve, Number(ms)));
    return comeBack(open);
  }));
  await reloaded;
  assert.equal(new Set([...before, ...after].map((member) => member.id)).size, 4);
  // Who came back to a worker that had not had its turn yet was sent away again.
  const member = await comeBack(open);
  await member.subscribe(ROOM);
  await post('publish', { channel: ROOM, message: 'after' });
  assert.equal((await member.receive()).message, 'after');
  for (const { client } of [...after, member]) await client.close();
}

/** Runs the scenario that the command line names. */
export async function main(scenarios) {
  const name = process.argv[2];
  await scenarios[name]();
  console.log('done', name);
  // A socket that somebody forgot would keep the program alive; then the test would never end.
  process.exit(0);
}
