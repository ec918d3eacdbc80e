public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.8: encryption functions.

@c @implementation
public func C_EncryptInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.begin(.encrypt, &operations, mechanism, key)
  }
}

@c @implementation
public func C_Encrypt(
  _ session: CK_SESSION_HANDLE, _ data: CK_BYTE_PTR?, _ dataCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?,
  _ encryptedCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.encrypt, &operations) { (operation) throws(ReturnValue) in
      try operation.perform(
        callerBytes(data, dataCount), into: OutputBuffer(encrypted, encryptedCount), in: session)
    }
  }
}

@c @implementation
public func C_EncryptUpdate(
  _ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG, _ encrypted: CK_BYTE_PTR?,
  _ encryptedCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.encrypt, &operations) { (operation) throws(ReturnValue) in
      try operation.update(
        callerBytes(part, partCount), into: OutputBuffer(encrypted, encryptedCount), in: session)
    }
  }
}

@c @implementation
public func C_EncryptFinal(
  _ session: CK_SESSION_HANDLE, _ last: CK_BYTE_PTR?, _ lastCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.encrypt, &operations) { (operation) throws(ReturnValue) in
      try operation.finish(into: OutputBuffer(last, lastCount), in: session)
    }
  }
}
