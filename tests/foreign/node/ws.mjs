// What Node's `ws` sees of the server. Usage: ws.mjs NAME, with the environment of server.mjs.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Inbox, Member, ROOM, channels, inTime, load, main, post, reload, url } from './server.mjs';

const WebSocket = load('ws');
const KIB = 1024;
const MIB = 1024 * KIB;

/** A socket with what has come in, in order. */
class Client {
  constructor(socket) {
    this.socket = socket;
    this.inbox = new Inbox();
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    socket.on('upgrade', ({ headers }) => { this.agreed = headers['sec-websocket-extensions'] ?? ''; });
    socket.on('message', (data, isBinary) => this.inbox.put({ data, isBinary }));
    // What is wrong with a connection shows as its close code, too.
    socket.on('error', () => {});
  }

  static async open(protocols = [], options = {}) {
    const client = new Client(new WebSocket(url, protocols, options));
    await inTime(new Promise((resolve, reject) => {
      client.socket.once('open', resolve);
      client.socket.once('error', reject);
    }), 'the handshake');
    return client;
  }

  send(data, options = {}) {
    this.socket.send(data, options);
  }

  async receive() {
    const { data, isBinary } = await this.inbox.take();
    assert.equal(isBinary, false, 'a text was expected');
    return data.toString();
  }

  async close(code = 1000, reason = '') {
    this.socket.close(code, reason);
    return inTime(this.closed, 'the close');
  }
}

const open = () => Client.open();

/** Sends a message and expects the same back, of the same type. */
async function expectEcho(client, data) {
  client.send(data);
  const echo = await client.inbox.take();
  assert.equal(echo.isBinary, typeof data !== 'string');
  assert.ok(echo.data.equals(Buffer.from(data)), `${Buffer.byteLength(data)} bytes came back as other ones`);
}

/** Every length at which a frame's head changes, as text and as bytes. */
async function echo() {
  const client = await open();
  for (const text of ['', 'a', 'Grüße, 世界 🎈', '\0 control \x7f', '\u{10ffff}']) await expectEcho(client, text);
  for (const length of [0, 1, 125, 126, 127, 65535, 65536, 65537, MIB]) {
    await expectEcho(client, randomBytes(length));
    await expectEcho(client, 'é'.repeat(length / 2));
  }
  assert.equal((await client.close()).code, 1000);
}

/** Messages in fragments: many, of one byte, empty ones, cut within a character, with a ping between them. */
async function fragments() {
  const client = await open();
  const inParts = (parts, binary) => parts.forEach((part, index) => {
    client.send(part, { binary, fin: index === parts.length - 1 });
    if (index === 0) client.socket.ping('between');
  });
  const cut = (data, size) => Array.from({ length: Math.ceil(data.length / size) }, (_, index) =>
    data.subarray(index * size, (index + 1) * size));
  const data = randomBytes(MIB);
  for (const size of [4 * KIB, 100 * KIB, MIB - 1]) {
    inParts(cut(data, size), true);
    assert.ok((await client.inbox.take()).data.equals(data), `in parts of ${size} bytes`);
  }
  for (const size of [1, 2, 3]) {
    const text = 'Grüße, 世界 🎈';
    inParts([Buffer.alloc(0), ...cut(Buffer.from(text), size), Buffer.alloc(0)], false);
    assert.equal(await client.receive(), text);
  }
  await client.close();
}

/** 1,000 messages that wait for no answer come back whole and in order. */
async function pipeline() {
  const client = await open();
  const messages = Array.from({ length: 1000 }, (_, index) =>
    index % 2 ? `${index} ${'x'.repeat(index)}` : Buffer.from([index >> 8, index & 255, ...Buffer.alloc(index)]));
  for (const message of messages) client.send(message);
  for (const message of messages) {
    const { data, isBinary } = await client.inbox.take();
    assert.equal(isBinary, typeof message !== 'string');
    assert.ok(data.equals(Buffer.from(message)));
  }
  await client.close();
}

/** The server answers pings with their own payload, in the middle of other traffic too. */
async function ping() {
  const client = await open();
  const pongs = new Inbox();
  client.socket.on('pong', (data) => pongs.put(data));
  for (const payload of [Buffer.alloc(0), Buffer.from('x'), randomBytes(125)]) {
    client.socket.ping(payload);
    assert.deepEqual(await pongs.take('a pong'), payload);
  }
  for (let number = 0; number < 100; number += 1) client.send(String(number));
  client.socket.ping('behind 100 messages');
  assert.equal((await pongs.take('a pong')).toString(), 'behind 100 messages');
  for (let number = 0; number < 100; number += 1) assert.equal(await client.receive(), String(number));
  // A pong that nobody asked for is allowed (RFC 6455, 5.5.3).
  client.socket.pong('unasked');
  await expectEcho(client, 'still there');
  await client.close();
}

