import CryptoCore
import Cryptoki
import TokenProtocol
import Wire

/// An object about to be made: checked attributes, defaults filled in, and what the template held of secrets.
///
/// As long as only `put` changes the attributes it is known where the default of each rule lies, and nothing is searched for.
struct ObjectDraft {
  let schema: ObjectSchema
  private var all: AttributeSet
  /// The places of rules that a template gave a value for.
  let given: RulePlaces
  /// Those of the attributes that are not as long as the default is; nil when that is not known any more.
  private var resized: RulePlaces?
  /// The values of footnote 7 that a template of C_CreateObject gave; nil when it gave none.
  let secrets: SecretAttributes?

  init(
    schema: ObjectSchema, attributes: AttributeSet, given: RulePlaces, resized: RulePlaces, secrets: SecretAttributes?
  ) {
    self.schema = schema
    all = attributes
    self.given = given
    self.resized = resized
    self.secrets = secrets
  }

  var attributes: AttributeSet {
    get { all }
    _modify {
      resized = nil
      yield &all
    }
  }

  /// Whether a template gave a value for the type.
  func gives(_ type: AttributeType) -> Bool { schema.place(of: type).map { given & 1 << RulePlaces($0) != 0 } ?? false }

  /// The value as a CK_BBOOL; an absent one is false.
  func bool(_ type: AttributeType) -> Bool {
    if let position = position(of: type, byteCount: 1) { return all.encoded[position] != 0 }
    return schema.place(of: type) != nil && all.bool(type)
  }

  /// Sets a value in the place of its default.
  mutating func put(_ type: AttributeType, _ value: Bool) {
    withUnsafeBytes(of: UInt8(value ? 1 : 0)) { put(type, $0) }
  }

  /// Sets a value in the place of its default.
  mutating func put(_ type: AttributeType, _ value: UInt) {
    withUnsafeBytes(of: value.littleEndian) { put(type, $0) }
  }

  @inline(__always)
  private mutating func put(_ type: AttributeType, _ value: UnsafeRawBufferPointer) {
    guard let position = position(of: type, byteCount: value.count) else { return attributes.set(type, value) }
    all.overwrite(at: position, with: value)
  }

  /// Where the value of a type lies, if it is as long as its default and that is `byteCount` bytes.
  @inline(__always)
  private func position(of type: AttributeType, byteCount: Int) -> Int? {
    guard let resized, let place = schema.place(of: type), resized & 1 << RulePlaces(place) == 0,
      schema.defaultRange(place).count == 8 + byteCount
    else { return nil }
    return all.withEntries { entries in
      var moved = 0
      for before in Places(resized & (1 << RulePlaces(place) - 1)) {
        let range = schema.defaultRange(before)
        moved += entries.byteCount(at: range.lowerBound + moved) - range.count
      }
      return schema.defaultStarts[place] + moved + 8
    }
  }
}

extension AttributeEntries {
  /// The bytes of the entry that begins at `position`.
  fileprivate func byteCount(at position: Int) -> Int {
    8 + Int(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)) >> 32)
  }
}

/// The places of rules, ascending.
private struct Places: Sequence, IteratorProtocol {
  private var left: RulePlaces

  init(_ places: RulePlaces) { left = places }

  mutating func next() -> Int? {
    guard left != 0 else { return nil }
    defer { left &= left - 1 }
    return left.trailingZeroBitCount
  }
}

/// The one reading of templates: every function that makes an object comes through here (PKCS#11 3.2, 4.1).
struct TemplateReader {
  let origin: ObjectOrigin
  /// Whether the security officer asks: only he may make CKA_TRUSTED true.
  let isSecurityOfficer: Bool

  /// What a template gives, by the place of the rule: values lent from it, in the form in which they are stored.
  private struct Given {
    var places: RulePlaces = 0
    /// Those of them that are among the attributes and not as long as the default.
    var resized: RulePlaces = 0
    /// At the places.
    let values: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>
    /// Of values that are templates, the entries in order.
    var templates: [(place: Int, value: AttributeSet)] = []
    /// Bytes that the attributes will have which are not secret, and those that are.
    var byteCount: Int
    var secretByteCount = 0

    init(_ schema: ObjectSchema, _ values: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>) {
      byteCount = schema.defaults.count
      self.values = values
    }
  }

