// How many units one order may have: at most, at least, and only whole packs: rules/order-cap in JavaScript.
import { defineRule, example, invalid, orderBy, problem, quantity, reason, sku } from "./sdk/rushgate.js";

const TOO_LARGE = reason("order-too-large", "The order has more units than one order may have");
const TOO_SMALL = reason("order-too-small", "The order has fewer units than an order must have");
const NOT_WHOLE_PACKS = reason("not-whole-packs", "The units of the order do not fill whole packs");

const units = (minimum, description) => ({ type: "integer", minimum, maximum: 1_000_000, description });

/** Everything that is wrong with the parameters, beyond what the schema says. */
function problems({ max, min, pack, skus = [] }, sold) {
  const found = [];
  const add = (...parts) => found.push(problem(...parts));
  if (max === undefined && min === undefined && pack === undefined) {
    add("", "nothing-limited", "no parameter limits anything", "give max, min or pack");
  }
  if (min > max) {
    add("/min", "min-over-max", `at least ${min} units and at most ${max} is never possible`, `min is at most max, ${max}`);
  }
  if (max % pack > 0) {
    const largest = max - (max % pack);
    add("/max", "max-not-whole-packs", `${max} units are no whole packs of ${pack}`, largest === 0
      ? `the smallest order is one pack: make max at least ${pack}`
      : `the largest order would be ${largest}: make max ${largest} or ${largest + pack}`);
  }
  if (min % pack > 0) {
    const smallest = Math.ceil(min / pack) * pack;
    add("/min", "min-not-whole-packs", `${min} units are no whole packs of ${pack}`,
      `the smallest order would be ${smallest}: make min ${smallest}`);
  }
  skus.forEach((id, index) => {
    if (!sold.includes(id)) {
      add(`/skus/${index}`, "unknown-sku", `the campaign sells no SKU ${JSON.stringify(id)}`, `it sells ${sold.slice(0, 8).join(", ")}`);
    }
    if (skus.indexOf(id) < index) {
      add(`/skus/${index}`, "duplicate", `the SKU ${JSON.stringify(id)} is there twice`, "name it once");
    }
  });
  return found;
}

export const rule = defineRule({
  id: "order-cap",
  version: "1.0.0",
  title: "Units per order",
  summary: "One order may have so many units at most and at least, and only whole packs.",
  reasons: [TOO_LARGE, TOO_SMALL, NOT_WHOLE_PACKS],

  params: {
    type: "object",
    properties: {
      max: units(1, "Units one order may have at most."),
      min: units(1, "Units one order must have at least."),
      pack: units(2, "Units of a pack: an order is for whole packs."),
      skus: {
        type: "array",
        items: { type: "string" },
        minItems: 1,
        maxItems: 100,
        description: "The SKUs this is about; every SKU where it is left out.",
      },
    },
    additionalProperties: false,
  },

  examples() {
    const ann = (units) => orderBy("ann").units(units);
    return [
      example("at most three units", { max: 3 })
        .admits(ann(3))
        .rejects(ann(4), TOO_LARGE),
      example("two to twelve units in packs of two", { min: 4, max: 12, pack: 2 })
        .rejects(ann(2), TOO_SMALL)
        .admits(ann(4))
        .rejects(ann(5), NOT_WHOLE_PACKS)
        .admits(ann(12))
        .rejects(ann(14), TOO_LARGE),
      example("only of one SKU", { pack: 6, skus: ["bottle"] })
        .sku("bottle", 60)
        .admits(ann(1))
        .admits(ann(6).of("bottle"))
        .rejects(ann(7).of("bottle"), NOT_WHOLE_PACKS),
    ];
  },

  compile(plan, params, context) {
    const wrong = problems(params, context.skus.map(({ id }) => id));
    if (wrong.length > 0) throw invalid(...wrong);
    const { max, min, pack, skus } = params;
    const of = skus ? ` of ${skus.join(", ")}` : "";
    const require = (condition, because, sentence) => {
      const constraint = plan.require(condition, because, sentence);
      if (skus) constraint.when(sku().oneOf(skus));
    };
    if (max !== undefined) require(quantity().le(max), TOO_LARGE, `An order${of} has at most ${max} units.`);
    if (min !== undefined) require(quantity().ge(min), TOO_SMALL, `An order${of} has at least ${min} units.`);
    if (pack !== undefined) {
      require(quantity().modulo(pack).equals(0), NOT_WHOLE_PACKS, `An order${of} is for whole packs of ${pack} units.`);
    }
  },
});
