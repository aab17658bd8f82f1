# Tracing of every request, for a Kong with a database. The entry is in otlp-tracing.yml, where `otlp-tracing check` reads it too:
#   otlp-tracing check kong/terraform/otlp-tracing.yml
#   terraform -chdir=kong/terraform init
#   terraform -chdir=kong/terraform apply -var kong_admin_uri=http://localhost:8001
terraform {
  required_version = ">= 1.5"
  required_providers {
    # Kong's own provider, kong/kong-gateway, puts the workspace into every path. Open-source Kong has no such paths.
    kong = {
      source  = "kevholditch/kong"
      version = "~> 6.5"
    }
  }
}

variable "kong_admin_uri" {
  type        = string
  description = "Kong's Admin API. The login is in the provider's environment variables, such as KONG_ADMIN_TOKEN."
  default     = "http://localhost:8001"
}

provider "kong" {
  kong_admin_uri = var.kong_admin_uri
}

locals {
  entry = one(yamldecode(file("${path.module}/otlp-tracing.yml")).plugins)
}

resource "kong_plugin" "otlp_tracing" {
  name        = local.entry.name
  config_json = jsonencode(local.entry.config)

  # For one service or route: service_id = kong_service.users.id
}
