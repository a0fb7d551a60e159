// Types of what rushgate orders is asked and answers, made of docs/openapi/orders.json by ./x openapi: do not edit.

export interface Campaign {
  campaign: string;
  closes_at: Moment;
  opens_at: Moment;
  /** When a pause ends by itself. */
  resume_at?: Moment;
  skus: SkuOnSale[];
  state: string;
}

export interface Campaigns {
  campaigns: ListedCampaign[];
  /** Value of `after` for the next page; missing on the last one. */
  next?: string;
}

/** One of several things wrong in a body. */
export interface Fault {
  detail: string;
  hint?: string;
  /** RFC 6901 pointer into the body. */
  pointer: string;
}

export interface ListedCampaign {
  campaign: string;
  closes_at: Moment;
  opens_at: Moment;
  /** When a pause ends by itself. */
  resume_at?: Moment;
  skus?: SkuOnSale[];
  state: string;
  title: string;
}

/** RFC 3339 in UTC with milliseconds. */
export type Moment = string;

export interface NewOrder {
  /** What rules read as `client:<name>`, up to 16, each a text of up to 256 bytes. */
  attributes?: Record<string, string>;
  /** Units. */
  quantity: number;
  replaces?: OrderId | null;
  /** Up to 128 bytes. */
  sku: string;
}

/** An order as clients see it. */
export interface Order {
  campaign: string;
  confirmed_at?: Moment;
  order: OrderId;
  /** Until when it can be paid; missing where it does not wait for that. */
  pay_by?: Moment;
  placed_at: Moment;
  quantity: number;
  /** The order that was not paid in time, in whose place it came. */
  replaces?: OrderId;
  revision: number;
  revoked_reason?: string;
  sku: string;
  state: OrderState;
}

/** Id of an order. */
export type OrderId = string;

/** Where an order stands. */
export type OrderState = "pending" | "accepted" | "confirmed" | "revoked" | "paid" | "cancelled" | "expired" | "refunded";

export interface Orders {
  /** Value of `before` for the next page; missing on the last one. */
  next?: string;
  orders: Order[];
}

/** Boxed, so that a `Result` that is nearly always good stays small. */
export interface Problem {
  /** Of `accept-missing`: ids of counters. */
  accept?: string[];
  /** Of `accept-missing`: what would change. */
  changes?: (Record<string, unknown>)[];
  /** `<rule>/<reason>` of what failed. */
  constraint?: string;
  /** Of `proof-failed`: what interpreter and script part over. */
  counterexample?: Record<string, unknown>;
  /** What went wrong this time, in a sentence. */
  detail: string;
  /** Everything that is wrong, where it is more than one thing. */
  errors?: Fault[];
  /** What the thing has by now; becomes the header `ETag`, too. */
  etag?: string;
  limit?: number;
  /** RFC 6901 pointer into the body. */
  pointer?: string;
  /** What programs switch on; of a rule's module its own. */
  reason: string;
  /** Of `already-replaced`: the id of the order that has come in its place. */
  replaced_by?: string;
  /** When time alone would help. */
  retry_at?: Moment;
  /** Whether the same request may succeed later without anybody changing anything. */
  retryable: boolean;
  /** Of `order-state`: how the order stands. */
  state?: string;
  status: number;
  /** Of `invalid`, of a list: how many lines are wrong. */
  suspicious?: number;
  title: string;
  /** A path on the plane that answered, which explains it. */
  type: string;
  used?: number;
}

/** One row of the table as `GET /problems` lists it. */
export interface ProblemKind {
  /** What it means, and what to do. */
  help: string;
  retryable: boolean;
  status: number;
  title: string;
  type: string;
}

/** What `GET /problems` answers. */
export interface Problems {
  problems: ProblemKind[];
}

export interface Quota {
  as_of: Moment;
  campaign: string;
  constraints: QuotaConstraint[];
  quantity: number;
  refused?: QuotaRefused;
  revision: number;
  sku?: string;
}

export interface QuotaConstraint {
  constraint: string;
  enforced: string;
  limit?: number;
  /** Query parameters that would bring the rest. */
  missing?: string[];
  refused?: boolean;
  remaining?: number;
  resets_at?: Moment;
  sentence: string;
  used?: number;
}

/** How an order would be answered: members of the problem document. */
export interface QuotaRefused {
  constraint?: string;
  detail: string;
  reason: string;
  retry_at?: Moment;
  retryable: boolean;
}

export interface SkuOnSale {
  id: string;
  sold_out: boolean;
}
