public import CCryptoki
import Cryptoki
import ObjectInvoke
import TokenProtocol
import Wire

// PKCS#11 3.2, 5.7: object management.

@c @implementation
public func C_CreateObject(
  _ session: CK_SESSION_HANDLE, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG, _ object: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let object = try place(object)
    let request = TemplateRequest(session: session.announced(), template: try readTemplate(template, count))
    object.pointee = try session.slot.request(
      .createObject, request, options: .making(request.template).union(.secret), reading: readHandle)
  }
}

@c @implementation
public func C_CopyObject(
  _ session: CK_SESSION_HANDLE, _ object: CK_OBJECT_HANDLE, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG,
  _ newObject: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let newObject = try place(newObject)
    try session.restricted.refuseChange(of: object)
    let request = ObjectRequest(
      session: session.announced(), object: UInt64(object), template: try readTemplate(template, count))
    newObject.pointee = try session.slot.request(
      .copyObject, request, options: .making(request.template).union(.changing(object)), reading: readHandle)
  }
}

extension InvokeOptions {
  /// Of a request for a new object: what goes to the token is made durable, which takes long.
  static func making(_ template: Template) -> InvokeOptions {
    let isOnToken = template.withEntries { entries in
      entries.contains { $0.type == .token && entries[$0].first == 1 }
    }
    return isOnToken ? .long : []
  }

  /// Of a request that changes or destroys an object.
  static func changing(_ object: CK_OBJECT_HANDLE) -> InvokeOptions {
    ObjectHandles.isOfTokenObject(UInt64(object)) ? .long : []
  }
}

/// A reply that is one object's handle.
func readHandle(_ reader: inout WireReader) throws(WireError) -> CK_OBJECT_HANDLE {
  UInt(try reader.u64())
}

@c @implementation
public func C_DestroyObject(_ session: CK_SESSION_HANDLE, _ object: CK_OBJECT_HANDLE) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    if RestrictedObjects.isHandle(object) {
      return session.slot.connection.client.release(try session.restricted.remove(object))
    }
    let request = ObjectRequest(session: session.announced(), object: UInt64(object))
    try session.slot.request(.destroyObject, request, options: .changing(object))
    session.slot.keys.remove(UInt64(object))
  }
}

@c @implementation
public func C_GetObjectSize(
  _ session: CK_SESSION_HANDLE, _ object: CK_OBJECT_HANDLE, _ size: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let size = try place(size)
    if RestrictedObjects.isHandle(object) {
      guard case .buffer(_, let byteCount) = try session.restricted.find(object).kind else {
        throw .objectHandleInvalid
      }
      size.pointee = UInt(byteCount)
      return
    }
    let request = ObjectRequest(session: session.announced(), object: UInt64(object))
    size.pointee = try session.slot.request(.objectSize, request) { (reader) throws(WireError) in
      UInt(try reader.u64())
    }
  }
}

@c @implementation
public func C_GetAttributeValue(
  _ session: CK_SESSION_HANDLE, _ object: CK_OBJECT_HANDLE, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let template = try callerTemplate(template, count)
    var answers = AttributeAnswers()
    if RestrictedObjects.isHandle(object) {
      let entry = try session.restricted.find(object)
      for index in template.indices {
        let value = template[index].knownType.flatMap { entry.attribute($0) }
        if let value {
          value.withUnsafeBytes { answers.write(.bytes($0), to: &template[index]) }
        } else {
          answers.write(.absent, to: &template[index])
        }
      }
      return try answers.end()
    }
    let count = template.reduce(0) { $1.knownType == nil ? $0 : $0 + 1 }
    let reference = session.announced()
    try session.slot.request(
      .getAttributes,
      writing: { writer in
        GetAttributes.write(
          reference, UInt64(object), count: count, template.lazy.compactMap { $0.knownType }, to: &writer)
      }
    ) { (reader) throws(WireError) in
      guard try reader.attributeAnswerCount() == count else { throw .invalid }
      // A type beyond 32 bits keeps its place among the answers.
      for index in template.indices {
        let answer: LentAttributeAnswer = template[index].knownType == nil ? .absent : try reader.attributeAnswer()
        answers.write(answer, to: &template[index])
      }
    }
    try answers.end()
  }
}

@c @implementation
public func C_SetAttributeValue(
  _ session: CK_SESSION_HANDLE, _ object: CK_OBJECT_HANDLE, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    try session.restricted.refuseChange(of: object)
    let request = ObjectRequest(
      session: session.announced(), object: UInt64(object), template: try readTemplate(template, count))
    try session.slot.request(.setAttributes, request, options: .changing(object))
    // Of session objects the generation says nothing.
    if !ObjectHandles.isOfTokenObject(UInt64(object)) { session.slot.keys.remove(UInt64(object)) }
  }
}

@c @implementation
public func C_FindObjectsInit(
  _ session: CK_SESSION_HANDLE, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    guard operations.search == nil else { throw .operationActive }
    let request = TemplateRequest(session: session.announced(), template: try readTemplate(template, count))
    var handles = try session.slot.request(.findObjects, request) { (reader) throws(WireError) -> [UInt64] in
      let count = try reader.count(ofElementsAtLeast: 8)
      var handles: [UInt64] = []
      handles.reserveCapacity(count)
      for _ in 0..<count { handles.append(try reader.u64()) }
      return handles
    }
    session.restricted.appendAll(matching: request.template, to: &handles)
    operations.search = SearchState(handles: handles)
  }
}

@c @implementation
public func C_FindObjects(
  _ session: CK_SESSION_HANDLE, _ objects: CK_OBJECT_HANDLE_PTR?, _ capacity: CK_ULONG, _ count: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    guard operations.search != nil else { throw .operationNotInitialized }
    let count = try place(count)
    guard let objects else {
      guard capacity == 0 else { throw .argumentsBad }
      count.pointee = 0
      return
    }
    count.pointee = operations.search?.give(to: objects, capacity) ?? 0
  }
}

@c @implementation
public func C_FindObjectsFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    guard operations.search != nil else { throw .operationNotInitialized }
    operations.search = nil
  }
}
