import Cryptoki
import TokenProtocol

/// Objects by handle, and by what clients search for, so that a search costs its result and not the number of objects.
///
/// An object has a position; the tables hold positions, which is a third of what dictionaries and sets would take.
struct ObjectIndex {
  /// By position; nil where an object was removed.
  private var objects: [Object?] = []
  private var freePositions: [UInt32] = []
  private var byHandle = PositionTable()
  /// One for each indexed attribute, the most telling first: CKA_ID, CKA_LABEL, CKA_CLASS.
  private var chains: InlineArray<3, PositionChains> = [PositionChains(), PositionChains(), PositionChains()]

  /// By the session that made them: session objects alone.
  private var bySession = PositionChains()

  /// The number of objects.
  var count: Int { byHandle.count }

  var all: some Sequence<Object> { objects.lazy.compactMap { $0 } }

  subscript(handle: UInt64) -> Object? { position(of: handle).flatMap { objects[Int($0)] } }

  private func position(of handle: UInt64) -> UInt32? {
    byHandle.first(Self.hash(handle)) { objects[Int($0)]?.handle == handle }
  }

  /// Handles are ours, and dense: nobody chooses them to collide.
  private static func hash(_ handle: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: (handle &* 0x9E37_79B9_7F4A_7C15) >> 32)
  }

  /// Keyed: clients choose the numbers of their sessions.
  private static func hash(session: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: KeyedHash.of(UInt64(session)))
  }

  /// The hashes under which an object is found, in the order of `chains`. Empty values have none: they tell nothing.
  struct Keys {
    fileprivate var hashes: InlineArray<3, UInt32?> = [nil, nil, nil]

    /// The attributes of the chains.
    enum Kind: Int { case id, label, `class` }

    init() {}

    init(_ attributes: AttributeSet) {
      attributes.withEntries { entries in
        for (kind, type) in [(Kind.id, AttributeType.id), (.label, .label), (.class, .class)] {
          if let value = entries.range(of: type), !value.isEmpty { note(kind, entries[value]) }
        }
      }
    }

    /// Adds a value that is not empty. Keyed: clients choose labels.
    mutating func note(_ kind: Kind, _ value: UnsafeRawBufferPointer) {
      hashes[kind.rawValue] = UInt32(truncatingIfNeeded: KeyedHash.of(value))
    }
  }

  /// Adds an object, or puts it in the place of the one with its handle.
  mutating func insert(_ object: Object) {
    remove(object.handle)
    insertNew(object)
  }

  /// Adds an object whose handle no other has: of many, each look-up counts.
  mutating func insertNew(_ object: Object) {
    let position: UInt32
    if let free = freePositions.popLast() {
      position = free
      objects[Int(position)] = object
    } else {
      position = UInt32(truncatingIfNeeded: objects.count)
      objects.append(object)
    }
    byHandle.insert(Self.hash(object.handle), position)
    let keys = object.indexKeys
    for index in chains.indices {
      if let hash = keys.hashes[index] { chains[index].insert(hash, position) }
    }
    if let session = object.session { bySession.insert(Self.hash(session: session), position) }
  }

  @discardableResult
  mutating func remove(_ handle: UInt64) -> Object? {
    guard let position = position(of: handle), let object = objects[Int(position)] else { return nil }
    byHandle.remove(Self.hash(handle), position)
    let keys = object.indexKeys
    for index in chains.indices {
      if let hash = keys.hashes[index] { chains[index].remove(hash, position) }
    }
    if let session = object.session { bySession.remove(Self.hash(session: session), position) }
    objects[Int(position)] = nil
    freePositions.append(position)
    return object
  }

  mutating func removeAll() { self = ObjectIndex() }

  /// The objects that a session made.
  func objects(of session: UInt32) -> [Object] {
    var found: [Object] = []
    var cursor = bySession.first(Self.hash(session: session))
    while let position = cursor {
      if let object = objects[Int(position)], object.session == session { found.append(object) }
      cursor = bySession.next(position)
    }
    return found
  }

  /// Appends objects among which are all that match a template; few when it names a label, an id or a class.
  func appendCandidates(for keys: Keys, to found: inout [Object]) {
    // What the template names is walked side by side: the shortest chain ends first.
    var cursors: InlineArray<3, UInt32?> = [nil, nil, nil]
    for index in chains.indices {
      guard let hash = keys.hashes[index] else { continue }
      guard let first = chains[index].first(hash) else { return }
      cursors[index] = first
    }
    let heads = cursors
    var shortest: Int?
    search: while true {
      var walks = false
      for index in chains.indices where keys.hashes[index] != nil {
        walks = true
        guard let position = cursors[index] else {
          shortest = index
          break search
        }
        cursors[index] = chains[index].next(position)
      }
      if !walks { break }
    }
    guard let shortest else { return found.append(contentsOf: all) }
    var cursor = heads[shortest]
    while let position = cursor {
      if let object = objects[Int(position)] { found.append(object) }
      cursor = chains[shortest].next(position)
    }
  }
}

