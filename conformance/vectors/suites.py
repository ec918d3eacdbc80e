"""Which published file is put to which mechanism: (file pattern, reader, what is done with a vector)."""

import formats
import mechanisms as m

NIST = "cryptography_vectors/"
WYCHEPROOF = "wycheproof/"
_HASHES = {"SHA-1": ("SHA1", "SHA1"), "SHA-224": ("SHA2", "SHA224"), "SHA-256": ("SHA2", "SHA256"),
           "SHA-384": ("SHA2", "SHA384"), "SHA-512": ("SHA2", "SHA512"), "SHA-512/224": ("SHA2", "SHA512_224"),
           "SHA-512/256": ("SHA2", "SHA512_256"), "SHA3-224": ("SHA3", "SHA3_224"), "SHA3-256": ("SHA3", "SHA3_256"),
           "SHA3-384": ("SHA3", "SHA3_384"), "SHA3-512": ("SHA3", "SHA3_512")}


def cavs(first, hexadecimal, keep=()):
    return lambda path: formats.cavs(path, first, hexadecimal.split(), keep)


_cipher = cavs("COUNT", "KEY IV PLAINTEXT CIPHERTEXT")
_gcm = cavs("Count", "Key IV CT AAD Tag PT")
_kw = cavs("COUNT", "K C P")
_mac = cavs("Len", "Key Msg MD")


def _signatures(path):
    """CAVS RSA files: modulus, and exponents where they differ from vector to vector, before what they sign."""
    lasting = {}
    for vector in formats.cavs(path, "SHAAlg", ["Msg", "S", "SaltVal"], keep=("n", "p", "q")):
        fields = dict(vector.fields)
        lasting.update({name: fields[name] for name in ("e", "d") if name in fields})
        for name in ("n", "e", "d"):
            value = fields.get(name, lasting.get(name))
            if isinstance(value, str):
                fields[name] = formats._number(value)
        yield vector._replace(fields=fields)


