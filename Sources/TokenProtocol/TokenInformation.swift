import Wire

/// The reply to `tokenInformation`: what C_GetTokenInfo and C_GetMechanismList need of the secure world.
public struct TokenInformation: Sendable, Equatable {
  /// 32 bytes, padded with blanks; blank when the token is not initialised.
  public var label: [UInt8]
  /// 16 bytes, padded with blanks; stable for the life of the token.
  public var serialNumber: [UInt8]
  /// The bits of CK_TOKEN_INFO's flags that follow from the token's state (initialised, PIN counters, ...).
  public var flags: UInt32
  /// Bytes.
  public var minimumPINByteCount: UInt32
  /// Bytes.
  public var maximumPINByteCount: UInt32
  /// Sessions of all clients that the secure world knows of.
  public var sessionCount: UInt32
  public var readWriteSessionCount: UInt32
  /// The mechanisms that work at run time, as CKM_ values.
  public var mechanisms: [UInt32]

  public init(
    label: [UInt8], serialNumber: [UInt8], flags: UInt32, minimumPINByteCount: UInt32, maximumPINByteCount: UInt32,
    sessionCount: UInt32, readWriteSessionCount: UInt32, mechanisms: [UInt32]
  ) {
    self.label = label
    self.serialNumber = serialNumber
    self.flags = flags
    self.minimumPINByteCount = minimumPINByteCount
    self.maximumPINByteCount = maximumPINByteCount
    self.sessionCount = sessionCount
    self.readWriteSessionCount = readWriteSessionCount
    self.mechanisms = mechanisms
  }

  public init(from reader: inout WireReader) throws(WireError) {
    label = try reader.bytes()
    serialNumber = try reader.bytes()
    flags = try reader.u32()
    minimumPINByteCount = try reader.u32()
    maximumPINByteCount = try reader.u32()
    sessionCount = try reader.u32()
    readWriteSessionCount = try reader.u32()
    let count = try reader.count(ofElementsAtLeast: 4)
    mechanisms = []
    mechanisms.reserveCapacity(count)
    for _ in 0..<count { mechanisms.append(try reader.u32()) }
  }

  public func write(to writer: inout WireWriter) {
    writer.bytes(label)
    writer.bytes(serialNumber)
    writer.u32(flags)
    writer.u32(minimumPINByteCount)
    writer.u32(maximumPINByteCount)
    writer.u32(sessionCount)
    writer.u32(readWriteSessionCount)
    writer.u32(UInt32(truncatingIfNeeded: mechanisms.count))
    for mechanism in mechanisms { writer.u32(mechanism) }
  }
}
