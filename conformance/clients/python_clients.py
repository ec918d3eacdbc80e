"""Drives a PKCS#11 module with python-pkcs11 and with PyKCS11, and checks what it makes with `cryptography`.

Arguments: module, token label, user PIN, SO PIN. Prints 'ok - claim' and 'not ok - claim' lines.
"""

import os
import sys
import threading

import pkcs11
import PyKCS11
from PyKCS11 import LowLevel
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import cmac, hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from pkcs11 import KDF, MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

MODULE, LABEL, PIN, SO_PIN = sys.argv[1:5]
bad = 0


def claim(text):
    """Decorates a check: it passes when it returns nothing or True."""
    def decorate(function):
        global bad
        try:
            holds = function() in (None, True)
            reason = ""
        except Exception as error:  # whatever a client library may raise is a failed check
            holds, reason = False, f"{type(error).__name__}: {error}"
        print(f"{'ok' if holds else 'not ok'} - python: {text}")
        if not holds:
            bad += 1
            if reason:
                print(f"#   {reason}")
        return function
    return decorate


def refuses(error, function):
    try:
        function()
    except error:
        return True
    return False


# ---- python-pkcs11
token = pkcs11.lib(MODULE).get_token(token_label=LABEL)
session = token.open(rw=True, user_pin=PIN)
data = os.urandom(10007)


@claim("python-pkcs11: AES-CTR is cryptography's")
def _():
    value = os.urandom(32)
    key = session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
                                 Attribute.VALUE: value, Attribute.ENCRYPT: True, Attribute.DECRYPT: True})
    nonce = os.urandom(16)
    parameter = pkcs11.CTRParams(nonce[:8]) if hasattr(pkcs11, "CTRParams") else nonce
    counter = nonce[:8] + (0).to_bytes(7, "big") + b"\1" if hasattr(pkcs11, "CTRParams") else nonce
    encryptor = Cipher(algorithms.AES(value), modes.CTR(counter)).encryptor()
    return key.encrypt(data, mechanism=Mechanism.AES_CTR, mechanism_param=parameter) == encryptor.update(data)


@claim("python-pkcs11: AES-CBC-PAD in odd chunks decrypts to the data")
def _():
    key = session.generate_key(KeyType.AES, 256)
    iv = os.urandom(16)
    chunks = [data[i: i + 97] for i in range(0, len(data), 97)]
    cipher = b"".join(key.encrypt(iter(chunks), mechanism_param=iv))
    pieces = [cipher[i: i + 13] for i in range(0, len(cipher), 13)]
    return b"".join(key.decrypt(iter(pieces), mechanism_param=iv)) == data


@claim("python-pkcs11: AES-GCM is cryptography's")
def _():
    value, nonce, aad = os.urandom(32), os.urandom(12), b"header"
    key = session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
                                 Attribute.VALUE: value, Attribute.ENCRYPT: True, Attribute.DECRYPT: True})
    cipher = key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=pkcs11.GCMParams(nonce, aad))
    if cipher != AESGCM(value).encrypt(nonce, data, aad):
        return False
    return key.decrypt(cipher, mechanism=Mechanism.AES_GCM, mechanism_param=pkcs11.GCMParams(nonce, aad)) == data


@claim("python-pkcs11: a changed AES-GCM ciphertext is refused")
def _():
    key = session.generate_key(KeyType.AES, 256)
    parameter = pkcs11.GCMParams(os.urandom(12), b"")
    cipher = bytearray(key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameter))
    cipher[5] ^= 1
    return refuses(pkcs11.PKCS11Error, lambda: key.decrypt(bytes(cipher), mechanism=Mechanism.AES_GCM, mechanism_param=parameter))


@claim("python-pkcs11: AES-CMAC is cryptography's")
def _():
    value = os.urandom(16)
    key = session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
                                 Attribute.VALUE: value, Attribute.SIGN: True, Attribute.VERIFY: True})
    mac = cmac.CMAC(algorithms.AES(value))
    mac.update(data)
    return key.sign(data, mechanism=Mechanism.AES_CMAC) == mac.finalize()


@claim("python-pkcs11: HMAC-SHA256 is hashed as cryptography does it, in chunks too")
def _():
    value = os.urandom(32)
    key = session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                                 Attribute.VALUE: value, Attribute.SIGN: True, Attribute.VERIFY: True})
    mac = hmac.HMAC(value, hashes.SHA256())
    mac.update(data)
    expected = mac.finalize()
    chunks = [data[i: i + 101] for i in range(0, len(data), 101)]
    return (key.sign(data, mechanism=Mechanism.SHA256_HMAC) == expected
            and key.sign(iter(chunks), mechanism=Mechanism.SHA256_HMAC) == expected)


