public import CCryptoki
import CryptoCore
import Cryptoki

// PKCS#11 3.2, 5.15: functions for verifying signatures and MACs.

@c @implementation
public func C_VerifyInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.begin(.verify, &operations, mechanism, key)
  }
}

@c @implementation
public func C_Verify(
  _ session: CK_SESSION_HANDLE, _ data: CK_BYTE_PTR?, _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?,
  _ signatureCount: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.verify, &operations) { (operation) throws(ReturnValue) in
      try operation.verify(callerBytes(data, dataCount), callerBytes(signature, signatureCount), in: session)
    }
  }
}

@c @implementation
public func C_VerifyUpdate(_ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.verify, &operations) { (operation) throws(ReturnValue) in
      try operation.feed(callerBytes(part, partCount), in: session)
    }
  }
}

@c @implementation
public func C_VerifyFinal(
  _ session: CK_SESSION_HANDLE, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.verify, &operations) { (operation) throws(ReturnValue) in
      try operation.finishVerification(callerBytes(signature, signatureCount), in: session)
    }
  }
}

// The signature first, then the data (new in 3.2).

@c @implementation
public func C_VerifySignatureInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE, _ signature: CK_BYTE_PTR?,
  _ signatureCount: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    let bytes = try callerBytes(signature, signatureCount)
    // Longer than any signature of the token's mechanisms: not worth a copy.
    guard bytes.count <= longestSignature else { throw .signatureLenRange }
    try session.begin(.verify, &operations, mechanism, key, givenSignature: [UInt8](bytes))
  }
}

/// In bytes; RSA keys of 16384 bits would give half of it.
private let longestSignature = 4096

@c @implementation
public func C_VerifySignature(_ session: CK_SESSION_HANDLE, _ data: CK_BYTE_PTR?, _ dataCount: CK_ULONG) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.verify, &operations, givenSignature: true) { (operation) throws(ReturnValue) in
      let data = try callerBytes(data, dataCount)
      return try (operation.givenSignature ?? []).withRawBytes { (signature) throws(ReturnValue) in
        try operation.verify(data, signature, in: session)
      }
    }
  }
}

@c @implementation
public func C_VerifySignatureUpdate(_ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG) -> CK_RV
{
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.verify, &operations, givenSignature: true) { (operation) throws(ReturnValue) in
      try operation.feed(callerBytes(part, partCount), in: session)
    }
  }
}

@c @implementation
public func C_VerifySignatureFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.step(.verify, &operations, givenSignature: true) { (operation) throws(ReturnValue) in
      try (operation.givenSignature ?? []).withRawBytes { (signature) throws(ReturnValue) in
        try operation.finishVerification(signature, in: session)
      }
    }
  }
}

@c @implementation
public func C_VerifyRecoverInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_VerifyRecover(
  _ session: CK_SESSION_HANDLE, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}