SUITES = [
    (NIST + "ciphers/AES/ECB/*.rsp", _cipher, m.nist_ecb),
    (NIST + "ciphers/AES/CBC/*.rsp", _cipher, m.nist_cbc),
    (NIST + "ciphers/AES/CTR/*.txt", _cipher, m.rfc_ctr),
    (NIST + "ciphers/AES/GCM/*.rsp", _gcm, m.nist_gcm),
    (NIST + "CMAC/nist-800-38b-aes*.txt", cavs("COUNT", "KEY MESSAGE OUTPUT"), m.nist_cmac),
    (NIST + "HMAC/rfc-2202-sha1.txt", _mac, m.rfc_hmac("SHA-1")),
    (NIST + "HMAC/rfc-4231-sha224.txt", _mac, m.rfc_hmac("SHA-224")),
    (NIST + "HMAC/rfc-4231-sha256.txt", _mac, m.rfc_hmac("SHA-256")),
    (NIST + "HMAC/rfc-4231-sha384.txt", _mac, m.rfc_hmac("SHA-384")),
    (NIST + "HMAC/rfc-4231-sha512.txt", _mac, m.rfc_hmac("SHA-512")),
    (NIST + "keywrap/kwtestvectors/KW_A[DE]_*[0-9].txt", _kw, m.nist_key_wrap("AES_KEY_WRAP")),
    (NIST + "keywrap/kwtestvectors/KWP_A[DE]_*[0-9].txt", _kw, m.nist_key_wrap("AES_KEY_WRAP_KWP")),
    (NIST + "keywrap/kwtestvectors/KW_A[DE]_*[0-9].txt", _kw, m.nist_key_wrap("AES_KEY_WRAP", m.wrap_bytes)),
    (NIST + "keywrap/kwtestvectors/KWP_A[DE]_*[0-9].txt", _kw, m.nist_key_wrap("AES_KEY_WRAP_KWP", m.wrap_bytes)),
    (NIST + "keywrap/kwp_botan.txt", cavs("COUNT", "Key Input Output"), m.botan_kwp),
    (NIST + "asymmetric/RSA/FIPS_186-2/SigGen15_186-2.txt", _signatures, m.nist_pkcs1_sign),
    (NIST + "asymmetric/RSA/FIPS_186-2/SigGen15_186-[23].rsp", _signatures, m.nist_pkcs1_verify),
    (NIST + "asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp", _signatures, m.nist_pkcs1_verify),
    (NIST + "asymmetric/RSA/SigVer15EMTest.txt", _signatures, m.nist_pkcs1_verify),
    (NIST + "asymmetric/RSA/FIPS_186-2/SigGenPSS_186-2.rsp", _signatures, m.nist_pss(20)),
    (NIST + "asymmetric/RSA/FIPS_186-2/SigGenPSS_186-3.rsp", _signatures, m.nist_pss(0)),
    (NIST + "asymmetric/RSA/FIPS_186-2/SigVerPSS_186-3.rsp", _signatures, m.nist_pss(10)),
    (NIST + "asymmetric/RSA/pkcs1v15sign-vectors.txt", formats.rsa_examples, m.example_pkcs1_sign),
    (NIST + "asymmetric/RSA/pkcs1v15crypt-vectors.txt", formats.rsa_examples, m.example_pkcs1_decrypt),
    (NIST + "asymmetric/RSA/pkcs-1v2-1d2-vec/pss-vect.txt", formats.rsa_examples, m.example_pss),
    (NIST + "asymmetric/RSA/pkcs-1v2-1d2-vec/oaep-vect.txt", formats.rsa_examples, m.example_oaep("SHA-1", "SHA-1")),
    (NIST + "asymmetric/RSA/oaep-label.txt", cavs("COUNT", "KEY OAEPLabel Input"), m.labelled_oaep),
    (NIST + "asymmetric/ECDSA/FIPS_186-3/SigGen.txt", cavs("Msg", "Msg"), m.nist_ecdsa),
    (NIST + "asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", cavs("Msg", "Msg"), m.nist_ecdsa),
    (NIST + "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_*.fax", cavs("COUNT", ""), m.nist_ecdh),
    (NIST + "asymmetric/Ed25519/sign.input", formats.ed25519_input, m.ed25519),
    (NIST + "asymmetric/X25519/rfc7748.txt", cavs("COUNT", "INPUT_SCALAR INPUT_U OUTPUT_U"), m.rfc_x25519),
    (WYCHEPROOF + "aes_cbc_pkcs5_test.json", formats.wycheproof, m.wycheproof_cbc_pad),
    (WYCHEPROOF + "aes_gcm_test.json", formats.wycheproof, m.wycheproof_gcm),
    (WYCHEPROOF + "aes_cmac_test.json", formats.wycheproof, m.wycheproof_cmac),
    (WYCHEPROOF + "kw_test.json", formats.wycheproof, m.key_wrap("AES_KEY_WRAP")),
    (WYCHEPROOF + "kwp_test.json", formats.wycheproof, m.key_wrap("AES_KEY_WRAP_KWP")),
    (WYCHEPROOF + "kw_test.json", formats.wycheproof, m.key_wrap("AES_KEY_WRAP", m.wrap_bytes)),
    (WYCHEPROOF + "kwp_test.json", formats.wycheproof, m.key_wrap("AES_KEY_WRAP_KWP", m.wrap_bytes)),
    (WYCHEPROOF + "rsa_signature_*test.json", formats.wycheproof, m.wycheproof_pkcs1_verify),
    (WYCHEPROOF + "rsa_sig_gen_misc_test.json", formats.wycheproof, m.wycheproof_pkcs1_sign),
    (WYCHEPROOF + "rsa_pss_*_test.json", formats.wycheproof, m.wycheproof_pss),
    (WYCHEPROOF + "rsa_oaep_*_test.json", formats.wycheproof, m.wycheproof_oaep),
    (WYCHEPROOF + "rsa_pkcs1_*_test.json", formats.wycheproof, m.wycheproof_pkcs1_decrypt),
    (WYCHEPROOF + "ecdsa_secp[235]*_test.json", formats.wycheproof, m.wycheproof_ecdsa),
    (WYCHEPROOF + "ecdsa_test.json", formats.wycheproof, m.wycheproof_ecdsa),
    (WYCHEPROOF + "ecdsa_webcrypto_test.json", formats.wycheproof, m.wycheproof_ecdsa),
    (WYCHEPROOF + "ecdh_secp[235]*_test.json", formats.wycheproof, m.wycheproof_ecdh),
    (WYCHEPROOF + "ecdh_test.json", formats.wycheproof, m.wycheproof_ecdh),
    (WYCHEPROOF + "eddsa_test.json", formats.wycheproof, m.wycheproof_ed25519),
    (WYCHEPROOF + "x25519_test.json", formats.wycheproof, m.wycheproof_x25519),
]
for _name, (_folder, _stem) in _HASHES.items():
    for _length in ("Short", "Long"):
        SUITES.append((NIST + f"hashes/{_folder}/{_stem}{_length}Msg.rsp", cavs("Len", "Msg MD"), m.nist_digest(_name)))
    SUITES.append((NIST + f"hashes/{_folder}/{_stem}Monte.rsp", cavs("COUNT", "Seed MD"), m.nist_monte_carlo(_name)))
    if "/" not in _name:
        SUITES.append((WYCHEPROOF + f"hmac_{_name.replace('SHA-', 'sha').replace('SHA3-', 'sha3_')}_test.json",
                       formats.wycheproof, m.wycheproof_hmac(_name)))
for _hash in ("1", "224", "256", "384", "512"):
    for _mgf in ("1", "224", "256", "384", "512"):
        # The files are named after the hash of MGF1 first.
        if (_hash, _mgf) != ("1", "1"):
            SUITES.append((NIST + f"asymmetric/RSA/oaep-custom/oaep-sha{_mgf}-sha{_hash}.txt", formats.rsa_examples,
                           m.example_oaep(f"SHA-{_hash}", f"SHA-{_mgf}")))
