/**
 * A side process of wsmaster in Node.js (18 or newer): plugin protocol 1 in one file, without dependencies.
 *
 * Owns the two descriptors to the server: reads events, calls your handlers, writes commands. It opens no socket and
 * keeps no state about connections. The protocol is in docs/plugins.md.
 *
 *     import { Plugin } from './wsmaster.mjs';
 *
 *     const plugin = new Plugin();
 *     plugin.onMessage((event) => plugin.push(event.connection, { text: `you said ${event.text}` }));
 *     await plugin.run();
 *
 * An event is the object of the protocol; only `binary`, where it has one, is already a Buffer. Handlers are called in
 * the order of the events. One that returns a promise is not waited for: the next event may come before it is done.
 *
 * Commands are sent and forgotten. The same methods of `plugin.ask` return a promise of the reply.
 *
 * Without the environment that the server gives, events come from stdin and commands go to stdout: a program can be
 * tried by typing the server's lines. What a program prints never mixes with its commands.
 */

import { once } from 'node:events';
import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
import { Socket } from 'node:net';

const PROTOCOL = 1;

/** The longest command line where the server does not say another (`line_bytes_max` of its hello). */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
/** How long after SIGTERM the program goes on reading: the server's `stop` may stand behind other events. */
const QUIT_GRACE_MS = 1000;
/** Of what a handler has thrown, how much goes to the log: it may quote a whole message. */
const REPORT_CHARS_MAX = 1000;

/** A question to the server was not answered. `reply` is what came instead, with `result` and `error`. */
export class CommandFailed extends Error {
  constructor(reply) {
    super(`${reply.result}: ${reply.error ?? ''}`);
    this.name = 'CommandFailed';
    this.reply = reply;
  }
}

/**
 * The commands of the protocol, and what becomes of them: `perform` sends one and gives what there is to return.
 *
 * A message is exactly one of `text` (a string), `json` (any value that JSON has) and `binary` (a Uint8Array).
 */
class Commands {
  #perform;

  constructor(perform) {
    this.#perform = perform;
  }

  /** Sends `{text}`, `{json}` or `{binary}` to one connection. The reply's `result` says `delivered`, or why not. */
  push(connection, message) {
    return this.#perform({ do: 'push', connection, ...body(message, ['text', 'json', 'binary']) });
  }

  /**
   * Sends `{text}`, `{json}` or `{binary}` to every connection of this program but `exclude`; with `to: 'all'` to those of
   * the whole server. A program that is no application has none of its own, and means all. The reply counts `delivered` and
   * `dropped`.
   */
  broadcast({ exclude, to, ...message }) {
    return this.#perform({ do: 'broadcast', ...body(message, ['text', 'json', 'binary']), exclude, to });
  }

  /**
   * Sends to every subscriber of a channel but `exclude`. The reply counts `delivered` and `dropped`.
   *
   * `{message}` is any JSON value and arrives as a message of the channel protocol; `{text}`, `{json}` and `{binary}`
   * arrive as they are.
   */
  publish(channel, { exclude, ...message }) {
    const fields = body(message, ['message', 'text', 'json', 'binary']);
    return this.#perform({ do: 'publish', channel, ...fields, exclude });
  }

  /** Closes one connection, with 1000 unless `code` says otherwise; `reason` has at most 123 bytes. */
  disconnect(connection, { code, reason } = {}) {
    return this.#perform({ do: 'disconnect', connection, code, reason });
  }

  /** Lets the client of a `handshake` become a WebSocket. `subprotocol` is one of those that it offers. */
  accept(event, { subprotocol, headers } = {}) {
    return this.#perform({ do: 'accept', request: event.request, subprotocol, headers });
  }

  /** Answers a `handshake` with an HTTP status, and `{text}`, `{json}` or `{binary}` if given, instead of a WebSocket. */
  reject(event, { status = 403, headers, ...message } = {}) {
    return this.#perform({ do: 'reject', request: event.request, status, headers, ...maybeBody(message) });
  }

