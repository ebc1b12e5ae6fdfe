-- Looks: what is asked for is the path, in which %d stands for a build or job of BUILDS that
-- begin at FIRST.

local told = dofile(os.getenv("TOLD"))
local first, builds = tonumber(os.getenv("FIRST")), tonumber(os.getenv("BUILDS"))
local path = os.getenv("LOOK")
local nth = 0

function request()
  nth = nth + 1
  return wrk.format("GET", path:format(first + (nth * 7919) % builds), told.headers(0, nth))
end

function done(summary, latency, requests)
  told.tell(summary, latency, 0)
end
