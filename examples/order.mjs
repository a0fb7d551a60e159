// A shop that orders, in JavaScript without dependencies: one order with an Idempotency-Key, sent until there is one clear answer,
// and looked up until its state is final. Node 20 or later; `fetch` is the same in browsers.
//
//   node examples/order.mjs http://127.0.0.1:8080 demo mug dev:ada        beside `rushgate dev`

// An answer that takes longer is not waited for: the request is sent again, under the same key.
const ANSWER_WITHIN_MS = 5000;
const TRIES = 8;
// Where an answer does not say when to come back.
const PAUSE_MS = 500;
// What can be had only later than that is not waited for.
const PATIENCE_MS = 60_000;
const LOOKS = 60;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Retry-After is in seconds; a little more, so that not everybody comes back in the same moment.
const pause = (headers) => (Number(headers?.get("retry-after")) * 1000 || PAUSE_MS) * (1 + Math.random() / 4);

// What is clearly answered; timeouts, broken connections and what a retry can help are tried again.
async function ask(url, request) {
  let last = "no answer";
  for (let tries = 0; tries < TRIES; tries += 1) {
    let answer;
    try {
      answer = await fetch(url, { ...request, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      const body = await answer.json();
      if (answer.ok) return body;
      last = `${answer.status} ${body.reason}: ${body.detail}`;
      if (!body.retryable || pause(answer.headers) > PATIENCE_MS) throw new Refused(last);
    } catch (error) {
      if (error instanceof Refused) throw error;
      last = answer === undefined ? String(error.cause ?? error) : last;
    }
    await sleep(pause(answer?.headers));
  }
  throw new Error(`no clear answer after ${TRIES} tries: ${last}`);
}

class Refused extends Error {}

// The key makes it safe to ask as often as it takes: whatever became of an earlier request, a retry is the same order.
export async function order(gateway, campaign, token, key, wanted) {
  return ask(`${gateway}/v1/campaigns/${encodeURIComponent(campaign)}/orders`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(wanted),
  });
}

// Asks until nothing will change by itself any more.
export async function settled(gateway, campaign, token, id) {
  const url = `${gateway}/v1/campaigns/${encodeURIComponent(campaign)}/orders/${id}`;
  for (let looks = 0; looks < LOOKS; looks += 1) {
    const shown = await ask(url, { headers: { Authorization: `Bearer ${token}` } });
    if (!["pending", "accepted"].includes(shown.state)) return shown;
    await sleep(PAUSE_MS);
  }
  throw new Error("the order was taken and has not landed yet: look again later");
}

async function main(args) {
  if (args.length < 4) {
    console.error("usage: order.mjs http://HOST:PORT CAMPAIGN SKU TOKEN [KEY]");
    return 2;
  }
  // A shop keeps the key with the buyer's cart, so that a retry tomorrow is the same order, too.
  const [gateway, campaign, sku, token, key = `cart-${crypto.randomUUID()}`] = args;
  try {
    const taken = await order(gateway, campaign, token, key, { sku, quantity: 1 });
    console.log(`taken: ${JSON.stringify(taken)}`);
    console.log(`settled: ${JSON.stringify(await settled(gateway, campaign, token, taken.order))}`);
    return 0;
  } catch (error) {
    console.error(error.message);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
