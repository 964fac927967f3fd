-- What wrk sends, and what it says at the end. Arguments: requests a second, milliseconds, connections, and a file: it goes on
-- until that is removed.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } portkeep_moment;
  int clock_gettime(int clock, portkeep_moment *moment);
  int getpid(void);
  int kill(int process, int signal);
  int access(const char *path, int mode);
]]
local moment = ffi.new("portkeep_moment")

local function now()
  ffi.C.clock_gettime(1, moment)
  return tonumber(moment.seconds) * 1000 + tonumber(moment.nanoseconds) / 1e6
end

local threads = {}
function setup(thread)
  table.insert(threads, thread)
end

sent = 0
local step, last, connections, slot, begun, file
local waiting = 0
function init(arguments)
  step, connections, file = 1000 / tonumber(arguments[1]), tonumber(arguments[3]), arguments[4]
  slot = now()
  last = slot + tonumber(arguments[2])
end

-- Before each request: connections take the next moment of one plan. A late one is sent at once, and makes nobody hurry.
function delay()
  local at = now()
  if not begun then
    -- wrk itself asked for one request before, to look at it.
    begun, sent = true, 0
  end
  if waiting > 0 or (at >= last and ffi.C.access(file, 0) ~= 0) then
    waiting = waiting + 1
    -- No request is under way any more. Otherwise wrk goes on until the one that hangs is too late.
    if waiting == connections then
      ffi.C.kill(ffi.C.getpid(), 2)
    end
    return 1e9
  end
  slot = math.max(slot + step, at)
  return slot - at
end

function request()
  sent = sent + 1
  return wrk.format()
end

function done(summary, latency)
  local all = 0
  for _, thread in ipairs(threads) do
    all = all + thread:get("sent")
  end
  local errors = summary.errors
  io.write(string.format(
    '{"sent":%d,"answered":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,"slowest":%d,"median":%d}\n',
    all, summary.requests, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency.max, latency:percentile(50)))
end
