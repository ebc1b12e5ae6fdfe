-- Starts: each of a build that nobody has had before, as the known client sends it.
-- FIRST: build ids from here on. JOBS: so many jobs share them; 0: each build has a job of its own.

local told = dofile(os.getenv("TOLD"))
local first, jobs = tonumber(os.getenv("FIRST")), tonumber(os.getenv("JOBS"))
local threads = 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local nth = 0
local body = '{"buildId":%d,"jobId":%d,"jobName":"main","jobState":"ENABLED","jobArchived":false,'
  .. '"blockedBy":[%d],"freezeWindows":[],"apiUri":"http://api.example","isPR":false,'
  .. '"pipeline":{"id":7,"scmContext":"github:github.com","configPipelineId":7},'
  .. '"causeMessage":"Started by user","container":"node:22","annotations":{},"provider":{},'
  .. '"build":{"eventId":11,"stats":{}}}'

function request()
  nth = nth + 1
  local build = first + thread_number * 100000000 + nth
  local job = jobs == 0 and build or build % jobs + 1
  return wrk.format("POST", "/v1/queue/message", told.headers(thread_number, nth),
    body:format(build, job, job))
end

function done(summary, latency, requests)
  told.tell(summary, latency, 0)
end
