public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.17: dual-function cryptographic operations. The token does not have them.

@c @implementation
public func C_DigestEncryptUpdate(
  _ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?,
  _ encryptedCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_DecryptDigestUpdate(
  _ session: CK_SESSION_HANDLE, _ encrypted: CK_BYTE_PTR?, _ encryptedCount: CK_ULONG, _ part: CK_BYTE_PTR?,
  _ partCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_SignEncryptUpdate(
  _ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?,
  _ encryptedCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_DecryptVerifyUpdate(
  _ session: CK_SESSION_HANDLE, _ encrypted: CK_BYTE_PTR?, _ encryptedCount: CK_ULONG, _ part: CK_BYTE_PTR?,
  _ partCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}
