public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.13: signing and MACing functions.

@c @implementation
public func C_SignInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.begin(.sign, &operations, mechanism, key)
  }
}

@c @implementation
public func C_Sign(
  _ session: CK_SESSION_HANDLE, _ data: CK_BYTE_PTR?, _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?,
  _ signatureCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.sign, &operations) { (operation) throws(ReturnValue) in
      try operation.perform(
        callerBytes(data, dataCount), into: OutputBuffer(signature, signatureCount), in: session)
    }
  }
}

@c @implementation
public func C_SignUpdate(_ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.sign, &operations) { (operation) throws(ReturnValue) in
      try operation.feed(callerBytes(part, partCount), in: session)
    }
  }
}

@c @implementation
public func C_SignFinal(
  _ session: CK_SESSION_HANDLE, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.sign, &operations) { (operation) throws(ReturnValue) in
      try operation.finish(into: OutputBuffer(signature, signatureCount), in: session)
    }
  }
}

@c @implementation
public func C_SignRecoverInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_SignRecover(
  _ session: CK_SESSION_HANDLE, _ data: CK_BYTE_PTR?, _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?,
  _ signatureCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}
