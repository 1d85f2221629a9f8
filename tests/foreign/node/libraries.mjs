// What the libraries of Node.js see of the server. Usage: libraries.mjs SCENARIO, with the environment of server.mjs. It
// prints what each has found; libraries.json says what that is to be. All libraries run at once.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Inbox, inTime, load, main, url } from './server.mjs';

const once = { maxRetries: 0, WebSocket: load('ws').WebSocket };
const { w3cwebsocket: W3CWebSocket, client: W3Client } = load('websocket');
const Faye = load('faye-websocket');
const Reconnecting = load('reconnecting-websocket');

/** Libraries with the interface that browsers have. */
const ALIKE = {
  'ws': () => new (load('ws').WebSocket)(url),
  'isows': () => new (load('isows').WebSocket)(url),
  'undici': () => new (load('undici').WebSocket)(url),
  'Node.js': () => new WebSocket(url),
  'websocket': () => new W3CWebSocket(url),
  'faye-websocket': () => new Faye.Client(url),
  'reconnecting-websocket': () => new Reconnecting(url, [], once),
  'partysocket': () => new (load('partysocket/ws').default)(url, [], once),
};

/** A connection with what has come in, in order; the end is the last. */
class Client {
  constructor(socket) {
    this.socket = socket;
    this.inbox = new Inbox();
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => this.inbox.put({ data });
    socket.onclose = ({ code, reason }) => this.inbox.put({ code, reason });
    socket.onerror = () => {};
  }

  static async open(make) {
    const client = new Client(make());
    await inTime(new Promise((resolve, reject) => {
      client.socket.onopen = resolve;
      client.socket.onerror = (event) => reject(new Error(event.message ?? event.error?.message ?? 'no connection'));
    }), 'the handshake');
    client.socket.onerror = () => {};
    return client;
  }

  send(data) { this.socket.send(data); }

  async receive(ms) {
    const { data, ...end } = await inTime(this.inbox.take(), 'a message', ms);
    if (data === undefined) throw Object.assign(new Error('ended'), end);
    return typeof data === 'string' ? data : Buffer.from(data);
  }

  close() { this.socket.close(); }
}

/** The other interface of the package `websocket`, with events of its own. */
class EventClient {
  constructor(connection) {
    this.connection = connection;
    this.inbox = new Inbox();
    connection.on('message', ({ utf8Data, binaryData }) => this.inbox.put({ data: utf8Data ?? binaryData }));
    connection.on('close', (code, reason) => this.inbox.put({ code, reason }));
    connection.on('error', () => {});
  }

  static open() {
    return inTime(new Promise((resolve, reject) => {
      const client = new W3Client();
      client.on('connect', (connection) => resolve(new EventClient(connection)));
      client.on('connectFailed', reject);
      client.connect(url);
    }), 'the handshake');
  }

  send(data) { typeof data === 'string' ? this.connection.sendUTF(data) : this.connection.sendBytes(data); }

  close() { this.connection.close(); }
}
EventClient.prototype.receive = Client.prototype.receive;

const OPEN = {
  ...Object.fromEntries(Object.entries(ALIKE).map(([name, make]) => [name, () => Client.open(make)])),
  'websocket (events)': () => EventClient.open(),
};

const TEXT = 'Grüße, 世界 🎈';
const LARGE = 'what was said before, '.repeat(3200);

/** More than once: where a context is kept, the second message is the first that needs it. */
async function echo(client) {
  for (const message of [TEXT, Buffer.from([0, 255, 128]), LARGE, TEXT, Buffer.from(LARGE), '', 'the end']) {
    client.send(message);
    try {
      assert.deepEqual(await client.receive(message === '' ? 3000 : undefined), message);
    } catch (error) {
      if (message === '' && /waited/.test(error.message)) return 'no event for an empty text';
      throw error;
    }
  }
  client.close();
  return 'ok';
}

/** The server pings every second and wants an answer within a second, while nothing is sent or received. */
async function silent(client) {
  await new Promise((resolve) => setTimeout(resolve, 4500));
  client.send('still here');
  try {
    assert.equal(await client.receive(), 'still here');
  } catch {
    return 'closed';
  }
  client.close();
  return 'stays';
}

/** How the end of the connection looks to the application. */
async function end(client) {
  try {
    return `received ${await client.receive()}`;
  } catch ({ message, code, reason }) {
    return message === 'ended' ? [code, (reason ?? '').split(';')[0]] : message;
  }
}

async function all(scenario) {
  const opened = await Promise.all(Object.entries(OPEN).map(async ([name, open]) => [name, await open()]));
  if (scenario === end) spawn('sh', ['-c', process.env.TEST_ACTION], { stdio: 'ignore' });
  const found = await Promise.all(opened.map(async ([name, client]) =>
    [name, await scenario(client).catch((error) => String(error))]));
  console.log('found', JSON.stringify(Object.fromEntries(found)));
}

/** The server is full: each library raises an error, which may name the status. */
async function refused() {
  const held = await OPEN.ws();
  const found = await Promise.all(Object.entries(OPEN).map(async ([name, open]) =>
    [name, await open().then(() => 'let in', (error) => (/503/.test(error.message ?? error) ? '503' : 'error'))]));
  held.close();
  console.log('found', JSON.stringify(Object.fromEntries(found)));
}

await main({ echo: () => all(echo), silent: () => all(silent), end: () => all(end), refused });
