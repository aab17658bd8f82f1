-- In the place of Kong's own `kong config parse FILE`: FILE is lines of JSON, {name, base64}, a file each. Writes a line
-- for each: whether Kong takes it, and its message. It uses Kong's own parser and schemas, and starts no node.
local cjson = require "cjson.safe"
local log = require "kong.cmd.utils.log"

local function execute(args)
  local kong_global = require "kong.global"
  -- Kong 3.9 loads the descriptions of plugin servers with its configuration, before its own command sets this.
  _G.kong = kong_global.new()
  log.disable()
  local conf = assert(require("kong.conf_loader")(args.conf))
  log.enable()
  package.path = conf.lua_package_path .. ";" .. package.path
  kong_global.init_pdk(_G.kong, conf)
  local config = assert(require("kong.db.declarative").new_config(conf))
  local db = assert(require("kong.db").new(conf))
  assert(db:init_connector())
  assert(db:connect())
  assert(db.vaults:load_vault_schemas(conf.loaded_vaults))
  assert(db.plugins:load_plugin_schemas(conf.loaded_plugins))
  _G.kong.db = db
  for line in io.lines(args[1]) do
    local case = cjson.decode(line)
    -- A fault in Kong's own code keeps the file out as well.
    local is_done, entities, err = pcall(config.parse_string, config, ngx.decode_base64(case.base64), case.name)
    local is_accepted = is_done and entities ~= nil
    io.write(cjson.encode({ name = case.name, accepted = is_accepted,
                            message = is_accepted and "" or tostring(is_done and err or entities) }), "\n")
  end
end

return {
  lapp = "Usage: kong config parse FILE\n -c,--conf (optional string) Kong's configuration.\n",
  execute = execute,
  sub_commands = { parse = true },
}
