"""PKCS#11 through its C ABI: structures, constants and a session, as far as the vectors need them."""

import ctypes
from ctypes import POINTER, Structure, byref, c_ubyte, c_ulong, c_void_p

CKR = {
    0x00: "CKR_OK", 0x02: "CKR_HOST_MEMORY", 0x05: "CKR_GENERAL_ERROR", 0x06: "CKR_FUNCTION_FAILED",
    0x07: "CKR_ARGUMENTS_BAD", 0x12: "CKR_ATTRIBUTE_TYPE_INVALID", 0x13: "CKR_ATTRIBUTE_VALUE_INVALID",
    0x20: "CKR_DATA_INVALID", 0x21: "CKR_DATA_LEN_RANGE", 0x30: "CKR_DEVICE_ERROR", 0x31: "CKR_DEVICE_MEMORY",
    0x32: "CKR_DEVICE_REMOVED", 0x40: "CKR_ENCRYPTED_DATA_INVALID", 0x41: "CKR_ENCRYPTED_DATA_LEN_RANGE",
    0x54: "CKR_FUNCTION_NOT_SUPPORTED", 0x60: "CKR_KEY_HANDLE_INVALID", 0x62: "CKR_KEY_SIZE_RANGE",
    0x63: "CKR_KEY_TYPE_INCONSISTENT", 0x68: "CKR_KEY_FUNCTION_NOT_PERMITTED", 0x70: "CKR_MECHANISM_INVALID",
    0x71: "CKR_MECHANISM_PARAM_INVALID", 0x90: "CKR_OPERATION_ACTIVE", 0x91: "CKR_OPERATION_NOT_INITIALIZED",
    0xC0: "CKR_SIGNATURE_INVALID", 0xC1: "CKR_SIGNATURE_LEN_RANGE", 0xD0: "CKR_TEMPLATE_INCOMPLETE",
    0xD1: "CKR_TEMPLATE_INCONSISTENT", 0x110: "CKR_WRAPPED_KEY_INVALID", 0x112: "CKR_WRAPPED_KEY_LEN_RANGE",
    0x130: "CKR_DOMAIN_PARAMS_INVALID", 0x140: "CKR_CURVE_NOT_SUPPORTED", 0x150: "CKR_BUFFER_TOO_SMALL",
    0x1B9: "CKR_PUBLIC_KEY_INVALID",
}

MECHANISM = {
    "AES_ECB": 0x1081, "AES_CBC": 0x1082, "AES_CBC_PAD": 0x1085, "AES_CTR": 0x1086, "AES_GCM": 0x1087,
    "AES_CMAC": 0x108A, "AES_CMAC_GENERAL": 0x108B, "AES_KEY_WRAP": 0x2109, "AES_KEY_WRAP_KWP": 0x210B,
    "RSA_PKCS": 0x1, "RSA_PKCS_OAEP": 0x9, "RSA_PKCS_PSS": 0xD, "ECDSA": 0x1041, "ECDH1_DERIVE": 0x1050,
    "EDDSA": 0x1057,
}

