import CryptoCore
import Glibc
import Synchronization

/// What this process remembers of PINs that were right, and the place in line for scrypt.
final class PINUnlocking: Sendable {
  struct Name: Hashable, Sendable {
    let token: UInt32
    let role: PINRole
  }

  let cost: PINCost
  /// Held while scrypt runs, so that any number of guessing clients costs the memory of one try.
  private let stretching = Mutex(())
  /// Held from the counting of a try to its outcome: tries in progress that are all right must not add up to a lock.
  private let trying = Mutex(())
  /// Token keys, each sealed under a code of the PIN that gave it.
  private let boxes = Mutex<[Name: [UInt8]]>([:])
  private let runKey: MessageAuthenticationKey
  private let attemptCounter = Atomic<UInt64>(0)

  init(cost: PINCost) throws(StorageError) {
    self.cost = cost
    runKey = try cryptography { () throws(CryptoError) in
      try MessageAuthenticationKey(hmac: .sha256, key: SecretBytes.random(count: 32))
    }
  }

  /// How many times scrypt ran since the store was opened.
  var stretchCount: UInt64 { attemptCounter.load(ordering: .relaxed) }

  func whileStretching<T>(_ body: () throws(StorageError) -> T) throws(StorageError) -> T {
    try stretching.withLock { (_) throws(StorageError) -> T in
      attemptCounter.wrappingAdd(1, ordering: .relaxed)
      return try body()
    }
  }

  /// Runs `body`, which makes one try, while nobody else makes one.
  func whileTrying<T>(_ body: () throws(StorageError) -> T) throws(StorageError) -> T {
    try trying.withLock { (_) throws(StorageError) -> T in try body() }
  }

  /// The token key if `pin` was right before for the same record, else nil. Counts nothing.
  func recall(_ name: Name, salt: [UInt8], pin: SecretBytes) throws(StorageError) -> SecretBytes? {
    guard let box = boxes.withLock({ $0[name] }) else { return nil }
    let key = try boxKey(name, salt, pin)
    return try box.span.withUnsafeBytes { (box) throws(StorageError) in
      try Seal.openSecret(box, key: key, authenticating: Self.associatedData(salt))
    }
  }

  func remember(
    _ name: Name, salt: [UInt8], pin: SecretBytes, tokenKey: SecretBytes, _ numbers: RandomNumbers
  ) throws(StorageError) {
    let key = try boxKey(name, salt, pin)
    let box = try tokenKey.withBytes { (tokenKey) throws(StorageError) in
      try Seal.close(tokenKey, key: key, authenticating: Self.associatedData(salt), numbers: numbers)
    }
    boxes.withLock { $0[name] = box }
  }

  func forget(_ name: Name) {
    boxes.withLock { _ = $0.removeValue(forKey: name) }
  }

  private static func associatedData(_ salt: [UInt8]) -> AssociatedData {
    var data = AssociatedData()
    data.append(salt)
    return data
  }

  private func boxKey(_ name: Name, _ salt: [UInt8], _ pin: SecretBytes) throws(StorageError) -> AES256GCM {
    var prefix: [UInt8] = []
    prefix.append(name.token)
    prefix.append(name.role.rawValue)
    prefix += salt  // of fixed length, so that the PIN that follows cannot be shifted
    return try cryptography { () throws(CryptoError) in
      try AES256GCM(
        SecretBytes(count: 32) { (output) throws(CryptoError) in
          let code = try runKey.begin()
          try code.update(prefix)
          try pin.withBytes { (pin) throws(CryptoError) in try code.update(pin) }
          return try code.finish(into: output)
        })
    }
  }
}

extension SecureStore {
  /// The try counter of a role's PIN; nil when it has none. Throws `.corrupt`.
  public func pinStatus(_ token: UInt32, _ role: PINRole) throws(StorageError) -> PINStatus? {
    try reading { () throws(StorageError) in try storedPIN(token, role)?.status }
  }

