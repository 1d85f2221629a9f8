/**
 * A chat bot: who writes `!time` in a channel gets an answer there.
 *
 * It sees what clients send, as they send it: {"action":"message","data":{"channel":"chat.room.1","message":"!time"}}.
 * Whether the channel application takes such a message is not said there, so the bot asks the server whether the
 * sender is in the channel: otherwise anybody could make it speak anywhere.
 *
 *     [[process]]
 *     name = "bot"
 *     command = "node"
 *     args = ["examples/plugins/node/bot.mjs"]
 *     events = ["message"]
 */

import { Plugin } from '../../../clients/plugins/node/wsmaster.mjs';

/** The bot answers once in this time in each channel, however many ask. */
const PAUSE_MS = 1000;
/** Beyond so many channels it forgets when it last answered. */
const CHANNELS_MAX = 10_000;

const plugin = new Plugin();
const answeredAt = new Map();

/** What was said and where. Null for what is not said in a channel. */
function parse(text) {
  try {
    const { action, data } = JSON.parse(text);
    return action === 'message' && typeof data.message === 'string' ? data : null;
  } catch {
    return null;
  }
}

plugin.onMessage(async ({ connection, text }) => {
  const said = text === undefined ? null : parse(text);
  if (said?.message.trim() !== '!time') return;
  const now = Date.now();
  if (now - (answeredAt.get(said.channel) ?? 0) < PAUSE_MS) return;
  const info = await plugin.info(connection);
  if (!info?.channels.includes(said.channel)) return;
  if (answeredAt.size >= CHANNELS_MAX) answeredAt.clear();
  answeredAt.set(said.channel, now);
  plugin.publish(said.channel, { message: { from: 'bot', text: `It is ${new Date(now).toISOString()}.` } });
});

await plugin.run();
