// Types of the client; index.js says what each does.

import type { Campaign, ListedCampaign, NewOrder as OrderBody, Order, OrderState, Problem, Quota } from "./types.d.ts";

export type { Campaign, ListedCampaign, Order, OrderState, Problem, Quota };

/** What is ordered; one unit where no quantity is said. */
export type NewOrder = Omit<OrderBody, "quantity"> & { quantity?: number };

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
  readonly document: Partial<Problem>;
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
  campaigns(asked?: Asked & { limit?: number }): AsyncGenerator<ListedCampaign, void, undefined>;
  campaign(campaign: string, asked?: Asked): Promise<Campaign>;
  quota(
    campaign: string,
    asked?: Asked & { sku?: string; quantity?: number; attributes?: Record<string, string> },
  ): Promise<Quota>;
}
