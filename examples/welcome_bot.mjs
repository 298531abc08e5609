// Welcome everybody who comes for the first time, with the client in JavaScript that pages use.
//
// Start a server, and then this program with the address of its WebSocket and a room:
//
//     .venv/bin/twistd -n chat --web 14980
//     node examples/welcome_bot.mjs ws://127.0.0.1:14980/chat lobby
//
// It needs Node.js 22 or newer. End it with Ctrl+C: it sends what it was about to say, and closes.

import { connect } from "../twisted_chat/web/page/client.js";

const [url = "ws://127.0.0.1:14980/chat", name = "lobby"] = process.argv.slice(2);
const client = await connect(url, "welcome-bot").catch(({ message }) => {
  console.error(`welcome_bot: ${message}`); // such as a nick that is taken
  process.exit(1);
});
const room = await client.join(name);
const known = new Set((await room.who()).members);
room.on("member-joined", ({ author }) => {
  if (!known.has(author)) room.say(`Welcome, ${author}!`).catch(({ message }) => console.error(message));
  known.add(author);
});
client.on("state-changed", ({ state, reason }) => console.log(state, reason));
console.log(`in ${room.name}`);
process.once("SIGINT", () => client.close());
