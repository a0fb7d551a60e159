// How QuickJS's bindings carry 64-bit integers; every integer of a plan is within ±(2^53−1).
export const int64 = Number;
