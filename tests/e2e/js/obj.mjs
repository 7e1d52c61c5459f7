// node obj.mjs '{"servers": "127.0.0.1:4222"}' program: what it saw, a line each.  Times and made-up names are left out.
import { connect, headers } from "@nats-io/transport-node";
import { Objm } from "@nats-io/obj";

const lines = [];
const note = (what, ...seen) => lines.push(`${what}: ${seen.join(" ")}`);
const text = (data) => data && new TextDecoder().decode(data);
const bytes = (string) => new TextEncoder().encode(string);
const show = (info) =>
  info &&
  [info.name, info.description, info.size, info.chunks, info.digest, info.deleted, info.bucket,
    JSON.stringify(info.options), JSON.stringify(info.metadata), info.isUpdate, info.revision].join(" ");

async function attempt(what, happens, tell = String) {
  try {
    note(what, tell(await happens()));
  } catch (error) {
    note(what, error.name, error.code, error.message);
  }
}

const large = new Uint8Array(700_001).map((_, i) => (i * 7919) % 251);

function stream(data, size = 50_000) {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= data.length) return controller.close();
      controller.enqueue(data.slice(sent, (sent += size)));
    },
  });
}

async function readAll(result) {
  if (result === null) return null;
  let size = 0, same = true;
  for await (const chunk of result.data) {
    for (const byte of chunk) same &&= byte === large[size++];
  }
  return `${size} ${same} ${await result.error}`;
}

const programs = {
  async objects(nc, objm) {
    const store = await objm.create("B", { description: "a store", metadata: { a: "b" } });
    const given = headers();
    given.append("Kind", "a test");
    await attempt("nothing there", () => store.info("a"), show);
    await attempt("get nothing", () => store.getBlob("a"), text);
    await attempt("put", () => store.putBlob({ name: "a", description: "first", metadata: { k: "v" }, headers: given }, bytes("one")), show);
    await attempt("get", () => store.getBlob("a"), text);
    await attempt("info", () => store.info("a"), show);
    await attempt("headers", async () => (await store.info("a")).headers.get("Kind"));
    await attempt("put again", () => store.putBlob({ name: "a" }, bytes("two")), show);
    await attempt("get what was put again", () => store.getBlob("a"), text);
    await attempt("put empty", () => store.putBlob({ name: "empty" }, new Uint8Array(0)), show);
    await attempt("get empty", () => store.getBlob("empty"), (data) => data.length);
    await attempt("put large", () => store.put({ name: "/l a r g e/ü" }, stream(large)), show);
    await attempt("get large", async () => readAll(await store.get("/l a r g e/ü")));
    await attempt("put in small chunks", () => store.put({ name: "small", options: { max_chunk_size: 10_000 } }, stream(large)), show);
    await attempt("get small chunks", async () => readAll(await store.get("small")));
    await attempt("on a revision", async () => {
      const { revision } = await store.info("a");
      const found = [show(await store.putBlob({ name: "a" }, bytes("three"), { previousRevision: revision }))];
      try {
        await store.putBlob({ name: "a" }, bytes("four"), { previousRevision: revision });
      } catch (error) {
        found.push(error.message);
      }
      return found.join("; ");
    });
    await attempt("get what was put on a revision", () => store.getBlob("a"), text);
    await attempt("list", () => store.list(), (infos) => infos.map(show).join("; "));
    await attempt("delete", () => store.delete("small"), JSON.stringify);
    await attempt("delete nothing", () => store.delete("nothing"), JSON.stringify);
    await attempt("get deleted", () => store.getBlob("small"), text);
    await attempt("info of deleted", () => store.info("small"), show);
    await attempt("rename", () => store.update("a", { name: "b", description: "another" }), (ack) => ack.seq);
    await attempt("rename onto another", () => store.update("b", { name: "empty" }), (ack) => ack.seq);
    await attempt("get renamed", () => store.getBlob("b"), text);
    await attempt("link", async () => show(await store.link("l", await store.info("b"))));
    await attempt("follow a link", () => store.getBlob("l"), text);
    const other = await objm.create("OTHER");
    await attempt("link a store", () => store.linkStore("s", other), show);
    await attempt("follow a link to a store", () => store.getBlob("s"), text);
    await attempt("link to a link", async () => show(await store.link("m", await store.info("l"))));
    await attempt("list", () => store.list(), (infos) => infos.map(show).join("; "));
    const status = await store.status();
    note("status", status.bucket, status.description, status.storage, status.replicas, status.sealed, status.ttl);
    note("more", status.streamInfo.state.messages, status.streamInfo.state.num_subjects, status.metadata.a);
    await attempt("stores", async () => {
      const found = [];
      for await (const each of objm.list()) found.push(each.bucket);
      return found.join(" ");
    });
    await attempt("seal", () => store.seal(), (s) => s.sealed);
    await attempt("put into a sealed store", () => store.putBlob({ name: "x" }, bytes("x")), show);
    await attempt("delete in a sealed store", () => store.delete("b"), JSON.stringify);
    await attempt("get from a sealed store", () => store.getBlob("b"), text);
    await attempt("destroy", () => store.destroy());
    await attempt("destroy again", () => store.destroy());
    await attempt("open what is destroyed", () => objm.open("B"));
  },

  async watching(nc, objm) {
    const store = await objm.create("W");
    const empty = (await store.watch())[Symbol.asyncIterator]();
    const see = async (what, watcher) => note(what, show((await watcher.next()).value));
    await store.putBlob({ name: "a" }, bytes("1"));
    await see("put", empty);
    await store.putBlob({ name: "b" }, bytes("2"));
    await see("put", empty);
    await store.delete("a");
    await see("deleted", empty);
    await store.putBlob({ name: "b" }, bytes("3"));
    await see("replaced", empty);
    for (const [what, before, options] of [
      ["only updates", 0, {}],
      ["no deletes", 0, { ignoreDeletes: true }],
      ["history", 3, { includeHistory: true }],
    ]) {
      const watcher = (await store.watch(options))[Symbol.asyncIterator]();
      for (let i = 0; i < before; i++) await see(what, watcher);
      await store.putBlob({ name: "c" }, bytes(what));
      await see(`${what}, then`, watcher);
      await store.delete("c");
      if (!options.ignoreDeletes) await see(`${what}, then`, watcher);
      await watcher.return();
    }
  },

  async limits(nc, objm) {
    const store = await objm.create("L", { max_bytes: 300_000, storage: "memory", ttl: 1_000_000_000 * 600 });
    await attempt("too large", () => store.put({ name: "large" }, stream(large)), show);
    await attempt("nothing of it is left", async () => (await store.status()).streamInfo.state.messages);
    await attempt("what fits", () => store.putBlob({ name: "fits" }, large.slice(0, 200_000)), show);
    await attempt("what does not fit any more", () => store.putBlob({ name: "too" }, large.slice(0, 200_000)), show);
    await attempt("get what fits", async () => (await store.getBlob("fits")).length);
    await attempt("list", () => store.list(), (infos) => infos.map(show).join("; "));
  },
};

const [, , options, program] = process.argv;
const nc = await connect({ timeout: 10_000, maxReconnectAttempts: 0, ...JSON.parse(options) });
await programs[program](nc, new Objm(nc));
await nc.close();
console.log(JSON.stringify(lines));
process.exit(0);
