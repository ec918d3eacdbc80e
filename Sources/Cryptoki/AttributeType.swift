/// The type of an attribute of an object (CK_ATTRIBUTE_TYPE, CKA_).
///
/// PKCS#11 3.2, chapter 4. The ABI passes a CK_ULONG; no attribute, vendor-defined ones included, needs more than 32
/// bits.
public struct AttributeType: NamedConstant {
  public let rawValue: UInt32

  @inlinable public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }

  /// The bit of the types whose value is an array (CKF_ARRAY_ATTRIBUTE).
  @inlinable public static var arrayFlag: UInt32 { 0x4000_0000 }

  /// Whether the value is an array: of attributes, or of mechanisms for CKA_ALLOWED_MECHANISMS.
  @inlinable public var isArray: Bool {
    rawValue & Self.arrayFlag != 0 || self == .encapsulateTemplate || self == .decapsulateTemplate
  }

  /// The type with the published number of CKA_ENCAPSULATE_TEMPLATE and CKA_DECAPSULATE_TEMPLATE in place of the
  /// number that the errata draft gives them; every other type as it is.
  @inlinable public var published: Self {
    switch rawValue ^ Self.arrayFlag {
    case Self.encapsulateTemplate.rawValue: .encapsulateTemplate
    case Self.decapsulateTemplate.rawValue: .decapsulateTemplate
    default: self
    }
  }

  /// Whether the value is a template (CKA_WRAP_TEMPLATE and its kin), not numbers or bytes.
  @inlinable public var holdsTemplate: Bool {
    switch published {
    case .wrapTemplate, .unwrapTemplate, .deriveTemplate, .encapsulateTemplate, .decapsulateTemplate: true
    default: false
    }
  }
}