  /// Checks a template and fills in the defaults.
  ///
  /// `implied` is the class and type that the function or its mechanism determines; a template that says otherwise is
  /// CKR_TEMPLATE_INCONSISTENT. `imposed` is the template of the wrapping or base key that applies as well: a conflict is
  /// CKR_TEMPLATE_INCONSISTENT too.
  func read(
    _ template: Template, implied objectClass: ObjectClass?, _ subtype: UInt?, imposed: AttributeSet = AttributeSet()
  ) throws(ReturnValue) -> ObjectDraft {
    try template.withEntries { (template) throws(ReturnValue) in
      try imposed.withEntries { (imposed) throws(ReturnValue) in
        let schema = try schema(of: template, imposed, implied: objectClass, subtype)
        return try withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: schema.rules.count) {
          (values) throws(ReturnValue) in
          var given = Given(schema, values)
          for entry in template { try take(entry.type.published, template[entry], by: schema, into: &given) }
          for entry in imposed { try take(entry.type, imposed[entry], by: schema, into: &given) }
          guard schema.required(at: origin) & ~given.places == 0 else { throw .templateIncomplete }
          let draft = ObjectDraft(
            schema: schema, attributes: attributes(given, by: schema), given: given.places, resized: given.resized,
            secrets: secrets(given, by: schema))
          try Self.checkConsistency(draft.attributes) { draft.bool($0) }
          return draft
        }
      }
    }
  }

  private func take(
    _ type: AttributeType, _ value: UnsafeRawBufferPointer, by schema: ObjectSchema, into given: inout Given
  ) throws(ReturnValue) {
    guard let place = schema.place(of: type) else {
      throw AttributeTable.kind(of: type) == nil ? .attributeTypeInvalid : .templateInconsistent
    }
    let rule = schema.rules[place]
    if rule.footnotes.isSuperset(of: .madeByToken) && !rule.footnotes.contains(.secret) {
      // What the token alone makes for every origin is read-only; what this origin alone makes is a contradiction.
      throw rule.footnotes.contains(.requiredAtCreate) ? .templateInconsistent : .attributeReadOnly
    }
    guard !rule.footnotes.contains(.forbidden(at: origin)) else { throw .templateInconsistent }
    let value = try Self.checked(value, rule.kind)
    if rule.footnotes.contains(.securityOfficer), value[0] == 1, !isSecurityOfficer { throw .attributeReadOnly }
    guard given.places & 1 << RulePlaces(place) == 0 else {
      guard sameBytes(given.values[place], value) else { throw .templateInconsistent }
      return
    }
    let bit: RulePlaces = 1 << RulePlaces(place)
    given.places |= bit
    given.values.initializeElement(at: place, to: value)
    if rule.footnotes.contains(.secret) {
      given.secretByteCount += 8 + value.count
      return
    }
    var byteCount = 8 + value.count
    if rule.kind == .template {
      let template = try Self.template(value)
      byteCount = 8 + template.encoded.count
      given.templates.append((place, template))
    }
    let defaultByteCount = schema.defaultRange(place).count
    if byteCount != defaultByteCount || rule.kind == .template { given.resized |= bit }
    given.byteCount += byteCount - defaultByteCount
  }

  /// What was given, and the defaults between.
  private func attributes(_ given: borrowing Given, by schema: ObjectSchema) -> AttributeSet {
    AttributeSet(byteCount: given.byteCount) { memory in
      var writer = EntryWriter(memory)
      schema.defaults.withUnsafeBytes { defaults in
        var next = 0
        for place in Places(given.resized) {
          writer.put(UnsafeRawBufferPointer(rebasing: defaults[next..<schema.defaultStarts[place]]))
          next = schema.defaultStarts[place + 1]
          let rule = schema.rules[place]
          if rule.kind == .template {
            for template in given.templates where template.place == place {
              template.value.withEntries { writer.put(rule.type, $0.bytes) }
            }
          } else {
            writer.put(rule.type, given.values[place])
          }
        }
        writer.put(UnsafeRawBufferPointer(rebasing: defaults[next...]))
      }
      // What is as long as its default stands where that would.
      let entries = AttributeEntries(UnsafeRawBufferPointer(memory))
      var moved = 0
      for place in Places(given.places & ~schema.secret) {
        let range = schema.defaultRange(place)
        if given.resized & 1 << RulePlaces(place) != 0 {
          moved += entries.byteCount(at: range.lowerBound + moved) - range.count
        } else {
          let value = given.values[place]
          if value.count == 1 {
            memory[range.lowerBound + moved + 8] = value[0]
          } else {
            memory.copy(value, at: range.lowerBound + moved + 8)
          }
        }
      }
    }
  }

  private func secrets(_ given: borrowing Given, by schema: ObjectSchema) -> SecretAttributes? {
    guard given.secretByteCount > 0 else { return nil }
    return SecretAttributes(byteCount: given.secretByteCount) { memory in
      var writer = EntryWriter(memory)
      for place in Places(given.places & schema.secret) {
        writer.put(schema.rules[place].type, given.values[place])
      }
    }
  }

  private func schema(
    of template: AttributeEntries, _ imposed: AttributeEntries, implied objectClass: ObjectClass?, _ subtype: UInt?
  ) throws(ReturnValue) -> ObjectSchema {
    let givenClass = try Self.number(.class, in: template, imposed).map { ObjectClass(rawValue: $0) }
    if let givenClass, let objectClass, givenClass != objectClass { throw .templateInconsistent }
    guard let found = objectClass ?? givenClass else { throw .templateIncomplete }
    guard let subtypeAttribute = AttributeTable.subtypeAttribute(of: found) else {
      guard let schema = AttributeTable.schema(found, nil) else { throw .attributeValueInvalid }
      // Profile objects are the token's own (4.1.1).
      guard found != .profile else { throw .attributeReadOnly }
      return schema
    }
    let givenSubtype = try Self.number(subtypeAttribute, in: template, imposed)
    if let givenSubtype, let subtype, givenSubtype != subtype { throw .templateInconsistent }
    guard let type = givenSubtype ?? subtype else { throw .templateIncomplete }
    guard let schema = AttributeTable.schema(found, type) else { throw .attributeValueInvalid }
    return schema
  }

  private static func number(
    _ type: AttributeType, in template: AttributeEntries, _ imposed: AttributeEntries
  ) throws(ReturnValue) -> UInt? {
    for entry in template where entry.type == type { return try number(entry, in: template) }
    for entry in imposed where entry.type == type { return try number(entry, in: imposed) }
    return nil
  }

  private static func number(
    _ entry: AttributeEntries.Entry, in entries: AttributeEntries
  ) throws(ReturnValue) -> UInt {
    guard let number = entries.ulong(entry) else { throw .attributeValueInvalid }
    return number
  }
}

