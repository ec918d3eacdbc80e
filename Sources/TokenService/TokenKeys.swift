import CryptoCore
import Cryptoki
import Mechanisms
import TokenProtocol

/// Making keys: generation and derivation (PKCS#11 3.2, 5.18).
extension Token {
  /// The facts about a mechanism that is to do what `flag` names. Throws CKR_MECHANISM_INVALID.
  private func facts(_ mechanism: Mechanism, _ flag: MechanismFlags) throws(ReturnValue) -> MechanismFacts {
    guard let facts = MechanismTable.facts(mechanism.type), facts.flags.contains(flag) else { throw .mechanismInvalid }
    try facts.checkParameters(mechanism.parameters, for: flag)
    return facts
  }

  /// C_GenerateKey.
  func generate(_ request: MakeKey, _ client: Client) throws(ReturnValue) -> UInt64 {
    let entry = try enter(request.session, client)
    let facts = try facts(request.mechanism, .generate)
    guard case .generateKey(let keyType) = facts.family else { throw .mechanismInvalid }
    let reader = TemplateReader(origin: .generate, isSecurityOfficer: entry.role == .securityOfficer)
    var draft = try reader.read(request.template, implied: .secretKey, keyType.rawValue)
    try checkMayMake(draft, entry)
    guard let count = draft.attributes.ulong(.valueLen).flatMap({ Int(exactly: $0) }),
      KeyCodec.admits(count, keyType)
    else { throw .attributeValueInvalid }
    let secrets = try computing { () throws(CryptoError) in
      try SecretAttributes(.value, count: count) { (value) throws(CryptoError) in try KeyReserve.fill(value) }
    }
    KeyCodec.setOrigin(&draft, generatedBy: request.mechanism.type)
    try KeyCodec.completeSecretKey(&draft, secrets, wrongSize: .attributeValueInvalid)
    return try add(NewObject(attributes: draft.attributes, secrets: secrets), for: client, in: entry)
  }

  /// C_GenerateKeyPair. Answers the handles of the public key and of the private key.
  func generatePair(_ request: MakeKeyPair, _ client: Client) throws(ReturnValue) -> (UInt64, UInt64) {
    let entry = try enter(request.session, client)
    let facts = try facts(request.mechanism, .generateKeyPair)
    guard case .generateKeyPair(let keyType) = facts.family else { throw .mechanismInvalid }
    let reader = TemplateReader(origin: .generate, isSecurityOfficer: entry.role == .securityOfficer)
    var open = try reader.read(request.publicTemplate, implied: .publicKey, keyType.rawValue)
    var secret = try reader.read(request.privateTemplate, implied: .privateKey, keyType.rawValue)
    try checkMayMake(open, entry)
    try checkMayMake(secret, entry)

    let key = try PrivateKeyMaterial.generate(keyType, open.attributes)
    if case .rsa(let key) = key {
      open.attributes.set(.modulus, key.publicKey.modulus)
      open.attributes.set(.publicExponent, key.publicKey.publicExponent)
    } else {
      open.attributes.set(.ecPoint, key.point)
      // What was given to name the curve is kept for both halves.
      if let parameters = open.attributes.bytes(.ecParams) { secret.attributes.set(.ecParams, parameters) }
    }
    KeyCodec.setOrigin(&open, generatedBy: request.mechanism.type)
    KeyCodec.setOrigin(&secret, generatedBy: request.mechanism.type)
    try KeyCodec.completePublicKey(&open.attributes, of: open.schema)
    let secrets = try KeyCodec.completePrivateKey(&secret.attributes, key)
    let objects = try add(
      [
        NewObject(attributes: open.attributes, secrets: nil),
        NewObject(attributes: secret.attributes, secrets: secrets),
      ], for: client, in: entry)
    return (objects[0].handle, objects[1].handle)
  }

  /// C_DeriveKey.
  func derive(_ request: MakeKey, _ client: Client) throws(ReturnValue) -> UInt64 {
    let entry = try enter(request.session, client)
    let base = try object(request.key, for: client, in: entry, .keyHandleInvalid)
    guard let description = base.description else { throw .keyHandleInvalid }
    let facts = try KeyPolicy.check(description, request.mechanism, for: .derive, usage: .derive)
    try refuseRestrictedAndGuarded(base)

    let reader = TemplateReader(origin: .derive, isSecurityOfficer: entry.role == .securityOfficer)
    let imposed = try base.attributes.template(.deriveTemplate) ?? AttributeSet()
    let namesType = request.template.withEntries { $0.contains { $0.type == .keyType } }
    // Bytes without a type are a generic secret.
    let subtype = namesType || imposed.contains(.keyType) ? nil : KeyType.genericSecret.rawValue
    var draft = try reader.read(request.template, implied: .secretKey, subtype, imposed: imposed)
    try checkMayMake(draft, entry)

    let byteCount = try wantedByteCount(draft, wrong: .attributeValueInvalid)
    if let byteCount, !KeyCodec.admits(byteCount, draft.schema.keyType) { throw .attributeValueInvalid }
    if byteCount == nil, draft.schema.keyType == .aes { throw .templateIncomplete }
    let value = try KeyDerivation.derive(
      mechanism: request.mechanism, facts: facts, from: try key(of: base), byteCount: byteCount)
    draft.put(.local, false)
    draft.put(.keyGenMechanism, Amount.unavailable)
    draft.put(.alwaysSensitive, base.attributes.bool(.alwaysSensitive) && draft.bool(.sensitive))
    draft.put(.neverExtractable, base.attributes.bool(.neverExtractable) && !draft.bool(.extractable))
    let secrets = SecretAttributes([(.value, value)])
    try KeyCodec.completeSecretKey(&draft, secrets, wrongSize: .attributeValueInvalid)
    return try add(NewObject(attributes: draft.attributes, secrets: secrets), for: client, in: entry)
  }

  /// CKA_VALUE_LEN of a draft, if a template gave it.
  func wantedByteCount(_ draft: ObjectDraft, wrong: ReturnValue) throws(ReturnValue) -> Int? {
    guard draft.gives(.valueLen), let number = draft.attributes.ulong(.valueLen) else { return nil }
    guard let count = Int(exactly: number), KeyCodec.genericSecretSizes.contains(count) else { throw wrong }
    return count
  }

  /// What a restricted key yields goes into restricted buffers only; and a key that wants the PIN for each use can
  /// have it only in operations that have an Init.
  func refuseRestrictedAndGuarded(_ key: Object) throws(ReturnValue) {
    if key.isRestricted { throw .keyFunctionNotPermitted }
    if key.asksForPIN { throw .userNotLoggedIn }
  }
}
