import CryptoCore
import Cryptoki
import Mechanisms
import TokenProtocol

/// C_WrapKey and C_UnwrapKey (PKCS#11 3.2, 5.18.3, 5.18.4 and 6.7).
extension Token {
  /// Bytes of the longest wrapped key that is read.
  static let wrappedKeyLimit = 1 << 16

  // MARK: Wrapping

  /// C_WrapKey. Answers the wrapped key.
  func wrap(_ request: WrapKey, _ client: Client) throws(ReturnValue) -> [UInt8] {
    _ = try client.enter(request.session)
    let wrapping = try object(request.wrappingKey, for: client, .wrappingKeyHandleInvalid)
    guard let description = wrapping.description else { throw .wrappingKeyHandleInvalid }
    let facts = try checkWrapping(description, request.mechanism)
    try refuseRestrictedAndGuarded(wrapping)
    let wrapped = try object(request.key, for: client, .keyHandleInvalid)
    try checkWrappable(wrapped, by: wrapping, facts)

    let encoded: SecretBytes
    guard let secrets = try secrets(of: wrapped, .keyHandleInvalid) else { throw .keyNotWrappable }
    if wrapped.objectClass == .secretKey {
      guard let value = secrets.secret(.value) else { throw .keyNotWrappable }
      encoded = value
    } else {
      let key = try PrivateKeyMaterial(wrapped.attributes, secret: secrets.secret)
      encoded = try computing { () throws(CryptoError) in try key.pkcs8() }
    }
    do throws(ReturnValue) {
      return try KeyTransport.wrap(encoded, mechanism: request.mechanism, facts: facts, with: try key(of: wrapping))
    } catch {
      // The only thing wrong with the data can be its length.
      throw error == .dataLenRange || error == .dataInvalid ? .keySizeRange : error
    }
  }

  private func checkWrapping(
    _ description: KeyDescription, _ mechanism: Mechanism
  ) throws(ReturnValue) -> MechanismFacts {
    do throws(ReturnValue) {
      return try KeyPolicy.check(description, mechanism, for: .wrap, usage: .wrap)
    } catch {
      switch error {
      case .keyTypeInconsistent: throw .wrappingKeyTypeInconsistent
      case .keySizeRange: throw .wrappingKeySizeRange
      default: throw error
      }
    }
  }

  private func checkWrappable(
    _ key: Object, by wrapping: Object, _ facts: MechanismFacts
  ) throws(ReturnValue) {
    guard key.objectClass == .secretKey || key.objectClass == .privateKey else { throw .keyNotWrappable }
    guard key.attributes.bool(.extractable) else { throw .keyUnextractable }
    // A key wrapped with itself would be its own key to open it.
    guard key.handle != wrapping.handle else { throw .keyNotWrappable }
    if key.attributes.bool(.wrapWithTrusted), !wrapping.attributes.bool(.trusted) { throw .keyNotWrappable }
    if let template = try wrapping.attributes.template(.wrapTemplate) {
      guard try allAttributes(of: key).contains(all: template) else { throw .keyHandleInvalid }
    }
    // Zeros at the end of a secret key are cut off when its length is known; an encoding is not followed by any.
    if key.objectClass == .privateKey, !Self.keepsLength(facts.family) || !facts.family.isSymmetric {
      throw .keyNotWrappable
    }
  }

  /// Whether unwrapping gives back as many bytes as were wrapped.
  private static func keepsLength(_ family: MechanismFamily) -> Bool {
    switch family {
    case .aesECB, .aesCBC, .rsaRaw: false
    default: true
    }
  }

  // MARK: Unwrapping

  /// C_UnwrapKey.
  func unwrap(_ request: MakeKey, _ wrapped: [UInt8], _ client: Client) throws(ReturnValue) -> UInt64 {
    let entry = try enter(request.session, client)
    let unwrapping = try object(request.key, for: client, in: entry, .unwrappingKeyHandleInvalid)
    guard let description = unwrapping.description else { throw .unwrappingKeyHandleInvalid }
    let facts = try checkUnwrapping(description, request.mechanism)
    if unwrapping.asksForPIN { throw .userNotLoggedIn }
    guard !unwrapping.isRestricted || facts.family.isAuthenticated else { throw .keyFunctionNotPermitted }

    let reader = TemplateReader(origin: .unwrap, isSecurityOfficer: entry.role == .securityOfficer)
    var draft = try reader.read(
      request.template, implied: nil, nil, imposed: try Self.imposed(on: unwrapping))
    guard draft.schema.objectClass == .secretKey || draft.schema.objectClass == .privateKey else {
      throw .templateInconsistent
    }
    try checkMayMake(draft, entry)

    let opened = try wrapped.span.withUnsafeBytes { (wrapped) throws(ReturnValue) in
      try KeyTransport.unwrap(wrapped, mechanism: request.mechanism, facts: facts, with: try key(of: unwrapping))
    }
    KeyCodec.setOrigin(&draft, generatedBy: nil)
    let secrets: SecretAttributes
    if draft.schema.objectClass == .secretKey {
      let value = try Self.value(in: opened, facts.family, draft.schema.keyType) { () throws(ReturnValue) in
        try wantedByteCount(draft, wrong: .wrappedKeyLenRange)
      }
      secrets = SecretAttributes([(.value, value)])
      try KeyCodec.completeSecretKey(&draft, secrets, wrongSize: .wrappedKeyLenRange)
    } else {
      guard Self.keepsLength(facts.family), let keyType = draft.schema.keyType else { throw .wrappedKeyInvalid }
      let key = try PrivateKeyMaterial(pkcs8: opened, keyType: keyType)
      secrets = try KeyCodec.completePrivateKey(&draft.attributes, key)
    }
    return try add(NewObject(attributes: draft.attributes, secrets: secrets), for: client, in: entry)
  }

