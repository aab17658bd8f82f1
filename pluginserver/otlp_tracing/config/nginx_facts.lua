-- otlp-tracing: nginx facts, version 1. Do not edit: `otlp-tracing check` compares this text with its own.
local ngx, kong = ngx, kong

return function()
  local var, ctx = ngx.var, ngx.ctx
  local facts = {
    version = 1,
    protocol = var.server_protocol,
    connect = var.upstream_connect_time,
    header = var.upstream_header_time,
    response = var.upstream_response_time,
    grpc_status = var.upstream_trailer_grpc_status,
    rewrite_start = ctx.KONG_REWRITE_START,
    rewrite_time = ctx.KONG_REWRITE_TIME,
    access_start = ctx.KONG_ACCESS_START,
    access_time = ctx.KONG_ACCESS_TIME,
    balancer_time = ctx.KONG_BALANCER_TIME,
    header_filter_start = ctx.KONG_HEADER_FILTER_START,
    header_filter_time = ctx.KONG_HEADER_FILTER_TIME,
    body_filter_start = ctx.KONG_BODY_FILTER_START,
    body_filter_time = ctx.KONG_BODY_FILTER_TIME,
  }
  if var.https == "on" then
    facts.server_name = var.ssl_server_name
    local verify = var.ssl_client_verify
    if verify and verify ~= "NONE" then
      facts.client_verify = verify
      facts.client_subject = var.ssl_client_s_dn
      facts.client_issuer = var.ssl_client_i_dn
      facts.client_fingerprint = var.ssl_client_fingerprint
    end
  end
  kong.log.set_serialize_value("otlp_tracing_nginx", facts)
end
