public import CCryptoki
import Cryptoki
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
    object.pointee = try session.slot.request(.createObject, request, options: .secret, reading: readHandle)
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
    newObject.pointee = try session.slot.request(.copyObject, request, reading: readHandle)
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
    try session.slot.request(.destroyObject, ObjectRequest(session: session.announced(), object: UInt64(object)))
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
    if RestrictedObjects.isHandle(object) {
      let entry = try session.restricted.find(object)
      return try write(
        template.map { attribute in
          UInt32(exactly: attribute.type).flatMap { entry.attribute(AttributeType(rawValue: $0)) }
            .map { .value($0) } ?? .absent
        }, to: template)
    }
    // A type beyond 32 bits is one that no object has; it keeps its place among the answers.
    let known = template.indices.filter { UInt32(exactly: template[$0].type) != nil }
    let request = GetAttributes(
      session: session.announced(), object: UInt64(object),
      types: known.map { AttributeType(rawValue: UInt32(truncatingIfNeeded: template[$0].type)) })
    let received = try session.slot.request(.getAttributes, request) { (reader) throws(WireError) in
      try reader.attributeAnswers()
    }
    guard received.count == known.count else { throw .deviceError }
    var answers = [AttributeAnswer](repeating: .absent, count: template.count)
    for (answer, index) in zip(received, known) { answers[index] = answer }
    try write(answers, to: template)
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
    try session.slot.request(.setAttributes, request)
  }
}

@c @implementation
public func C_FindObjectsInit(
  _ session: CK_SESSION_HANDLE, _ template: CK_ATTRIBUTE_PTR?, _ count: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    guard operations.search == nil else { throw .operationActive }
    let request = TemplateRequest(session: session.announced(), template: try readTemplate(template, count))
    let handles = try session.slot.request(.findObjects, request) { (reader) throws(WireError) -> [UInt64] in
      let count = try reader.count(ofElementsAtLeast: 8)
      var handles: [UInt64] = []
      handles.reserveCapacity(count)
      for _ in 0..<count { handles.append(try reader.u64()) }
      return handles
    }
    operations.search = SearchState(handles: handles + session.restricted.find(matching: request.template))
  }
}

@c @implementation
public func C_FindObjects(
  _ session: CK_SESSION_HANDLE, _ objects: CK_OBJECT_HANDLE_PTR?, _ capacity: CK_ULONG, _ count: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    guard let search = operations.search else { throw .operationNotInitialized }
    let count = try place(count)
    guard objects != nil || capacity == 0 else { throw .argumentsBad }
    let given = search.handles[search.next...].prefix(Int(clamping: capacity))
    if let objects {
      for (index, handle) in given.enumerated() { objects[index] = UInt(handle) }
    }
    count.pointee = UInt(given.count)
    operations.search?.next = given.endIndex
  }
}

@c @implementation
public func C_FindObjectsFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  inSession(session) { (_, operations) throws(ReturnValue) in
    guard operations.search != nil else { throw .operationNotInitialized }
    operations.search = nil
  }
}