/// Positions by hash: an open table of 8 bytes an entry.
struct PositionTable {
  /// The hash in the upper half, the position plus 1 in the lower; 0 is free. A power of two of them.
  private var entries: [UInt64] = []
  private(set) var count = 0

  private var mask: Int { entries.count - 1 }

  private static func hash(_ entry: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: entry >> 32) }
  private static func position(_ entry: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: entry) &- 1 }
  private static func entry(_ hash: UInt32, _ position: UInt32) -> UInt64 {
    UInt64(hash) << 32 | UInt64(position &+ 1)
  }

  /// The first position under `hash` for which `matches` says so.
  @inline(__always)
  func first(_ hash: UInt32, where matches: (UInt32) -> Bool) -> UInt32? {
    guard !entries.isEmpty else { return nil }
    var place = Int(hash) & mask
    while entries[place] != 0 {
      let entry = entries[place]
      if Self.hash(entry) == hash, matches(Self.position(entry)) { return Self.position(entry) }
      place = (place + 1) & mask
    }
    return nil
  }

  mutating func insert(_ hash: UInt32, _ position: UInt32) {
    if (count + 1) * 8 > entries.count * 7 { grow() }
    place(Self.entry(hash, position))
    count += 1
  }

  /// Puts `new` where `old` is.
  mutating func replace(_ hash: UInt32, _ old: UInt32, with new: UInt32) {
    guard let place = find(hash, old) else { return }
    entries[place] = Self.entry(hash, new)
  }

  mutating func remove(_ hash: UInt32, _ position: UInt32) {
    guard var hole = find(hash, position) else { return }
    count -= 1
    // What follows moves up, unless it is where it belongs already.
    var place = (hole + 1) & mask
    while entries[place] != 0 {
      let home = Int(Self.hash(entries[place])) & mask
      if (place - home) & mask >= (place - hole) & mask {
        entries[hole] = entries[place]
        hole = place
      }
      place = (place + 1) & mask
    }
    entries[hole] = 0
  }

  private func find(_ hash: UInt32, _ position: UInt32) -> Int? {
    guard !entries.isEmpty else { return nil }
    let wanted = Self.entry(hash, position)
    var place = Int(hash) & mask
    while entries[place] != 0 {
      if entries[place] == wanted { return place }
      place = (place + 1) & mask
    }
    return nil
  }

  private mutating func place(_ entry: UInt64) {
    var place = Int(Self.hash(entry)) & mask
    while entries[place] != 0 { place = (place + 1) & mask }
    entries[place] = entry
  }

  private mutating func grow() {
    let old = entries
    entries = [UInt64](repeating: 0, count: max(8, old.count * 2))
    for entry in old where entry != 0 { place(entry) }
  }
}

/// Positions that share a hash, linked, so that one of many leaves as quickly as one of few.
struct PositionChains {
  private static let none = UInt32.max

  private struct Link {
    var next = PositionChains.none
    var previous = PositionChains.none
  }

  private var heads = PositionTable()
  /// By position.
  private var links: [Link] = []

  func first(_ hash: UInt32) -> UInt32? { heads.first(hash) { _ in true } }

  func next(_ position: UInt32) -> UInt32? {
    let next = links[Int(position)].next
    return next == Self.none ? nil : next
  }

  mutating func insert(_ hash: UInt32, _ position: UInt32) {
    while links.count <= Int(position) { links.append(Link()) }
    guard let head = first(hash) else {
      links[Int(position)] = Link()
      heads.insert(hash, position)
      return
    }
    links[Int(position)] = Link(next: head)
    links[Int(head)].previous = position
    heads.replace(hash, head, with: position)
  }

  mutating func remove(_ hash: UInt32, _ position: UInt32) {
    let link = links[Int(position)]
    if link.next != Self.none { links[Int(link.next)].previous = link.previous }
    if link.previous != Self.none {
      links[Int(link.previous)].next = link.next
    } else if link.next != Self.none {
      heads.replace(hash, position, with: link.next)
    } else {
      heads.remove(hash, position)
    }
  }
}
