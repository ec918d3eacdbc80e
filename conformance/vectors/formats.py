"""Readers of the formats that vectors are published in. Each yields Vector values; nothing here knows of PKCS#11."""

import json
import re
from collections import namedtuple

VALID, INVALID, ACCEPTABLE = "valid", "invalid", "acceptable"

# id: what a report names; result: VALID, INVALID or ACCEPTABLE; fields: as the file has them, byte strings decoded
Vector = namedtuple("Vector", "id result fields")


def _hex(text):
    return bytes.fromhex(text)


def _number(text):
    """Hexadecimal digits of any count as big-endian bytes without leading zeros."""
    return bytes.fromhex(text if len(text) % 2 == 0 else "0" + text).lstrip(b"\0")


def der(data, at=0):
    """Reads one DER element strictly: (tag, content, end). Raises ValueError."""
    if len(data) < at + 2:
        raise ValueError("truncated")
    tag, length, at = data[at], data[at + 1], at + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(data) < at + count:
            raise ValueError("length")
        length, at = int.from_bytes(data[at: at + count], "big"), at + count
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise ValueError("length is not minimal")
    if len(data) < at + length:
        raise ValueError("truncated")
    return tag, data[at: at + length], at + length


def der_sequence(data, tag=0x30):
    """The (tag, content) pairs inside one SEQUENCE that fills all of data."""
    outer, content, end = der(data)
    if outer != tag or end != len(data):
        raise ValueError("not one SEQUENCE")
    items, at = [], 0
    while at < len(content):
        inner, value, at = der(content, at)
        items.append((inner, value))
    return items


def pkcs8_rsa(data):
    """The nine numbers of an RSA private key in PKCS#8, without leading zeros."""
    key = der_sequence(der_sequence(data)[2][1])
    names = ("version", "n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp")
    return {name: value.lstrip(b"\0") for name, (_, value) in zip(names, key)}


def wycheproof(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    for group in document["testGroups"]:
        shared = {name: value for name, value in group.items() if name != "tests"}
        for test in group["tests"]:
            fields = dict(shared)
            for name, value in test.items():
                if name in ("key", "iv", "aad", "msg", "ct", "tag", "sig", "public", "private", "shared", "label"):
                    if isinstance(value, str):
                        value = _hex(value if len(value) % 2 == 0 else "0" + value)
                fields[name] = value
            yield Vector(test["tcId"], test["result"], fields)


def _assignments(path):
    """Lines of a CAVS or RFC file as (name, value); a section header as ('[]', text); a bare FAIL as ('FAIL', '')."""
    with open(path, encoding="latin-1") as file:
        for line in file:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("[") and line.endswith("]"):
                yield "[]", line[1:-1].strip()
            elif line == "FAIL":
                yield "FAIL", ""
            else:
                name, _, value = line.partition("=")
                yield name.strip(), value.strip()


def cavs(path, first, hexadecimal, keep=()):
    """Blocks that begin with the line `first` (a name, or one of several).

    Section headers 'Name = value' and names in `keep` last for the blocks that follow; other headers are in '[]'.
    """
    begins = (first,) if isinstance(first, str) else first
    lasting, block, number = {}, None, 0

    def finished():
        result = INVALID if "FAIL" in block or block.get("Result", "P").startswith("F") else VALID
        return Vector(number, result, {**lasting, **block})

    for name, value in _assignments(path):
        decoded = _hex(value) if name in hexadecimal else value
        if name == "[]":
            if block is not None:
                yield finished()
                block, number = None, number + 1
            key, _, setting = value.partition("=")
            lasting[key.strip() if setting else "[]"] = setting.strip() if setting else value
            continue
        if name in begins:
            if block is not None:
                yield finished()
                number += 1
            block = {}
        if block is None or name in keep:
            lasting[name] = decoded
            if block is not None:
                block[name] = decoded
        else:
            block[name] = decoded
    if block is not None:
        yield finished()


def rsa_examples(path):
    """The text files that came with PKCS#1 v2.1: '# Name:' lines followed by lines of hexadecimal digits."""
    key, block, name, number, in_key = {}, {}, None, 0, False
    names = {"Modulus": "n", "Exponent": "d", "Public exponent": "e", "Prime 1": "p", "Prime 2": "q",
             "Prime exponent 1": "dmp1", "Prime exponent 2": "dmq1", "Coefficient": "iqmp"}
    results = ("Signature", "Encryption")
    text = {}

    def flush():
        nonlocal text
        result = {field: _number(digits) for field, digits in text.items() if field in names.values()}
        result.update({field: _hex(digits) for field, digits in text.items() if field not in names.values()})
        text = {}
        return result

    with open(path, encoding="latin-1") as file:
        lines = list(file) + ["# End"]
    for line in lines:
        line = line.strip()
        comment = re.match(r"#\s*(.*?):?\s*$", line)
        if comment:
            title = comment.group(1)
            if name in results:
                block.update(flush())
                yield Vector(number, VALID, {**key, **block})
                number += 1
                block = {}
            name = None
            if title.lower() == "private key":
                text, in_key = {}, True
            elif title in names and in_key:
                name = names[title]
            elif title in ("Message", "Message to be signed", "Message to be encrypted", "Salt", "Seed") + results:
                if in_key:
                    key, in_key = flush(), False
                name = title.split(" ")[0]
            if name:
                text[name] = ""
        elif name and re.fullmatch(r"[0-9a-fA-F ]+", line):
            text[name] += line.replace(" ", "")


def ed25519_input(path):
    """Bernstein's sign.input: secret and public key, public key, message, signature and message, with colons."""
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file):
            secret, public, message, signed = (_hex(part) for part in line.strip().split(":")[:4])
            yield Vector(number, VALID, {"private": secret[:32], "public": public, "msg": message, "sig": signed[:64]})