# hash: (digest, HMAC, HMAC_GENERAL, hash_RSA_PKCS, hash_RSA_PKCS_PSS, ECDSA_hash, MGF1); 0 where the standard has none
HASH = {
    "SHA-1": (0x220, 0x221, 0x222, 0x06, 0x0E, 0x1042, 1),
    "SHA-224": (0x255, 0x256, 0x257, 0x46, 0x47, 0x1043, 5),
    "SHA-256": (0x250, 0x251, 0x252, 0x40, 0x43, 0x1044, 2),
    "SHA-384": (0x260, 0x261, 0x262, 0x41, 0x44, 0x1045, 3),
    "SHA-512": (0x270, 0x271, 0x272, 0x42, 0x45, 0x1046, 4),
    "SHA-512/224": (0x48, 0x49, 0x4A, 0, 0, 0, 0),
    "SHA-512/256": (0x4C, 0x4D, 0x4E, 0, 0, 0, 0),
    "SHA3-224": (0x2B5, 0x2B6, 0x2B7, 0x66, 0x67, 0x1047, 6),
    "SHA3-256": (0x2B0, 0x2B1, 0x2B2, 0x60, 0x63, 0x1048, 7),
    "SHA3-384": (0x2C0, 0x2C1, 0x2C2, 0x61, 0x64, 0x1049, 8),
    "SHA3-512": (0x2D0, 0x2D1, 0x2D2, 0x62, 0x65, 0x104A, 9),
}
DIGEST, HMAC, HMAC_GENERAL, RSA_PKCS, RSA_PSS, ECDSA, MGF1 = range(7)
NAME = {value: name for name, value in MECHANISM.items()}
for _name, _row in HASH.items():
    for _value, _pattern in zip(_row, ("{}", "{}_HMAC", "{}_HMAC_GENERAL", "{}_RSA_PKCS", "{}_RSA_PKCS_PSS", "ECDSA_{}")):
        if _value:
            NAME.setdefault(_value, _pattern.format(_name))

CKA = {
    "CLASS": 0x0, "TOKEN": 0x1, "PRIVATE": 0x2, "VALUE": 0x11, "KEY_TYPE": 0x100, "SENSITIVE": 0x103, "ENCRYPT": 0x104,
    "DECRYPT": 0x105, "WRAP": 0x106, "UNWRAP": 0x107, "SIGN": 0x108, "VERIFY": 0x10A, "DERIVE": 0x10C, "MODULUS": 0x120,
    "PUBLIC_EXPONENT": 0x122, "PRIVATE_EXPONENT": 0x123, "PRIME_1": 0x124, "PRIME_2": 0x125, "EXPONENT_1": 0x126,
    "EXPONENT_2": 0x127, "COEFFICIENT": 0x128, "VALUE_LEN": 0x161, "EXTRACTABLE": 0x162, "EC_PARAMS": 0x180,
    "EC_POINT": 0x181,
}
PUBLIC_KEY, PRIVATE_KEY, SECRET_KEY = 2, 3, 4
RSA, EC, GENERIC_SECRET, AES, EC_EDWARDS, EC_MONTGOMERY = 0x0, 0x3, 0x10, 0x1F, 0x40, 0x41
ENCRYPT_FLAG, DECRYPT_FLAG, SIGN_FLAG = 0x100, 0x200, 0x800


class Attribute(Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("length", c_ulong)]


class Mechanism(Structure):
    _fields_ = [("mechanism", c_ulong), ("parameter", c_void_p), ("length", c_ulong)]


class MechanismInfo(Structure):
    _fields_ = [("minimum", c_ulong), ("maximum", c_ulong), ("flags", c_ulong)]


class GcmParameters(Structure):
    _fields_ = [("iv", c_void_p), ("iv_length", c_ulong), ("iv_bits", c_ulong), ("aad", c_void_p),
                ("aad_length", c_ulong), ("tag_bits", c_ulong)]


class CtrParameters(Structure):
    _fields_ = [("counter_bits", c_ulong), ("block", c_ubyte * 16)]


class PssParameters(Structure):
    _fields_ = [("hash", c_ulong), ("mgf", c_ulong), ("salt_length", c_ulong)]


class OaepParameters(Structure):
    _fields_ = [("hash", c_ulong), ("mgf", c_ulong), ("source", c_ulong), ("label", c_void_p), ("label_length", c_ulong)]


class EcdhParameters(Structure):
    _fields_ = [("kdf", c_ulong), ("shared_length", c_ulong), ("shared", c_void_p), ("public_length", c_ulong),
                ("public", c_void_p)]


class TokenInfo(Structure):
    _fields_ = [("label", c_ubyte * 32), ("rest", c_ubyte * 256)]


class Refused(Exception):
    """A function returned something else than CKR_OK."""

    def __init__(self, function, rv):
        super().__init__(f"{function}: {CKR.get(rv, hex(rv))}")
        self.function, self.rv = function, rv


