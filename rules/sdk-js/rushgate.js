// The SDK for rule modules in JavaScript: typed expressions, plans, golden examples, the exports of the contract.
//
// It says what the Rust SDK says, and writes the same plan for the same rule. What it can check it checks at once and
// throws a TypeError that names the call; the gateway checks everything again.

import { int64 } from "./int64.js";

const CONTRACT = "1.0.0";
/** 2026-01-01T00:00:00Z: when the campaigns of examples open. */
const OPENS_AT_MS = 1_767_225_600_000;
const DAY_MS = 24 * 3600 * 1000;

// ---------------------------------------------------------------------------------------------------------------
// Expressions: a tree that gets its indices when the plan is finished, operands first. A shared part is written once.

/** @typedef {"integer" | "boolean" | "text"} Kind */

/** An expression. Its methods make new ones; numbers, texts and attributes may stand where expressions may. */
export class Expr {
  /** @param {Kind} kind @param {boolean} live @param {Expr[]} operands @param {(at: number[]) => object} write */
  constructor(kind, live, operands, write) {
    this.kind = kind;
    /** Whether it depends on counters, stock, lists or the clock, and not on the order's own attributes alone. */
    this.live = live;
    this.operands = operands;
    this.write = write;
    Object.freeze(this);
  }

  plus(other) { return binary("plus", "add", "integer", "integer", this, other); }
  minus(other) { return binary("minus", "sub", "integer", "integer", this, other); }
  times(other) { return binary("times", "mul", "integer", "integer", this, other); }
  min(other) { return binary("min", "min", "integer", "integer", this, other); }
  max(other) { return binary("max", "max", "integer", "integer", this, other); }
  lt(other) { return binary("lt", "lt", "integer", "boolean", this, other); }
  le(other) { return binary("le", "le", "integer", "boolean", this, other); }
  gt(other) { return expr(other, "gt", "integer").lt(this); }
  ge(other) { return expr(other, "ge", "integer").le(this); }
  and(other) { return binary("and", "and", "boolean", "boolean", this, other); }
  or(other) { return binary("or", "or", "boolean", "boolean", this, other); }

  /** Of two integers or two texts. */
  equals(other) {
    const kind = this.kind === "text" ? "text" : "integer";
    return binary("equals", "eq", kind, "boolean", this, other);
  }

  not() {
    expect(this, "not", "boolean");
    return new Expr("boolean", this.live, [this], ([a]) => ({ tag: "not", val: a }));
  }

  /** Rounded towards minus infinity; `by` is a number of at least 1. */
  divFloor(by) { return byConstant("divFloor", "div", this, by); }

  /** Never negative; `by` is a number of at least 1. */
  modulo(by) { return byConstant("modulo", "mod", this, by); }

  /** @param {string[]} texts */
  oneOf(texts) {
    expect(this, "oneOf", "text");
    const found = texts.map(String);
    return new Expr("boolean", this.live, [this], ([a]) => ({ tag: "one-of", val: [a, found] }));
  }

  /** The number beside this text in a table; `otherwise` where there is none.
   *  @param {Record<string, number>} entries @param {number} otherwise */
  lookup(entries, otherwise) {
    expect(this, "lookup", "text");
    // In the order of the keys, so that the same table is the same plan however it was written.
    const sorted = Object.entries(entries)
      .map(([key, value]) => [key, integer(value, "lookup")])
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const fallback = integer(otherwise, "lookup");
    return new Expr("integer", this.live, [this], ([of]) => ({
      tag: "lookup",
      val: { of, entries: sorted, default: fallback },
    }));
  }
}

function expect(expression, call, kind) {
  if (expression.kind === kind) return expression;
  throw new TypeError(`${call}: expected an expression of kind ${kind}, found one of kind ${expression.kind}`);
}

/** An operand as an expression of this kind. */
function expr(operand, call, kind) {
  if (operand instanceof Expr) return expect(operand, call, kind);
  if (operand instanceof Attribute) return expect(operand.text(), call, kind);
  if (typeof operand === "number" || typeof operand === "bigint") return expect(int(operand), call, kind);
  if (typeof operand === "string") return expect(text(operand), call, kind);
  throw new TypeError(`${call}: expected an expression, found ${operand === null ? "null" : typeof operand}`);
}

/** As the bindings of the engine carry 64-bit integers. */
function integer(value, call) {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (Number.isSafeInteger(number)) return int64(number);
  throw new TypeError(`${call}: expected an integer within ±(2^53−1), found ${value}`);
}

