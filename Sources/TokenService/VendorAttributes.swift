import Cryptoki

/// The attributes of this token's own; `strongroom.h` has the same numbers.
extension AttributeType {
  /// CKA_STRONGROOM_RESTRICTED_OUTPUT (CK_BBOOL, false): what the key decrypts may go into restricted buffers only.
  /// May become true after creation, never false again.
  public static var strongroomRestrictedOutput: Self { Self(rawValue: 0x9352_0001) }
  /// CKA_STRONGROOM_USE_CASES (array of CK_ULONG): the use-cases whose restricted buffers may receive what the key
  /// decrypts; empty means all.
  public static var strongroomUseCases: Self { Self(rawValue: 0xd352_0002) }
}