  private func checkUnwrapping(
    _ description: KeyDescription, _ mechanism: Mechanism
  ) throws(ReturnValue) -> MechanismFacts {
    do throws(ReturnValue) {
      return try KeyPolicy.check(description, mechanism, for: .unwrap, usage: .unwrap)
    } catch {
      switch error {
      case .keyTypeInconsistent: throw .unwrappingKeyTypeInconsistent
      case .keySizeRange: throw .unwrappingKeySizeRange
      default: throw error
      }
    }
  }

  /// CKA_UNWRAP_TEMPLATE, and for a restricted key what keeps the new key as restricted as itself.
  private static func imposed(on unwrapping: Object) throws(ReturnValue) -> AttributeSet {
    var imposed = try unwrapping.attributes.template(.unwrapTemplate) ?? AttributeSet()
    guard unwrapping.isRestricted else { return imposed }
    let demands: [(AttributeType, Bool)] = [
      (.strongroomRestrictedOutput, true), (.sensitive, true), (.extractable, false),
    ]
    for (type, demanded) in demands {
      guard !imposed.contains(type) || imposed.bool(type) == demanded else { throw .templateInconsistent }
      imposed.set(type, demanded)
    }
    if let useCases = unwrapping.attributes.bytes(.strongroomUseCases), !useCases.isEmpty {
      guard imposed.withBytes(.strongroomUseCases, { $0.map { $0.elementsEqual(useCases) } ?? true }) else {
        throw .templateInconsistent
      }
      imposed.set(.strongroomUseCases, useCases)
    }
    return imposed
  }

  /// The value of a secret key in what was unwrapped.
  ///
  /// Where the mechanism does not keep the length, CKA_VALUE_LEN must say it (CKR_TEMPLATE_INCOMPLETE), unless only
  /// one length fits the key type. What is cut off must be the padding and nothing else: otherwise one wrapped key
  /// could be opened as ever shorter ones, each telling a little of it.
  private static func value(
    in opened: SecretBytes, _ family: MechanismFamily, _ keyType: KeyType?,
    wantedByteCount: () throws(ReturnValue) -> Int?
  ) throws(ReturnValue) -> SecretBytes {
    let wanted = try wantedByteCount()
    guard !keepsLength(family) else {
      guard wanted == nil || wanted == opened.count else { throw .wrappedKeyLenRange }
      return opened
    }
    if wanted == nil, family != .rsaRaw, keyType == .aes, opened.count == 16 { return opened }
    guard let wanted else { throw .templateIncomplete }
    guard wanted <= opened.count, family == .rsaRaw || opened.count - wanted < 16 else { throw .wrappedKeyLenRange }
    return try opened.withBytes { (bytes) throws(ReturnValue) in
      // Raw RSA puts zeros before the value, the block modes behind it.
      let (value, padding) =
        family == .rsaRaw
        ? (bytes.suffix(wanted), bytes.dropLast(wanted)) : (bytes.prefix(wanted), bytes.dropFirst(wanted))
      guard padding.allSatisfy({ $0 == 0 }) else { throw .wrappedKeyInvalid }
      return SecretBytes(copying: UnsafeRawBufferPointer(rebasing: value))
    }
  }
}

extension MechanismFamily {
  /// Whether a decryption that succeeds proves that the input was made with the key. With the others the mere
  /// outcome, bad padding or good, tells a caller who chooses the input something about the plaintext of any other.
  var isAuthenticated: Bool {
    switch self {
    case .aesGCM, .aesKeyWrap, .aesKeyWrapPadded, .rsaOAEP: true
    default: false
    }
  }

  /// Whether the outcome of a decryption depends on the plaintext's padding, without the input being authenticated.
  var revealsPadding: Bool {
    switch self {
    case .aesCBCPad, .rsaPKCS: true
    default: false
    }
  }

  /// Whether a decryption gives fewer bytes than the input's length tells.
  var cutsPadding: Bool {
    switch self {
    case .aesCBCPad, .aesKeyWrapPadded: true
    default: false
    }
  }

  /// Whether the mechanism's key is a secret key.
  var isSymmetric: Bool {
    switch self {
    case .rsaPKCS, .rsaRaw, .rsaPSS, .rsaOAEP, .ecdsa, .edDSA, .ecdh, .generateKeyPair: false
    default: true
    }
  }
}
