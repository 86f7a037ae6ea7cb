import json
import string

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from threadllm.redaction import redact, text_of, without_keys

KEY = "sk-planted-0123456789"
HIDDEN = "[redacted]"
PRINTABLE = "".join(map(chr, range(33, 127)))
NESTED = r'{"body": "{\"api_key\": \"¤\", \"n\": 1}"}'


def said_by(send, *args, **options):
    """What requests says of a request that cannot be made."""
    with pytest.raises((requests.RequestException, ValueError)) as caught:
        send(*args, **options)
    return str(caught.value)


@pytest.fixture
def nowhere():
    """An address at which nobody listens: a port that the kernel gives to nobody."""
    return "http://127.0.0.1:1"


# As requests says it


def test_a_key_in_a_query_is_hidden_in_a_connection_error(nowhere):
    """The path and the cause stay, the values of the query go."""
    text = said_by(requests.get, f"{nowhere}/v1?key={KEY}&model=m", proxies={"http": ""})

    assert KEY in text
    assert redact(text) == text.replace(KEY, HIDDEN).replace("model=m", f"model={HIDDEN}")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\nX-Other: 1"])
def test_a_key_with_a_line_end_is_hidden(nowhere, ending):
    """Whichever layer refuses the header, it prints it; all of it goes."""
    headers = {"Authorization": f"Bearer {KEY}{ending}"}
    text = said_by(requests.get, nowhere, headers=headers)

    assert KEY in text
    assert redact(text) in {
        (
            "Invalid leading whitespace, reserved character(s), or return character(s) "
            "in header value: [redacted]"
        ),
        "Invalid header value [redacted]",  # http.client's, where requests lets it pass
    }


def test_a_key_that_is_no_text_is_hidden(nowhere):
    """The client prints a header of the wrong type twice."""
    text = said_by(requests.get, nowhere, headers={"x-api-key": [KEY]})

    assert text.count(KEY) == 2
    assert redact(text) == (
        "Header part [redacted] must be of type str or bytes, not <class 'list'>"
    )


def test_a_key_in_a_url_that_requests_refuses_is_hidden():
    """An address with a slip in its scheme is printed whole."""
    text = said_by(requests.get, f"htp://us:{KEY}@host/?key={KEY}")

    assert redact(text) == (
        "No connection adapters were found for 'htp://[redacted]@host/?key=[redacted]'"
    )


def test_keys_in_a_body_that_is_quoted_are_hidden():
    """A provider that says what it was sent is not quoted with its keys, cut off or not."""
    body = json.dumps({"model": "m", "api_key": KEY, "n": 1, "headers": {"x-api-key": "k;'}"}})

    assert redact(body) == (
        '{"model": "m", "api_key": "[redacted]", "n": 1, "headers": {"x-api-key": "[redacted]"}}'
    )
    assert redact(body[: body.index("0123")]) == '{"model": "m", "api_key": "[redacted]'


# In every spelling

# ¤ stands where a key does; what is left is the same with the key hidden.
SPELLINGS = [
    "Authorization: Bearer ¤",
    "authorization: bearer ¤, then",
    "Proxy-Authorization: Basic ¤",
    "Authorization: Token ¤.",
    "Authorization: AWS4-HMAC-SHA256 ¤",
    "Authorization=¤",
    "no answer for Bearer ¤",
    "no answer for Basic ¤, again",
    "(Bearer ¤)",
    "{'Authorization': 'Bearer ¤', 'Accept': '*/*'}",
    "{'Authorization': b'Bearer ¤', 'Accept': '*/*'}",
    "[('X-Api-Key', '¤'), ('Accept', '*/*')]",
    "[(b'x-api-key', b'¤'), (b'accept', b'*/*')]",
    "x-api-key: ¤\naccept: */*",
    "api-key: ¤",
    "x-goog-api-key: ¤",
    "X-Subscription-Token: ¤",
    "Ocp-Apim-Subscription-Key: ¤",
    "OPENAI_API_KEY=¤, MODEL=m",
    "aws_secret_access_key = '¤' # here",
    '{"password": "¤"}',
    '{"client_secret":"¤","grant_type":"x"}',
    '{"access_token" : "¤"}',
    NESTED,
    "Client(api_key='¤', timeout=5)",
    "Client(api_key=¤)",
    "Incorrect API key provided: ¤. You can find your API key at https://h/account.",
    "http://¤@h:80/v1, then",
    "postgres://¤@h/db",
    "url: /v1?key=¤ (Caused by X)",
    "see https://h/v1?key=¤, then",
    "see 'https://h/v1?key=¤'.",
    'see "https://h/v1?key=¤": no',
    "('https://h/v1?key=¤', 5)",
    "<a href=https://h/v1?key=¤>",
    "https://h/v1?a=¤&amp;key=¤",
    "https://h/v1?filter[key]=¤&b%5B%5D=¤",
    "it was ¤, I think",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_hidden_and_nothing_else(spelling):
    """The words, the quotes and the punctuation around a key stay."""
    assert redact(spelling.replace("¤", KEY)) == spelling.replace("¤", HIDDEN)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_hidden_stays_as_it_is(spelling):
    """A text that comes twice is the same the second time."""
    text = spelling.replace("¤", HIDDEN)

    assert redact(text) == text


@pytest.mark.parametrize(
    "key",
    [
        "sk-planted-0123456789",
        "sk-proj-planted_0123456789",
        "gsk_planted0123456789",
        "xai-planted0123456789",
        "hf_PlantedPlantedPlanted0",
        "AIzaPlanted0123456789",
    ],
)
def test_known_keys_are_hidden_anywhere(key):
    """What begins as keys of providers do is hidden without a name before it."""
    assert redact(f"got {key}: no") == "got [redacted]: no"


def test_the_error_of_the_standard_library_is_hidden():
    """http.client says it without a colon."""
    assert redact("Invalid header value b'planted\\n'") == "Invalid header value [redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "429 Too Many Requests for url: https://api.example.com/v1/chat/completions",
        "You need to use Bearer auth, or basic authentication. Bearer: see the basic usage.",
        "missing: 'api_key', 'model'",
        '{"api_key": "", "model": "m"}',
        "Client(api_key='', model='m')",
        "set an API key, a password or a secret",
        "mail me@example.com about https://example.com/@user/a@b",
        "is it so? yes=1 & no=0",
        "in header name: 'X y'",
        "it has no header value to speak of",
        "hf_hub_download_file, skateboarding-parks and skeletonization",
        "1 + 1 = 2; a=b, c: d",
        "Ünïcode “quotes” stay\n\ttoo",
    ],
)
def test_harmless_text_stays(text):
    """What holds no key is not changed."""
    assert redact(text) == text


