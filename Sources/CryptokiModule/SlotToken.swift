public import CCryptoki
import Cryptoki
import Glibc
import Mechanisms
import TokenProtocol

// PKCS#11 3.2, 5.5: slot and token management.

@c @implementation
public func C_GetSlotList(_ tokenPresent: CK_BBOOL, _ list: CK_SLOT_ID_PTR?, _ count: CK_ULONG_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let count = try place(count)
    // Every slot holds a token, always.
    let slots = try library.world().slots
    try fill(list, count, with: slots.map { UInt($0.id) })
  }
}

/// Writes a list of numbers by the convention for output of variable size, counted in elements.
private func fill(
  _ list: UnsafeMutablePointer<CK_ULONG>?, _ count: UnsafeMutablePointer<CK_ULONG>, with numbers: [CK_ULONG]
) throws(ReturnValue) {
  let capacity = count.pointee
  count.pointee = UInt(numbers.count)
  guard let list else { return }
  guard capacity >= UInt(numbers.count) else { throw .bufferTooSmall }
  for (index, number) in numbers.enumerated() { list[index] = number }
}

@c @implementation
public func C_GetSlotInfo(_ slotID: CK_SLOT_ID, _ info: CK_SLOT_INFO_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let info = try place(info)
    _ = try library.slot(slotID)
    var answer = CK_SLOT_INFO()
    setPadded(&answer.slotDescription, "\(Product.slotDescription), slot \(slotID)")
    setPadded(&answer.manufacturerID, Product.manufacturer)
    answer.flags = SlotFlags.tokenPresent.rawValue
    answer.firmwareVersion = Product.version
    info.pointee = answer
  }
}

@c @implementation
public func C_GetTokenInfo(_ slotID: CK_SLOT_ID, _ info: CK_TOKEN_INFO_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let info = try place(info)
    let slot = try library.slot(slotID)
    let token = try slot.information()
    let counts = slot.sessionCounts
    var answer = CK_TOKEN_INFO()
    setPadded(&answer.label, token.label)
    setPadded(&answer.manufacturerID, Product.manufacturer)
    setPadded(&answer.model, Product.model)
    setPadded(&answer.serialNumber, token.serialNumber)
    answer.flags = UInt(token.flags)
    answer.ulMaxSessionCount = Amount.effectivelyInfinite
    answer.ulMaxRwSessionCount = Amount.effectivelyInfinite
    answer.ulSessionCount = UInt(counts.all)
    answer.ulRwSessionCount = UInt(counts.readWrite)
    answer.ulMaxPinLen = UInt(token.maximumPINByteCount)
    answer.ulMinPinLen = UInt(token.minimumPINByteCount)
    answer.ulTotalPublicMemory = Amount.unavailable
    answer.ulFreePublicMemory = Amount.unavailable
    answer.ulTotalPrivateMemory = Amount.unavailable
    answer.ulFreePrivateMemory = Amount.unavailable
    answer.firmwareVersion = Product.version
    setPadded(&answer.utcTime, TokenFlags(rawValue: answer.flags).contains(.clockOnToken) ? currentTime() : "")
    info.pointee = answer
  }
}

/// The time in UTC as YYYYMMDDhhmmss00 (CK_TOKEN_INFO).
private func currentTime() -> String {
  var now = time(nil)
  var parts = tm()
  gmtime_r(&now, &parts)
  func digits(_ value: Int32, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(count - text.count, 0)) + text
  }
  return digits(parts.tm_year &+ 1900, 4) + digits(parts.tm_mon &+ 1, 2) + digits(parts.tm_mday, 2)
    + digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2) + "00"
}

@c @implementation
public func C_GetMechanismList(
  _ slotID: CK_SLOT_ID, _ list: CK_MECHANISM_TYPE_PTR?, _ count: CK_ULONG_PTR?
) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let count = try place(count)
    let mechanisms = try library.slot(slotID).mechanisms()
    try fill(list, count, with: mechanisms.map { UInt($0) })
  }
}

@c @implementation
public func C_GetMechanismInfo(
  _ slotID: CK_SLOT_ID, _ type: CK_MECHANISM_TYPE, _ info: CK_MECHANISM_INFO_PTR?
) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let info = try place(info)
    let mechanisms = try library.slot(slotID).mechanisms()
    guard let number = UInt32(exactly: type), mechanisms.contains(number),
      let facts = MechanismTable.facts(MechanismType(rawValue: number))
    else { throw .mechanismInvalid }
    info.pointee = CK_MECHANISM_INFO(
      ulMinKeySize: UInt(facts.minimumKeySize), ulMaxKeySize: UInt(facts.maximumKeySize),
      flags: facts.flags.rawValue)
  }
}

/// The longest PIN that is carried, in bytes; what the token takes is for the token to say.
private let longestPIN: CK_ULONG = 4096

/// A caller's PIN. Throws CKR_ARGUMENTS_BAD without a pointer (there is no protected authentication path),
/// CKR_PIN_LEN_RANGE for one that no token takes.
func callerPIN(_ pointer: CK_UTF8CHAR_PTR?, _ count: CK_ULONG) throws(ReturnValue) -> [UInt8] {
  guard pointer != nil else { throw .argumentsBad }
  guard count <= longestPIN else { throw .pinLenRange }
  return [UInt8](try callerBytes(pointer, count))
}

@c @implementation
public func C_InitToken(
  _ slotID: CK_SLOT_ID, _ pin: CK_UTF8CHAR_PTR?, _ pinCount: CK_ULONG, _ label: CK_UTF8CHAR_PTR?
) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let slot = try library.slot(slotID)
    let label = try callerBytes(try place(label), 32)
    let request = InitializeToken(pin: try callerPIN(pin, pinCount), label: [UInt8](label))
    try slot.lifecycle.withLock { (_) throws(ReturnValue) in
      guard slot.sessionCounts.all == 0 else { throw .sessionExists }
      try slot.request(.initializeToken, request, options: [.long, .secret])
      slot.loggedIn = nil
    }
  }
}

@c @implementation
public func C_InitPIN(_ session: CK_SESSION_HANDLE, _ pin: CK_UTF8CHAR_PTR?, _ pinCount: CK_ULONG) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let pin = try callerPIN(pin, pinCount)
    try session.slot.request(
      .initializePIN, InitializePIN(session: session.announced(), pin: pin), options: [.long, .secret])
  }
}

@c @implementation
public func C_SetPIN(
  _ session: CK_SESSION_HANDLE, _ oldPIN: CK_UTF8CHAR_PTR?, _ oldCount: CK_ULONG, _ newPIN: CK_UTF8CHAR_PTR?,
  _ newCount: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let request = SetPIN(
      session: session.announced(), oldPIN: try callerPIN(oldPIN, oldCount), newPIN: try callerPIN(newPIN, newCount))
    try session.slot.request(.setPIN, request, options: [.long, .secret])
  }
}

@c @implementation
public func C_WaitForSlotEvent(_ flags: CK_FLAGS, _ slot: CK_SLOT_ID_PTR?, _ reserved: CK_VOID_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let flags = SlotEventFlags(rawValue: flags)
    guard reserved == nil, slot != nil, flags.isSubset(of: .dontBlock) else { throw .argumentsBad }
    // Tokens neither come nor go, so that an event is only ever waited for.
    if flags.contains(.dontBlock) { throw .noEvent }
    try library.waitForFinalization()
  }
}
