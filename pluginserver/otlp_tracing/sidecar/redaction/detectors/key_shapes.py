"""Forms of the keys of clouds, code forges and services that are recognizable by their prefix.

A table, no code: a new kind of key is a line here and its samples in the tests. A key of hexadecimal digits alone looks
like an id and cannot be in this table; it is found by a sensitive name or not at all.

Source: each issuer's documentation of its formats (GitHub's "Behind GitHub's new authentication token
formats", GitLab's "Token prefixes", AWS's "Unique identifiers", Slack's "Token types", …).
"""

from __future__ import annotations

from typing import NamedTuple


class KeyShape(NamedTuple):
    r"""The form of one issuer's keys.

    Args:
        issuer: for people.
        anchor: a text that every such key contains.
        pattern: the whole key, RE2 syntax without groups that capture.
        trigger: a stricter pattern for an anchor that many texts contain; None for the anchor. A repeated part must not
            match the trigger's beginning, or a hostile text makes RE2 track every beginning (`\b` prevents it).
        has_digit: a match without a digit is a word.
    """

    issuer: str
    anchor: str
    pattern: str
    trigger: str | None = None
    has_digit: bool = False


KEY_SHAPES: tuple[KeyShape, ...] = (
    KeyShape("1Password", "A3-", r"\bA3-[0-9A-Z]{6}(?:-[0-9A-Z]{5,11}){4,5}\b", r"A3-[0-9A-Z]{6}-"),
    KeyShape("1Password service account", "ops_eyJ", r"ops_eyJ[0-9A-Za-z+/_\-]{100,}={0,3}"),
    KeyShape("Adobe", "p8e-", r"\bp8e-[0-9A-Za-z]{32}"),
    KeyShape("age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    KeyShape("Airtable", "pat", r"\bpat[0-9A-Za-z]{14}\.[0-9a-f]{64}", r"\bpat[0-9A-Za-z]{14}\."),
    KeyShape("Alibaba Cloud", "LTAI", r"\bLTAI[0-9A-Za-z]{16,}"),
    KeyShape("Anthropic", "sk-ant-", r"sk-ant-(?:(?:api03|admin01)-[0-9A-Za-z_\-]{93}AA\b"
             r"|(?:oat|sid)[0-9]{2}-[0-9A-Za-z_\-]{80,})"),
    KeyShape("Artifactory", "AKC", r"\bAKC[0-9A-Za-z]{10,}"),
    KeyShape("Artifactory reference token", "cmVmd", r"\bcmVmd[0-9A-Za-z]{59}\b"),
    KeyShape("Atlassian", "AT", r"\b(?:ATATT3|ATCTT3)[0-9A-Za-z_\-=]{100,}", r"AT[AC]TT3"),
    KeyShape("Authress", ".acc", r"\b(?:sc|ext|scauth|authress)_[0-9A-Za-z]{5,30}\.[0-9A-Za-z]{4,6}\.acc[_\-]"
             r"[0-9A-Za-z\-]{10,32}\.[0-9A-Za-z+/_=\-]{30,}", r"\.acc[_\-]"),
    KeyShape("AWS access key", "A", r"\b(?:A3T[0-9A-Z]|AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
             r"\b(?:A3T[0-9A-Z]|AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    KeyShape("AWS Bedrock", "ABSK", r"\bABSK[0-9A-Za-z+/]{109,269}(?:=|\b)"),
    KeyShape("AWS Bedrock, short-lived", "bedrock-api-key-",
             r"bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[0-9A-Za-z+/=_\-]*"),
    KeyShape("Azure AD client secret", "Q~", r"[0-9A-Za-z_~.]{3}[0-9]Q~[0-9A-Za-z_~.\-]{31,34}\b", r"[0-9]Q~"),
    KeyShape("Azure storage", "AccountKey=", r"AccountKey=[0-9A-Za-z+/=]{44,}"),
    KeyShape("ClickHouse Cloud", "4b1d", r"\b4b1d[0-9A-Za-z]{38}\b"),
    KeyShape("Clojars", "LOJARS_", r"(?i)CLOJARS_[0-9a-z]{60}"),
    KeyShape("Cloudflare origin CA", "v1.0-", r"\bv1\.0-[0-9a-f]{24}-[0-9a-f]{100,}"),
    KeyShape("Databricks", "dapi", r"\bdapi[0-9a-f]{32}(?:-[0-9])?", r"dapi[0-9a-f]{8}"),
    KeyShape("DigitalOcean", "_v1_", r"\bdo[opr]_v1_[0-9a-f]{64}", r"do[opr]_v1_"),
    KeyShape("Discord", ".", r"\b[MNO][0-9A-Za-z_\-]{23,25}\.[0-9A-Za-z_\-]{6}\.[0-9A-Za-z_\-]{27,38}",
             r"\.[0-9A-Za-z_\-]{6}\.[0-9A-Za-z_\-]{27}"),
    KeyShape("Doppler", "dp.", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z.\-_]{40,}"),
    KeyShape("Duffel", "duffel_", r"duffel_(?:test|live)_[0-9A-Za-z_\-=]{43}"),
    KeyShape("Dynatrace", "dt0", r"dt0[a-z][0-9]{2}\.[0-9A-Za-z]{24}\.[0-9A-Za-z]{64}", r"dt0[a-z][0-9]{2}\."),
    KeyShape("EasyPost", "EZ", r"\bEZ[AT]K[0-9A-Za-z]{54}\b", r"EZ[AT]K"),
    KeyShape("Facebook app", "|", r"\b[0-9]{15,16}\|[0-9A-Za-z_\-]{27,40}", r"[0-9]{15}\|"),
    KeyShape("Facebook page", "EAA", r"\bEAA[A-Z][0-9A-Za-z]{80,}", r"\bEAA[A-Z][0-9A-Za-z]{16}"),
    KeyShape("Flutterwave", "FLW", r"FLW(?:SEC|PUB)K(?:_TEST)?-[0-9A-Za-z]{12,}(?:-X)?", r"FLW(?:SEC|PUB)K"),
    KeyShape("Fly.io", "f", r"\b(?:fo1_[0-9A-Za-z_\-]{43}|fm(?:1[ar]|2)_[0-9A-Za-z+/]{80,}={0,3})",
             r"fo1_|fm1[ar]_|fm2_"),
    KeyShape("Frame.io", "fio-u-", r"fio-u-[0-9A-Za-z\-_=]{64}"),
    KeyShape("GitHub", "gh", r"gh[oprsu]_[0-9A-Za-z]{36,}", r"gh[oprsu]_"),
    KeyShape("GitHub fine-grained", "github_pat_", r"github_pat_[0-9A-Za-z_]{60,}"),
    KeyShape("GitLab", "gl", r"gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|rtr|soat|wt)-[0-9A-Za-z_\-]{20,}"
             r"(?:\.[0-9A-Za-z_\-]{2,}){0,3}", r"gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|rtr|soat|wt)-"),
    KeyShape("GitLab runner registration", "GR1348941", r"GR1348941[0-9A-Za-z_\-]{20,}"),
    KeyShape("GitLab session", "_gitlab_session=", r"_gitlab_session=[0-9a-z]{32}"),
    KeyShape("Google API", "AIza", r"\bAIza[0-9A-Za-z_\-]{34}(?:[0-9A-Za-z_]\b|-\B)"),
    KeyShape("Google OAuth", "ya29.", r"\bya29\.[0-9A-Za-z_\-]{20,}"),
    KeyShape("Google OAuth client secret", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_\-]{28}"),
    KeyShape("Grafana", "eyJrIjoi", r"\beyJrIjoi[0-9A-Za-z+/]{40,}={0,3}"),
    KeyShape("Grafana Cloud", "gl", r"\b(?:glc_[0-9A-Za-z+/]{32,}={0,3}|glsa_[0-9A-Za-z]{32}_[0-9A-Fa-f]{8})",
             r"glc_|glsa_"),
    KeyShape("Harness", "at.", r"\b[ps]at\.[0-9A-Za-z_\-]{22}\.[0-9A-Za-z]{24}\.[0-9A-Za-z]{20}\b",
             r"[ps]at\.[0-9A-Za-z_\-]{22}\."),
    KeyShape("Heroku", "HRKU-", r"\bHRKU-[0-9A-Za-z_\-]{50,}"),
    KeyShape("HubSpot", "pat-", r"\bpat-(?:na|eu)[0-9]-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
             r"pat-(?:na|eu)[0-9]-"),
    KeyShape("Hugging Face", "hf_", r"\bhf_[0-9A-Za-z]{34}\b"),
    KeyShape("Hugging Face organization", "api_org_", r"\bapi_org_[0-9A-Za-z]{34}"),
    KeyShape("Infracost", "ico-", r"\bico-[0-9A-Za-z]{32}\b"),
    KeyShape("42 Intra", "s-s4t2", r"\bs-s4t2(?:ud|af)-[0-9A-Fa-f]{64}"),
    KeyShape("Linear", "lin_", r"\blin_(?:api|oauth)_[0-9A-Za-z]{40,}", r"lin_(?:api|oauth)_"),
    KeyShape("Mailchimp", "-us", r"\b[0-9a-z]{32}-us[0-9]{1,2}\b", r"[0-9a-z]{32}-us"),
    KeyShape("Mailgun", "key-", r"\b(?:pub)?key-[0-9a-f]{32}\b", r"key-[0-9a-f]{32}"),
    KeyShape("Mapbox", "k.eyJ", r"\b[ps]k\.eyJ[0-9A-Za-z_\-]{20,}(?:\.[0-9A-Za-z_\-]{20,})?"),
    KeyShape("MaxMind", "_mmk", r"\b[0-9A-Za-z]{6}_[0-9A-Za-z]{29}_mmk"),
    KeyShape("Microsoft Teams webhook", ".webhook.office.com/",
             r"[0-9a-z]+\.webhook\.office\.com/webhookb2/[0-9a-z@\-]{20,}"
             r"/IncomingWebhook/[0-9a-z]+/[0-9a-z\-]+"),
    KeyShape("New Relic", "NR", r"\bNR(?:AK|II|AL|RA|JS|MA|BR)-[0-9A-Za-z_\-]{19,}", r"NR(?:AK|II|AL|RA|JS|MA|BR)-"),
    KeyShape("Notion", "ntn_", r"\bntn_[0-9]{11}[0-9A-Za-z]{35}\b"),
    KeyShape("npm", "npm_", r"\bnpm_[0-9A-Za-z]{36}"),
    KeyShape("Octopus Deploy", "API-", r"\bAPI-[0-9A-Z]{26}\b", r"API-[0-9A-Z]{26}"),
    KeyShape("OpenAI", "sk-",
             r"\bsk-(?:[0-9A-Za-z_\-]{20,}T3BlbkFJ[0-9A-Za-z_\-]{20,}|(?:proj|svcacct|admin)-[0-9A-Za-z_\-]{40,})",
             r"T3BlbkFJ|sk-(?:proj|svcacct|admin)-"),
    KeyShape("OpenShift", "sha256~", r"\bsha256~[0-9A-Za-z_\-]{43}"),
    KeyShape("Perplexity", "pplx-", r"\bpplx-[0-9A-Za-z]{48}"),
    KeyShape("PlanetScale", "pscale_", r"\bpscale_(?:tkn|oauth|pw)_[0-9A-Za-z_=.\-]{32,}"),
    KeyShape("Postman", "PMAK-", r"\bPMAK-[0-9A-Fa-f]{24}-[0-9A-Fa-f]{34}"),
    KeyShape("Prefect", "pn", r"\bpn[bu]_[0-9A-Za-z]{36}\b", r"pn[bu]_[0-9A-Za-z]{36}"),
    KeyShape("Pulumi", "pul-", r"\bpul-[0-9a-f]{40}\b", r"pul-[0-9a-f]{40}"),
    KeyShape("PyPI", "pypi-Ag", r"pypi-Ag[0-9A-Za-z_\-]{60,}"),
    KeyShape("ReadMe", "rdme_", r"\brdme_[0-9a-z]{70}"),
    KeyShape("RubyGems", "rubygems_", r"\brubygems_[0-9a-f]{48}"),
    KeyShape("Scalingo", "tk-us-", r"\btk-us-[0-9A-Za-z_\-]{48}"),
    KeyShape("SendGrid", "SG.", r"\bSG\.[0-9A-Za-z=_.\-]{66}", r"\bSG\.[0-9A-Za-z_]{4}"),
    KeyShape("Brevo", "xkeysib-", r"\bxkeysib-[0-9a-f]{64}-[0-9A-Za-z]{16}"),
    KeyShape("Sentry", "sntry",
             r"\bsntry(?:s_eyJ[0-9A-Za-z+/=]{40,}_[0-9A-Za-z+/]{42}(?:[0-9A-Za-z]\b|[+/])|[a-rt-z]_[0-9a-f]{64}\b)"),
    KeyShape("SettleMint", "sm_", r"\bsm_[aps]at_[0-9A-Za-z]{16}\b", r"sm_[aps]at_"),
    KeyShape("Shippo", "shippo_", r"\bshippo_(?:live|test)_[0-9A-Fa-f]{40}"),
    KeyShape("Shopify", "shp", r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}", r"shp(?:at|ca|pa|ss)_"),
    KeyShape("Slack", "xox",
             r"(?i)xox(?:[abeoprs]-[0-9]{5,}-(?:[0-9]+-)*[0-9a-z\-]{10,}|[ars]-(?:[0-9]-)?[0-9a-z]{8,48}"
             r"|[abeoprs](?:\.xox[bp])?-[0-9]-[0-9a-z]{100,}|[os]-[0-9]+-[0-9]+-[0-9]+-[0-9a-f]+)",
             r"(?i:xox)[abeoprsABEOPRS][.\-]"),
    KeyShape("Slack app", "xapp-", r"(?i)xapp-[0-9]-[0-9A-Z]+-[0-9]+-[0-9a-z]+"),
    KeyShape("Slack webhook", "hooks.slack.com/",
             r"hooks\.slack\.com/(?:(?:services|workflows|triggers)/[0-9A-Za-z+/]{43,}"
             r"|services/T[0-9A-Za-z_]+/B[0-9A-Za-z_]+/[0-9A-Za-z_]+)"),
    KeyShape("Sourcegraph", "sgp_", r"\bsgp_(?:(?:[0-9A-Fa-f]{16}|local)_)?[0-9A-Fa-f]{40}"),
    KeyShape("Square", "sq0", r"\bsq0(?:atp|csp|idp)-[0-9A-Za-z_\\\-]{22,}"),
    KeyShape("Square access token", "EAAA", r"\bEAAA[0-9A-Za-z_\-]{22,60}\b", r"\bEAAA[0-9A-Za-z_]{8}"),
    KeyShape("Stripe", "k_", r"\b[rs]k_(?:test|live|prod)_[0-9A-Za-z]{10,}", r"[rs]k_(?:test|live|prod)_"),
    KeyShape("Stripe webhook", "whsec_", r"\bwhsec_[0-9A-Za-z]{24,}"),
    KeyShape("Telegram", ":", r"\b[0-9]{8,10}:[0-9A-Za-z_\-]{35}\b", r"[0-9]{8}:[0-9A-Za-z_\-]{20}"),
    KeyShape("Terraform Cloud", ".atlasv1.", r"\b[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z\-_=]{60,}"),
    KeyShape("Twilio", "", r"\b(?:AC|SK)[0-9a-zA-Z]{32}\b", r"\b(?:AC|SK)[0-9a-zA-Z]{32}"),
    KeyShape("Vault", "hv", r"\bhv[bsr]\.[0-9A-Za-z_\-]{24,}", r"hv[bsr]\."),
    KeyShape("Vault, before 1.10", "s.", r"\bs\.[0-9A-Za-z]{24}\b", r"(?:^|[^0-9A-Za-z])s\.[0-9A-Za-z]{24}", True),
    KeyShape("Yandex", "AQVN", r"\bAQVN[0-9A-Za-z_\-]{35,38}"),
    KeyShape("Yandex OAuth", "y0_", r"\by0_[0-9A-Za-z_\-]{40,}"),
)  # fmt: skip
"""Each is searched only in texts with its anchor."""
