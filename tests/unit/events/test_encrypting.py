"""Only declared fields change, nothing of them is left, and what comes back is what was received.

The oracle is Python's own reader of JSON, with the places of values found by how the text was made.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.events.encrypting import Altered, Cipher
from penstock.events.sources import FileSource, Identified
from penstock.project.keys import ProjectKey

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()
PATHS = ("user.email", "items[].note", "secret")
TOKEN = re.compile(rb'"enc:1:[A-Za-z0-9_-]+"')
#: In every value that is to be encrypted, and nowhere else.
CANARY = "canary"


def project_key(monkeypatch: pytest.MonkeyPatch, *lines: str) -> ProjectKey:
    monkeypatch.setenv("PENSTOCK_KEY", "\n".join(lines or (KEY,)))
    return ProjectKey("shop")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> ProjectKey:
    return project_key(monkeypatch)


@pytest.fixture(scope="module")
def cipher() -> Cipher:
    with pytest.MonkeyPatch.context() as patched:
        return Cipher(project_key(patched), "shop", "drops", PATHS)


@pytest.mark.parametrize(
    ("raw", "encrypted"),
    [
        (b'{"user": {"email" : "a@b.c" }, "n":1.10}', b'{"user": {"email" : * }, "n":1.10}'),
        (b'{"user":{"email":{"home":["a"]},"id":1e400}}', b'{"user":{"email":*,"id":1e400}}'),
        (b'{"secret":null,"secret":[],"a":1,"a":2}', b'{"secret":*,"secret":*,"a":1,"a":2}'),
        (b'{"\\u0075ser":{"em\\u0061il":true}}', b'{"\\u0075ser":{"em\\u0061il":*}}'),
        (b'{"user.email": 12345678901234567890}', b'{"user.email": *}'),
        (b'{"user":[{"email":1},{"email":2}]}', b'{"user":[{"email":*},{"email":*}]}'),
        (b'{"items":[{"note":1},[{"note":3}]]}', b'{"items":[{"note":*},[{"note":*}]]}'),
        (b'{"items[]":{"note":1}}', b'{"items[]":{"note":*}}'),
        (b'[{"secret":1},\r\n\t{"secret": -0.0e-0 } ]', b'[{"secret":*},\r\n\t{"secret": * } ]'),
        (b'{"a":{"secret":1},"email":2,"user":"x"}', b'{"a":{"secret":1},"email":2,"user":"x"}'),
        (b'{"secret":"\\"}{]\\\\","b":"\\ud800 \\u0000"}', b'{"secret":*,"b":"\\ud800 \\u0000"}'),
        (b'{"b":"enc:1:AAAA","c":["enc:1:"]}', b'{"b":*,"c":[*]}'),
        (b'{"enc:1:!":1, "b":"enc:2:x"}', b'{"enc:1:!":1, "b":"enc:2:x"}'),
        (b"{}", b"{}"), (b" [ ] ", b" [ ] "), (b"7", b"7"), (b'"enc:1:x"', b"*"),
        ('{"secret":"\u00e9","x":"\u00e9"}'.encode(), '{"secret":*,"x":"\u00e9"}'.encode()),
        (b"[" * 200 + b'{"secret":1}' + b"]" * 200, b"*"),
        (b"[" * 150 + b'{"secret":1}' + b"]" * 150, b"[" * 150 + b'{"secret":*}' + b"]" * 150),
        (b"[" * 100_000, b"*"), (b"", b"*"), (b'{"a": 1', b"*"), (b'{"a": NaN}', b"*"),
        (b'{"a": 1} x', b"*"), (b"\xef\xbb\xbf{}", b"*"), (b'{"a": "\x01"}', b"*"),
        (b'{"a": "\xff"}', b"*"), (b"{'secret': 1}", b"*"), ('{"a":1}'.encode("utf-16"), b"*"),
        (b'{"secret":' + b"9" * 9000 + b"}", b'{"secret":*}'), (b"\0", b"*"), (b"id;n\r\n", b"*"),
        (b'{"a":1,}', b"*"), (b'{"secret":01}', b"*"), (b'"enc:1:x', b"*"),
    ],
)  # fmt: skip
def test_only_the_value_is_replaced(cipher: Cipher, raw: bytes, encrypted: bytes) -> None:
    kept = cipher.encrypt(raw)
    assert TOKEN.sub(b"*", kept) == encrypted
    assert cipher.decrypt(kept) == raw


blanks = st.text(" \t\r\n", max_size=3)
numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z")
characters = st.one_of(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'),
    st.sampled_from(["\\u0000", "\\ud800", "\\udfff", "\\n", "\\\\", '\\"', "\\/", "\\u00e9", "}"]),
)
texts = st.lists(characters, max_size=8).map(lambda parts: '"' + "".join(parts) + '"')
scalars = st.one_of(st.sampled_from(["true", "false", "null", '"enc:1:AAAA"']), numbers, texts)
names = st.sampled_from(
    ["user", "email", "items", "note", "secret", "a", "", "user.email", "items[]", "\\u0075ser"]
)


def spaced(draw: st.DrawFn, *parts: str) -> str:
    return "".join(draw(blanks) + part for part in parts) + draw(blanks)


def plain(path: str, name: str) -> str:
    read = json.loads(f'"{name}"').replace("[]", "")
    return f"{path}.{read}" if path else read


@st.composite
def json_texts(draw: st.DrawFn, path: str = "", depth: int = 3) -> str:
    """A JSON text; what is under a declared path is a canary, and nothing else is one."""
    if path in {"user.email", "items.note", "secret"}:
        inside = draw(scalars)
        made = [f'"{CANARY}"', f'{{"x" :[ "{CANARY}", {inside}]}}', f'["{CANARY}" ]']
        return draw(st.sampled_from(made))
    kind = draw(st.sampled_from(["scalar", "list", "object"] if depth else ["scalar"]))
    if kind == "scalar":
        return draw(scalars)
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        if kind == "list":
            parts.append(spaced(draw, draw(json_texts(path, depth - 1))))
        else:
            name = draw(names)
            value = draw(json_texts(plain(path, name), depth - 1))
            parts.append(spaced(draw, f'"{name}"', ":", value))
    inside = ",".join(parts) or draw(blanks)
    return f"[{inside}]" if kind == "list" else f"{{{inside}}}"


@given(json_texts(), blanks)
def test_what_was_received_comes_back_and_nothing_personal_is_left(
    cipher: Cipher, text: str, blank: str
) -> None:
    raw = (blank + text + blank).encode()
    kept = cipher.encrypt(raw)
    assert CANARY.encode() not in kept
    assert cipher.decrypt(kept) == raw
    canaries, tokens = raw.count(CANARY.encode()), len(TOKEN.findall(kept))
    looking_so = len(re.findall(rb'"enc:1:AAAA"', raw))
    assert canaries <= tokens <= canaries + looking_so
    assert shape(json.loads(kept)) == shape(hidden(json.loads(raw))), "it is read as before"


def hidden(value: Any, path: str = "") -> Any:
    """A value with a mark under each declared path."""
    if path in {"user.email", "items.note", "secret"} or value == "enc:1:AAAA":
        return "*"
    if isinstance(value, dict):
        return {name: hidden(one, plain_key(path, name)) for name, one in value.items()}
    if isinstance(value, list):
        return [hidden(one, path) for one in value]
    return value


def plain_key(path: str, name: str) -> str:
    name = name.replace("[]", "")
    return f"{path}.{name}" if path else name


def shape(value: Any) -> str:
    text = json.dumps(value)
    return re.sub(r'"enc:1:[A-Za-z0-9_-]+"', '"*"', text)


@given(st.binary(max_size=60))
def test_whatever_is_sent_comes_back(cipher: Cipher, raw: bytes) -> None:
    kept = cipher.encrypt(raw)
    assert cipher.decrypt(kept) == raw
    try:
        json.loads(raw.decode())
    except ValueError:
        assert TOKEN.fullmatch(kept), "what is no JSON is not kept in clear"


def test_a_long_text_is_read_at_once(cipher: Cipher) -> None:
    for raw in (b'{"secret":"' + b'\\"' * (1 << 20) + b'"}', b"[" + b'"",' * 500_000 + b"1]"):
        assert cipher.decrypt(cipher.encrypt(raw)) == raw


def test_the_same_value_is_never_encrypted_alike(cipher: Cipher) -> None:
    assert len({cipher.encrypt(b'{"secret":1}') for _ in range(100)}) == 100


def test_nothing_is_read_that_was_altered_or_moved(key: ProjectKey) -> None:
    cipher = Cipher(key, "shop", "drops", PATHS)
    kept = cipher.encrypt(b'{"secret":"x"}')
    (token,) = TOKEN.findall(kept)
    (inside,) = re.findall(rb"enc:1:([^\"]+)", kept)
    plain = base64.urlsafe_b64decode(inside + b"=" * (-len(inside) % 4))
    for place in range(4, len(plain)):
        changed = bytearray(plain)
        changed[place] ^= 1
        text = base64.urlsafe_b64encode(changed).rstrip(b"=")
        with pytest.raises(Altered):
            cipher.decrypt(b'{"secret":"enc:1:' + text + b'"}')
    for wrong in (b'{"user":{"email":' + token + b"}}", token, b'{"secret":"enc:1:!"}',
                  b'{"secret":"enc:1:"}', b'{"secret":' + token, kept[:-3] + b'"}',
                  b'{"secret":"enc:1:A"}', b'{"secret":' + token[:20] + b'"}'):  # fmt: skip
        with pytest.raises((Altered, UsageError)):
            cipher.decrypt(wrong)
    for pipeline, source in (("shop", "partner"), ("shops", "drops")):
        with pytest.raises((Altered, UsageError)):
            Cipher(key, pipeline, source, PATHS).decrypt(kept)


def test_a_rotated_key_still_reads_what_the_old_one_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_KEY_FILE", str(tmp_path / "shop.key"))
    key = ProjectKey("shop")
    with pytest.raises(UsageError, match=r"there is no key for shop: copy .*shop\.key"):
        Cipher(key, "shop", "drops")
    key.make()
    old = Cipher(key, "shop", "drops", PATHS).encrypt(b'{"secret":1}')
    key.renew()
    both = Cipher(key, "shop", "drops", PATHS)
    new = both.encrypt(b'{"secret":2}')
    assert [both.decrypt(one) for one in (old, new)] == [b'{"secret":1}', b'{"secret":2}']
    key.forget_old()
    alone = Cipher(key, "shop", "drops", PATHS)
    assert alone.decrypt(new) == b'{"secret":2}'
    with pytest.raises(UsageError, match=r"shop\.key: they were encrypted with another key"):
        alone.decrypt(old)


def test_a_line_that_is_no_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="PENSTOCK_KEY holds no key"):
        Cipher(project_key(monkeypatch, KEY, "nonsense"), "shop", "drops")


@pytest.mark.parametrize("wrong", ["user.email", ["user..email"], [""], ["a."], ["[]"]])
def test_paths_that_lead_nowhere_are_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="encrypt: "):
        Identified(encrypt=wrong)
    assert FileSource(files="*", encrypt=["[].a", "a.b[]"]).encrypt == ["[].a", "a.b[]"]
