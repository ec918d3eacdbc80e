import CryptoCore
import Cryptoki
import Mechanisms
import SecureStorage
import TokenProtocol

/// An object that is complete and about to be put in place.
struct NewObject {
  var attributes: AttributeSet
  var secrets: SecretAttributes?
}

/// Objects: making, reading, changing, finding, destroying (PKCS#11 3.2, 5.7).
extension Token {
  /// Bytes of one object's attributes.
  static let objectByteLimit = 1 << 24

  /// Public token objects that there may be when a client that is not logged in makes or changes one, and bytes of them: somebody
  /// without a PIN must not fill the disk.
  static let guestObjectLimit = 4096
  static let guestByteLimit = 16 << 20

  /// Refuses a client that is not logged in (CKR_DEVICE_MEMORY) when the token's public objects and these together would be too many.
  private func checkRoom(for new: some Sequence<AttributeSet>, _ client: Client) throws(ReturnValue) {
    guard client.role == .nobody else { return }
    let onToken = new.filter { $0.bool(.token) }
    guard !onToken.isEmpty else { return }
    var count = onToken.count
    var byteCount = onToken.reduce(0) { $0 + $1.encoded.count }
    reading { state in
      for object in state.objects.all where object.isToken && !object.isPrivate {
        count += 1
        byteCount += object.attributes.encoded.count
      }
    }
    guard count <= Self.guestObjectLimit, byteCount <= Self.guestByteLimit else { throw .deviceMemory }
  }

  // MARK: Making

  /// Refuses what the session may not make: token objects in a read-only session, private objects without the user.
  func checkMayMake(
    _ attributes: AttributeSet, _ role: Role, _ session: SessionReference
  ) throws(ReturnValue) {
    if attributes.bool(.token), !session.isReadWrite { throw .sessionReadOnly }
    if attributes.bool(.private), role != .user { throw .userNotLoggedIn }
  }

  /// Puts new objects in place, all or none, and answers their handles.
  func add(
    _ new: [NewObject], for client: Client, in session: SessionReference
  ) throws(ReturnValue) -> [UInt64] {
    var new = new
    for index in new.indices {
      let random = try computing { () throws(CryptoError) in try randomBytes(count: 16) }
      new[index].attributes.set(.uniqueID, hexadecimal(random))
      guard new[index].attributes.encoded.count <= Self.objectByteLimit else { throw .deviceMemory }
    }
    let onToken = new.filter { $0.attributes.bool(.token) }
    try checkRoom(for: onToken.map(\.attributes), client)
    let stored = try store(onToken)
    var objects: [Object] = []
    var storedObjects = stored.makeIterator()
    let firstHandles = reading { state in (0..<(new.count - onToken.count)).map { _ in state.takeSessionHandle() } }
    var sessionHandles = firstHandles.makeIterator()
    for one in new {
      if one.attributes.bool(.token) {
        guard let stored = storedObjects.next() else { throw .deviceError }
        objects.append(Self.tokenObject(stored.id, one.attributes, secrets: one.secrets))
      } else {
        guard let handle = sessionHandles.next() else { throw .deviceError }
        let isKey = one.secrets != nil || one.attributes.contains(.keyType)
        objects.append(
          Object(
            handle: handle, attributes: one.attributes, material: isKey ? KeyMaterial(one.secrets) : nil,
            session: session.number))
      }
    }
    let inSession = objects.filter { !$0.isToken }
    do throws(ReturnValue) {
      if !inSession.isEmpty {
        try client.withState { (state) throws(ReturnValue) in
          // The login or the session may have ended while the key was made.
          guard state.sessions[session.number] != nil else { throw .sessionHandleInvalid }
          if state.role != .user, inSession.contains(where: \.isPrivate) { throw .userNotLoggedIn }
          try state.insert(inSession)
        }
      }
    } catch {
      try remove(stored)
      throw error
    }
    if !onToken.isEmpty {
      reading { state in
        for object in objects where object.isToken {
          state.objects.insert(object)
          if object.isPrivate, state.privateKey == nil { object.material?.drop() }
        }
      }
    }
    return objects.map(\.handle)
  }

