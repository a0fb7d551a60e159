// The demo shop of `rushgate dev`: fills the form, places what is asked for, and shows what is known of the buyer.

import { Refused } from "/shop/client/index.js";

import { Gateway, place as placeOf, token } from "./gateway.js";
import { Live } from "./live.js";
import { place } from "./order.js";
import * as page from "./page.js";
import * as words from "./words.js";

/** Orders of a buyer that are listed. */
const LISTED = 10;
const AGAIN_MS = 3_000;
/** What is asked for beside orders is not asked for long: it is asked for anew. */
const SHORTLY = { retryForMs: 2_000 };

const form = page.at("buy");
const fields = form.elements;

/** The token of who is typed in. */
function buyer() {
  return token(fields.buyer.value.trim(), fields.claims.value.trim());
}

/** The order that is typed in. */
function wanted() {
  const attributes = Object.fromEntries(new URLSearchParams(fields.attributes.value.trim()));
  const order = { sku: fields.sku.value, quantity: Number(fields.quantity.value) };
  return Object.keys(attributes).length ? { ...order, attributes } : order;
}

function start(gateway) {
  const client = (more) => gateway.client(buyer(), more);
  let campaigns = new Map();

  async function refreshCampaigns() {
    const found = [];
    for await (const campaign of gateway.client(undefined, SHORTLY).campaigns()) found.push(campaign);
    campaigns = new Map(found.map((campaign) => [campaign.campaign, campaign]));
    const text = ({ campaign, title, state }) => `${title} (${campaign}${state === "open" ? "" : `, ${state}`})`;
    page.offer(fields.campaign, found.map((campaign) => [campaign.campaign, text(campaign)]));
    await refreshSkus();
  }

  async function refreshSkus() {
    const campaign = fields.campaign.value;
    if (!campaign) return;
    // Of a campaign of very many, the list has none.
    const skus = campaigns.get(campaign)?.skus ?? (await gateway.client(undefined, SHORTLY).campaign(campaign)).skus;
    page.offer(fields.sku, skus.map(({ id, sold_out }) => [id, sold_out ? `${id} (sold out)` : id]));
    refreshBuyer();
  }

  const refreshQuota = page.latest("quota", async (signal) => {
    if (!fields.sku.value || !form.checkValidity()) return;
    page.quota(await client(SHORTLY).quota(fields.campaign.value, { ...wanted(), signal }));
  });

  const refreshMine = page.latest("mine", async (signal) => {
    if (!fields.campaign.value || !form.checkValidity()) return;
    const [mine, whose] = [[], client()];
    for await (const order of whose.orders({ campaign: fields.campaign.value, limit: LISTED, signal })) {
      if (mine.push(order) === LISTED) break;
    }
    page.mine(mine, (order) => live.follow(whose, order));
  });

  function refreshBuyer() {
    refreshQuota();
    refreshMine();
  }

  const live = new Live(refreshBuyer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    // One at a time; a button that is disabled would lose the focus.
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try {
      const [whose, who] = [client(), buyer()];
      const taken = await place(gateway, who, fields.campaign.value, wanted(), page.answer);
      if (taken) live.follow(whose, taken);
      refreshBuyer();
    } finally {
      button.ariaDisabled = "false";
    }
  });
  form.addEventListener("input", refreshBuyer);
  fields.campaign.addEventListener("change", () => untilDone(refreshSkus));
  addEventListener("focus", () => refreshCampaigns().catch(() => {}));
  untilDone(refreshCampaigns);
}

/** What the page cannot do without: while nobody answers, it is asked for again. */
async function untilDone(ask) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof Refused) page.answer("refused", words.problem(error));
    }
    await new Promise((go) => setTimeout(go, AGAIN_MS));
  }
}

try {
  const url = placeOf(location.search, location.origin);
  start(new Gateway(url, (how) => page.reach(how, url)));
} catch (error) {
  form.querySelector("button").disabled = true;
  page.reach("wrong", error.message);
}
