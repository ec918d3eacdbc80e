public import CCryptoki
import CryptoCore
import Cryptoki
import Mechanisms
import TokenProtocol
import Wire

// PKCS#11 3.2, 5.12: message digesting functions.

@c @implementation
public func C_DigestInit(_ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    guard let mechanism else {
      operations.digest = nil
      return
    }
    try operations.beginDigest(mechanism)
  }
}

@c @implementation
public func C_Digest(
  _ session: CK_SESSION_HANDLE, _ data: CK_BYTE_PTR?, _ dataCount: CK_ULONG, _ digest: CK_BYTE_PTR?,
  _ digestCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    try operations.digestStep { (state) throws(ReturnValue) in
      guard !state.hasParts else { throw .operationActive }
      return try state.finish(callerBytes(data, dataCount), into: OutputBuffer(digest, digestCount))
    }
  }
}

@c @implementation
public func C_DigestUpdate(_ session: CK_SESSION_HANDLE, _ part: CK_BYTE_PTR?, _ partCount: CK_ULONG) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    try operations.digestStep { (state) throws(ReturnValue) in
      try state.update(callerBytes(part, partCount))
      return .active
    }
  }
}

@c @implementation
public func C_DigestKey(_ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try operations.digestStep { (state) throws(ReturnValue) in
      var value = try session.digestibleValue(of: UInt64(key))
      defer { value.withUnsafeMutableBytes { wipe($0) } }
      try value.withRawBytes { (value) throws(ReturnValue) in try state.update(value) }
      return .active
    }
  }
}

extension Session {
  /// The value of a secret key that may be read anyway; a digest of any other would be made where the value must not
  /// be. Throws CKR_KEY_INDIGESTIBLE.
  fileprivate func digestibleValue(of key: UInt64) throws(ReturnValue) -> [UInt8] {
    guard try slot.keys.find(key, in: self).description.objectClass == .secretKey else { throw .keyIndigestible }
    let request = GetAttributes(session: announced(), object: key, types: [.value])
    let answers = try slot.request(.getAttributes, request) { (reader) throws(WireError) in
      try reader.attributeAnswers()
    }
    guard case .value(.bytes(let value))? = answers.first else { throw .keyIndigestible }
    return value
  }
}

@c @implementation
public func C_DigestFinal(_ session: CK_SESSION_HANDLE, _ digest: CK_BYTE_PTR?, _ digestCount: CK_ULONG_PTR?) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    try operations.digestStep { (state) throws(ReturnValue) in
      let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
      return try state.finish(nothing, into: OutputBuffer(digest, digestCount))
    }
  }
}
