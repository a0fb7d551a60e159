// The reader of server-sent events, whatever pieces they come in.

import assert from "node:assert/strict";
import { test } from "node:test";

import { events } from "../events.js";

const TEXT = 'retry: 500\n: heartbeat\n\nid: 1\nevent: state\ndata: {"a":1}\n\nid: 2\r\ndata: x\r\ndata: y\r\n\r\ndata:\u00e4\u20ac\n\nid: 9\ndata: cut off';

function stream(bytes, size) {
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

test("events are the same in whatever pieces they come", async () => {
  const bytes = new TextEncoder().encode(TEXT);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const read = [];
    for await (const { id, name, data } of events(stream(bytes, size))) read.push([id, name, data]);
    assert.deepEqual(read, [
      ["1", "state", '{"a":1}'],
      ["2", "message", "x\ny"],
      [undefined, "message", "\u00e4\u20ac"],
    ]);
  }
});

test("whoever stops reading lets go of the stream", async () => {
  let cancelled = false;
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const event of events(body)) {
    assert.equal(event.data, "1");
    break;
  }
  assert.ok(cancelled);
});
