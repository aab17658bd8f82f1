"""Promises of sidecar/redaction/detectors/assigned_secret.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from detecting import found


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("sensitive_key", "<apiToken> abc</apiToken>", "abc"),
        ("sensitive_key", 'set("SOME_TOKEN", "abc")', "abc"),
        ("sensitive_key", "failed: password=hunter2; retry", "hunter2"),
        ("sensitive_key", '{"apiKey": "zz top", "a": 1}', "zz top"),
        ("sensitive_key", "r=%2F%3Ftoken%3Dabc%26a%3D1", "abc"),
        ("sensitive_key", "Authorization: Digest abc", "abc"),
        ("sensitive_key", "clientSecret := 'a b'", "a b"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("sensitive_key", "monkey=banana keyboard: us author=me"),
        ("sensitive_key", "token=REDACTED&key=hmac:0123abcd:0123456789abcdef"),
        ("sensitive_key", "password= &token="),
        ("sensitive_key", "a token, please; the key, then"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []


def nested(value: object, times: int = 1) -> str:
    """Return JSON in a string of JSON, so many times."""
    text = json.dumps(value)
    for _ in range(times):
        text = json.dumps({"data": text})
    return text


def entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


SECRET = "correct horse"
ESCAPES: dict[str, Callable[[str], str]] = {
    "none": str,
    "percent-encoding": lambda text: quote(text, safe=""),
    "a form": quote_plus,
    "percent-encoding, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "a JSON string": json.dumps,
    "a JSON string, percent-encoded": lambda text: quote(json.dumps(text), safe=""),
    "two JSON strings": lambda text: json.dumps(json.dumps(text)),
    "numeric JSON escapes": lambda text: text.replace('"', r"\u0022").replace("<", r"\u003c"),
    "hexadecimal escapes": lambda text: text.replace('"', r"\x22").replace("'", r"\x27"),
    "XML references": entities,
    "numeric XML references": lambda text: text.replace('"', "&#34;").replace("<", "&#x3c;"),
}
STRUCTURES = {
    "a member": '{"user": {"password": "correct horse"}}',
    "a list": '{"passwords": ["a", "correct horse", "b"], "c": 1}',
    "a list of objects": '{"tokens": [{"a": 1, "b": "correct horse"}], "c": 1}',
    "an object": '{"secret": {"value": "correct horse"}, "c": 1}',
    "lists in lists": '{"password": ["a", ["b", "correct horse"], "]"], "c": 1}',
    "brackets in strings": '{"password": ["}]", "correct horse"], "c": 1}',
    "name and value members": '{"name": "password", "value": "correct horse"}',
    "a quote in the value": '{"password": "a\\"correct horse", "c": 1}',
    "a backslash at the end": '{"password": "correct horse\\\\", "c": 1}',
    "single quotes": "{'password': 'correct horse', 'c': 1}",
    "an element": "<a><password>correct horse</password></a>",
    "an element with attributes": '<password type="text">correct horse</password><c/>',
    "an element of a namespace": '<wsse:Password Type="a#b">correct horse</wsse:Password>',
    "elements in an element": "<credentials><a>x</a><b>correct horse</b></credentials><c/>",
    "CDATA": "<password><![CDATA[a<b correct horse]]></password>",
    "lines in an element": "<token>\n  correct horse\n</token>",
    "an attribute": '<user password="correct horse" c="1"/>',
    "an attribute of a sensitive element": '<password value="correct horse"/>',
    "a sensitive attribute of a sensitive element": '<auth a="b" token="correct horse">x</auth>',
    "name and value attributes": '<add key="password" value="correct horse"/>',
    "name and value attributes, apart": '<input name="password" type="x" value="correct horse">',
    "an element named by an attribute": '<p name="password"> correct horse </p><c/>',
    "name and value elements": "<p><Key>password</Key><Value>correct horse</Value></p>",
    "serialized by PHP": 's:8:"password";s:13:"correct horse";s:1:"c";',
    "lines of JSON": '{"password"\n:\n"correct horse",\n"c": 1}',
    "a form": "a=1&password=correct+horse&b=2",
    "value and name members": '[{"value": "correct horse", "type": "x", "name": "apiKey"}]',
    "value and name attributes": '<input value="correct horse" type="x" name="password">',
    "value and name attributes, closed": "<add value='correct horse' key='password' />",
    "members of other names": '{"field": "password", "text": "correct horse"}',
    "three quotes": 'password = """correct horse"""',
    "a list of YAML": "a: 1\npasswords:\n  - x\n  - correct horse\n",
    "a block of YAML": "a: 1\npassword: |-\n  x\n  correct horse\n",
    "a folded block of YAML": "a: 1\npassword: >\n  correct horse",
    "a part of a form": 'form-data; name="password"\r\n\r\ncorrect horse\r\n--x',
    "a part of a form with a type": 'form-data; name="password"\r\nContent-Type: a/b\r\n\r\ncorrect horse\r\n--x',
    "a list of properties": "<key>password</key>\n<string>correct horse</string>",
    "an attribute of SAML": '<a:Attribute Name="password"><a:AttributeValue>correct horse</a:AttributeValue>',
    "a command line": "tool --a 1 --db-password 'correct horse' --b",
    "a form of lists": "a=1&user[passwords][]=correct+horse&b=2",
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_value_is_found_in_each_structure_and_escape(structure: str, escape: str) -> None:
    """No part of it is left, and the rest of the structure stays."""
    text = ESCAPES[escape](STRUCTURES[structure])
    findings = found("sensitive_key", text)
    left = text
    for finding in findings:
        left = left.replace(finding, "")

    assert findings
    assert not any(word in left for word in ("correct", "horse"))
    if "c" in STRUCTURES[structure].replace("correct", ""):
        assert len(left) > 4


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"passwords": ["x", "y"]}', '["x", "y"]'),
        ('{"token": {"a": "x}"}, "b": 1}', '{"a": "x}"}'),
        ('{"token": ["x", "y"', '["x", "y"'),
        (r'{"password": "foo\"bar"}', r"foo\"bar"),
        (r"{\"password\": \"foo\\\"bar\"}", r"foo\\\"bar"),
        ('{"password": "not closed', "not closed"),
        ("<password>a b</password>", "a b"),
        ("<password>not closed", "not closed"),
        ("<password> <![CDATA[x]]> </password>", "<![CDATA[x]]>"),
        ('<p name="password"> a b</p>', "a b"),
        ("tokens=a,b,c", "a,b,c"),
        ("mysql -u root --password hunter2 -h db", "hunter2"),
        ("tool -token abc", "abc"),
        ("run --api-key abc now", "abc"),
        ("my api key is zz9-plural, ok", "zz9-plural"),
        ("the password was hunter2", "hunter2"),
        ("passwort: abc", "abc"),
        ('{"senha": "abc"}', "abc"),
        ("PGPASSWORD=abc psql", "abc"),
        ("{token:a,user:b}", "a"),
        ("code=SplxlOBeZQQYbYS6WxSbIA", "SplxlOBeZQQYbYS6WxSbIA"),
        ('{"code": "493817"}', "493817"),
        ("ticket=ST-123", "ST-123"),
        ("r=%2Fcb%3Fcode%3Dab12cd34ef%26x%3D1%26client_id%3Da", "ab12cd34ef"),
        ('[{"value": "x", "name": "page"}, {"value": "y", "name": "token"}]', "y"),
        ("keys:\n  - x\nother: 1", "- x"),
        ('name="otp"\r\n\r\n123456\r\n--b\r\nname="a"\r\n\r\n1', "123456"),
    ],
)
def test_the_finding_is_the_value_and_no_more(text: str, secret: str) -> None:
    """Quotes and tags around it stay; brackets are a part of a list or an object."""
    assert found("sensitive_key", text) == [secret]


@pytest.mark.parametrize(
    "text",
    [
        '{"passwords": [], "tokens": {}, "secret": ""}',
        "password: {{ .Values.password }} token=${TOKEN} key=$(cat key) SECRET=%SECRET%",
        "/keys/{key} key={id} <password/> <token></token>",
        "a > b, key > 5",
        '{"code": 404, "state": "closed"}',
        "status code: 404; state: ready; session: 5; country_code=DE; encode=utf-8-with-signature-0",
        "code=US&state=CA",
        "password: [REDACTED] token=REDACTED",
        "about the password\n\nIt has eight characters",
        '{"value": "x", "name": "page"}',
        "the password is wrong; your token is expired, and the key was 12345",
        "--password-stdin -p --token --user bob",
        "the well-known-key principle, a pre-token step",
        "a key to success, passwords are dull",
    ],
)
def test_a_text_without_a_value_is_left(text: str) -> None:
    """Empty lists, placeholders, masks, and everyday names with everyday values."""
    assert found("sensitive_key", text) == []


def test_two_values_of_one_text_are_two_findings() -> None:
    """A value that follows another one as its name is found as well."""
    assert found("sensitive_key", '{"key": "apiKey", "value": "x"}') == ["apiKey", "x"]
    assert found("sensitive_key", 'token = "token = "abc""') == ["token = ", "abc"]
