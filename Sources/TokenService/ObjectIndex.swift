import Cryptoki

/// Objects by handle, and by what clients search for, so that a search costs its result and not the number of objects.
struct ObjectIndex {
  private var objects: [UInt64: Object] = [:]
  /// Handles by the hash of an indexed attribute's type and value.
  private var handles: [Int: Set<UInt64>] = [:]

  /// The attributes that are indexed, the most telling first.
  private static let indexed: [AttributeType] = [.id, .label, .class]

  var count: Int { objects.count }
  var all: Dictionary<UInt64, Object>.Values { objects.values }

  subscript(handle: UInt64) -> Object? { objects[handle] }

  private static func hash(_ type: AttributeType, _ value: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(type.rawValue)
    hasher.combine(bytes: value)
    return hasher.finalize()
  }

  /// The hashes under which an object is found. Empty labels and ids are not indexed: they tell nothing.
  private static func hashes(_ attributes: AttributeSet) -> [Int] {
    indexed.compactMap { type in
      attributes.withBytes(type) { value in
        guard let value, !value.isEmpty else { return nil }
        return hash(type, value)
      }
    }
  }

  /// Adds an object, or puts it in the place of the one with its handle.
  mutating func insert(_ object: Object) {
    remove(object.handle)
    objects[object.handle] = object
    for hash in Self.hashes(object.attributes) { handles[hash, default: []].insert(object.handle) }
  }

  @discardableResult
  mutating func remove(_ handle: UInt64) -> Object? {
    guard let object = objects.removeValue(forKey: handle) else { return nil }
    for hash in Self.hashes(object.attributes) {
      handles[hash]?.remove(handle)
      if handles[hash]?.isEmpty == true { handles[hash] = nil }
    }
    return object
  }

  mutating func removeAll() { self = ObjectIndex() }

  /// Objects among which are all that match the template; few when it names a label, an id or a class.
  func candidates(for template: AttributeSet) -> [Object] {
    var smallest: Set<UInt64>?
    for type in Self.indexed {
      let hash: Int? = template.withBytes(type) { value in
        guard let value, !value.isEmpty else { return nil }
        return Self.hash(type, value)
      }
      guard let hash else { continue }
      guard let found = handles[hash] else { return [] }
      if found.count < smallest?.count ?? .max { smallest = found }
    }
    guard let smallest else { return Array(objects.values) }
    return smallest.compactMap { objects[$0] }
  }
}