  /// Makes objects durable, together.
  private func store(_ objects: [NewObject]) throws(ReturnValue) -> [StoredObject] {
    guard !objects.isEmpty else { return [] }
    let privateKey = reading { $0.privateKey }
    var prepared: [PreparedObject] = []
    for object in objects {
      guard let key = object.attributes.bool(.private) ? privateKey : publicObjectKey else { throw .userNotLoggedIn }
      let privatePart = StoredForm.privatePart(object.attributes, object.secrets).map { NewPrivatePart($0, key: key) }
      let publicPart = StoredForm.publicPart(object.attributes)
      prepared.append(
        try storing { () throws(StorageError) in
          try store.prepare(token: slot, publicPart: publicPart, privatePart: privatePart)
        })
    }
    return try storing { () throws(StorageError) in
      try store.commit { (transaction) throws(StorageError) in
        var stored: [StoredObject] = []
        for object in prepared { stored.append(try transaction.insert(object)) }
        return stored
      }
    }
  }

  private func remove(_ stored: [StoredObject]) throws(ReturnValue) {
    guard !stored.isEmpty else { return }
    try storing { () throws(StorageError) in
      try store.commit { (transaction) throws(StorageError) in
        for object in stored { try transaction.delete(object.id, of: slot) }
      }
    }
  }

  /// C_CreateObject.
  func create(_ request: TemplateRequest, _ client: Client) throws(ReturnValue) -> UInt64 {
    let role = try client.enter(request.session)
    let reader = TemplateReader(origin: .create, isSecurityOfficer: role == .securityOfficer)
    var draft = try reader.read(request.template, implied: nil, nil)
    try checkMayMake(draft.attributes, role, request.session)
    let secrets = try KeyCodec.complete(&draft)
    return try add(
      [NewObject(attributes: draft.attributes, secrets: secrets)], for: client, in: request.session)[0]
  }

  /// C_CopyObject.
  func copy(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) -> UInt64 {
    let role = try client.enter(request.session)
    let original = try object(request.object, for: client, .objectHandleInvalid)
    guard original.attributes.bool(.copyable), let schema = original.schema else { throw .actionProhibited }
    let change = TemplateChange(schema: schema, isCopy: true, isSecurityOfficer: role == .securityOfficer)
    var attributes = try change.applied(request.template, to: original.attributes)
    // What the security officer vouches for is the one object, not what others make of it.
    if role != .securityOfficer, attributes.contains(.trusted) { attributes.set(.trusted, false) }
    try checkMayMake(attributes, role, request.session)
    return try add(
      [NewObject(attributes: attributes, secrets: try secrets(of: original))], for: client, in: request.session)[0]
  }

  // MARK: Reading

  /// C_GetAttributeValue.
  func read(_ request: GetAttributes, _ client: Client) throws(ReturnValue) -> [AttributeAnswer] {
    _ = try client.enter(request.session)
    let object = try object(request.object, for: client, .objectHandleInvalid)
    var answers: [AttributeAnswer] = []
    answers.reserveCapacity(request.types.count)
    for type in request.types { answers.append(try answer(type.published, of: object)) }
    return answers
  }

  private func answer(_ type: AttributeType, of object: Object) throws(ReturnValue) -> AttributeAnswer {
    guard object.schema?.rule(for: type)?.footnotes.contains(.secret) == true else {
      return object.attributes.value(type).map { .value($0) } ?? .absent
    }
    if object.concealsSecrets { return .sensitive }
    return try secrets(of: object)?.revealed(type).map { .value(.bytes($0)) } ?? .absent
  }

