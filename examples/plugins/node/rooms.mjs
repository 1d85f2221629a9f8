/**
 * A chat with rooms as an application of its own: the path is the room, and who may enter is decided at the handshake.
 *
 *     ws://HOST/rooms/kitchen?name=ann
 *
 * Without a good name a client gets 400 instead of a WebSocket, and 409 where somebody in the room has it. What a client
 * sends is told to everybody in its room: {"from":"ann","text":"hello"}. Who enters hears who is there and what was said
 * last. When this program is started again the server tells it who is connected, so that nobody has to come back; what
 * was said before is forgotten.
 *
 *     [[route]]
 *     path = "/rooms/*"
 *     app = "plugin:rooms"
 *
 *     [[process]]
 *     name = "rooms"
 *     command = "node"
 *     args = ["examples/plugins/node/rooms.mjs"]
 *     events = ["handshake"]
 *
 * One process has all rooms: with `instances` the people of one room would be with different ones.
 */

import { Plugin } from '../../../clients/plugins/node/wsmaster.mjs';

/** What is told to who enters. */
const REMEMBERED_MAX = 20;
const NAME = /^[\p{L}\p{N} ._-]{1,32}$/u;
const ROOM = /^\/rooms\/([\p{L}\p{N}._-]{1,64})$/u;

const plugin = new Plugin();
/** By name: the people, as a map from their connection to their name, and what was said last. */
const rooms = new Map();
/** Of each connection its room. */
const roomOf = new Map();

/** Room and name of who asks; what is wrong instead, if something is. */
function entrant({ path, query }) {
  const room = ROOM.exec(path)?.[1];
  const name = new URLSearchParams(query).get('name') ?? '';
  if (room === undefined) return { wrong: 'the path is /rooms/ROOM' };
  return NAME.test(name) ? { room, name } : { wrong: 'say who you are: ?name=...' };
}

function tell(room, message) {
  const text = JSON.stringify(message);
  for (const connection of room.people.keys()) plugin.push(connection, { text });
}

plugin.onHandshake((event) => {
  const { room, name, wrong } = entrant(event);
  if (wrong !== undefined) plugin.reject(event, { status: 400, text: wrong });
  else if ([...(rooms.get(room)?.people.values() ?? [])].includes(name)) {
    plugin.reject(event, { status: 409, text: 'somebody here has this name' });
  } else plugin.accept(event);
});

plugin.onOpen((event) => {
  const { connection } = event;
  const { room: roomName, name } = entrant(event);
  // Two with one name may have asked at the same moment: the later one goes.
  const room = rooms.get(roomName) ?? { people: new Map(), said: [] };
  if ([...room.people.values()].includes(name)) {
    plugin.disconnect(connection, { code: 4009, reason: 'somebody here has this name' });
    return;
  }
  rooms.set(roomName, room);
  roomOf.set(connection, roomName);
  if (!event.again) tell(room, { entered: name });
  room.people.set(connection, name);
  if (!event.again) plugin.push(connection, { json: { people: [...room.people.values()], said: room.said } });
});

plugin.onMessage(({ connection, text }) => {
  const room = rooms.get(roomOf.get(connection));
  if (room === undefined || text === undefined) return;
  const message = { from: room.people.get(connection), text };
  room.said.push(message);
  if (room.said.length > REMEMBERED_MAX) room.said.shift();
  tell(room, message);
});

plugin.onClose(({ connection }) => {
  const roomName = roomOf.get(connection);
  const room = rooms.get(roomName);
  if (room === undefined) return;
  roomOf.delete(connection);
  const name = room.people.get(connection);
  room.people.delete(connection);
  if (room.people.size === 0) rooms.delete(roomName);
  else tell(room, { left: name });
});

plugin.onRequest((event) => {
  const people = Object.fromEntries([...rooms].map(([name, room]) => [name, room.people.size]));
  plugin.respond(event, { json: { rooms: people } });
});

await plugin.run();