  /// The token key if `pin` is right.
  ///
  /// A try is counted, durably, before the PIN is looked at, unless it is one that was right before in this process.
  /// Takes as long as scrypt then. Success sets the counter to 0.
  /// Throws `.pinNotSet`, `.pinLocked`, `.pinIncorrect(remaining:)`, `.corrupt`, or what a commit throws.
  public func unlock(_ token: UInt32, _ role: PINRole, pin: SecretBytes) throws(StorageError) -> SecretBytes {
    let name = PINUnlocking.Name(token: token, role: role)
    guard let known = try reading({ () throws(StorageError) in try storedPIN(token, role) }) else { throw .pinNotSet }
    if known.status.isLocked { throw .pinLocked }
    if let tokenKey = try pins.recall(name, salt: known.salt, pin: pin) {
      if known.tries > 0 { try clearTries(known, token, role) }
      return tokenKey
    }

    return try pins.whileTrying { () throws(StorageError) in
      // The try before may have been with the same PIN, and right.
      if let tokenKey = try pins.recall(name, salt: known.salt, pin: pin) {
        // A wrong one may have come between.
        try clearTries(known, token, role)
        return tokenKey
      }
      let counted = try countTry(token, role)
      if counted.status.isLocked { pins.forget(name) }
      let tokenKey = try pins.whileStretching { () throws(StorageError) in
        try counted.tokenKey(for: pin, token: token, role: role, keys: keys)
      }
      guard let tokenKey else { throw .pinIncorrect(remaining: counted.status.remaining) }
      // Another PIN may have been set meanwhile; the one given was right when it was looked at.
      if try clearTries(counted, token, role) {
        try pins.remember(name, salt: counted.salt, pin: pin, tokenKey: tokenKey, keys.numbers)
      }
      return tokenKey
    }
  }

  /// Gives a role a PIN, new or in place of the old one, whose unlocking gives `tokenKey`. Takes as long as scrypt.
  public func setPIN(
    _ token: UInt32, _ role: PINRole, pin: SecretBytes, tokenKey: SecretBytes, limit: UInt32 = 10
  ) throws(StorageError) {
    try setPIN(try preparePIN(token, role, pin: pin, tokenKey: tokenKey, limit: limit))
  }

  /// Gives a role the PIN that `preparePIN` made. Throws `.pinIncorrect` or `.pinLocked` when what it was to replace is no
  /// longer there, or has been locked.
  public func setPIN(_ prepared: PreparedPIN) throws(StorageError) {
    try commit(anchor: .againstPowerLoss) { (transaction) throws(StorageError) in try transaction.setPIN(prepared) }
  }

  /// Which PIN a role has; nil when it has none. Throws `.corrupt`.
  public func pinIdentity(_ token: UInt32, _ role: PINRole) throws(StorageError) -> PINIdentity? {
    try reading { () throws(StorageError) in try storedPIN(token, role).map { PINIdentity(salt: $0.salt) } }
  }

  /// Does the slow part of setting a PIN, to be written by `setPIN`, or together with other changes by
  /// `Transaction.setPIN`: in the place of any PIN, or of `replaced` only, unless it has been locked meanwhile.
  public func preparePIN(
    _ token: UInt32, _ role: PINRole, pin: SecretBytes, tokenKey: SecretBytes, limit: UInt32 = 10,
    replacing replaced: PINIdentity? = nil
  ) throws(StorageError) -> PreparedPIN {
    let record = try pins.whileStretching { () throws(StorageError) in
      try PINRecord(
        pin: pin, tokenKey: tokenKey, cost: pins.cost, limit: limit, token: token, role: role, keys: keys)
    }
    return PreparedPIN(token: token, role: role, record: record, replaced: replaced)
  }

  func storedPIN(_ token: UInt32, _ role: PINRole) throws(StorageError) -> PINRecord? {
    let row = statements.pin
    row.bind(1, token)
    row.bind(2, role.rawValue)
    guard try row.step() else { return nil }
    defer { row.reset() }
    let record = RecordIdentity(.pin, token: token, id: UInt64(role.rawValue), version: row.uint64(0))
    guard let content = try keys.openWhole(row.bytes(1), of: record), let pin = PINRecord(content) else {
      throw .corrupt(.pin(token: token, role: role))
    }
    return pin
  }

  /// Makes one more try durable and answers the record with it.
  private func countTry(_ token: UInt32, _ role: PINRole) throws(StorageError) -> PINRecord {
    try commit(anchor: .againstPowerLoss) { (transaction) throws(StorageError) in
      guard var record = try transaction.pinRecord(token, role) else { throw .pinNotSet }
      if record.status.isLocked { throw .pinLocked }
      record.tries += 1
      try transaction.put(record, token, role)
      return record
    }
  }

  /// Sets the counter to 0 unless the PIN was changed since `record` was read; answers whether it is the same.
  @discardableResult
  private func clearTries(_ record: PINRecord, _ token: UInt32, _ role: PINRole) throws(StorageError) -> Bool {
    try commit { (transaction) throws(StorageError) in
      guard var now = try transaction.pinRecord(token, role), now.salt == record.salt else { return false }
      if now.tries > 0 {
        now.tries = 0
        try transaction.put(now, token, role)
      }
      return true
    }
  }
}