  /** Answers a `request`. A header whose value is an array is sent once for each element. */
  respond(event, { status = 200, headers, ...message } = {}) {
    return this.#perform({ do: 'respond', request: event.request, status, headers, ...maybeBody(message) });
  }

  /** Sends `{text}` or `{binary}` to another process: a side process by its name, a worker by its number. */
  send(to, message) {
    const target = typeof to === 'string' ? { process: to } : { worker: to };
    return this.#perform({ do: 'send', ...target, ...body(message, ['text', 'binary']) });
  }
}

/** This program as the server sees it. Make one, register handlers, call run(). */
export class Plugin extends Commands {
  #handlers = new Map();
  #events;
  #commands;
  #replyTimeoutMs;
  #serial = 0;
  /** What to do with the reply to each command that has an id. */
  #awaited = new Map();
  /** The promises of handlers that are not done. */
  #running = new Set();
  /** Whether the last event has come. */
  #isEnded = false;
  #finished = null;

  /** Takes the descriptors to the server. `replyTimeoutMs` is how long `ask` waits for a reply at most. */
  constructor({ replyTimeoutMs = 30_000 } = {}) {
    super((command) => this.#write(command));
    /** The commands once more: here they return a promise of the reply, which is never rejected. */
    this.ask = new Commands((command) => this.#ask(command));
    /** The name of this process in the configuration. */
    this.name = process.env.WSMASTER_PLUGIN_NAME ?? '';
    /** Which of `instances` this one is, from 0. */
    this.instance = Number(process.env.WSMASTER_PLUGIN_INSTANCE ?? 0);
    /** What the server said of itself. Null before run(). */
    this.hello = null;
    this.#replyTimeoutMs = replyTimeoutMs;
    this.#events = readable(Number(process.env.WSMASTER_PLUGIN_EVENTS_FD ?? 0));
    this.#commands = writable(Number(process.env.WSMASTER_PLUGIN_COMMANDS_FD ?? 1));
    this.#commands.on('error', () => this.#lose());
  }

  /** Registers the one handler of an event by its name in the protocol. */
  on(event, handler) {
    if (this.#handlers.has(event)) throw new Error(`${event} has a handler already`);
    this.#handlers.set(event, handler);
    return this;
  }

  /** Calls `handler(hello)` once, when the server has been told that this program is ready. */
  onStart(handler) {
    return this.on('hello', handler);
  }

  /** Calls `handler(event)` when a client of this application asks to become a WebSocket: accept() or reject(). */
  onHandshake(handler) {
    return this.on('handshake', handler);
  }

  /** Calls `handler(event)` for each HTTP request: respond(), now or later. Its body is `text` or `binary`. */
  onRequest(handler) {
    return this.on('request', handler);
  }

  /** Calls `handler(event)` when a client has connected; with `again` if that was in an earlier life of this. */
  onOpen(handler) {
    return this.on('open', handler);
  }

  /** Calls `handler(event)` for each message of a client: it has either `text` or `binary`. */
  onMessage(handler) {
    return this.on('message', handler);
  }

  /** Calls `handler(event)` when a connection has ended, whoever ended it. */
  onClose(handler) {
    return this.on('close', handler);
  }

  /** Calls `handler(event)` every `tick` of the configuration. */
  onTick(handler) {
    return this.on('tick', handler);
  }

  /** Calls `handler(event)` for each message of another process: it has either `text` or `binary`. */
  onProcess(handler) {
    return this.on('process', handler);
  }

  /** Calls `handler(event)` once, last of all. `timeout_ms` is what the server allows, 0 if it did not ask. */
  onStop(handler) {
    return this.on('stop', handler);
  }

  /** Everything the server tells of a connection, null if there is none. Rejected with CommandFailed without answer. */
  async info(connection) {
    const reply = await this.#ask({ do: 'info', connection });
    return reply.result === 'no_such_connection' ? null : answer(reply).info;
  }

  /** Whether a connection is open. Rejected with CommandFailed without answer. */
  async exists(connection) {
    return answer(await this.#ask({ do: 'exists', connection })).exists;
  }

  /** Writes to the server's log. `level` is error, warn, info, debug or trace. */
  log(text, level = 'info') {
    return this.#write({ do: 'log', level, text: String(text) });
  }

  /**
   * Resolves when the server has taken enough of what was written. A command returns false when too much waits;
   * whoever then sends more in a loop of its own should wait here. Between two events this is done for you.
   */
  async drain() {
    if (!this.#commands.writableNeedDrain) return;
    await once(this.#commands, 'drain').catch(() => this.#lose());
  }

  /**
   * Serves until the server says stop, goes away, or SIGTERM or SIGINT comes. Then it waits for the handlers that run
   * and for onStop, and ends the process.
   *
   * A handler that throws is logged, and the next event is handled.
   */
  async run() {
    const quit = () => setTimeout(() => this.#finish(), QUIT_GRACE_MS);
    process.once('SIGTERM', quit);
    process.once('SIGINT', quit);
    try {
      for await (const line of lines(this.#events)) {
        this.#take(line);
        // Who does not read the answers is not asked for more questions.
        await this.drain();
      }
    } catch (error) {
      if (!this.#isEnded) console.error(`the server cannot be read: ${error.message}`);
    }
    this.#lose();
    await this.#finish();
  }

  /** Sorts one line: the awaited reply, or an event. */
  #take(line) {
    let event;
    try {
      event = JSON.parse(line);
      if (typeof event?.event !== 'string') throw new Error('no "event"');
      if ('binary' in event) event.binary = Buffer.from(event.binary, 'base64');
    } catch (error) {
      console.error(`not a line of the plugin protocol: ${error.message}`);
      return;
    }
    if (event.event === 'reply') this.#settle(event);
    else if (this.#finished !== null) return;
    else if (event.event === 'stop') this.#finish(event);
    else {
      if (event.event === 'hello') this.#greet(event);
      this.#call(event);
    }
  }

  /** Answers the first line, and asks for those events only that have a handler. */
  #greet(hello) {
    if (hello.protocol !== PROTOCOL) {
      console.error(`wsmaster.mjs speaks plugin protocol ${PROTOCOL}, the server ${hello.protocol}`);
      process.exit(1);
    }
    this.hello = hello;
    const offered = hello.events ?? [];
    const events = offered.filter((name) => this.#handlers.has(name));
    // The server compares this with its configuration: nobody comes in past a handler of handshakes that is not asked.
    const handles = [...this.#handlers.keys()].filter((name) => name !== 'hello');
    this.#write({ do: 'ready', protocol: PROTOCOL, events, handles });
    for (const name of ['request', 'open', 'message', 'close']) {
      if (this.#handlers.has(name) && !offered.includes(name)) {
        this.log(`the handler of ${name} is never called: \`events\` of the configuration is without it`, 'warn');
      }
    }
    if (this.#handlers.has('tick') && !hello.tick_ms) {
      this.log('the handler of tick is never called: the configuration has no `tick`', 'warn');
    }
  }

  #call(event) {
    const handler = this.#handlers.get(event.event);
    if (handler === undefined) {
      if (event.event === 'dropped') this.log(`${event.count} events were lost: this program reads too slowly`, 'warn');
      return;
    }
    const done = (async () => handler(event))()
      .catch((error) => this.#blame(event, error))
      .finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  #blame(event, error) {
    console.error(error);
    const place = /[^/\s(]+:\d+(?=:\d+\)?$)/m.exec(error?.stack ?? '')?.[0] ?? 'unknown place';
    this.log(`handler of ${event.event}: ${String(error).slice(0, REPORT_CHARS_MAX)} (${place})`, 'error');
    // If it was answered before, this is passed over.
    if ('request' in event) this.respond(event, { status: 500, text: 'the application made a mistake' });
  }

  /** Sends a command and promises its reply. */
  #ask(command) {
    this.#serial += 1;
    const id = this.#serial;
    return new Promise((resolve) => {
      const unanswered = { id, success: false, result: 'unanswered', error: 'the server did not reply' };
      const giveUp = () => this.#settle(unanswered);
      this.#awaited.set(id, { resolve, giveUp, timer: setTimeout(giveUp, this.#replyTimeoutMs) });
      try {
        this.#write({ ...command, id });
      } catch (error) {
        clearTimeout(this.#awaited.get(id).timer);
        this.#awaited.delete(id);
        throw error;
      }
      if (this.#isEnded) giveUp();
    });
  }

  #settle({ event: _, id, ...reply }) {
    if (id === undefined || id === null) console.error(`a command was refused: ${reply.error}`);
    const waiting = this.#awaited.get(id);
    if (waiting === undefined) return;
    this.#awaited.delete(id);
    clearTimeout(waiting.timer);
    waiting.resolve(reply);
  }

  /** Writes one line. False when so much waits that drain() is due. A server that is gone takes everything. */
  #write(command) {
    if (this.hello === null) throw new Error('commands can be sent once run() has called the first handler');
    const line = `${wellFormed(JSON.stringify(command))}\n`;
    const limit = this.hello.line_bytes_max ?? LINE_BYTES_MAX;
    const length = Buffer.byteLength(line);
    if (length > limit) throw new RangeError(`a command of ${length} bytes; the server takes ${limit}`);
    return this.#commands.destroyed || this.#commands.write(line);
  }

  /** There are no more events: nobody will reply. What is written may still be read. */
  #lose() {
    this.#isEnded = true;
    this.#events.destroy();
    for (const { giveUp } of [...this.#awaited.values()]) giveUp();
  }

  /** Ends the process when the handlers are done and all is written. Replies are still read until then. */
  #finish(stop = { event: 'stop', timeout_ms: 0 }) {
    this.#finished ??= (async () => {
      await Promise.allSettled([...this.#running]);
      this.#call(stop);
      await Promise.allSettled([...this.#running]);
      if (!this.#commands.destroyed) await new Promise((resolve) => this.#commands.write('', resolve));
      process.exit();
    })();
    return this.#finished;
  }
}

/** The lines of a stream. Never copies a byte twice. */
async function* lines(stream) {
  let parts = [];
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts).toString();
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
}

function isFile(fd) {
  return fstatSync(fd).isFile();
}

/** Where events come from. Not by fs where it can block: a thread that waits in read() would outlive the program. */
function readable(fd) {
  if (fd === 0) return process.stdin;
  return isFile(fd) ? createReadStream('', { fd }) : new Socket({ fd, readable: true, writable: false });
}

/** Where commands go to. console.log() would write into stdout: it becomes stderr where it carries commands. */
function writable(fd) {
  if (fd === 1) {
    const { stdout } = process;
    Object.defineProperty(process, 'stdout', { value: process.stderr, configurable: true });
    return stdout;
  }
  return isFile(fd) ? createWriteStream('', { fd }) : new Socket({ fd, readable: false, writable: true });
}

/** Half of a surrogate pair, as slice() leaves it of an emoji, is no Unicode: the server would refuse the line. */
function wellFormed(json) {
  if (!json.includes('\\ud')) return json;
  return json.replace(/(\\\\)|\\ud[89a-f][0-9a-f]{2}/g, (_, backslash) => backslash ?? '\ufffd');
}

/** Checks that a message is exactly one of these kinds, and writes bytes as the protocol does. */
function body(message, kinds) {
  const given = kinds.filter((kind) => message[kind] !== undefined);
  if (given.length !== 1) throw new TypeError(`a message is exactly one of ${kinds.join(', ')}`);
  const [kind] = given;
  if (kind === 'text') return { text: String(message.text) };
  return { [kind]: kind === 'binary' ? Buffer.from(message.binary).toString('base64') : message[kind] };
}

/** As body(), of what may also be nothing. */
function maybeBody(message) {
  const kinds = ['text', 'json', 'binary'];
  return kinds.some((kind) => message[kind] !== undefined) ? body(message, kinds) : {};
}

function answer(reply) {
  if (!reply.success) throw new CommandFailed(reply);
  return reply;
}
