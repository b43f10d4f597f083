-- wrk's side of the bench: sends the bodies of a file in turn, at a bounded rate if one is given, and writes what it
-- measured as JSON. Arguments: METHOD PATH BODIES FIRST RATE NAME:VALUE...
local ffi = require("ffi")
ffi.cdef [[ typedef struct { long s; long us; } when; int gettimeofday(when *now, void *zone); ]]
local clock = ffi.new("when")
local bodies, at, due, step = {}, 0, nil, 0

function init(arguments)
  wrk.method, path = arguments[1], arguments[2]
  if arguments[3] ~= "-" then
    for line in io.lines(arguments[3]) do bodies[#bodies + 1] = line end
  end
  at = tonumber(arguments[4])
  local rate = tonumber(arguments[5])
  if rate > 0 then step = 1000 / rate else delay = nil end
  for index = 6, #arguments do
    local name, value = arguments[index]:match("^([^:]+):(.*)$")
    wrk.headers[name] = value
  end
end

function request()
  if #bodies == 0 then return wrk.format(nil, path) end
  at = at % #bodies + 1
  return wrk.format(nil, path, nil, bodies[at])
end

function delay()
  ffi.C.gettimeofday(clock, nil)
  local now = tonumber(clock.s) * 1000 + tonumber(clock.us) / 1000
  due = math.max((due or now) + step, now - 100)
  return math.max(0, math.floor(due - now))
end

function done(summary, latency, requests)
  local file = io.open(os.getenv("BENCH_RESULT"), "w")
  local errors = summary.errors
  file:write(string.format(
    '{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
  file:close()
end