@claim("python-pkcs11: AES key wrap is cryptography's, and unwraps")
def _():
    value, inner = os.urandom(32), os.urandom(32)
    wrapping = session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
                                      Attribute.VALUE: value, Attribute.WRAP: True, Attribute.UNWRAP: True})
    key = session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
                                 Attribute.VALUE: inner, Attribute.EXTRACTABLE: True})
    wrapped = wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP)
    if wrapped != aes_key_wrap(value, inner):
        return False
    again = wrapping.unwrap_key(ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=Mechanism.AES_KEY_WRAP,
                                template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False})
    return again[Attribute.VALUE] == inner


@claim("python-pkcs11: RSA signs, and cryptography verifies")
def _():
    public, private = session.generate_keypair(KeyType.RSA, 2048)
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    numbers = rsa.RSAPublicNumbers(int.from_bytes(public[Attribute.PUBLIC_EXPONENT], "big"),
                                   int.from_bytes(public[Attribute.MODULUS], "big"))
    key = numbers.public_key()
    key.verify(private.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS), data, padding.PKCS1v15(), hashes.SHA256())
    parameters = (Mechanism.SHA256, MGF.SHA256, 32)
    signature = private.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=parameters)
    key.verify(signature, data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    secret = b"a secret"
    cipher = key.encrypt(secret, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
    if private.decrypt(cipher, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=(Mechanism.SHA_1, MGF.SHA1, None)) != secret:
        return False
    encode_rsa_public_key(public)


@claim("python-pkcs11: RSA-OAEP with SHA-256 and a label decrypts")
def _():
    public, private = session.generate_keypair(KeyType.RSA, 2048)
    key = rsa.RSAPublicNumbers(int.from_bytes(public[Attribute.PUBLIC_EXPONENT], "big"),
                               int.from_bytes(public[Attribute.MODULUS], "big")).public_key()
    cipher = key.encrypt(b"a secret", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label"))
    parameters = (Mechanism.SHA256, MGF.SHA256, b"label")
    return private.decrypt(cipher, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters) == b"a secret"


@claim("python-pkcs11: ECDSA signs, and cryptography verifies")
def _():
    parameters = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
                                                  local=True)
    public, private = parameters.generate_keypair()
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    key = load_der_public_key(encode_ec_public_key(public))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    value = digest.finalize()
    raw = private.sign(value, mechanism=Mechanism.ECDSA)
    signature = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(signature, value, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    other = bytes([value[0] ^ 1]) + value[1:]
    return refuses(InvalidSignature, lambda: key.verify(signature, other, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))


@claim("python-pkcs11: ECDH gives both sides the same secret")
def _():
    parameters = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
                                                  local=True)
    public, private = parameters.generate_keypair(capabilities=pkcs11.MechanismFlag.DERIVE)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
    peer = ec.generate_private_key(ec.SECP256R1())
    point = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = private.derive_key(KeyType.GENERIC_SECRET, 256, mechanism_param=(KDF.NULL, None, point),
                             template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True})
    return key[Attribute.VALUE] == peer.exchange(ec.ECDH(), load_der_public_key(encode_ec_public_key(public)))


@claim("python-pkcs11: Ed25519 signs, and cryptography verifies")
def _():
    parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: bytes.fromhex("06032b6570")},
                                                  local=True)
    public, private = parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
    point = public[Attribute.EC_POINT]
    point = point[2:] if len(point) == 34 else point
    ed25519.Ed25519PublicKey.from_public_bytes(point).verify(private.sign(data, mechanism=Mechanism.EDDSA), data)


@claim("python-pkcs11: digests are hashlib's, in chunks too")
def _():
    import hashlib
    chunks = [data[i: i + 89] for i in range(0, len(data), 89)]
    return (session.digest(data, mechanism=Mechanism.SHA384) == hashlib.sha384(data).digest()
            and session.digest(iter(chunks), mechanism=Mechanism.SHA384) == hashlib.sha384(data).digest())


@claim("python-pkcs11: a private key cannot be read")
def _():
    key = session.generate_key(KeyType.AES, 256)
    return refuses(pkcs11.PKCS11Error, lambda: key[Attribute.VALUE])


