// The client against a gateway that answers as it is told to.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";

import { Refused, Rushgate, Unanswered } from "../index.js";

const servers = [];
after(() => servers.forEach((server) => server.close()));

/** A gateway that gives these answers, one after the other, and notes what it was asked. */
async function gateway(answers, options = {}) {
  const asked = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      asked.push({ method: request.method, url: request.url, headers: request.headers, body });
      const answer = answers.shift();
      if (answer === "break") return request.socket.destroy();
      if (typeof answer === "function") return answer(response);
      const [status, content, headers = {}] = answer ?? [500, { reason: "out-of-answers" }];
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(content));
    });
  });
  servers.push(server);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}/`;
  return { asked, client: new Rushgate({ url, token: () => "t", retryForMs: 3_000, ...options }) };
}

const ORDER = { order: "0a", state: "accepted", campaign: "spring", sku: "mug", quantity: 1 };
const again = { "retry-after": "0" };

function stream(...pieces) {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    pieces.forEach((piece) => response.write(piece));
    response.end();
  };
}

function event(id, state, more = {}) {
  return `id: ${id}\nevent: state\ndata: ${JSON.stringify({ ...ORDER, state, ...more })}\n\n`;
}

test("an order is placed once, under one key, whatever breaks", async () => {
  const { client, asked } = await gateway(["break", [503, {}, again], [429, {}, again], [202, ORDER]]);
  assert.deepEqual(await client.place("spring", { sku: "mug", quantity: 1 }), ORDER);
  assert.equal(asked.length, 4);
  const keys = new Set(asked.map(({ headers }) => headers["idempotency-key"]));
  assert.equal(keys.size, 1);
  for (const { method, url, headers, body } of asked) {
    assert.deepEqual([method, url], ["POST", "/v1/campaigns/spring/orders"]);
    assert.equal(headers.authorization, "Bearer t");
    assert.deepEqual(JSON.parse(body), { sku: "mug", quantity: 1 });
  }
});

test("a no is told at once, with its reason", async () => {
  const problem = { detail: "sold out", reason: "sold-out", retryable: false };
  const { client, asked } = await gateway([[409, problem]]);
  await assert.rejects(client.place("spring", { sku: "mug" }), (error) => {
    assert.ok(error instanceof Refused);
    assert.deepEqual([error.status, error.reason, error.retryable, error.message], [409, "sold-out", false, "sold out"]);
    return true;
  });
  assert.equal(asked.length, 1);
});

test("without an answer nothing is claimed", async () => {
  const { client } = await gateway(Array(100).fill("break"), { retryForMs: 300 });
  await assert.rejects(client.place("spring", { sku: "mug" }, { key: "k" }), Unanswered);
});

test("a wait is asked for with Prefer", async () => {
  const { client, asked } = await gateway([[201, { ...ORDER, state: "confirmed" }]]);
  const order = await client.place("spring", { sku: "mug" }, { waitSeconds: 5 });
  assert.equal(order.state, "confirmed");
  assert.equal(asked[0].headers.prefer, "wait=5");
});

test("an order is followed over streams that break, to its end", async () => {
  const { client, asked } = await gateway([
    stream("retry: 10\n\n", event(0, "accepted"), event(1, "confirmed", { pay_by: "later" })),
    "break",
    stream(event(1, "confirmed", { pay_by: "later" }), event(2, "cancelled")),
  ]);
  const states = [];
  for await (const order of client.follow("spring", "0a")) states.push(order.state);
  assert.deepEqual(states, ["accepted", "confirmed", "cancelled"]);
  assert.equal(asked[0].headers["last-event-id"], undefined);
  // What broke was one request; then it is asked again, by a stream or by polling.
  const streams = asked.filter(({ url }) => url.endsWith("/events"));
  assert.ok(streams.slice(1).some(({ headers }) => headers["last-event-id"] === "1"));
});

test("a stream that has nothing to add ends it", async () => {
  const { client, asked } = await gateway([stream(event(1, "confirmed")), [204, undefined]]);
  const states = [];
  for await (const order of client.follow("spring", "0a")) states.push(order.state);
  assert.deepEqual(states, ["confirmed"]);
  assert.equal(asked[1].headers["last-event-id"], "1");
});

test("where there is no stream, it asks", async () => {
  const { client, asked } = await gateway([[404, {}], [200, ORDER], [200, { ...ORDER, state: "revoked" }]]);
  const states = [];
  for await (const order of client.follow("spring", "0a")) states.push(order.state);
  assert.deepEqual(states, ["accepted", "revoked"]);
  assert.deepEqual(
    asked.map(({ url }) => url),
    ["/v1/campaigns/spring/orders/0a/events", "/v1/campaigns/spring/orders/0a", "/v1/campaigns/spring/orders/0a"],
  );
});

test("how an order is heard of is told, and one that nobody answers for is waited for", async () => {
  const { client, asked } = await gateway(
    [stream(event(1, "confirmed", { pay_by: "later" })), ...Array(4).fill("break"), stream(event(2, "cancelled"))],
    { retryForMs: 0 },
  );
  const heard = [];
  const onLine = (line) => line === heard.at(-1) || heard.push(line);
  for await (const order of client.follow("spring", "0a", { onLine })) heard.push(order.state);
  assert.deepEqual(heard, ["live", "confirmed", "cut", "live", "cancelled"]);
  const [first, ...others] = asked.filter(({ url }) => url.endsWith("/events"));
  assert.equal(first.headers["last-event-id"], undefined);
  assert.ok(others.length === 4 && others.every(({ headers }) => headers["last-event-id"] === "1"));
});

test("a quota is asked for with an order in mind", async () => {
  const { client, asked } = await gateway([[200, { constraints: [] }]]);
  await client.quota("spring", { sku: "TEE RED/M", quantity: 2, attributes: { device: "d1" } });
  assert.equal(asked[0].url, "/v1/campaigns/spring/quota?sku=TEE+RED%2FM&quantity=2&client.device=d1");
});

test("pages follow each other", async () => {
  const { client, asked } = await gateway([
    [200, { orders: [{ order: "b" }], next: "b" }],
    [200, { orders: [{ order: "a" }] }],
  ]);
  const ids = [];
  for await (const { order } of client.orders({ campaign: "spring sale", limit: 1 })) ids.push(order);
  assert.deepEqual(ids, ["b", "a"]);
  assert.deepEqual(
    asked.map(({ url }) => url),
    ["/v1/campaigns/spring%20sale/orders?limit=1", "/v1/campaigns/spring%20sale/orders?limit=1&before=b"],
  );
});

test("an abort ends a wait", async () => {
  const { client } = await gateway([[503, {}, { "retry-after": "60" }]], { retryForMs: 120_000 });
  const stop = new AbortController();
  const placed = client.place("spring", { sku: "mug" }, { signal: stop.signal });
  setTimeout(() => stop.abort(), 20);
  await assert.rejects(placed, { name: "AbortError" });
});
