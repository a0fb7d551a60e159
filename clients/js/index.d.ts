// Types of the client; index.js says what each does.

export type OrderState =
  | "pending"
  | "accepted"
  | "confirmed"
  | "paid"
  | "cancelled"
  | "expired"
  | "refunded"
  | "revoked";

export interface Order {
  order: string;
  state: OrderState;
  campaign: string;
  sku: string;
  quantity: number;
  revision: number;
  /** RFC 3339, UTC, milliseconds; so are all moments. */
  placed_at: string;
  confirmed_at?: string;
  /** Until then it is to be paid; missing where it waits for no payment. */
  pay_by?: string;
  revoked_reason?: string;
  replaces?: string;
}

export interface NewOrder {
  sku: string;
  quantity?: number;
  attributes?: Record<string, string | string[]>;
  /** An order of this buyer that expired, in whose place this one comes. */
  replaces?: string;
}

export interface Options {
  url: string;
  token?: string | (() => string | Promise<string>);
  fetch?: typeof fetch;
  timeoutMs?: number;
  retryForMs?: number;
}

export interface Asked {
  signal?: AbortSignal;
}

/** How an order is heard of: over a stream, by asking, or not at all. */
export type Line = "live" | "asked" | "cut";

export class Refused extends Error {
  readonly status: number;
  /** Stable name of the reason: `sold-out`, `paused`, … */
  readonly reason?: string;
  readonly retryable: boolean;
  /** Milliseconds. */
  readonly retryAfter?: number;
  /** The problem document (RFC 9457). */
  readonly document: Record<string, unknown>;
}

export class Unanswered extends Error {}

export class Rushgate {
  constructor(options: Options);
  place(campaign: string, order: NewOrder, asked?: Asked & { key?: string; waitSeconds?: number }): Promise<Order>;
  order(campaign: string, order: string, asked?: Asked): Promise<Order>;
  cancel(campaign: string, order: string, asked?: Asked & { key?: string }): Promise<Order>;
  follow(
    campaign: string,
    order: string,
    asked?: Asked & { onLine?: (line: Line) => void },
  ): AsyncGenerator<Order, void, undefined>;
  orders(asked?: Asked & { campaign?: string; limit?: number }): AsyncGenerator<Order, void, undefined>;
  campaigns(asked?: Asked & { limit?: number }): AsyncGenerator<Record<string, unknown>, void, undefined>;
  campaign(campaign: string, asked?: Asked): Promise<Record<string, unknown>>;
  quota(
    campaign: string,
    asked?: Asked & { sku?: string; quantity?: number; attributes?: Record<string, string> },
  ): Promise<Record<string, unknown>>;
}