function binary(call, tag, of, kind, left, right) {
  const operands = [expr(left, call, of), expr(right, call, of)];
  const live = operands.some((operand) => operand.live);
  return new Expr(kind, live, operands, ([a, b]) => ({ tag, val: [a, b] }));
}

function byConstant(call, tag, left, by) {
  expect(left, call, "integer");
  const divisor = integer(by, call);
  if (divisor < 1) throw new TypeError(`${call}: the divisor must be at least 1, found ${by}`);
  return new Expr("integer", left.live, [left], ([a]) => ({ tag, val: [a, divisor] }));
}

const leaf = (kind, live, node) => new Expr(kind, live, [], () => node);

/** @param {number | bigint} value */
export const int = (value) => leaf("integer", false, { tag: "int", val: integer(value, "int") });
/** @param {string} value */
export const text = (value) => leaf("text", false, { tag: "text", val: String(value) });
/** Units of this order. */
export const quantity = () => leaf("integer", false, { tag: "attribute", val: { tag: "quantity" } });
/** Units of this order's SKU still in stock, without this order. */
export const remaining = () => leaf("integer", true, { tag: "remaining" });
/** Units of this order's SKU the campaign started with. */
export const stock = () => leaf("integer", true, { tag: "stock" });
/** The moment of the decision, milliseconds since 1970-01-01 UTC. */
export const now = () => leaf("integer", true, { tag: "now" });
export const opensAt = () => leaf("integer", true, { tag: "opens-at" });
export const closesAt = () => leaf("integer", true, { tag: "closes-at" });

/** `then` where the condition holds, `otherwise` where it does not; both of one kind. */
export function select(condition, then, otherwise) {
  const test = expr(condition, "select", "boolean");
  const kind = [then, otherwise].map(kindOf).find((found) => found !== undefined);
  const parts = [test, expr(then, "select", kind), expr(otherwise, "select", kind)];
  const live = parts.some((part) => part.live);
  return new Expr(kind, live, parts, (at) => ({ tag: "select", val: at }));
}

/** A text as the contract carries it; the engine's bindings would fail on anything else without saying where. */
function string(value, call) {
  if (typeof value === "string") return value;
  throw new TypeError(`${call}: expected a string, found ${value === null ? "null" : typeof value}`);
}

/** A list of what only a call of this SDK makes; anything else would fail in the engine's bindings. */
function list(values, call, is, what) {
  if (!Array.isArray(values)) throw new TypeError(`${call}: expected a list, found ${typeof values}`);
  values.forEach((value, index) => {
    if (!is(value)) throw new TypeError(`${call}: entry ${index} is not ${what}`);
  });
  return values;
}

function kindOf(operand) {
  if (operand instanceof Expr) return operand.kind;
  return typeof operand === "number" || typeof operand === "bigint" ? "integer" : "text";
}

// ---------------------------------------------------------------------------------------------------------------
// Attributes: what a rule reads of an order, and what counters are keyed by.

export class Attribute {
  /** @param {{tag: string, val?: string}} wit */
  constructor(wit) {
    this.wit = wit;
    Object.freeze(this);
  }

  text() { return leaf("text", false, { tag: "attribute", val: this.wit }); }
  equals(other) { return this.text().equals(other); }
  oneOf(texts) { return this.text().oneOf(texts); }
  lookup(entries, otherwise) { return this.text().lookup(entries, otherwise); }

  /** Whether an uploaded list contains the value. @param {string} audience */
  memberOf(audience) {
    return leaf("boolean", true, { tag: "member", val: { audience: String(audience), of: this.wit } });
  }
}

/** `sub` of the verified token. */
export const user = () => new Attribute({ tag: "user" });
export const sku = () => new Attribute({ tag: "sku" });
/** Address of the connection. */
export const ip = () => new Attribute({ tag: "ip" });
/** A claim of the verified token. @param {string} name */
export const claim = (name) => new Attribute({ tag: "claim", val: String(name) });
/** Sent by the buyer's program in the body: forgeable. @param {string} name */
export const client = (name) => new Attribute({ tag: "client", val: String(name) });

/** An order without it is refused before the rule is asked. @param {Attribute} attribute */
export const required = (attribute) => ({ attribute: attribute.wit, required: true });
/** Reads as the empty text where an order has none. @param {Attribute} attribute */
export const optional = (attribute) => ({ attribute: attribute.wit, required: false });

// ---------------------------------------------------------------------------------------------------------------
// The plan.

