// Units per user, more for some tiers.
import { claim, defineRule, example, invalid, optional, orderBy, problem, quantity, reason, user, window } from "./sdk/rushgate.js";

const LIMIT = reason("limit-per-tier", "This user has reached the limit of the tier");

export const rule = defineRule({
  id: "{{name}}",
  version: "1.0.0",
  title: "Units by tier",
  summary: "Each user may order a number of units that depends on the tier.",
  reasons: [LIMIT],
  attributes: [optional(claim("tier"))],

  // What the merchant writes, as JSON Schema; the gateway checks it before `compile`.
  params: {
    type: "object",
    properties: {
      tiers: {
        type: "object",
        additionalProperties: { type: "integer", minimum: 0, maximum: 4_294_967_295 },
        description: "Units per tier, by the claim `tier` of the buyer's token.",
      },
      others: {
        type: "integer",
        minimum: 0,
        maximum: 4_294_967_295,
        description: "Units for every other buyer.",
      },
    },
    required: ["tiers", "others"],
    additionalProperties: false,
  },

  // Orders and what must come of them; the gateway plays them before a revision with this rule can be activated.
  examples() {
    const gold = () => orderBy("ann").with(claim("tier"), "gold");
    return [
      example("gold may order more", { tiers: { gold: 2 }, others: 1 })
        .admits(gold().units(2))
        .rejects(gold(), LIMIT)
        .rejects(orderBy("bob").units(2), LIMIT)
        .admits(orderBy("bob")),
    ];
  },

  compile(plan, { tiers, others }) {
    const below = Object.keys(tiers).filter((tier) => tiers[tier] < others).sort();
    if (below.length > 0) {
      throw invalid(...below.map((tier) =>
        problem("/tiers", "below-others", `${tier} may order less than everybody else`, 'raise its limit, or lower "others"')));
    }
    const units = plan.counter("units-per-user", [user()], window.campaign, quantity());
    const limit = claim("tier").lookup(tiers, others);
    plan
      .require(units.used().plus(quantity()).le(limit), LIMIT, "Each user may order as many units as the tier allows.")
      .measure(units, limit);
  },
});
