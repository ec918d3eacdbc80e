public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.9 and 5.11: message-based encryption and decryption functions, for AES-GCM.

@c @implementation
public func C_MessageEncryptInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.beginMessages(.encrypt, &operations, mechanism, key)
  }
}

@c @implementation
public func C_EncryptMessage(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG, _ plaintext: CK_BYTE_PTR?, _ plaintextCount: CK_ULONG, _ ciphertext: CK_BYTE_PTR?,
  _ ciphertextCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.message(
      .encrypt, &operations, MessageParameters(reading: parameter, parameterCount),
      callerBytes(associated, associatedCount), callerBytes(plaintext, plaintextCount),
      into: OutputBuffer(ciphertext, ciphertextCount))
  }
}

@c @implementation
public func C_EncryptMessageBegin(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.beginParts(
      .encrypt, &operations, MessageParameters(reading: parameter, parameterCount),
      callerBytes(associated, associatedCount))
  }
}

@c @implementation
public func C_EncryptMessageNext(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ part: CK_BYTE_PTR?,
  _ partCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?, _ encryptedCount: CK_ULONG_PTR?, _ flags: CK_FLAGS
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.nextPart(
      .encrypt, &operations, MessageParameters(reading: parameter, parameterCount), callerBytes(part, partCount),
      into: OutputBuffer(encrypted, encryptedCount), isLast: endsMessage(flags))
  }
}

@c @implementation
public func C_MessageEncryptFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.finishMessages(.encrypt, &operations)
  }
}

@c @implementation
public func C_MessageDecryptInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.beginMessages(.decrypt, &operations, mechanism, key)
  }
}

@c @implementation
public func C_DecryptMessage(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG, _ ciphertext: CK_BYTE_PTR?, _ ciphertextCount: CK_ULONG, _ plaintext: CK_BYTE_PTR?,
  _ plaintextCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.message(
      .decrypt, &operations, MessageParameters(reading: parameter, parameterCount),
      callerBytes(associated, associatedCount), callerBytes(ciphertext, ciphertextCount),
      into: OutputBuffer(plaintext, plaintextCount))
  }
}

@c @implementation
public func C_DecryptMessageBegin(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ associated: CK_BYTE_PTR?,
  _ associatedCount: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.beginParts(
      .decrypt, &operations, MessageParameters(reading: parameter, parameterCount),
      callerBytes(associated, associatedCount))
  }
}

@c @implementation
public func C_DecryptMessageNext(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?,
  _ encryptedCount: CK_ULONG, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG_PTR?, _ flags: CK_FLAGS
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.nextPart(
      .decrypt, &operations, MessageParameters(reading: parameter, parameterCount),
      callerBytes(encrypted, encryptedCount), into: OutputBuffer(part, partCount), isLast: endsMessage(flags))
  }
}

@c @implementation
public func C_MessageDecryptFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.finishMessages(.decrypt, &operations)
  }
}

/// Whether the flags say that this part is the last. Throws CKR_ARGUMENTS_BAD for other flags.
private func endsMessage(_ flags: CK_FLAGS) throws(ReturnValue) -> Bool {
  let flags = MessageFlags(rawValue: flags)
  guard flags.isSubset(of: .endOfMessage) else { throw .argumentsBad }
  return flags.contains(.endOfMessage)
}