const calendar = (unit) => (zone) => ({ tag: "calendar", val: { unit, zone } });

/** The stretch of time a counter counts over; lengths are milliseconds. */
export const window = Object.freeze({
  /** From the first order to the end of the campaign. */
  campaign: Object.freeze({ tag: "campaign" }),
  /** Windows of this length, one after the other, one of them starting at the origin. */
  tumbling: (lengthMs, originMs) => ({
    tag: "tumbling",
    val: { lengthMs: integer(lengthMs, "tumbling"), originMs: integer(originMs, "tumbling") },
  }),
  /** A calendar day, Monday to Sunday, or a month in an IANA time zone: "Asia/Shanghai". */
  day: calendar("day"),
  week: calendar("week"),
  month: calendar("month"),
  /** The last so many milliseconds, exactly. */
  rolling: (lengthMs) => ({ tag: "rolling", val: integer(lengthMs, "rolling") }),
});

/** Why an order can be rejected. @param {string} code lower-case words joined by hyphens @param {string} title
 *  @param {{retryable?: boolean}} [more] whether the same order may be admitted later without anybody's doing */
export const reason = (code, title, { retryable = false } = {}) =>
  Object.freeze({ code: string(code, "reason: code"), title: string(title, `reason ${code}: title`), retryable });

class Counter {
  constructor(index) { this.index = index; }

  /** What this order's subject has used in the current window, without this order. */
  used() { return leaf("integer", true, { tag: "counter", val: this.index }); }
}

class Constraint {
  constructor(require, code, sentence) {
    Object.assign(this, { condition: undefined, require, code, sentence, measured: undefined });
  }

  /** The constraint applies only where this holds. */
  when(condition) {
    this.condition = expr(condition, "when", "boolean");
    return this;
  }

  /** Shows with a rejection how much was used of how much. @param {Counter} counter */
  measure(counter, limit) {
    this.measured = { counter: counter.index, limit: expr(limit, "measure", "integer") };
    return this;
  }
}

export class Plan {
  #counters = [];
  #constraints = [];
  #earlyAccess = [];

  /** Counts per distinct combination of the key's values; an empty key counts all orders together. `id` is stable over
   *  revisions: a new id starts a new count. `cost` is what an admitted order adds.
   *  @param {string} id @param {Attribute[]} key */
  counter(id, key, over, cost) {
    const added = expr(cost, "counter", "integer");
    if (added.live) {
      throw new TypeError(`counter ${id}: its cost may read attributes of the order only, because it is computed again \
when the order is released`);
    }
    list(key, `counter ${id}: key`, (part) => part instanceof Attribute, "an attribute, such as user()");
    if (typeof over?.tag !== "string") throw new TypeError(`counter ${id}: expected a window, such as window.campaign`);
    this.#counters.push({ id: string(id, "counter: id"), key: key.map((attribute) => attribute.wit), window: over, cost: added });
    return new Counter(this.#counters.length - 1);
  }

  /** Rejects an order with the reason unless the condition holds. `sentence` tells the merchant what it means. */
  require(condition, because, sentence) {
    if (typeof because?.code !== "string") throw new TypeError("require: expected a reason, as reason(…) makes one");
    string(sentence, "require: sentence");
    const constraint = new Constraint(expr(condition, "require", "boolean"), because.code, sentence);
    this.#constraints.push(constraint);
    return constraint;
  }

  /** Lets buyers for whom the condition holds order so many milliseconds earlier. */
  earlyAccess(leadMs, condition, sentence) {
    const when = expr(condition, "earlyAccess", "boolean");
    string(sentence, "earlyAccess: sentence");
    this.#earlyAccess.push({ leadMs: integer(leadMs, "earlyAccess"), when, sentence });
  }

  /** The plan as the contract has it. */
  finish() {
    const nodes = [];
    const known = new Map();
    const place = (tree) => {
      if (known.has(tree)) return known.get(tree);
      const operands = tree.operands.map(place);
      known.set(tree, nodes.length);
      nodes.push(tree.write(operands));
      return known.get(tree);
    };
    const counters = this.#counters.map((part) => ({ ...part, cost: place(part.cost) }));
    const constraints = this.#constraints.map((part) => ({
      when: part.condition && place(part.condition),
      require: place(part.require),
      reason: part.code,
      sentence: part.sentence,
      measure: part.measured && { counter: part.measured.counter, limit: place(part.measured.limit) },
    }));
    const earlyAccess = this.#earlyAccess.map((part) => ({ ...part, when: place(part.when) }));
    return { nodes, counters, constraints, earlyAccess };
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Golden examples.

