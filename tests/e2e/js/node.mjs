// node node.mjs '{"servers": "ws://127.0.0.1:80"}': the report on standard output, as JSON.
import WebSocket from "ws";
import { report } from "./clients.mjs";

globalThis.WebSocket = WebSocket; // older nodes have none of their own
console.log(JSON.stringify(await report(JSON.parse(process.argv[2]))));
process.exit(0);
