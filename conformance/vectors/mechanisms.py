"""How each kind of vector is put to the module. A function returns True when everything agrees with the vector, False
when the module's output differs, and lets Refused and Unsupported pass."""

import ctypes
import hashlib

from cryptoki import (
    AES, CKA, DECRYPT_FLAG, DIGEST, EC, EC_EDWARDS, EC_MONTGOMERY, ECDSA, ENCRYPT_FLAG, GENERIC_SECRET, HASH, HMAC,
    HMAC_GENERAL, MECHANISM, MGF1, PRIVATE_KEY, PUBLIC_KEY, RSA, RSA_PKCS, RSA_PSS, SECRET_KEY, SIGN_FLAG,
    CtrParameters, EcdhParameters, GcmParameters, OaepParameters, PssParameters, Refused, Unsupported, mechanism, pointer,
)
from formats import INVALID, der_sequence, pkcs8_rsa

CURVES = {
    "secp256r1": (32, bytes.fromhex("06082a8648ce3d030107")),
    "secp384r1": (48, bytes.fromhex("06052b81040022")),
    "secp521r1": (66, bytes.fromhex("06052b81040023")),
}
CURVES.update({"P-256": CURVES["secp256r1"], "P-384": CURVES["secp384r1"], "P-521": CURVES["secp521r1"]})
ED25519, X25519 = bytes.fromhex("06032b6570"), bytes.fromhex("06032b656e")


def _curve(name):
    if name not in CURVES:
        raise Unsupported(f"curve {name}")
    return CURVES[name]


def _octets(point):
    """The DER OCTET STRING that CKA_EC_POINT holds."""
    length = len(point)
    return (bytes([4, length]) if length < 128 else bytes([4, 0x81, length])) + point


def secret(session, kind, value):
    return session.create(
        CLASS=SECRET_KEY, KEY_TYPE=kind, VALUE=value, ENCRYPT=kind == AES, DECRYPT=kind == AES, WRAP=kind == AES,
        UNWRAP=kind == AES, SIGN=True, VERIFY=True, SENSITIVE=False, EXTRACTABLE=True)


# ---- symmetric ciphers

def aes_cipher(session, name, vector, key, plain, cipher, parameter=None, padded=False):
    number = MECHANISM[name]
    session.needs(number, ENCRYPT_FLAG)
    session.needs(number, DECRYPT_FLAG)
    key = secret(session, AES, key)
    room = max(len(plain), len(cipher)) + 32
    for decrypt in (session.cipher, session.cipher_in_parts):
        if decrypt("Decrypt", mechanism(number, parameter), key, cipher, room) != plain:
            return False
    if vector.result == INVALID:
        return True
    for encrypt in (session.cipher, session.cipher_in_parts):
        if encrypt("Encrypt", mechanism(number, parameter), key, plain, room) != cipher:
            return False
    return True


def nist_ecb(session, vector):
    fields = vector.fields
    return aes_cipher(session, "AES_ECB", vector, fields["KEY"], fields["PLAINTEXT"], fields["CIPHERTEXT"])


def nist_cbc(session, vector):
    fields = vector.fields
    return aes_cipher(session, "AES_CBC", vector, fields["KEY"], fields["PLAINTEXT"], fields["CIPHERTEXT"], fields["IV"])


def rfc_ctr(session, vector):
    fields = vector.fields
    parameter = CtrParameters(32, (ctypes.c_ubyte * 16)(*fields["IV"]))
    return aes_cipher(session, "AES_CTR", vector, fields["KEY"], fields["PLAINTEXT"], fields["CIPHERTEXT"], parameter)


def wycheproof_cbc_pad(session, vector):
    fields = vector.fields
    return aes_cipher(session, "AES_CBC_PAD", vector, fields["key"], fields["msg"], fields["ct"], fields["iv"])


def _gcm(session, vector, key, iv, aad, plain, cipher, tag):
    # CKM_AES_GCM hands out plaintext in C_DecryptUpdate or keeps it until the tag is verified; both are allowed, so the
    # parts are only compared as a whole.
    parameter = GcmParameters(pointer(iv), len(iv), len(iv) * 8, pointer(aad), len(aad), len(tag) * 8)
    return aes_cipher(session, "AES_GCM", vector, key, plain, cipher + tag, parameter)


