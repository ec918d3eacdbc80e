import Cryptoki
import Mechanisms
import Synchronization
import TokenProtocol

/// Counts the changes of something that decisions are taken from: as long as the number stands, they do.
final class ChangeNumber: Sendable {
  private let number = Atomic<UInt64>(0)

  var current: UInt64 { number.load(ordering: .acquiring) }

  /// To be called with the lock held that what changes is guarded by.
  func advance() { number.wrappingAdd(1, ordering: .acquiringAndReleasing) }
}

/// What a client wants to do with a key, as far as everything but the parameters of the mechanism decides over it.
struct Intention: Equatable {
  let function: KeyFunction
  let key: UInt64
  let mechanism: MechanismType
}

/// That a client may do something with a key, and what is known of it from the decision on.
///
/// A client's record keeps the last ones, so that the same work on the next data is not decided anew. It forgets them
/// with every change of the client's login, of its session objects and whenever a session closes, under the lock that
/// guards those; a change of the token's objects shows in their `ChangeNumber`. No secret is held by an admission: the
/// key is asked for at the object's material each time.
final class Admission: Sendable {
  let intention: Intention
  let facts: MechanismFacts
  let key: Object
  let description: KeyDescription
  /// The token's number when the key was looked up.
  let objectChanges: UInt64

  /// Throws what forbids it. The parameters of the mechanism are not among that.
  init(_ intention: Intention, _ key: Object, objectChanges: UInt64) throws(ReturnValue) {
    guard let description = key.description else { throw .keyHandleInvalid }
    // Not only decryption: CTR encrypts as it decrypts, CMAC and ECB give the block cipher itself.
    if key.isRestricted { throw .keyFunctionNotPermitted }
    facts = try KeyPolicy.check(
      description, intention.mechanism, for: intention.function.mechanismFlag, usage: intention.function.usage)
    self.intention = intention
    self.key = key
    self.description = description
    self.objectChanges = objectChanges
  }
}

/// The admissions that a client's record keeps: the last one for each place.
struct Admissions {
  private var kept = InlineArray<8, Admission?>(repeating: nil)
  private var isEmpty = true

  private static func place(_ intention: Intention) -> Int {
    let bits = intention.key ^ UInt64(intention.mechanism.rawValue) << 32 ^ UInt64(intention.function.rawValue) << 62
    return Int(truncatingIfNeeded: (bits &* 0x9E37_79B9_7F4A_7C15) >> 61)
  }

  /// The admission, if it is kept and the token's objects are what they were.
  func find(_ intention: Intention, objectChanges: UInt64) -> Admission? {
    guard let admission = kept[Self.place(intention)], admission.objectChanges == objectChanges,
      admission.intention == intention
    else { return nil }
    return admission
  }

  mutating func keep(_ admission: Admission) {
    kept[Self.place(admission.intention)] = admission
    isEmpty = false
  }

  mutating func removeAll() {
    if isEmpty { return }
    self = Admissions()
  }
}

extension Token {
  /// Bytes of the attributes of a key whose admission is kept.
  private static let longestKept = 1 << 14

  /// That the client may do what it intends in this session, which is noted with it. Throws what forbids it.
  func admission(
    _ intention: Intention, _ client: Client, in session: SessionReference
  ) throws(ReturnValue) -> Admission {
    let kept = try client.withState { (state) throws(ReturnValue) -> Admission? in
      try state.note(session)
      return state.admissions.find(intention, objectChanges: objectChanges.current)
    }
    if let kept { return kept }
    return try admissionAnew(intention, client)
  }

  @inline(never)
  private func admissionAnew(_ intention: Intention, _ client: Client) throws(ReturnValue) -> Admission {
    // Read before the objects: a decision that a change overtakes is not good for another operation.
    let (changes, role, own) = client.reading { ($0.changes, $0.role, $0.objects[intention.key]) }
    let objectChanges = objectChanges.current
    guard let key = own ?? reading({ $0.objects[intention.key] }), !key.isPrivate || role == .user else {
      throw .keyHandleInvalid
    }
    let admission = try Admission(intention, key, objectChanges: objectChanges)
    // A key that asks for the PIN asks each time. What is kept keeps the object, also when that has been destroyed.
    if !key.asksForPIN, key.attributes.encoded.count <= Self.longestKept {
      client.reading { if $0.changes == changes { $0.keep(admission) } }
    }
    return admission
  }
}
