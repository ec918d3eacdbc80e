import CCryptoki
import Cryptoki
import Synchronization
import TokenProtocol

/// The vendor interface's objects of one connection: restricted buffers and decoder streams, by handle.
///
/// They are objects of the secure world that this process holds references to. A buffer is a session object to PKCS#11
/// (CKO_STRONGROOM_BUFFER), whose attributes are all known here; it ends with its session.
final class RestrictedObjects: Sendable {
  enum Kind: Equatable {
    case buffer(useCase: UInt32, byteCount: UInt64)
    case stream
  }

  struct Entry {
    /// The object's id at the secure world.
    let object: UInt64
    let kind: Kind
    let session: CK_SESSION_HANDLE
  }

  private struct Content {
    var entries: [UInt64: Entry] = [:]
    var next: UInt64 = 0
    /// The services' objects, opened when they are first needed.
    var services: [ServiceNumber: UInt64] = [:]
  }

  /// Set in these handles and in no other's: the secure world counts objects from 1.
  private static let mark: UInt64 = 1 << 62

  private let content = Mutex(Content())
  /// Whether there ever was an object: most processes have none, and need not look.
  private let isUsed = Atomic<Bool>(false)

  static func isHandle(_ handle: CK_OBJECT_HANDLE) -> Bool { UInt64(handle) & mark != 0 }

  func add(_ object: UInt64, _ kind: Kind, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
    isUsed.store(true, ordering: .relaxed)
    return content.withLock { content in
      content.next += 1
      let handle = Self.mark | content.next
      content.entries[handle] = Entry(object: object, kind: kind, session: session)
      return UInt(handle)
    }
  }

  /// Throws CKR_OBJECT_HANDLE_INVALID.
  func find(_ handle: CK_OBJECT_HANDLE) throws(ReturnValue) -> Entry {
    guard let entry = content.withLock({ $0.entries[UInt64(handle)] }) else { throw .objectHandleInvalid }
    return entry
  }

  /// What C_CopyObject and C_SetAttributeValue answer for these objects: they are neither copied nor changed.
  ///
  /// Throws CKR_ACTION_PROHIBITED, or CKR_OBJECT_HANDLE_INVALID when the object is there no more.
  func refuseChange(of handle: CK_OBJECT_HANDLE) throws(ReturnValue) {
    guard Self.isHandle(handle) else { return }
    _ = try find(handle)
    throw .actionProhibited
  }

  /// The id of a buffer, of a stream. Throws CKR_OBJECT_HANDLE_INVALID for another object.
  func buffer(_ handle: CK_OBJECT_HANDLE) throws(ReturnValue) -> UInt64 {
    let entry = try find(handle)
    guard case .buffer = entry.kind else { throw .objectHandleInvalid }
    return entry.object
  }

  func stream(_ handle: CK_OBJECT_HANDLE) throws(ReturnValue) -> UInt64 {
    let entry = try find(handle)
    guard entry.kind == .stream else { throw .objectHandleInvalid }
    return entry.object
  }

  /// Takes an object out; its reference is then to be released. Throws CKR_OBJECT_HANDLE_INVALID.
  func remove(_ handle: CK_OBJECT_HANDLE) throws(ReturnValue) -> UInt64 {
    guard let entry = content.withLock({ $0.entries.removeValue(forKey: UInt64(handle)) }) else {
      throw .objectHandleInvalid
    }
    return entry.object
  }

  /// Takes out what belongs to sessions that end, and has the references released.
  func remove(ofSessions sessions: some Sequence<CK_SESSION_HANDLE>, release: (UInt64) -> Void) {
    guard isUsed.load(ordering: .relaxed) else { return }
    let handles = Set(sessions)
    let ending = content.withLock { content in
      let ending = content.entries.filter { handles.contains($0.value.session) }
      for handle in ending.keys { content.entries[handle] = nil }
      return ending
    }
    for entry in ending.values { release(entry.object) }
  }

  /// Appends the buffers whose attributes match a template, ascending.
  func appendAll(matching template: Template, to handles: inout [UInt64]) {
    guard isUsed.load(ordering: .relaxed) else { return }
    let entries = content.withLock { $0.entries }
    handles += entries.filter { _, entry in
      guard case .buffer = entry.kind else { return false }
      return template.withEntries { template in
        template.allSatisfy { entry.attribute($0.type)?.elementsEqual(template[$0]) ?? false }
      }
    }.keys.sorted()
  }

  /// The id of a service's object.
  func service(_ number: ServiceNumber, on connection: Connection) throws(ReturnValue) -> UInt64 {
    if let object = content.withLock({ $0.services[number] }) { return object }
    let object = try connection.open(number, argument: 0)
    content.withLock { $0.services[number] = object }
    return object
  }
}

extension RestrictedObjects.Entry {
  /// An attribute's value, nil where a buffer has no such attribute. CKA_VALUE is none of them: nobody reads it.
  func attribute(_ type: AttributeType) -> [UInt8]? {
    guard case .buffer(let useCase, let byteCount) = kind else { return nil }
    switch type {
    case .class: return number(UInt(CKO_STRONGROOM_BUFFER))
    case .token, .modifiable, .copyable: return [0]
    case .private, .destroyable: return [type == .destroyable ? 1 : 0]
    case .valueLen: return number(UInt(byteCount))
    case AttributeType(rawValue: UInt32(CKA_STRONGROOM_USE_CASE)): return number(UInt(useCase))
    default: return nil
    }
  }

  /// The bytes of a CK_ULONG.
  private func number(_ value: UInt) -> [UInt8] { withUnsafeBytes(of: value) { [UInt8]($0) } }
}
