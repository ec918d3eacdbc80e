public import CCryptoki
import Cryptoki
import Mechanisms
import ObjectInvoke
import TokenProtocol
import Wire

// PKCS#11 3.2, 5.18: key management functions.

@c @implementation
public func C_GenerateKey(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG,
  _ key: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let key = try place(key)
    let request = MakeKey(
      session: session.announced(), mechanism: try Mechanism(reading: mechanism),
      template: try readTemplate(template, count))
    // A secret key is random bytes: nothing of it takes long but to make it durable.
    key.pointee = try session.slot.request(
      .generateKey, request, options: .making(request.template), reading: readHandle)
  }
}

@c @implementation
public func C_GenerateKeyPair(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ publicTemplate: CK_ATTRIBUTE_PTR?,
  _ publicCount: CK_ULONG, _ privateTemplate: CK_ATTRIBUTE_PTR?, _ privateCount: CK_ULONG,
  _ publicKey: CK_OBJECT_HANDLE_PTR?, _ privateKey: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let (publicKey, privateKey) = (try place(publicKey), try place(privateKey))
    let request = MakeKeyPair(
      session: session.announced(), mechanism: try Mechanism(reading: mechanism),
      publicTemplate: try readTemplate(publicTemplate, publicCount),
      privateTemplate: try readTemplate(privateTemplate, privateCount))
    let pair = try session.slot.request(.generateKeyPair, request, options: .long) { (reader) throws(WireError) in
      [try readHandle(&reader), try readHandle(&reader)]
    }
    publicKey.pointee = pair[0]
    privateKey.pointee = pair[1]
  }
}

@c @implementation
public func C_WrapKey(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ wrappingKey: CK_OBJECT_HANDLE,
  _ key: CK_OBJECT_HANDLE, _ wrapped: CK_BYTE_PTR?, _ wrappedCount: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let output = try OutputBuffer(wrapped, wrappedCount)
    let request = WrapKey(
      session: session.announced(), mechanism: try Mechanism(reading: mechanism), wrappingKey: UInt64(wrappingKey),
      key: UInt64(key))
    // Only the secure world knows how long the key's encoding is, so a size query is a crossing as well.
    let answer = try session.slot.transfer(
      .wrapKey, request, output: output.memory(limit: longestWrappedKey), options: .long)
    switch answer {
    case .done(let byteCount): output.setCount(byteCount)
    case .tooSmall(let byteCount):
      output.setCount(byteCount)
      if !output.isSizeQuery { throw .bufferTooSmall }
    }
  }
}

/// In bytes; more than any key of the token.
private let longestWrappedKey = 1 << 20

@c @implementation
public func C_UnwrapKey(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ unwrappingKey: CK_OBJECT_HANDLE,
  _ wrapped: CK_BYTE_PTR?, _ wrappedCount: CK_ULONG, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG,
  _ key: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let key = try place(key)
    let input = try callerBytes(wrapped, wrappedCount)
    guard input.count <= longestWrappedKey else { throw .wrappedKeyLenRange }
    let request = MakeKey(
      session: session.announced(), mechanism: try Mechanism(reading: mechanism), key: UInt64(unwrappingKey),
      template: try readTemplate(template, count))
    key.pointee = try session.slot.request(
      .unwrapKey, request, input: InputSegments(input), options: [.long, .secret], reading: readHandle)
  }
}

@c @implementation
public func C_DeriveKey(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ baseKey: CK_OBJECT_HANDLE,
  _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG, _ key: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let key = try place(key)
    let request = MakeKey(
      session: session.announced(), mechanism: try Mechanism(reading: mechanism), key: UInt64(baseKey),
      template: try readTemplate(template, count))
    key.pointee = try session.slot.request(.deriveKey, request, options: .long, reading: readHandle)
  }
}

@c @implementation
public func C_EncapsulateKey(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ publicKey: CK_OBJECT_HANDLE,
  _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG, _ ciphertext: CK_BYTE_PTR?, _ ciphertextCount: CK_ULONG_PTR?,
  _ key: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_DecapsulateKey(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ privateKey: CK_OBJECT_HANDLE,
  _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG, _ ciphertext: CK_BYTE_PTR?, _ ciphertextCount: CK_ULONG,
  _ key: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_WrapKeyAuthenticated(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ wrappingKey: CK_OBJECT_HANDLE,
  _ key: CK_OBJECT_HANDLE, _ associated: CK_BYTE_PTR?, _ associatedCount: CK_ULONG, _ wrapped: CK_BYTE_PTR?,
  _ wrappedCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_UnwrapKeyAuthenticated(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ unwrappingKey: CK_OBJECT_HANDLE,
  _ wrapped: CK_BYTE_PTR?, _ wrappedCount: CK_ULONG, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG,
  _ associated: CK_BYTE_PTR?, _ associatedCount: CK_ULONG, _ key: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  notSupported(session)
}