  /// C_GetObjectSize: the bytes of the object's values as they are kept.
  func size(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) -> UInt64 {
    _ = try client.enter(request.session)
    let object = try object(request.object, for: client, .objectHandleInvalid)
    let secretCount = object.objectClass == .publicKey ? 0 : try secrets(of: object)?.byteCount ?? 0
    return UInt64(object.attributes.encoded.count + secretCount)
  }

  /// `describeKey`: what the module decides by before an operation, and computes public-key operations with.
  func describe(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) -> KeyDescription {
    _ = try client.enter(request.session)
    let object = try object(request.object, for: client, .keyHandleInvalid)
    guard var description = object.description else { throw .keyHandleInvalid }
    if object.objectClass == .publicKey { description.publicParts = KeyCodec.publicParts(object.attributes) }
    return description
  }

  /// C_FindObjectsInit: the handles of all that match, ascending.
  func find(_ request: TemplateRequest, _ client: Client) throws(ReturnValue) -> [UInt64] {
    _ = try client.enter(request.session)
    var template = AttributeSet()
    for attribute in try TemplateReader.withoutDuplicates(request.template) {
      template.set(attribute.type, attribute.value)
      // Big integers are kept without leading zeros.
      if AttributeTable.kind(of: attribute.type) == .bigInteger, case .bytes(let value) = attribute.value {
        template.set(attribute.type, Array(value.drop { $0 == 0 }))
      }
    }
    return find(template, for: client).map(\.handle)
  }

  // MARK: Changing

  /// C_SetAttributeValue.
  func change(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) {
    let role = try client.enter(request.session)
    try serially { () throws(ReturnValue) in
      let object = try object(request.object, for: client, .objectHandleInvalid)
      if object.isToken, !request.session.isReadWrite { throw .sessionReadOnly }
      guard object.attributes.bool(.modifiable), let schema = object.schema else { throw .actionProhibited }
      if object.objectClass == .certificate, object.attributes.bool(.trusted), role != .securityOfficer {
        throw .actionProhibited
      }
      let change = TemplateChange(schema: schema, isCopy: false, isSecurityOfficer: role == .securityOfficer)
      let changed = object.replacing(try change.applied(request.template, to: object.attributes))
      guard changed.attributes.encoded.count <= Self.objectByteLimit else { throw .deviceMemory }
      if object.isToken {
        if changed.byteCount > object.byteCount { try checkRoom(for: [changed.attributes], client) }
        try update(changed)
        reading { $0.objects.insert(changed) }
      } else {
        try client.withState { (state) throws(ReturnValue) in try state.replace(changed) }
      }
    }
    keysChanged()
  }

  private func update(_ object: Object) throws(ReturnValue) {
    let id = ObjectHandles.storeID(object.handle)
    var privatePart = PrivatePartChange.kept
    if object.isPrivate {
      let secrets = try secrets(of: object)
      guard let key = reading({ $0.privateKey }),
        let content = StoredForm.privatePart(object.attributes, secrets)
      else { throw .userNotLoggedIn }
      privatePart = .replaced(content, key)
    }
    let publicPart = StoredForm.publicPart(object.attributes)
    _ = try storing { () throws(StorageError) in
      try store.commit { (transaction) throws(StorageError) in
        try transaction.update(id, of: slot, publicPart: publicPart, privatePart: privatePart)
      }
    }
  }

  /// C_DestroyObject.
  func destroy(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) {
    _ = try client.enter(request.session)
    try serially { () throws(ReturnValue) in
      let object = try object(request.object, for: client, .objectHandleInvalid)
      guard object.attributes.bool(.destroyable) else { throw .actionProhibited }
      guard object.isToken else { return client.reading { $0.remove(object.handle) } }
      guard request.session.isReadWrite else { throw .sessionReadOnly }
      let id = ObjectHandles.storeID(object.handle)
      try storing { () throws(StorageError) in
        try store.commit { (transaction) throws(StorageError) in try transaction.delete(id, of: slot) }
      }
      _ = reading { $0.objects.remove(object.handle) }
      object.material?.drop()
    }
    keysChanged()
  }
}