def wycheproof_gcm(session, vector):
    fields = vector.fields
    return _gcm(session, vector, fields["key"], fields["iv"], fields["aad"], fields["msg"], fields["ct"], fields["tag"])


def nist_gcm(session, vector):
    fields = vector.fields
    return _gcm(session, vector, fields["Key"], fields["IV"], fields["AAD"], fields.get("PT", b""), fields["CT"], fields["Tag"])


# ---- key wrapping

def _wrap(session, name, vector, key, plain, wrapped):
    session.needs(MECHANISM[name])
    wrapping = secret(session, AES, key)
    operation = mechanism(MECHANISM[name])
    unwrapped = session.unwrap(operation, wrapping, wrapped, CLASS=SECRET_KEY, KEY_TYPE=GENERIC_SECRET, SENSITIVE=False,
                               EXTRACTABLE=True)
    if session.value(unwrapped) != plain:
        return False
    return vector.result == INVALID or session.wrap(operation, wrapping, unwrapped, len(plain) + 32) == wrapped


def _wrap_bytes(session, name, vector, key, plain, wrapped):
    """The same through C_Encrypt and C_Decrypt, which see the bytes themselves."""
    session.needs(MECHANISM[name], ENCRYPT_FLAG)
    key = secret(session, AES, key)
    operation = mechanism(MECHANISM[name])
    room = max(len(plain), len(wrapped)) + 32
    if session.cipher("Decrypt", operation, key, wrapped, room) != plain:
        return False
    return vector.result == INVALID or session.cipher("Encrypt", operation, key, plain, room) == wrapped


def key_wrap(name, how=_wrap):
    def wycheproof(session, vector):
        fields = vector.fields
        return how(session, name, vector, fields["key"], fields["msg"], fields["ct"])
    return wycheproof


def nist_key_wrap(name, how=_wrap):
    def nist(session, vector):
        fields = vector.fields
        return how(session, name, vector, fields["K"], fields.get("P", b""), fields["C"])
    return nist


def botan_kwp(session, vector):
    fields = vector.fields
    return _wrap(session, "AES_KEY_WRAP_KWP", vector, fields["Key"], fields["Input"], fields["Output"])


wrap_bytes = _wrap_bytes


# ---- message authentication and digests

def _mac(session, vector, kind, full, general, size, key, message, tag):
    """Signs and verifies; a tag shorter than the mechanism's own needs its _GENERAL form."""
    number, parameter = (full, None) if len(tag) == size else (general, len(tag))
    session.needs(number, SIGN_FLAG)
    key = secret(session, kind, key)
    if vector.result != INVALID:
        for sign in (session.sign, session.sign_in_parts):
            if sign(mechanism(number, parameter), key, message) != tag:
                return False
    return session.verify(mechanism(number, parameter), key, message, tag)


def wycheproof_hmac(name):
    row = HASH[name]

    def hmac(session, vector):
        fields = vector.fields
        size = hashlib.new(name.replace("SHA-", "sha").replace("SHA3-", "sha3_").lower()).digest_size
        return _mac(session, vector, GENERIC_SECRET, row[HMAC], row[HMAC_GENERAL], size, fields["key"], fields["msg"],
                    fields["tag"])
    return hmac


def rfc_hmac(name):
    row = HASH[name]

    def hmac(session, vector):
        fields = vector.fields
        return _mac(session, vector, GENERIC_SECRET, row[HMAC], row[HMAC_GENERAL], len(fields["MD"]), fields["Key"],
                    fields["Msg"], fields["MD"])
    return hmac


def wycheproof_cmac(session, vector):
    fields = vector.fields
    return _mac(session, vector, AES, MECHANISM["AES_CMAC"], MECHANISM["AES_CMAC_GENERAL"], 16, fields["key"],
                fields["msg"], fields["tag"])


def nist_cmac(session, vector):
    fields = vector.fields
    return _mac(session, vector, AES, MECHANISM["AES_CMAC"], MECHANISM["AES_CMAC_GENERAL"], 16, fields["KEY"],
                fields["MESSAGE"], fields["OUTPUT"])