// MARK: - What all templates have in common

extension TemplateReader {
  /// The value in the form in which it is stored, but for templates: `template` makes theirs.
  ///
  /// Throws CKR_ATTRIBUTE_VALUE_INVALID for one that its kind does not have.
  static func checked(
    _ value: UnsafeRawBufferPointer, _ kind: AttributeKind
  ) throws(ReturnValue) -> UnsafeRawBufferPointer {
    switch kind {
    case .bool:
      guard value.count == 1, value[0] <= 1 else { throw .attributeValueInvalid }
    case .ulong:
      guard value.count == 8 else { throw .attributeValueInvalid }
    case .ulongs:
      guard value.count % 8 == 0 else { throw .attributeValueInvalid }
    case .text:
      guard value.allSatisfy({ $0 < 0x80 }) || String(validating: value, as: UTF8.self) != nil else {
        throw .attributeValueInvalid
      }
    case .date:
      guard value.isEmpty || isDate(value) else { throw .attributeValueInvalid }
    case .bigInteger:
      guard let first = value.firstIndex(where: { $0 != 0 }) else { throw .attributeValueInvalid }
      return UnsafeRawBufferPointer(rebasing: value[first...])
    case .template:
      guard AttributeEntries(value).fillBytes else { throw .attributeValueInvalid }
    case .bytes:
      break
    }
    return value
  }

  /// A checked value that is a template, in the form in which it is stored.
  ///
  /// Throws CKR_TEMPLATE_INCONSISTENT for a template in it: one level, since a template within the template of a template
  /// means nothing that the specification says.
  static func template(_ value: UnsafeRawBufferPointer) throws(ReturnValue) -> AttributeSet {
    let given = try AttributeSet(AttributeEntries(value))
    return try given.withEntries { (entries) throws(ReturnValue) in
      var set = AttributeSet()
      for entry in entries {
        guard let kind = AttributeTable.kind(of: entry.type) else { throw .attributeTypeInvalid }
        guard kind != .template else { throw .templateInconsistent }
        set.set(entry.type, try checked(entries[entry], kind))
      }
      return set
    }
  }

  /// Whether the bytes are a CK_DATE: "YYYYMMDD".
  private static func isDate(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == 8, bytes.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
    let number = { (place: Int) in (Int(bytes[place]) - 0x30) * 10 + Int(bytes[place + 1]) - 0x30 }
    return (1...12).contains(number(4)) && (1...31).contains(number(6))
  }

  /// Refuses values that cannot stand together (4.1.1, rule 5).
  ///
  /// `bool` looks values of the attributes up.
  static func checkConsistency(
    _ attributes: AttributeSet, _ bool: (AttributeType) -> Bool
  ) throws(ReturnValue) {
    if bool(.alwaysAuthenticate), !bool(.private) { throw .templateInconsistent }
    if bool(.strongroomRestrictedOutput) {
      guard bool(.sensitive), !bool(.extractable) else { throw .templateInconsistent }
    }
    if attributes.ulong(.class) == ObjectClass.certificate.rawValue {
      guard (attributes.ulong(.certificateCategory) ?? 0) <= CertificateCategory.otherEntity.rawValue else {
        throw .attributeValueInvalid
      }
      let isEmpty = { (type: AttributeType) in attributes.withBytes(type) { $0?.isEmpty ?? true } }
      guard !isEmpty(.value) || !isEmpty(.url) else { throw .templateInconsistent }
      guard isEmpty(.url) || (!isEmpty(.hashOfSubjectPublicKey) && !isEmpty(.hashOfIssuerPublicKey)) else {
        throw .templateInconsistent
      }
    }
  }
}
