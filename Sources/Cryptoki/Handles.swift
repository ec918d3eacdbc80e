/// The number of a slot (CK_SLOT_ID). Any number can name a slot, 0 included.
public struct SlotID: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

/// The number that names an open session to its application (CK_SESSION_HANDLE).
public struct SessionHandle: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// CK_INVALID_HANDLE: names no session.
  @inlinable public static var invalid: Self { Self(rawValue: 0) }
}

/// The number that names an object to its application (CK_OBJECT_HANDLE).
public struct ObjectHandle: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// CK_INVALID_HANDLE: names no object.
  @inlinable public static var invalid: Self { Self(rawValue: 0) }
}

/// The two numbers that stand for something other than an amount in the information structures (CK_ULONG).
public enum Amount {
  /// CK_UNAVAILABLE_INFORMATION: the token does not know, or the attribute cannot be had.
  @inlinable public static var unavailable: UInt { .max }

  /// CK_EFFECTIVELY_INFINITE: there is no limit worth a number.
  @inlinable public static var effectivelyInfinite: UInt { 0 }
}
