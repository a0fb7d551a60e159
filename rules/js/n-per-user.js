// Each user may order so many times, or so many units, in the whole campaign or per SKU: rules/n-per-user in JavaScript.
import { defineRule, example, int, orderBy, quantity, reason, sku, user, window } from "./sdk/rushgate.js";

const LIMIT = reason("limit-per-user", "This user has reached the limit");

/** "Each user may place at most 2 orders in the whole campaign." */
function sentence({ limit, count, per }) {
  const plural = limit === 1 ? "" : "s";
  const what = count === "orders" ? `place at most ${limit} order${plural}` : `order at most ${limit} unit${plural}`;
  return `Each user may ${what} ${per === "sku" ? "of each SKU" : "in the whole campaign"}.`;
}

export const rule = defineRule({
  id: "n-per-user",
  version: "1.0.0",
  title: "So many per user",
  summary: "Each user may place a number of orders, or order a number of units, in the whole campaign or of each SKU.",
  reasons: [LIMIT],

  params: {
    type: "object",
    properties: {
      limit: { type: "integer", minimum: 1, maximum: 1_000_000, description: "How much each user may order." },
      count: {
        enum: ["orders", "units"],
        default: "orders",
        description: "What is counted: orders, or the units in them.",
      },
      per: {
        enum: ["campaign", "sku"],
        default: "campaign",
        description: "What the limit is for: the whole campaign, or every SKU.",
      },
    },
    required: ["limit"],
    additionalProperties: false,
  },

  examples() {
    const ann = () => orderBy("ann");
    return [
      example("two orders, not three", { limit: 2 })
        .admits(ann())
        .admits(ann().units(5))
        .rejects(ann(), LIMIT)
        .admits(orderBy("bob")),
      example("three units, however split", { limit: 3, count: "units" })
        .rejects(ann().units(4), LIMIT)
        .admits(ann().units(2))
        .rejects(ann().units(2), LIMIT)
        .admits(ann())
        .rejects(ann(), LIMIT),
      example("two units of each SKU", { limit: 2, count: "units", per: "sku" })
        .sku("poster", 10)
        .admits(ann().units(2))
        .admits(ann().units(2).of("poster"))
        .rejects(ann().of("poster"), LIMIT),
      example("one order of each SKU", { limit: 1, per: "sku" })
        .sku("poster", 10)
        .admits(ann())
        .rejects(ann(), LIMIT)
        .admits(ann().of("poster")),
    ];
  },

  compile(plan, { limit, count = "orders", per = "campaign" }) {
    const cost = count === "orders" ? int(1) : quantity();
    const [id, key] = per === "sku" ? [`${count}-per-user-and-sku`, [user(), sku()]] : [`${count}-per-user`, [user()]];
    const counter = plan.counter(id, key, window.campaign, cost);
    plan.require(counter.used().plus(cost).le(limit), LIMIT, sentence({ limit, count, per })).measure(counter, limit);
  },
});
