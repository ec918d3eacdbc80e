/// What a Cryptoki function answers (CK_RV), and the error that the rooms above throw.
///
/// PKCS#11 3.2, chapter 5, "Function return values". `.ok` is a value like the others; code that throws never throws
/// it.
public struct ReturnValue: NamedConstant, Error {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}

extension ReturnValue {
  @inlinable public static var ok: Self { Self(rawValue: 0x0) }
  @inlinable public static var cancel: Self { Self(rawValue: 0x1) }
  @inlinable public static var hostMemory: Self { Self(rawValue: 0x2) }
  @inlinable public static var slotIDInvalid: Self { Self(rawValue: 0x3) }
  @inlinable public static var generalError: Self { Self(rawValue: 0x5) }
  @inlinable public static var functionFailed: Self { Self(rawValue: 0x6) }
  @inlinable public static var argumentsBad: Self { Self(rawValue: 0x7) }
  @inlinable public static var noEvent: Self { Self(rawValue: 0x8) }
  @inlinable public static var needToCreateThreads: Self { Self(rawValue: 0x9) }
  @inlinable public static var cantLock: Self { Self(rawValue: 0xa) }
  @inlinable public static var attributeReadOnly: Self { Self(rawValue: 0x10) }
  @inlinable public static var attributeSensitive: Self { Self(rawValue: 0x11) }
  @inlinable public static var attributeTypeInvalid: Self { Self(rawValue: 0x12) }
  @inlinable public static var attributeValueInvalid: Self { Self(rawValue: 0x13) }
  @inlinable public static var actionProhibited: Self { Self(rawValue: 0x1b) }
  @inlinable public static var dataInvalid: Self { Self(rawValue: 0x20) }
  @inlinable public static var dataLenRange: Self { Self(rawValue: 0x21) }
  @inlinable public static var deviceError: Self { Self(rawValue: 0x30) }
  @inlinable public static var deviceMemory: Self { Self(rawValue: 0x31) }
  @inlinable public static var deviceRemoved: Self { Self(rawValue: 0x32) }
  @inlinable public static var encryptedDataInvalid: Self { Self(rawValue: 0x40) }
  @inlinable public static var encryptedDataLenRange: Self { Self(rawValue: 0x41) }
  @inlinable public static var aeadDecryptFailed: Self { Self(rawValue: 0x42) }
  @inlinable public static var functionCanceled: Self { Self(rawValue: 0x50) }
  @inlinable public static var functionNotParallel: Self { Self(rawValue: 0x51) }
  @inlinable public static var functionNotSupported: Self { Self(rawValue: 0x54) }
  @inlinable public static var keyHandleInvalid: Self { Self(rawValue: 0x60) }
  @inlinable public static var keySizeRange: Self { Self(rawValue: 0x62) }
  @inlinable public static var keyTypeInconsistent: Self { Self(rawValue: 0x63) }
  @inlinable public static var keyNotNeeded: Self { Self(rawValue: 0x64) }
  @inlinable public static var keyChanged: Self { Self(rawValue: 0x65) }
  @inlinable public static var keyNeeded: Self { Self(rawValue: 0x66) }
  @inlinable public static var keyIndigestible: Self { Self(rawValue: 0x67) }
  @inlinable public static var keyFunctionNotPermitted: Self { Self(rawValue: 0x68) }
  @inlinable public static var keyNotWrappable: Self { Self(rawValue: 0x69) }
  @inlinable public static var keyUnextractable: Self { Self(rawValue: 0x6a) }
  @inlinable public static var mechanismInvalid: Self { Self(rawValue: 0x70) }
  @inlinable public static var mechanismParamInvalid: Self { Self(rawValue: 0x71) }
  @inlinable public static var objectHandleInvalid: Self { Self(rawValue: 0x82) }
  @inlinable public static var operationActive: Self { Self(rawValue: 0x90) }
  @inlinable public static var operationNotInitialized: Self { Self(rawValue: 0x91) }
  @inlinable public static var pinIncorrect: Self { Self(rawValue: 0xa0) }
  @inlinable public static var pinInvalid: Self { Self(rawValue: 0xa1) }
  @inlinable public static var pinLenRange: Self { Self(rawValue: 0xa2) }
  @inlinable public static var pinExpired: Self { Self(rawValue: 0xa3) }
  @inlinable public static var pinLocked: Self { Self(rawValue: 0xa4) }
  @inlinable public static var sessionClosed: Self { Self(rawValue: 0xb0) }
  @inlinable public static var sessionCount: Self { Self(rawValue: 0xb1) }
  @inlinable public static var sessionHandleInvalid: Self { Self(rawValue: 0xb3) }
  @inlinable public static var sessionParallelNotSupported: Self { Self(rawValue: 0xb4) }
  @inlinable public static var sessionReadOnly: Self { Self(rawValue: 0xb5) }
  @inlinable public static var sessionExists: Self { Self(rawValue: 0xb6) }
  @inlinable public static var sessionReadOnlyExists: Self { Self(rawValue: 0xb7) }
  @inlinable public static var sessionReadWriteSOExists: Self { Self(rawValue: 0xb8) }
  @inlinable public static var signatureInvalid: Self { Self(rawValue: 0xc0) }
  @inlinable public static var signatureLenRange: Self { Self(rawValue: 0xc1) }
  @inlinable public static var templateIncomplete: Self { Self(rawValue: 0xd0) }
  @inlinable public static var templateInconsistent: Self { Self(rawValue: 0xd1) }
  @inlinable public static var tokenNotPresent: Self { Self(rawValue: 0xe0) }
  @inlinable public static var tokenNotRecognized: Self { Self(rawValue: 0xe1) }
  @inlinable public static var tokenWriteProtected: Self { Self(rawValue: 0xe2) }
  @inlinable public static var unwrappingKeyHandleInvalid: Self { Self(rawValue: 0xf0) }
  @inlinable public static var unwrappingKeySizeRange: Self { Self(rawValue: 0xf1) }
  @inlinable public static var unwrappingKeyTypeInconsistent: Self { Self(rawValue: 0xf2) }
  @inlinable public static var userAlreadyLoggedIn: Self { Self(rawValue: 0x100) }
  @inlinable public static var userNotLoggedIn: Self { Self(rawValue: 0x101) }
  @inlinable public static var userPINNotInitialized: Self { Self(rawValue: 0x102) }
  @inlinable public static var userTypeInvalid: Self { Self(rawValue: 0x103) }
  @inlinable public static var userAnotherAlreadyLoggedIn: Self { Self(rawValue: 0x104) }
  @inlinable public static var userTooManyTypes: Self { Self(rawValue: 0x105) }
  @inlinable public static var wrappedKeyInvalid: Self { Self(rawValue: 0x110) }
  @inlinable public static var wrappedKeyLenRange: Self { Self(rawValue: 0x112) }
  @inlinable public static var wrappingKeyHandleInvalid: Self { Self(rawValue: 0x113) }
  @inlinable public static var wrappingKeySizeRange: Self { Self(rawValue: 0x114) }
  @inlinable public static var wrappingKeyTypeInconsistent: Self { Self(rawValue: 0x115) }
  @inlinable public static var randomSeedNotSupported: Self { Self(rawValue: 0x120) }
  @inlinable public static var randomNoRNG: Self { Self(rawValue: 0x121) }
  @inlinable public static var domainParamsInvalid: Self { Self(rawValue: 0x130) }
  @inlinable public static var curveNotSupported: Self { Self(rawValue: 0x140) }
  @inlinable public static var bufferTooSmall: Self { Self(rawValue: 0x150) }
  @inlinable public static var savedStateInvalid: Self { Self(rawValue: 0x160) }
  @inlinable public static var informationSensitive: Self { Self(rawValue: 0x170) }
  @inlinable public static var stateUnsaveable: Self { Self(rawValue: 0x180) }
  @inlinable public static var cryptokiNotInitialized: Self { Self(rawValue: 0x190) }
  @inlinable public static var cryptokiAlreadyInitialized: Self { Self(rawValue: 0x191) }
  @inlinable public static var mutexBad: Self { Self(rawValue: 0x1a0) }
  @inlinable public static var mutexNotLocked: Self { Self(rawValue: 0x1a1) }
  @inlinable public static var newPINMode: Self { Self(rawValue: 0x1b0) }
  @inlinable public static var nextOTP: Self { Self(rawValue: 0x1b1) }
  @inlinable public static var exceededMaxIterations: Self { Self(rawValue: 0x1b5) }
  @inlinable public static var fipsSelfTestFailed: Self { Self(rawValue: 0x1b6) }
  @inlinable public static var libraryLoadFailed: Self { Self(rawValue: 0x1b7) }
  @inlinable public static var pinTooWeak: Self { Self(rawValue: 0x1b8) }
  @inlinable public static var publicKeyInvalid: Self { Self(rawValue: 0x1b9) }
  @inlinable public static var functionRejected: Self { Self(rawValue: 0x200) }
  @inlinable public static var tokenResourceExceeded: Self { Self(rawValue: 0x201) }
  @inlinable public static var operationCancelFailed: Self { Self(rawValue: 0x202) }
  @inlinable public static var keyExhausted: Self { Self(rawValue: 0x203) }
  @inlinable public static var pending: Self { Self(rawValue: 0x204) }
  @inlinable public static var sessionAsyncNotSupported: Self { Self(rawValue: 0x205) }
  @inlinable public static var seedRandomRequired: Self { Self(rawValue: 0x206) }
  @inlinable public static var operationNotValidated: Self { Self(rawValue: 0x207) }
  @inlinable public static var tokenNotInitialized: Self { Self(rawValue: 0x208) }
  @inlinable public static var parameterSetNotSupported: Self { Self(rawValue: 0x209) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension ReturnValue {
  public static let namedValues: [(value: Self, name: String)] = [
    (.ok, "CKR_OK"),
    (.cancel, "CKR_CANCEL"),
    (.hostMemory, "CKR_HOST_MEMORY"),
    (.slotIDInvalid, "CKR_SLOT_ID_INVALID"),
    (.generalError, "CKR_GENERAL_ERROR"),
    (.functionFailed, "CKR_FUNCTION_FAILED"),
    (.argumentsBad, "CKR_ARGUMENTS_BAD"),
    (.noEvent, "CKR_NO_EVENT"),
    (.needToCreateThreads, "CKR_NEED_TO_CREATE_THREADS"),
    (.cantLock, "CKR_CANT_LOCK"),
    (.attributeReadOnly, "CKR_ATTRIBUTE_READ_ONLY"),
    (.attributeSensitive, "CKR_ATTRIBUTE_SENSITIVE"),
    (.attributeTypeInvalid, "CKR_ATTRIBUTE_TYPE_INVALID"),
    (.attributeValueInvalid, "CKR_ATTRIBUTE_VALUE_INVALID"),
    (.actionProhibited, "CKR_ACTION_PROHIBITED"),
    (.dataInvalid, "CKR_DATA_INVALID"),
    (.dataLenRange, "CKR_DATA_LEN_RANGE"),
    (.deviceError, "CKR_DEVICE_ERROR"),
    (.deviceMemory, "CKR_DEVICE_MEMORY"),
    (.deviceRemoved, "CKR_DEVICE_REMOVED"),
    (.encryptedDataInvalid, "CKR_ENCRYPTED_DATA_INVALID"),
    (.encryptedDataLenRange, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    (.aeadDecryptFailed, "CKR_AEAD_DECRYPT_FAILED"),
    (.functionCanceled, "CKR_FUNCTION_CANCELED"),
    (.functionNotParallel, "CKR_FUNCTION_NOT_PARALLEL"),
    (.functionNotSupported, "CKR_FUNCTION_NOT_SUPPORTED"),
    (.keyHandleInvalid, "CKR_KEY_HANDLE_INVALID"),
    (.keySizeRange, "CKR_KEY_SIZE_RANGE"),
    (.keyTypeInconsistent, "CKR_KEY_TYPE_INCONSISTENT"),
    (.keyNotNeeded, "CKR_KEY_NOT_NEEDED"),
    (.keyChanged, "CKR_KEY_CHANGED"),
    (.keyNeeded, "CKR_KEY_NEEDED"),
    (.keyIndigestible, "CKR_KEY_INDIGESTIBLE"),
    (.keyFunctionNotPermitted, "CKR_KEY_FUNCTION_NOT_PERMITTED"),
    (.keyNotWrappable, "CKR_KEY_NOT_WRAPPABLE"),
    (.keyUnextractable, "CKR_KEY_UNEXTRACTABLE"),
    (.mechanismInvalid, "CKR_MECHANISM_INVALID"),
    (.mechanismParamInvalid, "CKR_MECHANISM_PARAM_INVALID"),
    (.objectHandleInvalid, "CKR_OBJECT_HANDLE_INVALID"),
    (.operationActive, "CKR_OPERATION_ACTIVE"),
    (.operationNotInitialized, "CKR_OPERATION_NOT_INITIALIZED"),
    (.pinIncorrect, "CKR_PIN_INCORRECT"),
    (.pinInvalid, "CKR_PIN_INVALID"),
    (.pinLenRange, "CKR_PIN_LEN_RANGE"),
    (.pinExpired, "CKR_PIN_EXPIRED"),
    (.pinLocked, "CKR_PIN_LOCKED"),
    (.sessionClosed, "CKR_SESSION_CLOSED"),
    (.sessionCount, "CKR_SESSION_COUNT"),
    (.sessionHandleInvalid, "CKR_SESSION_HANDLE_INVALID"),
    (.sessionParallelNotSupported, "CKR_SESSION_PARALLEL_NOT_SUPPORTED"),
    (.sessionReadOnly, "CKR_SESSION_READ_ONLY"),
    (.sessionExists, "CKR_SESSION_EXISTS"),
    (.sessionReadOnlyExists, "CKR_SESSION_READ_ONLY_EXISTS"),
    (.sessionReadWriteSOExists, "CKR_SESSION_READ_WRITE_SO_EXISTS"),
    (.signatureInvalid, "CKR_SIGNATURE_INVALID"),
    (.signatureLenRange, "CKR_SIGNATURE_LEN_RANGE"),
    (.templateIncomplete, "CKR_TEMPLATE_INCOMPLETE"),
    (.templateInconsistent, "CKR_TEMPLATE_INCONSISTENT"),
    (.tokenNotPresent, "CKR_TOKEN_NOT_PRESENT"),
    (.tokenNotRecognized, "CKR_TOKEN_NOT_RECOGNIZED"),
    (.tokenWriteProtected, "CKR_TOKEN_WRITE_PROTECTED"),
    (.unwrappingKeyHandleInvalid, "CKR_UNWRAPPING_KEY_HANDLE_INVALID"),
    (.unwrappingKeySizeRange, "CKR_UNWRAPPING_KEY_SIZE_RANGE"),
    (.unwrappingKeyTypeInconsistent, "CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT"),
    (.userAlreadyLoggedIn, "CKR_USER_ALREADY_LOGGED_IN"),
    (.userNotLoggedIn, "CKR_USER_NOT_LOGGED_IN"),
    (.userPINNotInitialized, "CKR_USER_PIN_NOT_INITIALIZED"),
    (.userTypeInvalid, "CKR_USER_TYPE_INVALID"),
    (.userAnotherAlreadyLoggedIn, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"),
    (.userTooManyTypes, "CKR_USER_TOO_MANY_TYPES"),
    (.wrappedKeyInvalid, "CKR_WRAPPED_KEY_INVALID"),
    (.wrappedKeyLenRange, "CKR_WRAPPED_KEY_LEN_RANGE"),
    (.wrappingKeyHandleInvalid, "CKR_WRAPPING_KEY_HANDLE_INVALID"),
    (.wrappingKeySizeRange, "CKR_WRAPPING_KEY_SIZE_RANGE"),
    (.wrappingKeyTypeInconsistent, "CKR_WRAPPING_KEY_TYPE_INCONSISTENT"),
    (.randomSeedNotSupported, "CKR_RANDOM_SEED_NOT_SUPPORTED"),
    (.randomNoRNG, "CKR_RANDOM_NO_RNG"),
    (.domainParamsInvalid, "CKR_DOMAIN_PARAMS_INVALID"),
    (.curveNotSupported, "CKR_CURVE_NOT_SUPPORTED"),
    (.bufferTooSmall, "CKR_BUFFER_TOO_SMALL"),
    (.savedStateInvalid, "CKR_SAVED_STATE_INVALID"),
    (.informationSensitive, "CKR_INFORMATION_SENSITIVE"),
    (.stateUnsaveable, "CKR_STATE_UNSAVEABLE"),
    (.cryptokiNotInitialized, "CKR_CRYPTOKI_NOT_INITIALIZED"),
    (.cryptokiAlreadyInitialized, "CKR_CRYPTOKI_ALREADY_INITIALIZED"),
    (.mutexBad, "CKR_MUTEX_BAD"),
    (.mutexNotLocked, "CKR_MUTEX_NOT_LOCKED"),
    (.newPINMode, "CKR_NEW_PIN_MODE"),
    (.nextOTP, "CKR_NEXT_OTP"),
    (.exceededMaxIterations, "CKR_EXCEEDED_MAX_ITERATIONS"),
    (.fipsSelfTestFailed, "CKR_FIPS_SELF_TEST_FAILED"),
    (.libraryLoadFailed, "CKR_LIBRARY_LOAD_FAILED"),
    (.pinTooWeak, "CKR_PIN_TOO_WEAK"),
    (.publicKeyInvalid, "CKR_PUBLIC_KEY_INVALID"),
    (.functionRejected, "CKR_FUNCTION_REJECTED"),
    (.tokenResourceExceeded, "CKR_TOKEN_RESOURCE_EXCEEDED"),
    (.operationCancelFailed, "CKR_OPERATION_CANCEL_FAILED"),
    (.keyExhausted, "CKR_KEY_EXHAUSTED"),
    (.pending, "CKR_PENDING"),
    (.sessionAsyncNotSupported, "CKR_SESSION_ASYNC_NOT_SUPPORTED"),
    (.seedRandomRequired, "CKR_SEED_RANDOM_REQUIRED"),
    (.operationNotValidated, "CKR_OPERATION_NOT_VALIDATED"),
    (.tokenNotInitialized, "CKR_TOKEN_NOT_INITIALIZED"),
    (.parameterSetNotSupported, "CKR_PARAMETER_SET_NOT_SUPPORTED"),
    (.vendorDefined, "CKR_VENDOR_DEFINED"),
  ]
}