extension AttributeType {
  @inlinable public static var `class`: Self { Self(rawValue: 0x0) }
  @inlinable public static var token: Self { Self(rawValue: 0x1) }
  @inlinable public static var `private`: Self { Self(rawValue: 0x2) }
  @inlinable public static var label: Self { Self(rawValue: 0x3) }
  @inlinable public static var uniqueID: Self { Self(rawValue: 0x4) }
  @inlinable public static var application: Self { Self(rawValue: 0x10) }
  @inlinable public static var value: Self { Self(rawValue: 0x11) }
  @inlinable public static var objectID: Self { Self(rawValue: 0x12) }
  @inlinable public static var certificateType: Self { Self(rawValue: 0x80) }
  @inlinable public static var issuer: Self { Self(rawValue: 0x81) }
  @inlinable public static var serialNumber: Self { Self(rawValue: 0x82) }
  @inlinable public static var acIssuer: Self { Self(rawValue: 0x83) }
  @inlinable public static var owner: Self { Self(rawValue: 0x84) }
  @inlinable public static var attrTypes: Self { Self(rawValue: 0x85) }
  @inlinable public static var trusted: Self { Self(rawValue: 0x86) }
  @inlinable public static var certificateCategory: Self { Self(rawValue: 0x87) }
  @inlinable public static var javaMIDPSecurityDomain: Self { Self(rawValue: 0x88) }
  @inlinable public static var url: Self { Self(rawValue: 0x89) }
  @inlinable public static var hashOfSubjectPublicKey: Self { Self(rawValue: 0x8a) }
  @inlinable public static var hashOfIssuerPublicKey: Self { Self(rawValue: 0x8b) }
  @inlinable public static var nameHashAlgorithm: Self { Self(rawValue: 0x8c) }
  @inlinable public static var checkValue: Self { Self(rawValue: 0x90) }
  @inlinable public static var keyType: Self { Self(rawValue: 0x100) }
  @inlinable public static var subject: Self { Self(rawValue: 0x101) }
  @inlinable public static var id: Self { Self(rawValue: 0x102) }
  @inlinable public static var sensitive: Self { Self(rawValue: 0x103) }
  @inlinable public static var encrypt: Self { Self(rawValue: 0x104) }
  @inlinable public static var decrypt: Self { Self(rawValue: 0x105) }
  @inlinable public static var wrap: Self { Self(rawValue: 0x106) }
  @inlinable public static var unwrap: Self { Self(rawValue: 0x107) }
  @inlinable public static var sign: Self { Self(rawValue: 0x108) }
  @inlinable public static var signRecover: Self { Self(rawValue: 0x109) }
  @inlinable public static var verify: Self { Self(rawValue: 0x10a) }
  @inlinable public static var verifyRecover: Self { Self(rawValue: 0x10b) }
  @inlinable public static var derive: Self { Self(rawValue: 0x10c) }
  @inlinable public static var startDate: Self { Self(rawValue: 0x110) }
  @inlinable public static var endDate: Self { Self(rawValue: 0x111) }
  @inlinable public static var modulus: Self { Self(rawValue: 0x120) }
  @inlinable public static var modulusBits: Self { Self(rawValue: 0x121) }
  @inlinable public static var publicExponent: Self { Self(rawValue: 0x122) }
  @inlinable public static var privateExponent: Self { Self(rawValue: 0x123) }
  @inlinable public static var prime1: Self { Self(rawValue: 0x124) }
  @inlinable public static var prime2: Self { Self(rawValue: 0x125) }
  @inlinable public static var exponent1: Self { Self(rawValue: 0x126) }
  @inlinable public static var exponent2: Self { Self(rawValue: 0x127) }
  @inlinable public static var coefficient: Self { Self(rawValue: 0x128) }
  @inlinable public static var publicKeyInfo: Self { Self(rawValue: 0x129) }
  @inlinable public static var prime: Self { Self(rawValue: 0x130) }
  @inlinable public static var subprime: Self { Self(rawValue: 0x131) }
  @inlinable public static var base: Self { Self(rawValue: 0x132) }
  @inlinable public static var primeBits: Self { Self(rawValue: 0x133) }
  @inlinable public static var subprimeBits: Self { Self(rawValue: 0x134) }
  /// Older spelling of `subprimeBits`.
  @inlinable public static var subPrimeBits: Self { .subprimeBits }
  @inlinable public static var valueBits: Self { Self(rawValue: 0x160) }
  @inlinable public static var valueLen: Self { Self(rawValue: 0x161) }
  @inlinable public static var extractable: Self { Self(rawValue: 0x162) }
  @inlinable public static var local: Self { Self(rawValue: 0x163) }
  @inlinable public static var neverExtractable: Self { Self(rawValue: 0x164) }
  @inlinable public static var alwaysSensitive: Self { Self(rawValue: 0x165) }
  @inlinable public static var keyGenMechanism: Self { Self(rawValue: 0x166) }
  @inlinable public static var modifiable: Self { Self(rawValue: 0x170) }
  @inlinable public static var copyable: Self { Self(rawValue: 0x171) }
  @inlinable public static var destroyable: Self { Self(rawValue: 0x172) }
  @inlinable public static var ecParams: Self { Self(rawValue: 0x180) }
  /// Older spelling of `ecParams`.
  @inlinable public static var ecdsaParams: Self { .ecParams }
  @inlinable public static var ecPoint: Self { Self(rawValue: 0x181) }
  @inlinable public static var secondaryAuth: Self { Self(rawValue: 0x200) }
  @inlinable public static var authPINFlags: Self { Self(rawValue: 0x201) }
  @inlinable public static var alwaysAuthenticate: Self { Self(rawValue: 0x202) }
  @inlinable public static var wrapWithTrusted: Self { Self(rawValue: 0x210) }
  @inlinable public static var otpFormat: Self { Self(rawValue: 0x220) }
  @inlinable public static var otpLength: Self { Self(rawValue: 0x221) }
  @inlinable public static var otpTimeInterval: Self { Self(rawValue: 0x222) }
  @inlinable public static var otpUserFriendlyMode: Self { Self(rawValue: 0x223) }
  @inlinable public static var otpChallengeRequirement: Self { Self(rawValue: 0x224) }
  @inlinable public static var otpTimeRequirement: Self { Self(rawValue: 0x225) }
  @inlinable public static var otpCounterRequirement: Self { Self(rawValue: 0x226) }
  @inlinable public static var otpPINRequirement: Self { Self(rawValue: 0x227) }
  @inlinable public static var otpUserIdentifier: Self { Self(rawValue: 0x22a) }
  @inlinable public static var otpServiceIdentifier: Self { Self(rawValue: 0x22b) }
  @inlinable public static var otpServiceLogo: Self { Self(rawValue: 0x22c) }
  @inlinable public static var otpServiceLogoType: Self { Self(rawValue: 0x22d) }
  @inlinable public static var otpCounter: Self { Self(rawValue: 0x22e) }
  @inlinable public static var otpTime: Self { Self(rawValue: 0x22f) }
  @inlinable public static var gostr3410Params: Self { Self(rawValue: 0x250) }
  @inlinable public static var gostr3411Params: Self { Self(rawValue: 0x251) }
  @inlinable public static var gost28147Params: Self { Self(rawValue: 0x252) }
  @inlinable public static var hwFeatureType: Self { Self(rawValue: 0x300) }
  @inlinable public static var resetOnInit: Self { Self(rawValue: 0x301) }
  @inlinable public static var hasReset: Self { Self(rawValue: 0x302) }
  @inlinable public static var pixelX: Self { Self(rawValue: 0x400) }
  @inlinable public static var pixelY: Self { Self(rawValue: 0x401) }
  @inlinable public static var resolution: Self { Self(rawValue: 0x402) }
  @inlinable public static var charRows: Self { Self(rawValue: 0x403) }
  @inlinable public static var charColumns: Self { Self(rawValue: 0x404) }
  @inlinable public static var color: Self { Self(rawValue: 0x405) }
  @inlinable public static var bitsPerPixel: Self { Self(rawValue: 0x406) }
  @inlinable public static var charSets: Self { Self(rawValue: 0x480) }
  @inlinable public static var encodingMethods: Self { Self(rawValue: 0x481) }
  @inlinable public static var mimeTypes: Self { Self(rawValue: 0x482) }
  @inlinable public static var mechanismType: Self { Self(rawValue: 0x500) }
  @inlinable public static var requiredCMSAttributes: Self { Self(rawValue: 0x501) }
  @inlinable public static var defaultCMSAttributes: Self { Self(rawValue: 0x502) }
  @inlinable public static var supportedCMSAttributes: Self { Self(rawValue: 0x503) }
  @inlinable public static var profileID: Self { Self(rawValue: 0x601) }
  @inlinable public static var x2ratchetBag: Self { Self(rawValue: 0x602) }
  @inlinable public static var x2ratchetBagSize: Self { Self(rawValue: 0x603) }
  @inlinable public static var x2ratchetBobs1stMsg: Self { Self(rawValue: 0x604) }
  @inlinable public static var x2ratchetCKR: Self { Self(rawValue: 0x605) }
  @inlinable public static var x2ratchetCKS: Self { Self(rawValue: 0x606) }
  @inlinable public static var x2ratchetDHP: Self { Self(rawValue: 0x607) }
  @inlinable public static var x2ratchetDHR: Self { Self(rawValue: 0x608) }
  @inlinable public static var x2ratchetDHS: Self { Self(rawValue: 0x609) }
  @inlinable public static var x2ratchetHKR: Self { Self(rawValue: 0x60a) }
  @inlinable public static var x2ratchetHKS: Self { Self(rawValue: 0x60b) }
  @inlinable public static var x2ratchetIsAlice: Self { Self(rawValue: 0x60c) }
  @inlinable public static var x2ratchetNHKR: Self { Self(rawValue: 0x60d) }
  @inlinable public static var x2ratchetNHKS: Self { Self(rawValue: 0x60e) }
  @inlinable public static var x2ratchetNR: Self { Self(rawValue: 0x60f) }
  @inlinable public static var x2ratchetNS: Self { Self(rawValue: 0x610) }
  @inlinable public static var x2ratchetPNS: Self { Self(rawValue: 0x611) }
  @inlinable public static var x2ratchetRK: Self { Self(rawValue: 0x612) }
  @inlinable public static var hssLevels: Self { Self(rawValue: 0x617) }
  @inlinable public static var hssLMSType: Self { Self(rawValue: 0x618) }
  @inlinable public static var hssLMOTSType: Self { Self(rawValue: 0x619) }
  @inlinable public static var hssLMSTypes: Self { Self(rawValue: 0x61a) }
  @inlinable public static var hssLMOTSTypes: Self { Self(rawValue: 0x61b) }
  @inlinable public static var hssKeysRemaining: Self { Self(rawValue: 0x61c) }
  @inlinable public static var parameterSet: Self { Self(rawValue: 0x61d) }
  @inlinable public static var objectValidationFlags: Self { Self(rawValue: 0x61e) }
  @inlinable public static var validationType: Self { Self(rawValue: 0x61f) }
  @inlinable public static var validationVersion: Self { Self(rawValue: 0x620) }
  @inlinable public static var validationLevel: Self { Self(rawValue: 0x621) }
  @inlinable public static var validationModuleID: Self { Self(rawValue: 0x622) }
  @inlinable public static var validationFlag: Self { Self(rawValue: 0x623) }
  @inlinable public static var validationAuthorityType: Self { Self(rawValue: 0x624) }
  @inlinable public static var validationCountry: Self { Self(rawValue: 0x625) }
  @inlinable public static var validationCertificateIdentifier: Self { Self(rawValue: 0x626) }
  @inlinable public static var validationCertificateURI: Self { Self(rawValue: 0x627) }
  @inlinable public static var validationVendorURI: Self { Self(rawValue: 0x628) }
  @inlinable public static var validationProfile: Self { Self(rawValue: 0x629) }
  @inlinable public static var encapsulateTemplate: Self { Self(rawValue: 0x62a) }
  @inlinable public static var decapsulateTemplate: Self { Self(rawValue: 0x62b) }
  @inlinable public static var trustServerAuth: Self { Self(rawValue: 0x62c) }
  @inlinable public static var trustClientAuth: Self { Self(rawValue: 0x62d) }
  @inlinable public static var trustCodeSigning: Self { Self(rawValue: 0x62e) }
  @inlinable public static var trustEmailProtection: Self { Self(rawValue: 0x62f) }
  @inlinable public static var trustIPSECIKE: Self { Self(rawValue: 0x630) }
  @inlinable public static var trustTimeStamping: Self { Self(rawValue: 0x631) }
  @inlinable public static var trustOCSPSigning: Self { Self(rawValue: 0x632) }
  @inlinable public static var encapsulate: Self { Self(rawValue: 0x633) }
  @inlinable public static var decapsulate: Self { Self(rawValue: 0x634) }
  @inlinable public static var hashOfCertificate: Self { Self(rawValue: 0x635) }
  @inlinable public static var publicCRC64Value: Self { Self(rawValue: 0x636) }
  @inlinable public static var seed: Self { Self(rawValue: 0x637) }
  @inlinable public static var wrapTemplate: Self { Self(rawValue: 0x4000_0211) }
  @inlinable public static var unwrapTemplate: Self { Self(rawValue: 0x4000_0212) }
  @inlinable public static var deriveTemplate: Self { Self(rawValue: 0x4000_0213) }
  @inlinable public static var allowedMechanisms: Self { Self(rawValue: 0x4000_0600) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension AttributeType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.class, "CKA_CLASS"),
    (.token, "CKA_TOKEN"),
    (.private, "CKA_PRIVATE"),
    (.label, "CKA_LABEL"),
    (.uniqueID, "CKA_UNIQUE_ID"),
    (.application, "CKA_APPLICATION"),
    (.value, "CKA_VALUE"),
    (.objectID, "CKA_OBJECT_ID"),
    (.certificateType, "CKA_CERTIFICATE_TYPE"),
    (.issuer, "CKA_ISSUER"),
    (.serialNumber, "CKA_SERIAL_NUMBER"),
    (.acIssuer, "CKA_AC_ISSUER"),
    (.owner, "CKA_OWNER"),
    (.attrTypes, "CKA_ATTR_TYPES"),
    (.trusted, "CKA_TRUSTED"),
    (.certificateCategory, "CKA_CERTIFICATE_CATEGORY"),
    (.javaMIDPSecurityDomain, "CKA_JAVA_MIDP_SECURITY_DOMAIN"),
    (.url, "CKA_URL"),
    (.hashOfSubjectPublicKey, "CKA_HASH_OF_SUBJECT_PUBLIC_KEY"),
    (.hashOfIssuerPublicKey, "CKA_HASH_OF_ISSUER_PUBLIC_KEY"),
    (.nameHashAlgorithm, "CKA_NAME_HASH_ALGORITHM"),
    (.checkValue, "CKA_CHECK_VALUE"),
    (.keyType, "CKA_KEY_TYPE"),
    (.subject, "CKA_SUBJECT"),
    (.id, "CKA_ID"),
    (.sensitive, "CKA_SENSITIVE"),
    (.encrypt, "CKA_ENCRYPT"),
    (.decrypt, "CKA_DECRYPT"),
    (.wrap, "CKA_WRAP"),
    (.unwrap, "CKA_UNWRAP"),
    (.sign, "CKA_SIGN"),
    (.signRecover, "CKA_SIGN_RECOVER"),
    (.verify, "CKA_VERIFY"),
    (.verifyRecover, "CKA_VERIFY_RECOVER"),
    (.derive, "CKA_DERIVE"),
    (.startDate, "CKA_START_DATE"),
    (.endDate, "CKA_END_DATE"),
    (.modulus, "CKA_MODULUS"),
    (.modulusBits, "CKA_MODULUS_BITS"),
    (.publicExponent, "CKA_PUBLIC_EXPONENT"),
    (.privateExponent, "CKA_PRIVATE_EXPONENT"),
    (.prime1, "CKA_PRIME_1"),
    (.prime2, "CKA_PRIME_2"),
    (.exponent1, "CKA_EXPONENT_1"),
    (.exponent2, "CKA_EXPONENT_2"),
    (.coefficient, "CKA_COEFFICIENT"),
    (.publicKeyInfo, "CKA_PUBLIC_KEY_INFO"),
    (.prime, "CKA_PRIME"),
    (.subprime, "CKA_SUBPRIME"),
    (.base, "CKA_BASE"),
    (.primeBits, "CKA_PRIME_BITS"),
    (.subprimeBits, "CKA_SUBPRIME_BITS"),
    (.valueBits, "CKA_VALUE_BITS"),
    (.valueLen, "CKA_VALUE_LEN"),
    (.extractable, "CKA_EXTRACTABLE"),
    (.local, "CKA_LOCAL"),
    (.neverExtractable, "CKA_NEVER_EXTRACTABLE"),
    (.alwaysSensitive, "CKA_ALWAYS_SENSITIVE"),
    (.keyGenMechanism, "CKA_KEY_GEN_MECHANISM"),
    (.modifiable, "CKA_MODIFIABLE"),
    (.copyable, "CKA_COPYABLE"),
    (.destroyable, "CKA_DESTROYABLE"),
    (.ecParams, "CKA_EC_PARAMS"),
    (.ecPoint, "CKA_EC_POINT"),
    (.secondaryAuth, "CKA_SECONDARY_AUTH"),
    (.authPINFlags, "CKA_AUTH_PIN_FLAGS"),
    (.alwaysAuthenticate, "CKA_ALWAYS_AUTHENTICATE"),
    (.wrapWithTrusted, "CKA_WRAP_WITH_TRUSTED"),
    (.otpFormat, "CKA_OTP_FORMAT"),
    (.otpLength, "CKA_OTP_LENGTH"),
    (.otpTimeInterval, "CKA_OTP_TIME_INTERVAL"),
    (.otpUserFriendlyMode, "CKA_OTP_USER_FRIENDLY_MODE"),
    (.otpChallengeRequirement, "CKA_OTP_CHALLENGE_REQUIREMENT"),
    (.otpTimeRequirement, "CKA_OTP_TIME_REQUIREMENT"),
    (.otpCounterRequirement, "CKA_OTP_COUNTER_REQUIREMENT"),
    (.otpPINRequirement, "CKA_OTP_PIN_REQUIREMENT"),
    (.otpUserIdentifier, "CKA_OTP_USER_IDENTIFIER"),
    (.otpServiceIdentifier, "CKA_OTP_SERVICE_IDENTIFIER"),
    (.otpServiceLogo, "CKA_OTP_SERVICE_LOGO"),
    (.otpServiceLogoType, "CKA_OTP_SERVICE_LOGO_TYPE"),
    (.otpCounter, "CKA_OTP_COUNTER"),
    (.otpTime, "CKA_OTP_TIME"),
    (.gostr3410Params, "CKA_GOSTR3410_PARAMS"),
    (.gostr3411Params, "CKA_GOSTR3411_PARAMS"),
    (.gost28147Params, "CKA_GOST28147_PARAMS"),
    (.hwFeatureType, "CKA_HW_FEATURE_TYPE"),
    (.resetOnInit, "CKA_RESET_ON_INIT"),
    (.hasReset, "CKA_HAS_RESET"),
    (.pixelX, "CKA_PIXEL_X"),
    (.pixelY, "CKA_PIXEL_Y"),
    (.resolution, "CKA_RESOLUTION"),
    (.charRows, "CKA_CHAR_ROWS"),
    (.charColumns, "CKA_CHAR_COLUMNS"),
    (.color, "CKA_COLOR"),
    (.bitsPerPixel, "CKA_BITS_PER_PIXEL"),
    (.charSets, "CKA_CHAR_SETS"),
    (.encodingMethods, "CKA_ENCODING_METHODS"),
    (.mimeTypes, "CKA_MIME_TYPES"),
    (.mechanismType, "CKA_MECHANISM_TYPE"),
    (.requiredCMSAttributes, "CKA_REQUIRED_CMS_ATTRIBUTES"),
    (.defaultCMSAttributes, "CKA_DEFAULT_CMS_ATTRIBUTES"),
    (.supportedCMSAttributes, "CKA_SUPPORTED_CMS_ATTRIBUTES"),
    (.profileID, "CKA_PROFILE_ID"),
    (.x2ratchetBag, "CKA_X2RATCHET_BAG"),
    (.x2ratchetBagSize, "CKA_X2RATCHET_BAGSIZE"),
    (.x2ratchetBobs1stMsg, "CKA_X2RATCHET_BOBS1STMSG"),
    (.x2ratchetCKR, "CKA_X2RATCHET_CKR"),
    (.x2ratchetCKS, "CKA_X2RATCHET_CKS"),
    (.x2ratchetDHP, "CKA_X2RATCHET_DHP"),
    (.x2ratchetDHR, "CKA_X2RATCHET_DHR"),
    (.x2ratchetDHS, "CKA_X2RATCHET_DHS"),
    (.x2ratchetHKR, "CKA_X2RATCHET_HKR"),
    (.x2ratchetHKS, "CKA_X2RATCHET_HKS"),
    (.x2ratchetIsAlice, "CKA_X2RATCHET_ISALICE"),
    (.x2ratchetNHKR, "CKA_X2RATCHET_NHKR"),
    (.x2ratchetNHKS, "CKA_X2RATCHET_NHKS"),
    (.x2ratchetNR, "CKA_X2RATCHET_NR"),
    (.x2ratchetNS, "CKA_X2RATCHET_NS"),
    (.x2ratchetPNS, "CKA_X2RATCHET_PNS"),
    (.x2ratchetRK, "CKA_X2RATCHET_RK"),
    (.hssLevels, "CKA_HSS_LEVELS"),
    (.hssLMSType, "CKA_HSS_LMS_TYPE"),
    (.hssLMOTSType, "CKA_HSS_LMOTS_TYPE"),
    (.hssLMSTypes, "CKA_HSS_LMS_TYPES"),
    (.hssLMOTSTypes, "CKA_HSS_LMOTS_TYPES"),
    (.hssKeysRemaining, "CKA_HSS_KEYS_REMAINING"),
    (.parameterSet, "CKA_PARAMETER_SET"),
    (.objectValidationFlags, "CKA_OBJECT_VALIDATION_FLAGS"),
    (.validationType, "CKA_VALIDATION_TYPE"),
    (.validationVersion, "CKA_VALIDATION_VERSION"),
    (.validationLevel, "CKA_VALIDATION_LEVEL"),
    (.validationModuleID, "CKA_VALIDATION_MODULE_ID"),
    (.validationFlag, "CKA_VALIDATION_FLAG"),
    (.validationAuthorityType, "CKA_VALIDATION_AUTHORITY_TYPE"),
    (.validationCountry, "CKA_VALIDATION_COUNTRY"),
    (.validationCertificateIdentifier, "CKA_VALIDATION_CERTIFICATE_IDENTIFIER"),
    (.validationCertificateURI, "CKA_VALIDATION_CERTIFICATE_URI"),
    (.validationVendorURI, "CKA_VALIDATION_VENDOR_URI"),
    (.validationProfile, "CKA_VALIDATION_PROFILE"),
    (.encapsulateTemplate, "CKA_ENCAPSULATE_TEMPLATE"),
    (.decapsulateTemplate, "CKA_DECAPSULATE_TEMPLATE"),
    (.trustServerAuth, "CKA_TRUST_SERVER_AUTH"),
    (.trustClientAuth, "CKA_TRUST_CLIENT_AUTH"),
    (.trustCodeSigning, "CKA_TRUST_CODE_SIGNING"),
    (.trustEmailProtection, "CKA_TRUST_EMAIL_PROTECTION"),
    (.trustIPSECIKE, "CKA_TRUST_IPSEC_IKE"),
    (.trustTimeStamping, "CKA_TRUST_TIME_STAMPING"),
    (.trustOCSPSigning, "CKA_TRUST_OCSP_SIGNING"),
    (.encapsulate, "CKA_ENCAPSULATE"),
    (.decapsulate, "CKA_DECAPSULATE"),
    (.hashOfCertificate, "CKA_HASH_OF_CERTIFICATE"),
    (.publicCRC64Value, "CKA_PUBLIC_CRC64_VALUE"),
    (.seed, "CKA_SEED"),
    (.wrapTemplate, "CKA_WRAP_TEMPLATE"),
    (.unwrapTemplate, "CKA_UNWRAP_TEMPLATE"),
    (.deriveTemplate, "CKA_DERIVE_TEMPLATE"),
    (.allowedMechanisms, "CKA_ALLOWED_MECHANISMS"),
    (.vendorDefined, "CKA_VENDOR_DEFINED"),
  ]

  public static let olderNames: [(value: Self, name: String)] = [
    (.subPrimeBits, "CKA_SUB_PRIME_BITS"),
    (.ecdsaParams, "CKA_ECDSA_PARAMS"),
  ]
}