/** Who closes says why, and the other side hears it. */
async function close() {
  for (const code of [1000, 1001, 3000, 4999]) {
    const client = await open();
    assert.equal((await client.close(code, 'ü'.repeat(61))).code, code);
  }
  // Without a code there is none in the answer either, which an API shows as 1005 (RFC 6455, 7.1.5).
  const bare = await open();
  bare.socket.close();
  assert.equal((await inTime(bare.closed, 'the close')).code, 1005);

  const member = await Member.join(await open());
  await post('disconnect', { connection: member.id, code: 4001, reason: 'enough, sagt Jürgen' });
  assert.deepEqual(await inTime(member.client.closed, 'the close'), { code: 4001, reason: 'enough, sagt Jürgen' });

  // More than message_bytes_max, which is 256 KiB, and no UTF-8.
  const large = await open();
  large.send('x'.repeat(300 * KIB));
  assert.equal((await inTime(large.closed, 'the close')).code, 1009);
  const wrong = await open();
  wrong.send(Buffer.from([0x68, 0xff, 0xfe]), { binary: false });
  assert.equal((await inTime(wrong.closed, 'the close')).code, 1007);
}

/** Clients that vanish without a word, one of them in the middle of a message. */
async function terminate() {
  const members = await Promise.all(Array.from({ length: 20 }, async () => Member.join(await open())));
  await Promise.all(members.map((member) => member.subscribe(ROOM)));
  members[0].client.send('{"action":"mess', { fin: false });
  for (const { client } of members) client.socket.terminate();
  for (const { client } of members) assert.equal((await inTime(client.closed, 'the end')).code, 1006);
  const witness = await Member.join(await open());
  await witness.subscribe(ROOM);
  witness.send('message', { channel: ROOM, message: 'alone' });
  const got = [await witness.receive(), await witness.receive()];
  assert.ok(got.some((frame) => frame.message === 'alone'), JSON.stringify(got));
  await witness.client.close();
}

/** A server that speaks none of the subprotocols on offer chooses none, which ends the handshake of this client. */
async function subprotocol() {
  await assert.rejects(Client.open(['chat', 'superchat']), /Server sent no subprotocol/);
  const client = await open();
  assert.equal(client.socket.protocol, '');
  await expectEcho(client, 'without one');
  await client.close();
}

/** Every way to agree on compression, with a server that keeps context for both sides or for none. */
async function deflate() {
  const keeps = process.env.TEST_CONTEXT_TAKEOVER === 'both';
  for (const wishes of [
    {},
    { serverNoContextTakeover: true },
    { clientNoContextTakeover: true },
    { serverMaxWindowBits: 9 },
    { serverMaxWindowBits: 12, clientMaxWindowBits: 12 },
    { clientMaxWindowBits: 9 },
  ]) {
    const client = await Client.open([], { perMessageDeflate: { threshold: 0, ...wishes } });
    const { agreed } = client;
    assert.ok(agreed.startsWith('permessage-deflate'), `agreed on ${agreed}`);
    assert.equal(agreed.includes('server_no_context_takeover'), !keeps || 'serverNoContextTakeover' in wishes);
    assert.equal(agreed.includes('client_no_context_takeover'), 'clientNoContextTakeover' in wishes);
    for (const length of [0, 1, 300, 5000, 70_000, MIB]) {
      const text = 'what was said before, '.repeat(length / 22 + 1).slice(0, length);
      const noise = randomBytes(length);
      for (const message of [text, noise, text, Buffer.concat([noise, Buffer.from(text)])]) {
        await expectEcho(client, message);
      }
    }
    const parts = ['one ', '', 'two '.repeat(1000), 'three'];
    parts.forEach((part, index) => client.send(part, { fin: index === parts.length - 1 }));
    assert.equal(await client.receive(), parts.join(''));
    assert.equal((await client.close()).code, 1000);
  }
}

/** 200 clients at once over four workers: each hears each of 20 messages, once, in the order of their sender. */
async function crowd() {
  const members = await Promise.all(Array.from({ length: 200 }, async () => Member.join(await open())));
  assert.equal(new Set(members.map((member) => member.id)).size, 200);
  const speakers = [0, 1, 2, 3].map((worker) => members.find((member) => member.worker === worker));
  await Promise.all(members.map((member) => member.subscribe(ROOM)));
  for (const speaker of speakers) {
    for (let message = 0; message < 5; message += 1) speaker.send('message', { channel: ROOM, message });
  }
  await Promise.all(members.map(async (member) => {
    const heard = new Map(speakers.map(({ id }) => [id, []]));
    for (let count = 0; count < 20;) {
      const frame = await member.receive();
      if ('success' in frame) continue;
      heard.get(frame.sender).push(frame.message);
      count += 1;
    }
    for (const numbers of heard.values()) assert.deepEqual(numbers, [0, 1, 2, 3, 4]);
  }));
  await Promise.all(members.map((member) => member.client.close()));
}

await main({
  echo, fragments, deflate, pipeline, ping, close, terminate, subprotocol, crowd,
  channels: () => channels(open),
  reload: () => reload(open),
});
