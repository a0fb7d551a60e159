// What the page says in words: states of orders, how they are heard of, answers and problems.

/** What becomes of an order that is well; the payment only where it waits for one. */
const WAY = ["accepted", "confirmed", "paid"];
const LOST = new Set(["revoked", "cancelled", "expired", "refunded"]);

const LINES = {
  live: "Live: each change is told over a stream.",
  asked: "No stream comes about: the gateway is asked again and again.",
  cut: "Cut off from the gateway: connecting again.",
  ended: "Nothing more is to come.",
};

export function line(word) {
  return LINES[word] ?? "";
}

export function state(order) {
  switch (order.state) {
    case "pending":
      return "Pending: it is admitted, and on its way.";
    case "accepted":
      return "Accepted: it cannot be lost any more.";
    case "confirmed":
      return order.pay_by ? `Confirmed. To be paid by ${time(order.pay_by)}.` : "Confirmed: it is in the database.";
    case "paid":
      return "Paid.";
    case "cancelled":
      return "Cancelled: it was not wanted any more.";
    case "expired":
      return "Expired: it was not paid in time.";
    case "refunded":
      return "Refunded: it was paid, and the money went back.";
    case "revoked":
      return `Revoked: the database refused it (${order.revoked_reason ?? "it says no reason"}).`;
    default:
      return order.state;
  }
}

/** The way of an order in steps: name, and whether it is reached, to come, or lost there. */
export function steps(order) {
  if (LOST.has(order.state)) {
    const before = { revoked: 1, refunded: 3 }[order.state] ?? 2;
    return [...WAY.slice(0, before).map((name) => [name, "reached"]), [order.state, "lost"]];
  }
  const at = WAY.indexOf(order.state);
  const way = order.state === "confirmed" && !order.pay_by ? WAY.slice(0, 2) : WAY;
  return way.map((name, n) => [name, n <= at ? "reached" : "to-come"]);
}

/** A problem document as title, detail and what can be done. */
export function problem({ status, reason, retryable, document }) {
  const title = document.title ?? `The gateway answered ${status}`;
  const again = document.retry_at
    ? `The same order can succeed from ${time(document.retry_at)} on.`
    : retryable
      ? "The same order may succeed later."
      : "The same order will not succeed later.";
  return [`${title}.`, document.detail ?? "", `${again} Reason: ${reason ?? "none is said"} (${status}).`];
}

export function allowance({ used, limit, remaining, resets_at, missing }) {
  if (missing) return `An order would have to say ${missing.join(", ")}.`;
  if (used === undefined) return "";
  const rest = `${used} of ${limit} used, ${remaining} left`;
  return resets_at ? `${rest}; anew from ${time(resets_at)}.` : `${rest}.`;
}

/** A moment as it is here; with its date where that is another day. */
export function time(text) {
  const at = new Date(text);
  return at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString() : at.toLocaleString();
}

export function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}
