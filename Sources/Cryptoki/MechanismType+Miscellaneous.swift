// Mechanisms (PKCS#11 3.2, chapter 6): One-time passwords, CMS, key wrap, vendor-defined.

extension MechanismType {
  @inlinable public static var securidKeyGen: Self { Self(rawValue: 0x280) }
  @inlinable public static var securid: Self { Self(rawValue: 0x282) }
  @inlinable public static var hotpKeyGen: Self { Self(rawValue: 0x290) }
  @inlinable public static var hotp: Self { Self(rawValue: 0x291) }
  @inlinable public static var acti: Self { Self(rawValue: 0x2a0) }
  @inlinable public static var actiKeyGen: Self { Self(rawValue: 0x2a1) }
  @inlinable public static var keyWrapLynks: Self { Self(rawValue: 0x400) }
  @inlinable public static var keyWrapSetOAEP: Self { Self(rawValue: 0x401) }
  @inlinable public static var cmsSig: Self { Self(rawValue: 0x500) }
  @inlinable public static var null: Self { Self(rawValue: 0x400b) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}