@claim("python-pkcs11: a key is copied with another label, stored, found and destroyed")
def _():
    key = session.generate_key(KeyType.AES, 128, label="original", store=True)
    copy = key.copy({Attribute.LABEL: "copy"})
    found = list(session.get_objects({Attribute.LABEL: "copy"}))
    copy.destroy()
    key.destroy()
    return len(found) == 1 and not list(session.get_objects({Attribute.LABEL: "copy"}))


@claim("python-pkcs11: the random generator takes a seed, or says that it takes none, and gives bytes")
def _():
    try:
        session.seed_random(b"seed")
    except pkcs11.exceptions.RandomSeedNotSupported:
        pass
    return len(session.generate_random(256)) == 32 and session.generate_random(256) != session.generate_random(256)


session.close()

# ---- PyKCS11
library = PyKCS11.PyKCS11Lib()
library.load(MODULE)
slot = next(slot for slot in library.getSlotList(tokenPresent=True) if library.getTokenInfo(slot).label.strip("\0 ") == LABEL)


@claim("PyKCS11: the token and its mechanisms are told")
def _():
    info = library.getTokenInfo(slot)
    library.getInfo()
    library.getSlotInfo(slot)
    # By number: PyKCS11 1.5.20 names some mechanisms after key types that share their number.
    numbers = LowLevel.ckulonglist()
    library.lib.C_GetMechanismList(slot, numbers)
    for number in numbers:
        if library.lib.C_GetMechanismInfo(slot, number, LowLevel.CK_MECHANISM_INFO()) != PyKCS11.CKR_OK:
            return False
    return len(numbers) > 20 and "CKF_TOKEN_INITIALIZED" in info.flags2text()


@claim("PyKCS11: a wrong PIN is refused as such")
def _():
    other = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    try:
        other.login("wrong-pin")
    except PyKCS11.PyKCS11Error as error:
        return error.value == PyKCS11.CKR_PIN_INCORRECT
    finally:
        other.closeSession()
    return False


session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
session.login(PIN)


@claim("PyKCS11: an RSA key signs and verifies")
def _():
    public, private = session.generateKeyPair(
        [(PyKCS11.CKA_TOKEN, PyKCS11.CK_FALSE), (PyKCS11.CKA_MODULUS_BITS, 2048), (PyKCS11.CKA_VERIFY, PyKCS11.CK_TRUE),
         (PyKCS11.CKA_PUBLIC_EXPONENT, (1, 0, 1))],
        [(PyKCS11.CKA_TOKEN, PyKCS11.CK_FALSE), (PyKCS11.CKA_SIGN, PyKCS11.CK_TRUE)])
    mechanism = PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None)
    signature = session.sign(private, data, mechanism)
    return session.verify(public, data, signature, mechanism) and not session.verify(public, data[1:], signature, mechanism)


@claim("PyKCS11: attributes are read, unknown and sensitive ones as nothing")
def _():
    key = session.generateKey([(PyKCS11.CKA_CLASS, PyKCS11.CKO_SECRET_KEY), (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_AES),
                               (PyKCS11.CKA_VALUE_LEN, 32), (PyKCS11.CKA_SENSITIVE, PyKCS11.CK_TRUE)],
                              mecha=PyKCS11.Mechanism(PyKCS11.CKM_AES_KEY_GEN, None))
    values = session.getAttributeValue(key, [PyKCS11.CKA_VALUE, PyKCS11.CKA_KEY_TYPE, 0x80001234], allAsBinary=False)
    return values == [None, PyKCS11.CKK_AES, None]


@claim("PyKCS11: eight threads work in sessions of their own")
def _():
    wrong = []

    def work(number):
        own = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
        try:
            key = own.generateKey([(PyKCS11.CKA_CLASS, PyKCS11.CKO_SECRET_KEY), (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_AES),
                                   (PyKCS11.CKA_VALUE_LEN, 32), (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE),
                                   (PyKCS11.CKA_DECRYPT, PyKCS11.CK_TRUE)],
                                  mecha=PyKCS11.Mechanism(PyKCS11.CKM_AES_KEY_GEN, None))
            for turn in range(20):
                text = bytes([number, turn]) * 100
                mechanism = PyKCS11.Mechanism(PyKCS11.CKM_AES_CBC_PAD, bytes(16))
                if bytes(own.decrypt(key, own.encrypt(key, text, mechanism), mechanism)) != text:
                    wrong.append((number, turn))
        except PyKCS11.PyKCS11Error as error:
            wrong.append(error)
        finally:
            own.closeSession()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise RuntimeError(f"{len(wrong)} wrong answers, the first: {wrong[0]}")


session.logout()
session.closeSession()
print("# both libraries were driven")
sys.exit(1 if bad else 0)
