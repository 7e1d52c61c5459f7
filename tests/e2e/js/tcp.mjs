// node tcp.mjs '{"program": "core", "url": "nats://127.0.0.1:4222", ...}': what a client over TCP saw, as JSON lines.
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Svcm } from "@nats-io/services";
import {
  connect, createInbox, credsAuthenticator, headers, jwtAuthenticator, nanos, nkeyAuthenticator, tokenAuthenticator,
} from "@nats-io/transport-node";

const options = JSON.parse(process.argv[2]);
const encoder = new TextEncoder();
const say = (...what) => console.log(JSON.stringify(what));
const base = { servers: options.url, maxReconnectAttempts: 0, timeout: 10_000 };

async function outcome(name, more) {
  try {
    const connection = await connect({ ...base, ...more });
    await connection.flush();
    await connection.close();
    say(name, "in");
  } catch (error) {
    say(name, error.name, error.message);
  }
}

async function first(iterator, wanted) {
  for await (const status of iterator) if (wanted(status)) return status;
}

const programs = {
  async logins() {
    for (const [name, more] of Object.entries(options.logins)) {
      const given = { ...more };
      if (more.token) given.authenticator = tokenAuthenticator(more.token);
      if (more.seed) given.authenticator = nkeyAuthenticator(encoder.encode(more.seed));
      if (more.creds) given.authenticator = credsAuthenticator(encoder.encode(more.creds));
      if (more.jwt) given.authenticator = jwtAuthenticator(more.jwt);
      await outcome(name, given);
    }
  },

  async core() {
    const connection = await connect({ ...base, user: "u", pass: "u" });
    const seen = connection.info;
    say("info", seen.max_payload, seen.headers, seen.auth_required ?? false);

    const counts = [0, 0];
    for (const i of [0, 1]) connection.subscribe("queue", { queue: "q", callback: () => counts[i]++ });
    for (let i = 0; i < 200; i++) connection.publish("queue");
    await connection.flush();
    say("queue", counts[0] + counts[1], counts[0] > 20 && counts[1] > 20);

    for (let i = 0; i < 3; i++) connection.subscribe("many", { callback: (_, message) => message.respond(String(i)) });
    const answers = [];
    for await (const answer of await connection.requestMany("many", "", { strategy: "count", maxMessages: 3, maxWait: 9000 }))
      answers.push(answer.string());
    say("many", answers.sort());

    const limited = connection.subscribe("limited", { max: 3 });
    for (let i = 0; i < 5; i++) connection.publish("limited", String(i));
    const got = [];
    for await (const message of limited) got.push(message.string());
    say("limited", got);

    const given = headers();
    given.append("k", "1");
    given.append("k", "2");
    connection.subscribe("headers", { callback: (_, message) => message.respond("", { headers: message.headers }) });
    const answer = await connection.request("headers", "", { headers: given, timeout: 9000 });
    say("headers", answer.headers.values("k"), answer.headers.get("K"));

    try {
      await connection.request("nobody", "", { timeout: 9000 });
    } catch (error) {
      say("nobody", error.name, error.isNoResponders());
    }
    try {
      connection.publish("large", new Uint8Array(seen.max_payload + 1));
    } catch (error) {
      say("large", error.name);
    }
    say("rtt", (await connection.rtt()) >= 0, connection.stats().inMsgs > 0);

    const statuses = connection.status();
    const denied = connection.subscribe("denied.sub", { callback: (error) => say("sub", error?.name, error?.operation, error?.subject) });
    connection.publish("denied.pub");
    const status = await first(statuses, (each) => each.type === "error" && each.error.operation === "publish");
    say("pub", status.error.name, status.error.subject);
    await connection.drain();
    say("drained", connection.isClosed(), denied.isClosed());
  },

  async services() {
    const connection = await connect({ ...base, user: "u", pass: "u" });
    const service = await new Svcm(connection).add({ name: "adder", version: "1.0.0", description: "adds", queue: "q" });
    service.addEndpoint("add", (error, message) => message.respond(String(message.json().reduce((a, b) => a + b, 0))));
    service.addGroup("deep").addEndpoint("fail", { handler: (error, message) => message.respondError(400, "no"), subject: "f.*" });
    say("add", (await connection.request("add", "[1,2,3]", { timeout: 9000 })).string());
    const failed = await connection.request("deep.f.x", "", { timeout: 9000 });
    say("fail", failed.headers.get("Nats-Service-Error"), failed.headers.get("Nats-Service-Error-Code"));
    const client = new Svcm(connection).client({ maxWait: 500, strategy: "stall" });
    for await (const ping of await client.ping()) say("ping", ping.name, ping.version, ping.type);
    for await (const info of await client.info("adder")) say("info", info.endpoints.map((each) => [each.name, each.subject, each.queue_group]));
    for await (const stats of await client.stats("adder")) say("stats", stats.endpoints.map((each) => [each.name, each.num_requests, each.num_errors]));
    await service.stop();
    await connection.close();
  },

  async jetstream() {
    const connection = await connect({ ...base, user: "u", pass: "u" });
    const manager = await jetstreamManager(connection), js = jetstream(connection);
    const info = await manager.streams.add({ name: "S", subjects: ["s.>"], storage: "file", max_age: nanos(3600_000) });
    say("stream", info.config.name, info.config.retention, info.state.messages);
    const ack = await js.publish("s.1", "a", { msgID: "1" });
    say("ack", ack.stream, ack.seq, ack.duplicate, (await js.publish("s.1", "a", { msgID: "1" })).duplicate);
    for (let i = 0; i < 20; i++) await js.publish(`s.${i % 3}`, String(i));
    try {
      await js.publish("s.1", "x", { expect: { lastSequence: 3 } });
    } catch (error) {
      say("wrong sequence", error.name, error.code, error.message);
    }
    await manager.consumers.add("S", { durable_name: "C", ack_policy: "explicit", filter_subject: "s.1" });
    const consumer = await js.consumers.get("S", "C");
    const got = [];
    for await (const message of await consumer.fetch({ max_messages: 5, expires: 2000 })) {
      got.push([message.seq, message.subject, message.string(), message.info.pending]);
      await message.ackAck();
    }
    say("fetched", got);
    const more = await consumer.consume({ max_messages: 10 });
    let count = 0;
    for await (const message of more) {
      message.ack();
      if (message.info.pending === 0) break;
      count++;
    }
    say("consumed", count);
    const message = await manager.streams.getMessage("S", { last_by_subj: "s.2" });
    say("last", message.seq, message.string());
    say("purged", (await manager.streams.purge("S", { filter: "s.0" })).purged);
    const after = await manager.streams.info("S", { subjects_filter: ">" });
    say("subjects", after.state.subjects, after.state.num_deleted);
    say("deleted", await manager.streams.delete("S"));
    await connection.close();
  },

  async statuses() {
    const connection = await connect({ ...base, user: "u", pass: "u", maxReconnectAttempts: -1, reconnectTimeWait: 50, ignoreClusterUpdates: true });
    const inbox = createInbox();
    let count = 0;
    connection.subscribe(inbox, { callback: () => count++ });
    await connection.flush();
    say("ready");
    for await (const status of connection.status()) {
      if (status.type === "ldm") say("lame duck");
      if (status.type === "disconnect") say("disconnected");
      if (status.type === "reconnect") {
        connection.publish(inbox);
        await connection.flush();
        say("back", count);
        break;
      }
    }
    await connection.close();
  },
};

await programs[options.program]();
process.exit(0);
