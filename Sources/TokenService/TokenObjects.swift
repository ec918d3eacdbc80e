import CryptoCore
import Cryptoki
import Mechanisms
import SecureStorage
import TokenProtocol
import Wire

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
  func checkMayMake(_ draft: ObjectDraft, _ entry: Entry) throws(ReturnValue) {
    try checkMayMake(onToken: draft.bool(.token), isPrivate: draft.bool(.private), entry)
  }

  private func checkMayMake(onToken: Bool, isPrivate: Bool, _ entry: Entry) throws(ReturnValue) {
    if onToken, !entry.session.isReadWrite { throw .sessionReadOnly }
    if isPrivate, entry.role != .user { throw .userNotLoggedIn }
  }

  /// Puts a new object in place and answers its handle. Throws what `completing` throws.
  func add(_ new: consuming NewObject, for client: Client, in entry: Entry) throws(ReturnValue) -> UInt64 {
    guard !new.attributes.bool(.token) else { return try add([new], for: client, in: entry)[0].handle }
    let object = try sessionObject(&new, entry.session)
    try completing(entry, client) { (state) throws(ReturnValue) in try state.insert(object) }
    return object.handle
  }

  /// Puts new objects in place, all or none, and answers them. Throws what `completing` throws.
  func add(
    _ new: consuming [NewObject], for client: Client, in entry: Entry
  ) throws(ReturnValue) -> [Object] {
    guard client.role == .nobody, new.contains(where: { $0.attributes.bool(.token) }) else {
      return try place(new, for: client, in: entry)
    }
    // One at a time: those under way do not show in what `checkRoom` counts.
    let new = consume new
    return try serially { () throws(ReturnValue) in try place(new, for: client, in: entry) }
  }

  private func place(
    _ new: consuming [NewObject], for client: Client, in entry: Entry
  ) throws(ReturnValue) -> [Object] {
    var sealed: [StoredObject] = []
    if new.contains(where: { $0.attributes.bool(.token) }) { sealed = try storeTokenObjects(&new, entry, client) }
    var stored = sealed.makeIterator()
    var objects: [Object] = []
    objects.reserveCapacity(new.count)
    do throws(ReturnValue) {
      for index in new.indices {
        if new[index].attributes.bool(.token) {
          guard let stored = stored.next() else { throw .deviceError }
          objects.append(Self.tokenObject(stored.id, new[index].attributes, secrets: new[index].secrets))
        } else {
          objects.append(try sessionObject(&new[index], entry.session))
        }
      }
      try completing(entry, client) { (state) throws(ReturnValue) in
        if sealed.count < objects.count { try state.insert(objects) }
        if sealed.isEmpty { return }
        let isPlaced = reading { token in
          guard isStill(entry) else { return false }
          for object in objects where object.isToken { token.objects.insert(object) }
          return true
        }
        guard !isPlaced else { return }
        for object in objects where !object.isToken { state.remove(object.handle) }
        throw .sessionHandleInvalid
      }
    } catch {
      // An initialisation may have taken them along.
      try? remove(sealed)
      throw error
    }
    if !sealed.isEmpty {
      for object in objects where object.isToken { watch(object) }
    }
    return objects
  }

  private func sessionObject(_ new: inout NewObject, _ session: SessionReference) throws(ReturnValue) -> Object {
    guard new.attributes.encoded.count <= Self.objectByteLimit else { throw .deviceMemory }
    let handle = sessionHandles.next()
    new.attributes.setUniqueID(UniqueID.ofSessionObject(handle, opening: opening))
    let isKey = new.secrets != nil || new.attributes.contains(.keyType)
    return Object(
      handle: handle, attributes: new.attributes, material: isKey ? KeyMaterial(new.secrets) : nil,
      session: session.number)
  }

  /// Names the token objects among new ones and makes them durable, together.
  private func storeTokenObjects(
    _ objects: inout [NewObject], _ entry: Entry, _ client: Client
  ) throws(ReturnValue) -> [StoredObject] {
    try checkRoom(for: objects.map(\.attributes), client)
    let privateKey = reading { $0.privateKey }
    var prepared: [PreparedObject] = []
    for index in objects.indices where objects[index].attributes.bool(.token) {
      objects[index].attributes.setUniqueID(try UniqueID.ofTokenObject())
      let (attributes, secrets) = (objects[index].attributes, objects[index].secrets)
      guard attributes.encoded.count <= Self.objectByteLimit else { throw .deviceMemory }
      guard let key = attributes.bool(.private) ? privateKey : publicObjectKey else { throw .userNotLoggedIn }
      let privatePart = StoredForm.privatePart(attributes, secrets).map { NewPrivatePart($0, key: key) }
      let publicPart = StoredForm.publicPart(attributes)
      prepared.append(
        try storing { () throws(StorageError) in
          try store.prepare(token: slot, publicPart: publicPart, privatePart: privatePart)
        })
    }
    var refusal: ReturnValue?
    var stored: [StoredObject] = []
    try storing { () throws(StorageError) in
      try store.commit { (transaction) throws(StorageError) in
        // Behind an initialisation nothing may come that was sealed before it.
        refusal = self.refusal(of: entry, client)
        if refusal != nil { return }
        for object in prepared { stored.append(try transaction.insert(object)) }
      }
    }
    try refuse(refusal, entry, client)
    return stored
  }

  /// Throws what a request was refused for in the store's line, or what it is answered rather: that its session has gone, too.
  private func refuse(_ refusal: ReturnValue?, _ entry: Entry, _ client: Client) throws(ReturnValue) {
    guard let refusal else { return }
    try completing(entry, client) { (_) throws(ReturnValue) in }
    throw refusal
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
    let entry = try enter(request.session, client)
    let reader = TemplateReader(origin: .create, isSecurityOfficer: entry.role == .securityOfficer)
    var draft = try reader.read(request.template, implied: nil, nil)
    try checkMayMake(draft, entry)
    let secrets = try KeyCodec.complete(&draft)
    return try add(NewObject(attributes: draft.attributes, secrets: secrets), for: client, in: entry)
  }

  /// C_CopyObject.
  func copy(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) -> UInt64 {
    let entry = try enter(request.session, client)
    let original = try object(request.object, for: client, in: entry, .objectHandleInvalid)
    guard original.attributes.bool(.copyable), let schema = original.schema else { throw .actionProhibited }
    let change = TemplateChange(schema: schema, isCopy: true, isSecurityOfficer: entry.role == .securityOfficer)
    var attributes = try change.applied(request.template, to: try allAttributes(of: original))
    // What the security officer vouches for is the one object, not what others make of it.
    if entry.role != .securityOfficer, attributes.contains(.trusted) { attributes.set(.trusted, false) }
    try checkMayMake(onToken: attributes.bool(.token), isPrivate: attributes.bool(.private), entry)
    return try add(
      NewObject(attributes: attributes, secrets: try secrets(of: original)), for: client, in: entry)
  }

  // MARK: Reading

  /// C_GetAttributeValue: writes an answer for each type, until the reply is as long as it may be (CKR_DEVICE_MEMORY): a long value can
  /// be asked for many times.
  func read(_ request: GetAttributes, _ client: Client, _ reply: inout WireWriter) throws(ReturnValue) {
    let object = try object(request.object, for: client, in: request.session, .objectHandleInvalid)
    reply.attributeAnswerCount(request.types.count)
    try object.attributes.withEntries { (attributes) throws(ReturnValue) in
      for type in request.types {
        try answer(type.published, of: object, attributes, &reply)
        if reply.overflowed { throw .deviceMemory }
      }
    }
  }

  private func answer(
    _ type: AttributeType, of object: Object, _ attributes: AttributeEntries, _ reply: inout WireWriter
  ) throws(ReturnValue) {
    if let value = attributes.range(of: type) {
      let value = attributes[value]
      return reply.attributeAnswer(type.holdsTemplate ? .template(AttributeEntries(value)) : .bytes(value))
    }
    if object.hidesValue(type) { return reply.attributeAnswer(.sensitive) }
    if object.isSecret(type), let secrets = try secrets(of: object) {
      return secrets.withValue(type) { reply.attributeAnswer($0.map { .bytes($0) } ?? .absent) }
    }
    if type == .checkValue, let value = try checkValue(of: object) {
      return value.withUnsafeBytes { reply.attributeAnswer(.bytes($0)) }
    }
    reply.attributeAnswer(.absent)
  }

  /// CKA_CHECK_VALUE of a session object, for which it is not kept; nil for an object that has none.
  private func checkValue(of object: Object) throws(ReturnValue) -> [UInt8]? {
    guard object.objectClass == .secretKey, let secrets = try secrets(of: object) else { return nil }
    return try KeyCodec.checkValue(of: secrets, object.schema?.keyType)
  }

  /// The attributes with the one that is not kept.
  func allAttributes(of object: Object) throws(ReturnValue) -> AttributeSet {
    var attributes = object.attributes
    if !attributes.contains(.checkValue), let value = try checkValue(of: object) { attributes.set(.checkValue, value) }
    return attributes
  }

  /// C_GetObjectSize: the bytes of the object's values as they are kept.
  func size(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) -> UInt64 {
    let object = try object(request.object, for: client, in: request.session, .objectHandleInvalid)
    let secretCount = object.objectClass == .publicKey ? 0 : try secrets(of: object)?.byteCount ?? 0
    return UInt64(object.attributes.encoded.count + secretCount)
  }

  /// `describeKey`: what the module decides by before an operation, and computes public-key operations with.
  func describe(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) -> KeyDescription {
    let object = try object(request.object, for: client, in: request.session, .keyHandleInvalid)
    guard var description = object.description else { throw .keyHandleInvalid }
    if object.objectClass == .publicKey { description.publicParts = KeyCodec.publicParts(object.attributes) }
    return description
  }

  /// C_FindObjectsInit: the handles of all that match, ascending.
  func find(_ request: TemplateRequest, _ client: Client) throws(ReturnValue) -> [UInt64] {
    var template = try AttributeSet(request.template)
    // Big integers are kept without leading zeros, templates in order.
    let kinds = template.withEntries { entries in
      entries.filter { $0.type.holdsTemplate || entries[$0].first == 0 }.map {
        ($0.type, AttributeTable.kind(of: $0.type))
      }
    }
    for (type, kind) in kinds {
      let value = template.bytes(type) ?? []
      switch kind {
      case .bigInteger?: template.set(type, Array(value.drop { $0 == 0 }))
      case .template?:
        let inner = try value.span.withUnsafeBytes { (value) throws(ReturnValue) in
          try AttributeSet(AttributeEntries(value))
        }
        template.set(type, inner.encoded)
      default: break
      }
    }
    return try find(template, for: client, in: request.session)
  }

  // MARK: Changing

  /// C_SetAttributeValue.
  func change(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) {
    let entry = try enter(request.session, client)
    if entry.role == .nobody, ObjectHandles.isOfTokenObject(request.object) {
      // Guests one at a time: see `add`.
      try serially { () throws(ReturnValue) in try change(request, client, entry) }
    } else {
      try change(request, client, entry)
    }
    // Of session objects nobody knows but their client, as in `destroy`.
    if ObjectHandles.isOfTokenObject(request.object) { keysChanged() }
  }

  private func change(_ request: ObjectRequest, _ client: Client, _ entry: Entry) throws(ReturnValue) {
    try changing(request.object, of: client) { () throws(ReturnValue) in
      try completing(entry, client) { (_) throws(ReturnValue) in }
      let object = try object(request.object, for: client, in: entry, .objectHandleInvalid)
      if object.isToken, !request.session.isReadWrite { throw .sessionReadOnly }
      guard object.attributes.bool(.modifiable), let schema = object.schema else { throw .actionProhibited }
      if object.objectClass == .certificate, object.attributes.bool(.trusted), entry.role != .securityOfficer {
        throw .actionProhibited
      }
      let change = TemplateChange(schema: schema, isCopy: false, isSecurityOfficer: entry.role == .securityOfficer)
      let changed = object.replacing(try change.applied(request.template, to: try allAttributes(of: object)))
      guard changed.attributes.encoded.count <= Self.objectByteLimit else { throw .deviceMemory }
      if object.isToken {
        if changed.byteCount > object.byteCount { try checkRoom(for: [changed.attributes], client) }
        try update(changed, for: client, in: entry)
        // An initialisation may have removed it.
        reading { if $0.objects[object.handle] === object { $0.objects.insert(changed) } }
      } else {
        try completing(entry, client) { (state) throws(ReturnValue) in try state.replace(changed) }
      }
    }
  }

  /// Makes a changed object durable, if the request for it may still be completed when the store's turn comes.
  private func update(_ object: Object, for client: Client, in entry: Entry) throws(ReturnValue) {
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
    var refusal: ReturnValue?
    try committing { (transaction) throws(StorageError) in
      refusal = self.refusal(of: entry, client)
      if refusal != nil { return }
      _ = try transaction.update(id, of: slot, publicPart: publicPart, privatePart: privatePart)
    }
    try refuse(refusal, entry, client)
  }

  /// Makes a change of an object durable. Throws CKR_OBJECT_HANDLE_INVALID when an initialisation has removed it.
  private func committing(
    _ change: (borrowing Transaction) throws(StorageError) -> Void
  ) throws(ReturnValue) {
    do throws(StorageError) {
      try store.commit(change)
    } catch {
      if case .notFound = error { throw .objectHandleInvalid }
      throw error.returnValue
    }
  }

  /// C_DestroyObject.
  ///
  /// Of session objects nobody knows but their client, which forgets them by itself: the others' keys stay as they are.
  func destroy(_ request: ObjectRequest, _ client: Client) throws(ReturnValue) {
    let isDone = try client.withState { (state) throws(ReturnValue) in
      try state.note(request.session)
      guard let object = state.objects[request.object] else { return false }
      guard !object.isPrivate || state.role == .user else { throw .objectHandleInvalid }
      guard object.isDestroyable else { throw .actionProhibited }
      state.remove(object.handle)
      return true
    }
    if isDone { return }
    try changing(request.object, of: client) { () throws(ReturnValue) in
      let object = try object(request.object, for: client, .objectHandleInvalid)
      guard object.isDestroyable else { throw .actionProhibited }
      guard request.session.isReadWrite else { throw .sessionReadOnly }
      let id = ObjectHandles.storeID(object.handle)
      try committing { (transaction) throws(StorageError) in try transaction.delete(id, of: slot) }
      _ = reading { $0.objects.remove(object.handle) }
      object.material?.drop()
    }
    keysChanged()
  }
}
