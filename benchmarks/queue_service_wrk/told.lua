-- What all the scripts share: tokens, one after the other, and the figures as one line of JSON.
-- TOKENS names a file with a token a line: how many there are decides whether any comes twice.

local M = { tokens = {} }

for line in io.lines(os.getenv("TOKENS")) do
  M.tokens[#M.tokens + 1] = "Bearer " .. line
end

-- The headers of a request; each thread begins elsewhere among the tokens.
function M.headers(thread, nth)
  local at = (thread * 7919 + nth) % #M.tokens + 1
  return { ["Authorization"] = M.tokens[at], ["Content-Type"] = "application/json" }
end

-- Called by wrk's `done`; `counted` is what the script itself has counted.
function M.tell(summary, latency, counted)
  local e = summary.errors
  print(string.format(
    '\ntold: {"requests": %d, "took_s": %.6f, "refused": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f, "most_ms": %.3f, "counted": %d}',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3, counted))
end

return M
