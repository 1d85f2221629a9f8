// What the WebSocket that is built into Node.js sees of the server: the same interface as in a browser, another
// implementation. Usage: builtin.mjs NAME, with the environment of server.mjs.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Inbox, Member, channels, inTime, main, post, reload, url } from './server.mjs';

const MIB = 1024 * 1024;

/** A socket with what has come in, in order. */
class Client {
  constructor(socket) {
    this.socket = socket;
    this.inbox = new Inbox();
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => this.inbox.put(event.data);
    this.closed = new Promise((resolve) => { socket.onclose = resolve; });
  }

  static async open() {
    const client = new Client(new WebSocket(url));
    await inTime(new Promise((resolve, reject) => {
      client.socket.onopen = resolve;
      client.socket.onerror = (event) => reject(event.error ?? new Error('no connection'));
    }), 'the handshake');
    return client;
  }

  send(data) {
    this.socket.send(data);
  }

  receive() {
    return this.inbox.take();
  }

  async close(code = 1000, reason = '') {
    this.socket.close(code, reason);
    return inTime(this.closed, 'the close');
  }
}

const open = () => Client.open();

/** Text and bytes of every size of frame, many at once. */
async function echo() {
  const client = await open();
  assert.deepEqual([client.socket.protocol, client.socket.readyState], ['', WebSocket.OPEN]);
  const texts = ['', 'Grüße, 世界 🎈', ...[125, 126, 65535, 65536, MIB].map((length) => 'x'.repeat(length))];
  for (const text of texts) client.send(text);
  for (const text of texts) assert.equal(await client.receive(), text);
  for (const length of [0, 125, 126, 65535, 65536, MIB]) {
    const data = randomBytes(length);
    client.send(data);
    assert.ok(data.equals(Buffer.from(await client.receive())), `${length} bytes`);
  }
  for (let number = 0; number < 1000; number += 1) client.send(String(number));
  for (let number = 0; number < 1000; number += 1) assert.equal(await client.receive(), String(number));
  assert.equal((await client.close()).wasClean, true);
}

/** Who closes says why, and the other side hears it. */
async function close() {
  for (const code of [1000, 3000, 4999]) {
    const client = await open();
    const end = await client.close(code, 'mine');
    assert.deepEqual([end.code, end.wasClean], [code, true]);
  }
  const member = await Member.join(await open());
  await post('disconnect', { connection: member.id, code: 4001, reason: 'enough, sagt Jürgen' });
  const end = await inTime(member.client.closed, 'the close');
  assert.deepEqual([end.code, end.reason, end.wasClean], [4001, 'enough, sagt Jürgen', true]);
}

await main({ echo, close, channels: () => channels(open), reload: () => reload(open) });
