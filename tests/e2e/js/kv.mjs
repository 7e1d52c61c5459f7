// node kv.mjs '{"servers": "127.0.0.1:4222"}' program: what it saw, a line each.  Times and made-up names are left out.
import { connect, headers } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";

const lines = [];
const note = (what, ...seen) => lines.push(`${what}: ${seen.join(" ")}`);
const entry = (e) => e && `${e.key} ${e.string()} ${e.revision} ${e.delta} ${e.operation} ${e.length} ${e.isUpdate}`;

async function attempt(what, happens, show = String) {
  try {
    note(what, show(await happens()));
  } catch (error) {
    note(what, error.name, error.code, error.message);
  }
}

async function all(iterator, show = entry) {
  const found = [];
  for await (const each of await iterator) found.push(show(each));
  return found.join("; ");
}

// So many of what a watcher sees.
async function see(what, watcher, count) {
  for (let i = 0; i < count; i++) note(what, entry((await watcher.next()).value));
}

async function until(kv, wanted) {
  while (!wanted((await kv.status()).values)) await new Promise((later) => setTimeout(later, 50));
}

const gone = (kv, left) => until(kv, (values) => values <= left);

const programs = {
  async values(nc, kvm) {
    const kv = await kvm.create("B", { history: 3, description: "a bucket", metadata: { a: "b" } });
    await attempt("get nothing", () => kv.get("a"), entry);
    await attempt("create", () => kv.create("a", "1"));
    await attempt("create again", () => kv.create("a", "2"));
    await attempt("put", () => kv.put("a", "3"));
    await attempt("put another", () => kv.put("b.c", "4"));
    await attempt("put empty", () => kv.put("e", ""));
    await attempt("get", () => kv.get("a"), entry);
    await attempt("get a revision", () => kv.get("a", { revision: 1 }), entry);
    await attempt("get a revision of another", () => kv.get("a", { revision: 3 }), entry);
    await attempt("get a revision that is not", () => kv.get("a", { revision: 99 }), entry);
    await attempt("update", () => kv.update("a", "5", 2));
    await attempt("update with the wrong revision", () => kv.update("a", "6", 2));
    await attempt("put on a revision", () => kv.put("b.c", "7", { previousSeq: 3 }));
    await attempt("history", async () => all(await kv.history({ key: "a" })));
    await attempt("history of some", async () => all(await kv.history({ key: ["a", "b.*"] })));
    await attempt("history of nothing", async () => all(await kv.history({ key: "nope" })));
    await attempt("keys", async () => all(await kv.keys(), String));
    await attempt("some keys", async () => all(await kv.keys("b.>"), String));
    await attempt("keys of two kinds", async () => all(await kv.keys(["a", "b.>"]), String));
    await attempt("delete with the wrong revision", () => kv.delete("a", { previousSeq: 2 }));
    await attempt("delete", () => kv.delete("a"));
    await attempt("get deleted", () => kv.get("a"), entry);
    await attempt("create after a delete", () => kv.create("a", "8"));
    await attempt("purge", () => kv.purge("a"));
    await attempt("history of what is purged", async () => all(await kv.history({ key: "a" })));
    await attempt("create after a purge", () => kv.create("a", "9"));
    await kv.delete("e");
    await attempt("purge deletes", () => kv.purgeDeletes(-1), JSON.stringify);
    await attempt("history of all", async () => all(await kv.history()));
    await attempt("delete all of some", () => kv.delete("b.>"));
    await attempt("keys", async () => all(await kv.keys(), String));
    const status = await kv.status();
    note("status", status.bucket, status.values, status.history, status.ttl, status.description, status.backingStore);
    note("more", status.metadata.a, status.maxValueSize, status.max_bytes, status.replicas, status.compression);
    await attempt("buckets", async () => all(await kvm.list(), (s) => s.bucket));
    await attempt("purge the bucket", () => kv.purgeBucket(), JSON.stringify);
    await attempt("destroy", () => kv.destroy());
    await attempt("get in a destroyed bucket", () => kv.get("a"), entry);
    await attempt("put in a destroyed bucket", () => kv.put("a", "1"));
  },

  async watching(nc, kvm) {
    const kv = await kvm.create("W", { history: 5 });
    const empty = (await kv.watch())[Symbol.asyncIterator]();
    for (const key of ["a", "b.x", "b.y", "a", "c"]) {
      await kv.put(key, key);
      await see("from the beginning", empty, 1); // how many come behind it depends on when it is seen
    }
    await kv.delete("c");
    await see("from the beginning", empty, 1);
    for (const [what, keys, options] of [
      ["last values", ["b.x", "a"], {}],
      ["one key", ["a"], { key: "a" }],
      ["some keys", ["b.x"], { key: "b.*" }],
      ["two keys", ["b.x", "a"], { key: ["a", "b.x"] }],
      ["history", ["b.x", "a"], { include: "history" }],
      ["only updates", ["b.x", "a"], { include: "updates" }],
      ["no deletes", ["b.x", "a"], { ignoreDeletes: true }],
      ["no values", ["b.x", "a"], { headers_only: true }],
      ["from a revision", ["b.x", "a"], { resumeFromRevision: 4 }],
    ]) {
      const watcher = (await kv.watch(options))[Symbol.asyncIterator]();
      const next = async () => {
        const e = (await watcher.next()).value;
        note(what, entry(e));
        return e.delta;
      };
      while (options.include !== "updates" && (await next()) > 0);
      for (const key of ["b.x", "a"]) {
        await kv.put(key, what);
        if (keys.includes(key)) await next();
      }
      await watcher.return();
    }
  },

  async limits(nc, kvm) {
    const small = await kvm.create("SMALL", { maxValueSize: 10, storage: "memory" });
    await attempt("a value of the greatest size", () => small.put("a", "0123456789"));
    await attempt("a value that is too large", () => small.put("a", "0123456789x"));
    const full = await kvm.create("FULL", { max_bytes: 1000 });
    for (let i = 0; i < 8; i++) await attempt("fill", () => full.put(`k${i}`, "x".repeat(200)));
    await attempt("replace in a full bucket", () => full.put("k0", "y".repeat(200)));
    await attempt("less in a full bucket", () => full.put("k0", "y".repeat(20)));
    await attempt("a little in a full bucket", () => full.put("new", "y".repeat(20)));
    await attempt("delete in a full bucket", () => full.delete("k0"));
    await attempt("keys of a full bucket", async () => all(await full.keys(), String));
    const told = await kvm.create("R", { republish: { src: ">", dest: "told.>" }, compression: true });
    const inbox = nc.subscribe("told.>")[Symbol.asyncIterator]();
    for (const [key, value] of [["a", "1"], ["b", "2"], ["a", "3"]]) {
      await told.put(key, value);
      const message = (await inbox.next()).value;
      const known = message.headers.keys().filter((name) => name !== "Nats-Time-Stamp");
      note("republished", message.subject, message.string(), known.map((name) => message.headers.get(name)));
    }
    const status = await told.status();
    note("status", JSON.stringify(status.republish), status.compression);
  },

  async mirrors(nc, kvm) {
    const origin = await kvm.create("O", { history: 3 });
    const other = await kvm.create("P");
    for (const value of ["1", "2"]) await origin.put("a", value);
    await origin.put("b", "3");
    await other.put("c", "4");
    const mirror = await kvm.create("M", { mirror: { name: "O" }, history: 3 });
    const sum = await kvm.create("S", { sources: [{ name: "O" }, { name: "KV_P" }], history: 3 });
    await until(mirror, (values) => values === 3);
    await until(sum, (values) => values === 4);
    await attempt("get from a mirror", () => mirror.get("a"), entry);
    await attempt("get a revision from a mirror", () => mirror.get("a", { revision: 1 }), entry);
    await attempt("put into a mirror", () => mirror.put("a", "5"));
    await attempt("keys of a mirror", async () => all(await mirror.keys(), String));
    await attempt("get from a sum", () => sum.get("a"), (e) => `${e.key} ${e.string()}`);
    await attempt("get another from a sum", () => sum.get("c"), (e) => `${e.key} ${e.string()}`);
    await attempt("keys of a sum", async () => (await all(await sum.keys(), String)).split("; ").sort());
    await attempt("history in a sum", async () => all(await sum.history({ key: "a" }), (e) => e.string()));
    const watcher = (await sum.watch({ include: "updates" }))[Symbol.asyncIterator]();
    for (const [kv, key] of [[origin, "a"], [other, "d"], [sum, "e"]]) {
      await kv.put(key, "new");
      await see("seen in the sum", watcher, 1);
    }
    await other.delete("c");
    await see("deleted in the sum", watcher, 1);
    await origin.purge("a");
    await see("purged in the sum", watcher, 1);
    await attempt("history of what was purged", async () => all(await sum.history({ key: "a" })));
    let info;
    do info = (await sum.status()).streamInfo; while (info.sources.some((s) => s.lag));
    note("sources", JSON.stringify(info.config.sources), info.sources.map((s) => `${s.name} ${s.lag}`).sort());
    await until(mirror, (values) => values === 2);
    await attempt("destroy the origin of a mirror", () => origin.destroy());
    await attempt("status of the mirror", () => mirror.status(), (s) => s.values);
  },

  async time_to_live(nc, kvm) {
    const short = await kvm.create("T", { ttl: 1000 });
    const marked = await kvm.create("M", { history: 4, markerTTL: 1000 });
    const status = await marked.status();
    note("status", status.ttl, status.markerTTL);
    await short.put("a", "1");
    const watcher = (await marked.watch())[Symbol.asyncIterator]();
    await attempt("create for a second", () => marked.create("k", "1", "1s"));
    await attempt("create for less than a second", () => marked.create("less", "1", "500ms"));
    await attempt("create for no time", () => marked.create("less", "1", "soon"));
    await see("put", watcher, 1);
    await see("gone", watcher, 1);
    await attempt("get what is gone", () => marked.get("k"), entry);
    await gone(marked, 0);
    await attempt("create once more", () => marked.create("k", "2"));
    await attempt("purge for a second", () => marked.purge("k", { ttl: "1s" }));
    await gone(marked, 0);
    await attempt("history", async () => all(await marked.history()));
    await gone(short, 0);
    await attempt("get what was for a second", () => short.get("a"), entry);
    await attempt("per key in a bucket without", () => short.create("b", "1", "1s"));
  },
};

const [, , options, program] = process.argv;
const nc = await connect({ timeout: 10_000, maxReconnectAttempts: 0, ...JSON.parse(options) });
await programs[program](nc, new Kvm(nc));
await nc.close();
console.log(JSON.stringify(lines));
process.exit(0);
