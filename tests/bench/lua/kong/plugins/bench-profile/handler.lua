-- Samples Kong's nginx worker every millisecond of CPU time and writes, once a second, a line for each
-- stack: the stack, what LuaJIT was doing (G: collecting garbage), and how often. Read by kong_profile.py.
-- Time in nginx's own C code is found when Lua runs next, and counts there.
local profile = require "jit.profile"

local counts = {}

local Handler = { VERSION = "1.0", PRIORITY = 1 }

function Handler:init_worker()
  profile.start("fi1", function(thread, samples, state)
    local line = profile.dumpstack(thread, "pF;", -30) .. " " .. state
    counts[line] = (counts[line] or 0) + samples
  end)

  ngx.timer.every(1, function()
    local file = assert(io.open(ngx.config.prefix() .. "/bench-profile", "w"))
    for line, count in pairs(counts) do
      file:write(line, " ", count, "\n")
    end
    file:close()
  end)
end

-- Kong gives init_worker to plugins that handle requests too.
function Handler:header_filter() end

return Handler
