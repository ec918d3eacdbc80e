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
  let facts: AdmittedKey.Facts
  let material: KeyMaterial?
  /// The token's number when the key was looked up.
  let objectChanges: UInt64

  /// Throws what forbids it. The parameters of the mechanism are not among that.
  init(_ intention: Intention, _ key: Object, loginNumber: UInt64, objectChanges: UInt64) throws(ReturnValue) {
    guard let description = key.description else { throw .keyHandleInvalid }
    // Not only decryption: CTR encrypts as it decrypts, CMAC and ECB give the block cipher itself.
    if key.isRestricted { throw .keyFunctionNotPermitted }
    let mechanism = try KeyPolicy.check(
      description, intention.mechanism, for: intention.function.mechanismFlag, usage: intention.function.usage)
    facts = AdmittedKey.Facts(
      mechanism: mechanism, keySize: description.size, loginNumber: key.isPrivate ? loginNumber : nil,
      asksForPIN: key.asksForPIN)
    self.intention = intention
    material = key.material
    self.objectChanges = objectChanges
  }
}

/// A key that a client may do something with, and what an operation has to know of it.
struct AdmittedKey: ~Copyable {
  /// What was decided.
  struct Facts {
    let mechanism: MechanismFacts
    /// As in `KeyDescription`.
    let keySize: UInt32
    /// The number of the login that the key needs; nil for one that needs none.
    let loginNumber: UInt64?
    /// Whether each use of the key has to be authorised.
    let asksForPIN: Bool
  }

  let key: CryptographicKey
  let facts: Facts

  init(_ key: consuming CryptographicKey, _ facts: Facts) {
    self.key = key
    self.facts = facts
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

  /// What is admitted, if that is kept, the token's objects are what they were and the key is at hand.
  func find(_ intention: Intention, objectChanges: UInt64) -> AdmittedKey? {
    // Held by its place, which the caller's lock guards: not counted for each operation.
    guard let place = kept[Self.place(intention)].map({ Unmanaged.passUnretained($0) }) else { return nil }
    let key = place._withUnsafeGuaranteedRef { admission in
      admission.objectChanges == objectChanges && admission.intention == intention ? admission.material?.key : nil
    }
    guard let key else { return nil }
    return AdmittedKey(key, place._withUnsafeGuaranteedRef { $0.facts })
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
  /// The key, if the client may do what it intends in this session, which is noted with it. Throws what forbids it.
  @inline(__always)
  func admit(
    _ intention: Intention, _ client: Client, in session: SessionReference
  ) throws(ReturnValue) -> AdmittedKey {
    let kept = try client.withState { (state) throws(ReturnValue) -> AdmittedKey? in
      try state.note(session)
      return state.admissions.find(intention, objectChanges: objectChanges.current)
    }
    switch consume kept {
    case .some(let kept): return kept
    case .none: return try admitAnew(intention, client)
    }
  }

  @inline(never)
  private func admitAnew(_ intention: Intention, _ client: Client) throws(ReturnValue) -> AdmittedKey {
    // Read before the objects: a decision that a change overtakes is not good for another operation.
    let (changes, role, loginNumber, own) = client.reading {
      ($0.changes, $0.role, $0.loginNumber, $0.objects[intention.key])
    }
    let objectChanges = objectChanges.current
    guard let object = own ?? reading({ $0.objects[intention.key] }), !object.isPrivate || role == .user else {
      throw .keyHandleInvalid
    }
    let admission = try Admission(intention, object, loginNumber: loginNumber, objectChanges: objectChanges)
    // A key that asks for the PIN asks each time.
    if !admission.facts.asksForPIN {
      client.reading { if $0.changes == changes { $0.keep(admission) } }
    }
    return AdmittedKey(try key(of: object), admission.facts)
  }
}
