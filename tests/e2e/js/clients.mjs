// What a NATS client does, over whatever it is connected with.  Resolves to a list of what it saw.
import { createInbox, Empty, headers, RequestError, wsconnect } from "@nats-io/nats-core";

export async function scenario(options) {
  const seen = [];
  const connection = await wsconnect({ timeout: 10_000, maxReconnectAttempts: 0, ...options });
  seen.push(["port", connection.info.port, "host", connection.info.host]);

  const echo = connection.subscribe("echo", {
    callback: (_, message) => message.respond(message.data, { headers: message.headers }),
  });
  const given = headers();
  given.append("Kind", "a test");
  const answer = await connection.request("echo", "hello", { headers: given, timeout: 10_000 });
  seen.push(["request", answer.string(), answer.headers.get("Kind")]);

  const large = new Uint8Array(connection.info.max_payload);
  for (let i = 0; i < large.length; i++) large[i] = (i * 7919) % 251;
  const back = await connection.request("echo", large, { timeout: 20_000 });
  seen.push(["large", back.data.length, back.data.every((byte, i) => byte === large[i])]);

  try {
    await connection.request("nobody", Empty, { timeout: 10_000 });
  } catch (error) {
    seen.push(["no responders", error instanceof RequestError && error.isNoResponders()]);
  }

  const inbox = createInbox();
  const many = connection.subscribe(inbox, { max: 1000 });
  for (let i = 0; i < 1000; i++) connection.publish(inbox, String(i));
  let inOrder = 0;
  for await (const message of many) if (message.string() === String(inOrder)) inOrder++;
  seen.push(["in order", inOrder]);

  echo.unsubscribe();
  await connection.drain();
  seen.push(["closed", connection.isClosed()]);
  return seen;
}

export async function report(options) {
  try {
    return { seen: await scenario(options) };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
}
