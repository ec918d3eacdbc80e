import Cryptoki
import Testing

/// A type of the vocabulary with its names and numbers, as the tests look at it.
struct Vocabulary: Sendable, CustomTestStringConvertible {
  typealias Entry = (value: UInt64, name: String)

  /// The name of the Swift type.
  var type: String
  /// What the names in the specification begin with and the Swift names leave out.
  var prefix: String
  var names: [Entry]
  var olderNames: [Entry]
  /// `name` of the value with a raw value, for raw values that the type can hold.
  var describe: @Sendable (UInt64) -> String?

  var testDescription: String { type }

  private init<T: NamedConstant>(_ type: T.Type, _ prefix: String) {
    self.type = "\(type)"
    self.prefix = prefix
    names = type.namedValues.map { (UInt64($0.value.rawValue), $0.name) }
    olderNames = type.olderNames.map { (UInt64($0.value.rawValue), $0.name) }
    describe = { T.RawValue(exactly: $0).map { T(rawValue: $0).name } }
  }

  private init<T: NamedFlags>(_ type: T.Type, _ prefix: String) {
    self.type = "\(type)"
    self.prefix = prefix
    names = type.namedValues.map { (UInt64($0.value.rawValue), $0.name) }
    olderNames = type.olderNames.map { (UInt64($0.value.rawValue), $0.name) }
    describe = { T.RawValue(exactly: $0).map { T(rawValue: $0).name } }
  }

  static let all: [Vocabulary] = [
    Vocabulary(AttributeType.self, "CKA_"),
    Vocabulary(CertificateCategory.self, "CK_CERTIFICATE_CATEGORY_"),
    Vocabulary(CertificateType.self, "CKC_"),
    Vocabulary(DKMLengthMethod.self, "CK_SP800_108_DKM_LENGTH_"),
    Vocabulary(GeneratorFunction.self, "CKG_"),
    Vocabulary(HKDFSaltType.self, "CKF_HKDF_SALT_"),
    Vocabulary(HardwareFeatureType.self, "CKH_"),
    Vocabulary(HedgeType.self, "CKH_"),
    Vocabulary(InitializeFlags.self, "CKF_"),
    Vocabulary(InterfaceFlags.self, "CKF_"),
    Vocabulary(JavaSecurityDomain.self, "CK_SECURITY_DOMAIN_"),
    Vocabulary(KeyDerivationFunction.self, "CKD_"),
    Vocabulary(KeyType.self, "CKK_"),
    Vocabulary(MLDSAParameterSet.self, "CKP_"),
    Vocabulary(MLKEMParameterSet.self, "CKP_"),
    Vocabulary(MaskGenerationFunction.self, "CKG_"),
    Vocabulary(MechanismFlags.self, "CKF_"),
    Vocabulary(MechanismType.self, "CKM_"),
    Vocabulary(MessageFlags.self, "CKF_"),
    Vocabulary(Notification.self, "CKN_"),
    Vocabulary(OAEPSource.self, "CKZ_"),
    Vocabulary(OTPFlags.self, "CKF_"),
    Vocabulary(OTPFormat.self, "CK_OTP_FORMAT_"),
    Vocabulary(OTPParameterType.self, "CK_OTP_"),
    Vocabulary(OTPRequirement.self, "CK_OTP_PARAM_"),
    Vocabulary(ObjectClass.self, "CKO_"),
    Vocabulary(PRFDataType.self, "CK_SP800_108_"),
    Vocabulary(ProfileID.self, "CKP_"),
    Vocabulary(PseudoRandomFunction.self, "CKP_PKCS5_PBKD2_"),
    Vocabulary(ReturnValue.self, "CKR_"),
    Vocabulary(SLHDSAParameterSet.self, "CKP_"),
    Vocabulary(SaltSource.self, "CKZ_"),
    Vocabulary(SessionFlags.self, "CKF_"),
    Vocabulary(SessionState.self, "CKS_"),
    Vocabulary(SessionValidationFlags.self, "CKS_"),
    Vocabulary(SlotEventFlags.self, "CKF_"),
    Vocabulary(SlotFlags.self, "CKF_"),
    Vocabulary(TokenFlags.self, "CKF_"),
    Vocabulary(Trust.self, "CKT_"),
    Vocabulary(UserType.self, "CKU_"),
    Vocabulary(ValidationAuthorityType.self, "CKV_AUTHORITY_TYPE_"),
    Vocabulary(ValidationType.self, "CKV_TYPE_"),
  ]
}