def nist_digest(name):
    number = HASH[name][DIGEST]

    def digest(session, vector):
        session.needs(number)
        message = vector.fields["Msg"][: int(vector.fields["Len"]) // 8]
        expected = vector.fields["MD"]
        return (session.digest(mechanism(number), message, 64) == expected
                and session.digest_in_parts(mechanism(number), message, 64) == expected)
    return digest


def nist_monte_carlo(name):
    """The Monte Carlo test: each of a hundred results is the end of a chain of a thousand digests."""
    number = HASH[name][DIGEST]

    def chain(session, vector):
        session.needs(number)
        if vector.id == 0:
            chain.seed = vector.fields["Seed"]
        operation = mechanism(number)
        if name.startswith("SHA3"):
            value = chain.seed
            for _ in range(1000):
                value = session.digest(operation, value, 64)
        else:
            last = [chain.seed] * 3
            for _ in range(1000):
                last = [last[1], last[2], session.digest(operation, b"".join(last), 64)]
            value = last[2]
        chain.seed = value
        return value == vector.fields["MD"]
    return chain


# ---- RSA

_RSA_NAMES = {"n": "MODULUS", "e": "PUBLIC_EXPONENT", "d": "PRIVATE_EXPONENT", "p": "PRIME_1", "q": "PRIME_2",
              "dmp1": "EXPONENT_1", "dmq1": "EXPONENT_2", "iqmp": "COEFFICIENT"}
_DIGEST_INFO = {
    "SHA-1": "3021300906052b0e03021a05000414", "SHA-224": "302d300d06096086480165030402040500041c",
    "SHA-256": "3031300d060960864801650304020105000420", "SHA-384": "3041300d060960864801650304020205000430",
    "SHA-512": "3051300d060960864801650304020305000440", "SHA-512/224": "302d300d06096086480165030402050500041c",
    "SHA-512/256": "3031300d060960864801650304020605000420",
}


def _cached(session, cache, name, make):
    """Keys are made once a file: creating one costs more than most of what is done with it."""
    if session.kept == []:
        cache.clear()
    if name not in cache:
        cache[name] = session.keep(make())
    return cache[name]


_keys = {}


def rsa_public(session, n, e):
    n, e = n.lstrip(b"\0"), e.lstrip(b"\0")
    return _cached(session, _keys, ("public", n, e), lambda: session.create(
        CLASS=PUBLIC_KEY, KEY_TYPE=RSA, MODULUS=n, PUBLIC_EXPONENT=e, VERIFY=True, ENCRYPT=True))


def rsa_private(session, numbers):
    attributes = {_RSA_NAMES[name]: value for name, value in numbers.items() if name in _RSA_NAMES}
    return _cached(session, _keys, ("private", numbers["n"]), lambda: session.create(
        CLASS=PRIVATE_KEY, KEY_TYPE=RSA, SIGN=True, DECRYPT=True, SENSITIVE=True, **attributes))


def _hash(name, message):
    name = name.replace("SHA-512/", "sha512_").replace("SHA3-", "sha3_").replace("SHA-", "sha").lower()
    return hashlib.new(name, message).digest()


def _pkcs1(session, name, message):
    """The mechanism that hashes and signs, or CKM_RSA_PKCS and the DigestInfo where the standard has none."""
    number = HASH[name][RSA_PKCS]
    if number:
        session.needs(number, SIGN_FLAG)
        return number, message
    session.needs(MECHANISM["RSA_PKCS"], SIGN_FLAG)
    return MECHANISM["RSA_PKCS"], bytes.fromhex(_DIGEST_INFO[name]) + _hash(name, message)


def _hex(text):
    return bytes.fromhex(text if len(text) % 2 == 0 else "0" + text)


def wycheproof_pkcs1_verify(session, vector):
    fields = vector.fields
    number, data = _pkcs1(session, fields["sha"], fields["msg"])
    key = rsa_public(session, _hex(fields["n"]), _hex(fields["e"]))
    return session.verify(mechanism(number), key, data, fields["sig"])


def wycheproof_pkcs1_sign(session, vector):
    fields = vector.fields
    number, data = _pkcs1(session, fields["sha"], fields["msg"])
    key = rsa_private(session, pkcs8_rsa(_hex(fields["privateKeyPkcs8"])))
    return session.sign(mechanism(number), key, data) == fields["sig"]


def cavs_hash(name):
    return name if "-" in name else name.replace("SHA", "SHA-")


def nist_pkcs1_verify(session, vector):
    fields = vector.fields
    number, data = _pkcs1(session, cavs_hash(fields["SHAAlg"]), fields["Msg"])
    key = rsa_public(session, fields["n"], fields["e"])
    return session.verify(mechanism(number), key, data, fields["S"])


def nist_pkcs1_sign(session, vector):
    fields = vector.fields
    number, data = _pkcs1(session, cavs_hash(fields["SHAAlg"]), fields["Msg"])
    numbers = {name: fields[name].lstrip(b"\0") for name in ("n", "e", "d")}
    return session.sign(mechanism(number), rsa_private(session, numbers), data) == fields["S"]


def example_pkcs1_sign(session, vector):
    fields = vector.fields
    number, data = _pkcs1(session, "SHA-1", fields["Message"])
    return (session.sign(mechanism(number), rsa_private(session, fields), data) == fields["Signature"]
            and session.verify(mechanism(number), rsa_public(session, fields["n"], fields["e"]), data, fields["Signature"]))


def _pss(session, name, mgf, salt_length, key, message, signature):
    row = HASH[name]
    if not HASH[mgf][MGF1]:
        raise Unsupported(f"PKCS#11 has no MGF1 with {mgf}")
    parameter = PssParameters(row[DIGEST], HASH[mgf][MGF1], salt_length)
    number, data = (row[RSA_PSS], message) if row[RSA_PSS] else (MECHANISM["RSA_PKCS_PSS"], _hash(name, message))
    session.needs(number, SIGN_FLAG)
    return session.verify(mechanism(number, parameter), key, data, signature)


def wycheproof_pss(session, vector):
    fields = vector.fields
    key = rsa_public(session, _hex(fields["n"]), _hex(fields["e"]))
    return _pss(session, fields["sha"], fields["mgfSha"], fields["sLen"], key, fields["msg"], fields["sig"])


def nist_pss(salt_length):
    def verify(session, vector):
        fields = vector.fields
        name = cavs_hash(fields["SHAAlg"])
        salt = len(fields["SaltVal"]) if "SaltVal" in fields else salt_length
        key = rsa_public(session, fields["n"], fields["e"])
        return _pss(session, name, name, salt, key, fields["Msg"], fields["S"])
    return verify


def example_pss(session, vector):
    fields = vector.fields
    key = rsa_public(session, fields["n"], fields["e"])
    return _pss(session, "SHA-1", "SHA-1", len(fields["Salt"]), key, fields["Message"], fields["Signature"])


def _oaep(session, name, mgf, label, numbers, plain, cipher):
    if not HASH[mgf][MGF1]:
        raise Unsupported(f"PKCS#11 has no MGF1 with {mgf}")
    number = MECHANISM["RSA_PKCS_OAEP"]
    session.needs(number, DECRYPT_FLAG)
    parameter = OaepParameters(HASH[name][DIGEST], HASH[mgf][MGF1], 1, pointer(label), len(label))
    key = rsa_private(session, numbers)
    size = len(numbers["n"])
    if session.cipher("Decrypt", mechanism(number, parameter), key, cipher, size) != plain:
        return False
    public = rsa_public(session, numbers["n"], numbers["e"])
    again = session.cipher("Encrypt", mechanism(number, parameter), public, plain, size)
    return session.cipher("Decrypt", mechanism(number, parameter), key, again, size) == plain


def wycheproof_oaep(session, vector):
    fields = vector.fields
    return _oaep(session, fields["sha"], fields["mgfSha"], fields["label"], pkcs8_rsa(_hex(fields["privateKeyPkcs8"])),
                 fields["msg"], fields["ct"])


def example_oaep(name, mgf):
    def decrypt(session, vector):
        fields = vector.fields
        return _oaep(session, name, mgf, b"", fields, fields["Message"], fields["Encryption"])
    return decrypt


def labelled_oaep(session, vector):
    fields = vector.fields
    name = fields["OAEPDigest"].replace("SHA", "SHA-")
    return _oaep(session, name, name, fields["OAEPLabel"], pkcs8_rsa(fields["KEY"]), fields["Output"].strip('"').encode(),
                 fields["Input"])


def wycheproof_pkcs1_decrypt(session, vector):
    fields = vector.fields
    number = MECHANISM["RSA_PKCS"]
    session.needs(number, DECRYPT_FLAG)
    numbers = pkcs8_rsa(_hex(fields["privateKeyPkcs8"]))
    plain = session.cipher("Decrypt", mechanism(number), rsa_private(session, numbers), fields["ct"], len(numbers["n"]))
    # A module may answer a wrong padding with pseudo-random bytes instead of an error; it then shows nothing either.
    return plain == fields["msg"] and vector.result != INVALID


def example_pkcs1_decrypt(session, vector):
    fields = vector.fields
    number = MECHANISM["RSA_PKCS"]
    session.needs(number, DECRYPT_FLAG)
    key = rsa_private(session, fields)
    return session.cipher("Decrypt", mechanism(number), key, fields["Encryption"], len(fields["n"])) == fields["Message"]


# ---- elliptic curves

def ec_public(session, curve, point):
    size, parameters = _curve(curve)
    return _cached(session, _keys, (curve, point), lambda: session.create(
        CLASS=PUBLIC_KEY, KEY_TYPE=EC, EC_PARAMS=parameters, EC_POINT=_octets(point), VERIFY=True))


def ec_private(session, curve, value):
    size, parameters = _curve(curve)
    value = value.lstrip(b"\0").rjust(size, b"\0")
    return _cached(session, _keys, (curve, value), lambda: session.create(
        CLASS=PRIVATE_KEY, KEY_TYPE=EC, EC_PARAMS=parameters, VALUE=value, SIGN=True, DERIVE=True, SENSITIVE=True))


def _ecdsa(session, name, message):
    """ECDSA with the hash inside when the module has it, otherwise over the hash."""
    number = HASH[name][ECDSA]
    if number in session.mechanisms:
        return number, message
    if name.startswith("SHA-512/") or number == 0:
        raise Unsupported(f"PKCS#11 has no ECDSA with {name}")
    session.needs(MECHANISM["ECDSA"], SIGN_FLAG)
    return MECHANISM["ECDSA"], _hash(name, message)


def wycheproof_ecdsa(session, vector):
    fields = vector.fields
    curve = fields["key"]["curve"]
    size, _ = _curve(curve)
    signature = fields["sig"]
    if fields["type"] == "EcdsaVerify":
        # PKCS#11 takes r and s side by side. Faults of the DER around them are the caller's to find.
        try:
            items = der_sequence(signature)
            numbers = [value for tag, value in items if tag == 2 and value]
            if len(items) != 2 or len(numbers) != 2:
                raise ValueError("not two INTEGERs")
            for value in numbers:
                if value[0] >= 0x80 or (len(value) > 1 and value[0] == 0 and value[1] < 0x80):
                    raise ValueError("INTEGER is negative or not minimal")
        except ValueError:
            raise Unsupported("a fault of the DER encoding, which PKCS#11 does not see") from None
        width = max(size, *(len(value.lstrip(b"\0")) for value in numbers))
        signature = b"".join(value.lstrip(b"\0").rjust(width, b"\0") for value in numbers)
    number, data = _ecdsa(session, fields["sha"], fields["msg"])
    key = ec_public(session, curve, _hex(fields["key"]["uncompressed"]))
    return session.verify(mechanism(number), key, data, signature)


def nist_ecdsa(session, vector):
    """SigVer and SigGen: verifies the signature; with a private key also makes one and verifies that."""
    fields = vector.fields
    curve, name = fields["[]"].split(",")
    size, _ = _curve(curve)
    number, data = _ecdsa(session, name, fields["Msg"])

    def padded(value):
        return _hex(value).lstrip(b"\0").rjust(size, b"\0")

    key = ec_public(session, curve, b"\4" + padded(fields["Qx"]) + padded(fields["Qy"]))
    if not session.verify(mechanism(number), key, data, padded(fields["R"]) + padded(fields["S"])):
        return False
    if "d" not in fields:
        return True
    own = session.sign(mechanism(number), ec_private(session, curve, _hex(fields["d"])), data)
    return session.verify(mechanism(number), key, data, own)


def _ecdh(session, private, point, size):
    session.needs(MECHANISM["ECDH1_DERIVE"])
    parameter = EcdhParameters(1, 0, None, len(point), pointer(point))
    key = session.derive(mechanism(MECHANISM["ECDH1_DERIVE"], parameter), private, CLASS=SECRET_KEY,
                         KEY_TYPE=GENERIC_SECRET, VALUE_LEN=size, SENSITIVE=False, EXTRACTABLE=True)
    return session.value(key)


def wycheproof_ecdh(session, vector):
    fields = vector.fields
    curve = fields["curve"]
    size, parameters = _curve(curve)
    point = fields["public"]
    if fields["encoding"] == "asn":
        # PKCS#11 takes the point alone: faults of the structure around it are the caller's to find.
        try:
            algorithm, (tag, bits) = der_sequence(point)
            (_, oid), (parameter_tag, named) = der_sequence(b"\x30" + bytes([len(algorithm[1])]) + algorithm[1])
            if algorithm[0] != 0x30 or tag != 3 or parameter_tag != 6 or b"\6" + bytes([len(named)]) + named != parameters:
                raise ValueError("another curve")
        except ValueError:
            raise Unsupported("a fault of the DER encoding, which PKCS#11 does not see") from None
        point = bits[1:]
    return _ecdh(session, ec_private(session, curve, fields["private"]), point, size) == fields["shared"]


def nist_ecdh(session, vector):
    """Both sides' parts may be spoilt on purpose; what shows it is that the hash of the shared secret differs."""
    fields = vector.fields
    family, name = (part.strip() for part in fields["[]"].split("-"))
    curve = {"EA": "P-192", "EB": "P-224", "EC": "P-256", "ED": "P-384", "EE": "P-521"}[family]
    size, _ = _curve(curve)

    def padded(value):
        return _hex(value).lstrip(b"\0").rjust(size, b"\0")

    own = b"\4" + padded(fields["QsIUTx"]) + padded(fields["QsIUTy"])
    peer = b"\4" + padded(fields["QsCAVSx"]) + padded(fields["QsCAVSy"])
    ec_public(session, curve, own)
    shared = _ecdh(session, ec_private(session, curve, _hex(fields["dsIUT"])), peer, size)
    return _hash(cavs_hash(name), shared) == _hex(fields["CAVSHashZZ"])


def _x25519(session, private, public):
    key = session.create(CLASS=PRIVATE_KEY, KEY_TYPE=EC_MONTGOMERY, EC_PARAMS=X25519, VALUE=private, DERIVE=True,
                         SENSITIVE=True)
    return _ecdh(session, key, public, 32)


def wycheproof_x25519(session, vector):
    fields = vector.fields
    return _x25519(session, fields["private"], fields["public"]) == fields["shared"]


def rfc_x25519(session, vector):
    fields = vector.fields
    return _x25519(session, fields["INPUT_SCALAR"], fields["INPUT_U"]) == fields["OUTPUT_U"]


def _ed25519_public(session, public):
    return _cached(session, _keys, ("ed25519", public), lambda: session.create(
        CLASS=PUBLIC_KEY, KEY_TYPE=EC_EDWARDS, EC_PARAMS=ED25519, EC_POINT=_octets(public), VERIFY=True))


def wycheproof_ed25519(session, vector):
    fields = vector.fields
    session.needs(MECHANISM["EDDSA"], SIGN_FLAG)
    key = _ed25519_public(session, _hex(fields["key"]["pk"]))
    return session.verify(mechanism(MECHANISM["EDDSA"]), key, fields["msg"], fields["sig"])


def ed25519(session, vector):
    fields = vector.fields
    session.needs(MECHANISM["EDDSA"], SIGN_FLAG)
    private = session.create(CLASS=PRIVATE_KEY, KEY_TYPE=EC_EDWARDS, EC_PARAMS=ED25519, VALUE=fields["private"], SIGN=True,
                             SENSITIVE=True)
    return (session.sign(mechanism(MECHANISM["EDDSA"]), private, fields["msg"]) == fields["sig"]
            and session.verify(mechanism(MECHANISM["EDDSA"]), _ed25519_public(session, fields["public"]), fields["msg"],
                               fields["sig"]))
