// How SpiderMonkey's bindings carry 64-bit integers.
export const int64 = BigInt;