class Unsupported(Exception):
    """The module does not offer what the vector needs, or PKCS#11 cannot express it."""


def pointer(data):
    """A C pointer to bytes; NULL for none at all."""
    return ctypes.cast(ctypes.c_char_p(data), c_void_p) if data else None


def template(**attributes):
    """An array of CK_ATTRIBUTE, which keeps its values alive."""
    array = (Attribute * len(attributes))()
    keep = []
    for slot, (name, value) in zip(array, attributes.items()):
        if isinstance(value, bool):
            value = b"\1" if value else b"\0"
        elif isinstance(value, int):
            value = value.to_bytes(8, "little")
        buffer = ctypes.create_string_buffer(value, len(value))
        keep.append(buffer)
        slot.type, slot.value, slot.length = CKA[name], ctypes.cast(buffer, c_void_p), len(value)
    array.keep = keep
    return array


def mechanism(number, parameter=None):
    """A CK_MECHANISM with a structure, bytes, a number or nothing as its parameter."""
    if isinstance(parameter, int):
        parameter = c_ulong(parameter)
    elif isinstance(parameter, bytes):
        parameter = ctypes.create_string_buffer(parameter, len(parameter))
    result = Mechanism(number, None, 0)
    if parameter is not None:
        result.parameter, result.length = ctypes.cast(byref(parameter), c_void_p), ctypes.sizeof(parameter)
        result.keep = parameter
    return result