# Of any shape

keys = st.text(PRINTABLE, min_size=6, max_size=40).filter(lambda key: key not in HIDDEN)
words = st.builds(
    "{}{}{}".format,
    st.sampled_from(string.ascii_letters),
    st.text(PRINTABLE.replace('"', ""), min_size=4, max_size=40),
    st.sampled_from(string.digits),
)


@given(keys)
def test_no_key_survives_in_json(key):
    """Whatever the key, its value in a body goes and the rest of the body stays."""
    body = {"model": "m", "api_key": key, "n": 1}

    assert json.loads(redact(json.dumps(body))) == {**body, "api_key": HIDDEN}
    assert key not in redact(json.dumps(json.dumps(body)))


@given(keys)
def test_no_key_survives_in_headers_that_are_printed(key):
    """Whatever the key, dicts and lists of headers are printed without it."""
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key, "Accept": "*/*"}

    quote = repr(key)[0]

    assert redact(repr(headers)) == (
        f"{{'Authorization': {quote}Bearer {HIDDEN}{quote}, "
        f"'x-api-key': {quote}{HIDDEN}{quote}, 'Accept': '*/*'}}"
    )


@given(words)
def test_no_key_survives_in_a_header_line(key):
    """Whatever the key, a header that is written out keeps its name and its scheme alone."""
    assert redact(f"Authorization: Bearer {key}, then") == (
        "Authorization: Bearer [redacted], then"
    )


@given(words)
def test_no_key_survives_in_a_query(key):
    """Whatever the key, the URL that requests makes of it is printed without it."""
    url = requests.Request("GET", "http://h/v1", params={"key": key, "a": "b"}).prepare().url

    assert redact(f"url: {url}, then") == f"url: http://h/v1?key={HIDDEN}&a={HIDDEN}, then"


@given(st.text(PRINTABLE.translate(dict.fromkeys(map(ord, '/?#"<>'))), min_size=1))
def test_no_key_survives_as_user_or_password(key):
    """Whatever the key that a URL can carry, it is printed without its user."""
    assert redact(f"at http://us:{key}@h:80/v1, then") == f"at http://{HIDDEN}@h:80/v1, then"


@given(keys)
def test_no_key_survives_in_a_header_that_is_refused(key):
    """Whatever the key, the error of requests is printed without it."""
    text = said_by(
        requests.Request("GET", "http://h/", headers={"x-planted": f"{key}\r\n"}).prepare
    )

    assert redact(text).endswith("in header value: [redacted]")


@given(st.text())
def test_no_text_stops_it(text):
    """Any text is taken, and what was hidden once is not hidden again."""
    once = redact(text)

    assert redact(once) == once


def test_a_json_value_is_shown_without_keys():
    """Texts are redacted wherever they stand in it, and all else stays as it is."""
    quoted = "Bearer sk-planted-0123456789 is not valid"

    assert without_keys({"error": {"message": quoted, "codes": [401, None, quoted]}}) == {
        "error": {
            "message": "Bearer [redacted] is not valid",
            "codes": [401, None, "Bearer [redacted] is not valid"],
        }
    }


@pytest.mark.parametrize("before", [0, 20, 70, 150])
def test_an_error_of_json_says_how_its_text_begins(before):
    """Without keys, be they cut off in the middle."""
    page = f"<p>{'x' * before} key={KEY}&api_key={KEY} and so on</p>"
    error = requests.JSONDecodeError("Expecting value", page, 0)
    text = text_of(error)

    assert text.startswith(f"{error}; it begins: '<p>x" if before else f"{error}; it begins: '<p> ")
    assert len(text) < 150
    assert KEY[:12] not in text
