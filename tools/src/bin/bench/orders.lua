-- For wrk: every request is an order of a buyer of its own; with `keyed`, with an Idempotency-Key of its own.
-- Arguments after `--`: campaign, prefix of the users, keyed, plain or peer. Prints one line that starts with FIGURES.

local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init(args)
  local body = '{"sku":"mug","quantity":1}'
  head = "POST /v1/campaigns/" .. args[1] .. "/orders HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    .. "Content-Length: " .. #body .. "\r\nAuthorization: Bearer dev:"
  tail = "\r\n\r\n" .. body
  buyer = args[2] .. id .. "-"
  keyed = args[3] == "keyed"
  peer = args[3] == "peer" and "POST /orders/" .. args[1] .. " HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\nX-User: " .. args[2] .. id
  number = 0
end

function request()
  number = number + 1
  if peer then
    return peer .. string.format("%012d", number) .. "\r\n\r\n"
  end
  local user = buyer .. number
  if keyed then
    return head .. user .. "\r\nIdempotency-Key: k" .. user .. tail
  end
  return head .. user .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("FIGURES %d %d %d %d %.1f %.1f\n", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