class Session:
    """One logged-in session with the token of a given label."""

    def __init__(self, path, label, pin):
        self.library = ctypes.CDLL(path)
        self.call("C_Initialize", None)
        count = c_ulong(64)
        slots = (c_ulong * 64)()
        self.call("C_GetSlotList", c_ubyte(1), slots, byref(count))
        for slot in slots[: count.value]:
            info = TokenInfo()
            if self.library.C_GetTokenInfo(c_ulong(slot), byref(info)) == 0 and bytes(info.label).rstrip() == label.encode():
                break
        else:
            raise SystemExit(f"no token with the label {label}")
        self.slot = slot
        self.owner = self._open()
        self.call("C_Login", self.owner, c_ulong(1), pin.encode(), c_ulong(len(pin)))
        self.handle = self._open()
        self.temporary, self.kept = [], []
        self.call("C_GetMechanismList", c_ulong(slot), None, byref(count))
        listed = (c_ulong * count.value)()
        self.call("C_GetMechanismList", c_ulong(slot), listed, byref(count))
        self.mechanisms = {}
        for number in listed:
            info = MechanismInfo()
            self.call("C_GetMechanismInfo", c_ulong(slot), c_ulong(number), byref(info))
            self.mechanisms[number] = info

    def _open(self):
        handle = c_ulong()
        self.call("C_OpenSession", c_ulong(self.slot), c_ulong(6), None, None, byref(handle))
        return handle

    def call(self, name, *arguments):
        function = getattr(self.library, name)
        function.restype = c_ulong
        rv = function(*arguments)
        if rv:
            raise Refused(name, rv)

    def needs(self, number, flag=0):
        """Raises Unsupported when the mechanism is not in the list, or not for this use."""
        if number not in self.mechanisms:
            raise Unsupported(f"no {NAME.get(number, hex(number))}")
        if flag and not self.mechanisms[number].flags & flag:
            raise Unsupported(f"no {NAME.get(number, hex(number))} for this use")

    def create(self, **attributes):
        """A session object that lasts until end_vector."""
        key = c_ulong()
        array = template(TOKEN=False, **attributes)
        self.call("C_CreateObject", self.owner, array, c_ulong(len(array)), byref(key))
        self.temporary.append(key)
        return key

    def keep(self, key):
        """Lets a created object last until end_file."""
        self.temporary.remove(key)
        self.kept.append(key)
        return key

    def end_vector(self, failed):
        """Destroys the vector's objects; after a failure nothing of its operation stays behind either."""
        for key in self.temporary:
            self.call("C_DestroyObject", self.owner, key)
        self.temporary.clear()
        if failed:
            self.call("C_CloseSession", self.handle)
            self.handle = self._open()

    def end_file(self):
        for key in self.kept:
            self.call("C_DestroyObject", self.owner, key)
        self.kept.clear()

    def value(self, key):
        array = (Attribute * 1)(Attribute(CKA["VALUE"], None, 0))
        self.call("C_GetAttributeValue", self.owner, key, array, c_ulong(1))
        buffer = ctypes.create_string_buffer(array[0].length or 1)
        array[0].value = ctypes.cast(buffer, c_void_p)
        self.call("C_GetAttributeValue", self.owner, key, array, c_ulong(1))
        return buffer.raw[: array[0].length]

    def _output(self, name, room, *arguments):
        buffer = ctypes.create_string_buffer(room or 1)
        length = c_ulong(room)
        self.call(name, self.handle, *arguments, buffer, byref(length))
        return buffer.raw[: length.value]

    def _parts(self, data):
        """Cuts data where blocks do not end, so that the module must keep what is left over."""
        at, step = 0, 1
        while at < len(data):
            yield data[at: at + step]
            at, step = at + step, step * 3 % 101 + 1

    def cipher(self, direction, operation, key, data, room):
        """Encrypts or decrypts ('Encrypt', 'Decrypt') in one part."""
        self.call(f"C_{direction}Init", self.handle, byref(operation), key)
        return self._output(f"C_{direction}", room, data, c_ulong(len(data)))

    def cipher_in_parts(self, direction, operation, key, data, room):
        self.call(f"C_{direction}Init", self.handle, byref(operation), key)
        result = b""
        for part in self._parts(data):
            result += self._output(f"C_{direction}Update", room, part, c_ulong(len(part)))
        return result + self._output(f"C_{direction}Final", room)

    def digest(self, operation, data, room):
        self.call("C_DigestInit", self.handle, byref(operation))
        return self._output("C_Digest", room, data, c_ulong(len(data)))

    def digest_in_parts(self, operation, data, room):
        self.call("C_DigestInit", self.handle, byref(operation))
        for part in self._parts(data):
            self.call("C_DigestUpdate", self.handle, part, c_ulong(len(part)))
        return self._output("C_DigestFinal", room)

    def sign(self, operation, key, data, room=1024):
        self.call("C_SignInit", self.handle, byref(operation), key)
        return self._output("C_Sign", room, data, c_ulong(len(data)))

    def sign_in_parts(self, operation, key, data, room=1024):
        self.call("C_SignInit", self.handle, byref(operation), key)
        for part in self._parts(data):
            self.call("C_SignUpdate", self.handle, part, c_ulong(len(part)))
        return self._output("C_SignFinal", room)

    def verify(self, operation, key, data, signature):
        self.call("C_VerifyInit", self.handle, byref(operation), key)
        self.call("C_Verify", self.handle, data, c_ulong(len(data)), signature, c_ulong(len(signature)))
        return True

    def wrap(self, operation, wrapping, key, room):
        return self._output("C_WrapKey", room, byref(operation), wrapping, key)

    def unwrap(self, operation, wrapping, wrapped, **attributes):
        key = c_ulong()
        array = template(TOKEN=False, **attributes)
        self.call("C_UnwrapKey", self.owner, byref(operation), wrapping, wrapped, c_ulong(len(wrapped)), array,
                  c_ulong(len(array)), byref(key))
        self.temporary.append(key)
        return key

    def derive(self, operation, base, **attributes):
        key = c_ulong()
        array = template(TOKEN=False, **attributes)
        self.call("C_DeriveKey", self.owner, byref(operation), base, array, c_ulong(len(array)), byref(key))
        self.temporary.append(key)
        return key

    def close(self):
        self.library.C_Finalize(None)
