public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.9 and 5.11: message-based encryption and decryption functions. The token does not have them.

@c @implementation
public func C_MessageEncryptInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_EncryptMessage(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG, _ plaintext: CK_BYTE_PTR?, _ plaintextCount: CK_ULONG, _ ciphertext: CK_BYTE_PTR?,
  _ ciphertextCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_EncryptMessageBegin(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_EncryptMessageNext(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ part: CK_BYTE_PTR?,
  _ partCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?, _ encryptedCount: CK_ULONG_PTR?, _ flags: CK_FLAGS
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_MessageEncryptFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_MessageDecryptInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_DecryptMessage(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG, _ ciphertext: CK_BYTE_PTR?, _ ciphertextCount: CK_ULONG, _ plaintext: CK_BYTE_PTR?,
  _ plaintextCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_DecryptMessageBegin(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_DecryptMessageNext(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?,
  _ encryptedCount: CK_ULONG, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG_PTR?, _ flags: CK_FLAGS
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_MessageDecryptFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  notSupported(session)
}
