// Talk in the lobby with nothing but Node.js: it says what you type, and shows what others say.
//
// Start a server, and then this program with a port and a nick:
//
//     .venv/bin/twistd -n chat
//     node examples/talk.js 14900 nora

const [port = 14900, nick = "node"] = process.argv.slice(2);
const chat = require("node:net").connect(Number(port), "127.0.0.1").setEncoding("utf8");
const send = (object) => chat.write(JSON.stringify(object) + "\n");
const hear = ({ type, author, msg }) => {
  if (type === "ping") send({ type: "pong" });
  const text = `${author}: ${msg}`.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, ""); // a terminal would obey these
  if (type === "" || type === "error") console.log(text);
};

send({ type: "hello", nick });
send({ type: "join", room: "lobby" });
let rest = "";
chat.on("data", (data) => {
  const lines = (rest + data).split("\n"); // `readline` would also split at U+2028, which JSON does not escape
  rest = lines.pop();
  lines.forEach((line) => hear(JSON.parse(line)));
});
chat.on("close", () => process.exit());
chat.on("error", ({ message }) => {
  console.error(`talk: ${message}`); // such as a server that is not there
  process.exit(1);
});
const typed = require("node:readline").createInterface({ input: process.stdin });
typed.on("line", (msg) => send({ type: "", room: "lobby", msg }));
typed.on("close", () => send({ type: "quit" }));