/** One order of an example: one unit of `ticket` at the moment the campaign opens, unless said otherwise. */
class Order {
  constructor(fields) { this.fields = fields; }

  #with(more) { return new Order({ ...this.fields, ...more }); }

  /** @param {number} units */
  units(units) {
    if (!Number.isInteger(units) || units < 0 || units > 4_294_967_295) {
      throw new TypeError(`units: expected a whole number, found ${units}`);
    }
    return this.#with({ quantity: units });
  }
  /** @param {string} id */
  of(id) { return this.#with({ sku: string(id, "of") }); }
  /** So many milliseconds after the opening. */
  after(ms) { return this.#with({ atMs: integer(ms, "after") }); }
  /** So many milliseconds before the opening. */
  before(ms) { return this.#with({ atMs: integer(-Number(ms), "before") }); }
  /** The value of an ip, claim or client attribute. @param {Attribute} attribute @param {string} value */
  with(attribute, value) {
    if (!(attribute instanceof Attribute)) throw new TypeError('with: expected an attribute, such as claim("tier")');
    return this.#with({ attributes: [...this.fields.attributes, [attribute.wit, string(value, "with: value")]] });
  }
}

/** @param {string} name */
export const orderBy = (name) =>
  new Order({ atMs: int64(0), user: string(name, "orderBy"), sku: "ticket", quantity: 1, attributes: [] });

class Example {
  constructor(name, params) {
    this.name = string(name, "example: name");
    this.params = string(JSON.stringify(params), `example ${name}: params`);
    this.audiences = [];
    this.attempts = [];
    this.context = {
      campaign: "example",
      opensAtMs: int64(OPENS_AT_MS),
      closesAtMs: int64(OPENS_AT_MS + DAY_MS),
      skus: [{ id: "ticket", stock: int64(100) }],
      contract: CONTRACT,
    };
  }

  /** Sells one more SKU. */
  sku(id, units) {
    this.context.skus.push({ id: string(id, "sku: id"), stock: integer(units, "sku") });
    return this;
  }

  /** Keeps the campaign open for so many milliseconds. */
  openFor(ms) {
    this.context.closesAtMs = integer(OPENS_AT_MS + Number(ms), "openFor");
    return this;
  }

  /** Uploads a list. @param {string} id @param {string[]} members */
  audience(id, members) {
    list(members, "audience: members", (member) => typeof member === "string", "a string");
    this.audiences.push([string(id, "audience: id"), members]);
    return this;
  }

  /** The next order must be admitted. */
  admits(order) { return this.#attempt(order, { tag: "admitted" }); }
  /** The next order must be rejected with this reason. */
  rejects(order, because) {
    return this.#attempt(order, { tag: "rejected", val: string(because?.code, "rejects: code of the reason") });
  }
  /** The next order must be rejected by the gateway itself: "sold-out", "not-open", "closed". */
  gatewayRejects(order, code) {
    return this.#attempt(order, { tag: "rejected", val: string(code, "gatewayRejects: code") });
  }

  #attempt(order, expectation) {
    if (!(order instanceof Order)) throw new TypeError(`example ${this.name}: expected an order, as orderBy(…) makes one`);
    this.attempts.push({ ...order.fields, expect: expectation });
    return this;
  }
}

/** A golden case. Its campaign is open for one day and sells one SKU, `ticket`, of which there are 100.
 *  `params` as a merchant would write them. */
export const example = (name, params) => new Example(name, params);

// ---------------------------------------------------------------------------------------------------------------
// The rule.

class Invalid extends Error {
  constructor(diagnostics) {
    super("the parameters are not valid");
    this.diagnostics = diagnostics;
  }
}

/** One thing that is wrong with the parameters beyond their schema.
 *  @param {string} pointer RFC 6901 pointer into the parameters: "/limit"; empty for all of them
 *  @param {string} code @param {string} message @param {string} [hint] */
export const problem = (pointer, code, message, hint) => ({
  severity: "error",
  pointer: string(pointer, "problem: pointer"),
  code: string(code, "problem: code"),
  message: string(message, "problem: message"),
  hint: hint === undefined ? undefined : string(hint, "problem: hint"),
});

/** Throw it in `compile` to refuse parameters with everything that is wrong. */
export const invalid = (...problems) => new Invalid(problems);

/** The campaign with numbers as JavaScript has them, whatever the bindings carry. */
function plain({ campaign, opensAtMs, closesAtMs, skus, contract }) {
  return {
    campaign,
    opensAtMs: Number(opensAtMs),
    closesAtMs: Number(closesAtMs),
    skus: skus.map(({ id, stock }) => ({ id, stock: Number(stock) })),
    contract,
  };
}

// ---------------------------------------------------------------------------------------------------------------
// Exceptions: an engine that nobody listens to traps with them, and their text is lost.

/** The name under which the gateway looks for an exception in an answer. */
const UNCAUGHT = "uncaught-exception";
const CAUSES_MAX = 4;
const TEXT_MAX = 1500;

/** What was thrown, in one text: name and message, then the line of the rule it came from, then its causes. */
function thrown(error) {
  try {
    const parts = [];
    for (let cause = error; parts.length < CAUSES_MAX; cause = cause.cause) {
      parts.push(described(cause));
      if (!(cause instanceof Error) || cause.cause === undefined) break;
    }
    return parts.join("; caused by ").slice(0, TEXT_MAX);
  } catch {
    return "something that cannot be written as text";
  }
}

function described(error) {
  if (error instanceof Error) {
    const at = line(String(error.stack ?? ""));
    return at === undefined ? String(error) : `${error} (${at})`;
  }
  if (typeof error === "string") return error;
  if (typeof error === "object" && error !== null) return JSON.stringify(error);
  return String(error);
}

/** `rule.js:12`: the innermost frame that is not one of this SDK, where the engine's stack has one.
 *  @param {string} stack */
function line(stack) {
  const frames = [...stack.matchAll(/([^\s()@]+\.m?js):(\d+)/g)].map(([, file, number]) => [file.replace(/^\/+/, ""), number]);
  return frames.find(([file]) => !/(^|\/)sdk\/(rushgate|int64)\.js$/.test(file))?.join(":");
}

/** A descriptor that says nothing but that there is none. */
const undescribed = (text) => ({
  id: "", version: "", title: "", summary: "", paramsSchema: "{}", reasons: [], attributes: [], examples: [],
  annotations: [[UNCAUGHT, text]],
});

/** The exports of a rule module: `export const rule = defineRule({…})`.
 *  @param {object} definition
 *  @param {string} definition.id lower-case words joined by hyphens
 *  @param {string} definition.version semantic version
 *  @param {string} definition.title @param {string} definition.summary
 *  @param {object[]} definition.reasons every reason a plan of this rule may name
 *  @param {object[]} [definition.attributes] the ip, claim and client attributes a plan may read
 *  @param {object} definition.params JSON Schema 2020-12 of the parameters, which the gateway checks before `compile`
 *  @param {() => Example[]} definition.examples golden cases, which the gateway plays
 *  @param {(plan: Plan, params: any, context: object) => void} definition.compile adds to the plan what the parameters
 *         mean, or throws `invalid(…)`; `context` has campaign, opensAtMs, closesAtMs, skus */
export function defineRule({ id, version, title, summary, reasons, attributes = [], params, examples, compile }) {
  const schema = { $schema: "https://json-schema.org/draft/2020-12/schema", ...params };
  const describe = () => ({
    id: string(id, "defineRule: id"),
    version: string(version, "defineRule: version"),
    title: string(title, "defineRule: title"),
    summary: string(summary, "defineRule: summary"),
    paramsSchema: JSON.stringify(schema),
    reasons: list(reasons, "defineRule: reasons", (each) => typeof each?.code === "string", "made by reason(…)"),
    attributes: list(
      attributes, "defineRule: attributes", (each) => typeof each?.required === "boolean", "made by required(…) or optional(…)",
    ),
    examples: list(examples(), "examples", (each) => each instanceof Example, "made by example(…)")
      .map(({ name, context, params, audiences, attempts }) => ({ name, context, params, audiences, attempts })),
    annotations: [],
  });
  return {
    describe: () => {
      try {
        return describe();
      } catch (error) {
        return undescribed(thrown(error));
      }
    },
    compile: (context, given) => {
      // The bindings turn a thrown payload into the contract's list of diagnostics; anything else is a trap.
      try {
        const plan = new Plan();
        const answer = compile(plan, JSON.parse(given), plain(context));
        if (typeof answer?.then === "function") {
          throw new TypeError("compile: it is async, and the gateway waits for nothing: a module has nothing to wait for");
        }
        return plan.finish();
      } catch (error) {
        throw error instanceof Invalid ? error.diagnostics : [problem("", UNCAUGHT, thrown(error))];
      }
    },
  };
}
