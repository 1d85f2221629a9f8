// What the tests talk to: every handler and every command of the Node.js SDK. The same as probe.py and probe.php.

import { spawnSync } from 'node:child_process';
import { CommandFailed, Plugin } from '../../node/wsmaster.mjs';

const plugin = new Plugin({ replyTimeoutMs: Number(process.env.PROBE_REPLY_TIMEOUT_S ?? 30) * 1000 });
let asksAtStop = false;
let partsAtLength = false;

const words = {
  kinds(connection) {
    plugin.push(connection, { json: { a: [1, 2.5, 'ü/', null, true] } });
    plugin.broadcast({ text: 'to all' });
    plugin.broadcast({ binary: Uint8Array.of(0, 255), exclude: connection });
    plugin.publish('chat.room.1', { message: { any: ['JSON'] } });
    plugin.publish('chat.room.1', { text: 'raw', exclude: connection });
    plugin.disconnect(connection);
    plugin.disconnect(connection, { code: 4000, reason: 'enough' });
    plugin.send('other', { text: 'to a process' });
    plugin.send(0, { binary: Uint8Array.of(1) });
    plugin.log('careful', 'warn');
  },

  async ask(connection) {
    plugin.log(`asked ${(await plugin.ask.push(connection, { text: 'question' })).result}`);
  },

  async info(connection) {
    try {
      const known = await plugin.info(connection);
      plugin.log(`info ${known === null ? 'none' : known.worker}`);
      plugin.log(`exists ${await plugin.exists(connection)}`);
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      plugin.log(`failed ${error.reply.result}`);
    }
  },

  fail() {
    throw new Error('boom');
  },

  async 'fail later'() {
    await plugin.ask.broadcast({ text: 'first' });
    throw new Error('boom');
  },

  print() {
    console.log('printed');
    plugin.log('has printed');
  },

  async flood(connection) {
    for (let number = 0; number < 2000; number += 1) {
      if (!plugin.push(connection, { text: `${number} ${'x'.repeat(4096)}` })) await plugin.drain();
    }
  },

  child() {
    const { status } = spawnSync('sh', ['-c', 'test -e /dev/fd/3 || test -e /dev/fd/4']);
    plugin.log(`child ${status === 0}`);
  },

  long(connection) {
    plugin.push(connection, { text: 'x'.repeat(2000) });
  },

  nothing(connection) {
    plugin.push(connection, {});
  },

  half(connection) {
    plugin.push(connection, { text: `${'🎈'.slice(0, 1)} \\ud83c 🎈` });
  },

  goodbye() {
    asksAtStop = true;
  },

  part() {
    partsAtLength = true;
  },
};

plugin.onStart((hello) => {
  const isRight = plugin.name === 'probe' && plugin.instance === 2 && plugin.hello === hello;
  if (!isRight) plugin.log('wrong facts');
});
async function handshake(event) {
  if (event.query === 'accept') plugin.accept(event);
  else if (event.query === 'choose') {
    const headers = { 'X-One': '1', 'X-Two': ['2', '3'] };
    const reply = await plugin.ask.accept(event, { subprotocol: event.subprotocols[1], headers });
    plugin.log(`accepted ${reply.result ?? reply.success}`);
  } else if (event.query === 'fail') throw new Error('boom');
  else if (event.query === 'json') plugin.reject(event, { status: 401, json: { who: 'you' }, headers: { 'X-One': '1' } });
  else plugin.reject(event);
}

if (process.env.PROBE_OPEN_DOOR === undefined) plugin.onHandshake(handshake);
plugin.onRequest((event) => {
  if (event.path === '/fail') throw new Error('boom');
  if (event.path === '/nothing') plugin.respond(event, { status: 204 });
  else if (event.binary !== undefined) {
    plugin.respond(event, { status: 201, binary: event.binary.reverse(), headers: { 'Content-Type': 'image/png' } });
  } else plugin.respond(event, { text: `${event.method} ${event.text}` });
});
plugin.onOpen((event) => plugin.log(`open ${event.connection} ${event.address} ${event.headers.host}`));
plugin.onMessage(({ connection, text, binary }) => {
  if (binary !== undefined) plugin.push(connection, { binary: binary.reverse() });
  else if (Object.hasOwn(words, text)) return words[text](connection);
  else plugin.push(connection, { text });
  return undefined;
});
plugin.onClose((event) => plugin.log(`close ${event.connection} ${event.code} ${event.by}`));
plugin.onTick((event) => plugin.log(`tick ${event.number}`));
plugin.onProcess((event) => plugin.log(`process ${event.from} ${event.text}`));
plugin.on('worker_error', (event) => plugin.log(`worker_error ${event.how}`));
plugin.onStop(async (event) => {
  if (asksAtStop) plugin.log(`goodbye to ${(await plugin.ask.broadcast({ text: 'goodbye' })).delivered}`);
  if (partsAtLength) plugin.broadcast({ text: 'x'.repeat(1 << 20) });
  plugin.log(`stop ${event.timeout_ms}`);
});
await plugin.run();
