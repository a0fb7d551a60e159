// What the page is made of: elements, choices, sentences, and wishes that overtake each other.

import * as words from "./words.js";

/** Long enough to type on, short enough to seem at once. */
const TYPING_MS = 250;

export const at = (id) => document.getElementById(id);

export function element(name, text, more = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, more);
}

/** Offers [value, text] in a select, which keeps what is chosen while that is among them. */
export function offer(select, options) {
  const offered = JSON.stringify(options);
  // It may be open.
  if (select.dataset.offered === offered) return;
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => element("option", text, { value })));
  select.dataset.offered = offered;
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** What became of an order, in sentences, the first one strong. */
export function answer(how, [first, ...rest]) {
  const strong = element("p", "");
  strong.append(element("strong", first));
  at("answer").dataset.answer = how;
  at("answer").replaceChildren(strong, ...rest.filter(Boolean).map((text) => element("p", text)));
}

/** Whether the gateway is there, or what is wrong with its URL. */
export function reach(how, what) {
  if (at("gateway").dataset.reach === how) return;
  at("gateway").dataset.reach = how;
  at("gateway").textContent = {
    reached: `It orders at ${what}, which answers.`,
    away: `${what} does not answer. It is asked again and again.`,
    foreign: `${what} answers, but lets pages of ${location.origin} read nothing: name that origin in its [cors] origins, or in the campaign's.`,
    wrong: what,
  }[how];
}

/** What a buyer has used and still has, and whether an order would be refused. */
export function quota({ refused, constraints }) {
  const verdict = refused
    ? element("p", `Such an order would be refused (${refused.reason}): ${refused.detail}`, { className: "refused" })
    : element("p", "Such an order would be taken now.");
  const list = element("ul", "");
  list.append(...constraints.map((one) => element("li", [one.sentence, words.allowance(one)].filter(Boolean).join(" "))));
  at("quota").replaceChildren(verdict, list);
}

/** Orders of a buyer; `choose` is called with the one that is to be shown. */
export function mine(orders, choose) {
  const rows = orders.map((order) => {
    const what = `${order.quantity} × ${order.sku}, ${order.state}, ${words.time(order.placed_at)}`;
    const show = element("button", "Show", { type: "button", ariaLabel: `Show ${what}` });
    show.addEventListener("click", () => choose(order));
    const row = element("li", "");
    row.append(element("span", what), show);
    return row;
  });
  at("mine").replaceChildren(...(rows.length ? rows : [element("li", "None has landed in this campaign.")]));
}

/** Asks a while after the last wish; a newer wish ends what an older one began. What failed is said in `box`. */
export function latest(box, ask) {
  let stop = new AbortController();
  return async () => {
    stop.abort();
    const { signal } = (stop = new AbortController());
    await new Promise((go) => setTimeout(go, TYPING_MS));
    if (signal.aborted) return;
    try {
      await ask(signal);
    } catch (error) {
      if (!signal.aborted) at(box).replaceChildren(element("p", error.message, { className: "refused" }));
    }
  };
}
