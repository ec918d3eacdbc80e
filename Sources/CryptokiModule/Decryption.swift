public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.10: decryption functions.

@c @implementation
public func C_DecryptInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.begin(.decrypt, &operations, mechanism, key)
  }
}

@c @implementation
public func C_Decrypt(
  _ session: CK_SESSION_HANDLE, _ encrypted: CK_BYTE_PTR?, _ encryptedCount: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.decrypt, &operations) { (operation) throws(ReturnValue) in
      try operation.perform(
        callerBytes(encrypted, encryptedCount), into: OutputBuffer(data, dataCount), in: session)
    }
  }
}

@c @implementation
public func C_DecryptUpdate(
  _ session: CK_SESSION_HANDLE, _ encrypted: CK_BYTE_PTR?, _ encryptedCount: CK_ULONG, _ part: CK_BYTE_PTR?,
  _ partCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.decrypt, &operations) { (operation) throws(ReturnValue) in
      try operation.update(
        callerBytes(encrypted, encryptedCount), into: OutputBuffer(part, partCount), in: session)
    }
  }
}

@c @implementation
public func C_DecryptFinal(
  _ session: CK_SESSION_HANDLE, _ last: CK_BYTE_PTR?, _ lastCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.decrypt, &operations) { (operation) throws(ReturnValue) in
      try operation.finish(into: OutputBuffer(last, lastCount), in: session)
    }
  }
}
