// Server-sent events out of the body of a fetch: EventSource cannot send a token, and none belongs in a URL.

/**
 * Reads events from a stream of bytes, until it ends. Comments, which keep connections open, are passed over.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} [alive] called for everything that arrives
 */
export async function* events(body, alive = () => {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let event = fresh();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      text += decoder.decode(value, { stream: true });
      // A line feed that belongs to a carriage return may still be on its way: both end the line, once.
      const lines = text.split(/\r\n|\n|\r(?!$)/);
      text = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.data !== undefined) yield event;
          event = fresh();
        } else {
          take(event, line);
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function fresh() {
  return { id: undefined, name: "message", data: undefined, retry: undefined };
}

function take(event, line) {
  if (line.startsWith(":")) return;
  const colon = line.indexOf(":");
  const field = colon < 0 ? line : line.slice(0, colon);
  let value = colon < 0 ? "" : line.slice(colon + 1);
  if (value.startsWith(" ")) value = value.slice(1);
  if (field === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
  else if (field === "id") event.id = value;
  else if (field === "event") event.name = value;
  else if (field === "retry" && /^\d+$/.test(value)) event.retry = Number(value);
}
