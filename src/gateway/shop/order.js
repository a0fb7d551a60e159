// Places an order under one key, whatever breaks on the way.

import { Refused, Unanswered } from "/shop/client/index.js";

import { newKey } from "./gateway.js";
import * as words from "./words.js";

const KEPT = "rushgate.shop.order";

/** The key of an order that was not answered yet, also when the page is loaded anew; of any other order, a new one. */
function keyOf(order) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (kept?.order === order) return kept.key;
  const key = newKey();
  sessionStorage.setItem(KEPT, JSON.stringify({ order, key }));
  return key;
}

/**
 * Places an order. `say` is called with what is to be shown of it: "waits", "taken" or "refused", and sentences.
 * The answer, where it was taken.
 */
export async function place(gateway, token, campaign, order, say) {
  const key = keyOf(JSON.stringify([gateway.url, token, campaign, order]));
  let sent = 0;
  const tell = (status) => {
    sent += 1;
    if (status !== undefined && status < 500 && status !== 429) return;
    const why = status === undefined ? "No answer came" : `The gateway answered ${status}`;
    say("waits", [`${why}.`, "The order is sent again, under the same key.", `Sent ${sent} times so far.`]);
  };
  say("waits", ["The order is on its way."]);
  try {
    const taken = await gateway.client(token, { tell }).place(campaign, order, { key });
    sessionStorage.removeItem(KEPT);
    const what = `${taken.quantity} × ${taken.sku}, decided by revision ${taken.revision}: it is ${taken.state}.`;
    say("taken", ["The order is taken.", what, sent > 1 ? `It was sent ${sent} times, and is one order.` : ""]);
    return taken;
  } catch (error) {
    if (error instanceof Refused) {
      // After these nobody knows whether it was placed: the key finds out.
      if (error.status < 500 && error.status !== 429) sessionStorage.removeItem(KEPT);
      say("refused", words.problem(error));
    } else if (error instanceof Unanswered) {
      say("waits", ["Nothing is known of the order.", "Buy again: it has the same key, so that it is one order whatever happened."]);
    } else {
      throw error;
    }
    return undefined;
  }
}
