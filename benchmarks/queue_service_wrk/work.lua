-- Workers: each thread is one, with one connection; it claims a message, settles it, and so on.
-- What is counted are messages that were claimed and settled.

local told = dofile(os.getenv("TOLD"))
local threads = {}

function setup(thread)
  thread:set("thread_number", #threads)
  threads[#threads + 1] = thread
end

local nth, held = 0, nil
settled = 0

function request()
  nth = nth + 1
  local owner = "worker-" .. thread_number
  if held then
    return wrk.format("POST", "/v1/queue/ack", told.headers(thread_number, nth),
      string.format('{"id":"%s","owner":"%s","move":%s}', held.id, owner, held.move))
  end
  return wrk.format("POST", "/v1/queue/claim", told.headers(thread_number, nth),
    string.format('{"owner":"%s","n":1,"leaseS":60,"waitS":1}', owner))
end

function response(status, headers, body)
  if held then
    if status == 200 then settled = settled + 1 end
    held = nil
    return
  end
  local id, move = body:match('"id": *"(.-)"'), body:match('"move": *(%d+)')
  if status == 200 and id and move then held = { id = id, move = move } end
end

function done(summary, latency, requests)
  local all = 0
  for _, thread in ipairs(threads) do all = all + thread:get("settled") end
  told.tell(summary, latency, all)
end
