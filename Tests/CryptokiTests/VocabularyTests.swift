import Cryptoki
import Testing

@Suite("The vocabulary")
struct VocabularyTests {
  /// The constants that are numbers of the language rather than members of a family; `Amount`, the handles and
  /// `AttributeType.arrayFlag` hold those that Swift code needs.
  static let plainNumbers: Set = [
    "CRYPTOKI_VERSION_MAJOR", "CRYPTOKI_VERSION_MINOR", "CRYPTOKI_VERSION_AMENDMENT", "CK_TRUE", "CK_FALSE",
    "CK_UNAVAILABLE_INFORMATION", "CK_EFFECTIVELY_INFINITE", "CK_INVALID_HANDLE", "CKF_ARRAY_ATTRIBUTE",
  ]

  @Test("has every constant of the standard once, with its value")
  func everyConstant() throws {
    var known: [String: [UInt64]] = [:]
    for entry in Vocabulary.all.flatMap({ $0.names + $0.olderNames }) {
      known[entry.name, default: []].append(entry.value)
    }
    let constants = try Facts.constants().filter { !Self.plainNumbers.contains($0.name) }
    for constant in constants { #expect(known[constant.name] == [constant.value], "\(constant.name)") }
    #expect(constants.count == 1041)

    let names = Set(constants.map(\.name))
    let invented = known.filter { !names.contains($0.key) && $0.value.contains { $0 & 0x8000_0000 == 0 } }
    #expect(invented.isEmpty, "outside the vendors' range, every name is the standard's")
  }

  @Test("lists its values in ascending order, each once", arguments: Vocabulary.all)
  func ascending(vocabulary: Vocabulary) {
    let values = vocabulary.names.map(\.value)
    #expect(!values.isEmpty)
    #expect(zip(values, values.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test("gives each value its current name", arguments: Vocabulary.all)
  func names(vocabulary: Vocabulary) {
    for entry in vocabulary.names { #expect(vocabulary.describe(entry.value) == entry.name) }
    let values = Set(vocabulary.names.map(\.value))
    for entry in vocabulary.olderNames { #expect(values.contains(entry.value), "\(entry.name)") }
  }

  @Test("gives a value without a name its number", arguments: Vocabulary.all.filter { !$0.type.hasSuffix("Flags") })
  func numbers(vocabulary: Vocabulary) {
    #expect(vocabulary.describe(0x4000_1234) == "0x40001234")
    let isNarrow = ["MechanismType", "AttributeType"].contains(vocabulary.type)
    #expect(vocabulary.describe(0x8_0000_0000) == (isNarrow ? nil : "0x800000000"))
  }

  @Test("a name finds its constant, current or older, and no other string does")
  func lookUp() {
    #expect(MechanismType(name: "CKM_AES_GCM") == .aesGCM)
    #expect(MechanismType(name: "CKM_CAST5_CBC") == .cast128CBC)
    #expect(MechanismType(name: "CKM_AES_GCM ") == nil)
    #expect(MechanismType(name: "AES_GCM") == nil)
    #expect(MechanismType(name: "") == nil)
    #expect(KeyType(name: "CKM_AES_GCM") == nil)
  }

  @Test("an older spelling is the value of the current one and is named by it")
  func olderSpellings() {
    #expect(AttributeType.ecdsaParams == .ecParams)
    #expect(AttributeType.ecdsaParams.name == "CKA_EC_PARAMS")
    #expect(KeyType.ecdsa.name == "CKK_EC")
    #expect(MechanismType.cast5CBC.name == "CKM_CAST128_CBC")
    #expect(MechanismFlags.multiMessge.name == "CKF_MULTI_MESSAGE")
  }

  @Test("flags are named one by one and unnamed bits are kept")
  func flags() {
    #expect(SessionFlags([.serialSession, .rwSession]).name == "CKF_RW_SESSION | CKF_SERIAL_SESSION")
    #expect(SessionFlags(rawValue: 0x8000_0004).name == "CKF_SERIAL_SESSION | 0x80000000")
    #expect(SessionFlags(rawValue: 1).name == "0x00000001")
    #expect(SessionFlags().name == "0")
    #expect(SessionFlags(rawValue: .max).contains(.asyncSession))
  }

  @Test("a vendor's values are told from the standard's")
  func vendors() {
    #expect(MechanismType(rawValue: 0x8000_1234).isVendorDefined)
    #expect(MechanismType(rawValue: 0x8000_1234).description == "0x80001234")
    #expect(!MechanismType.aesGCM.isVendorDefined)
    #expect(ReturnValue.vendorDefined.isVendorDefined)
    #expect(!ReturnValue.ok.isVendorDefined)
  }

  @Test("both numbers of the encapsulation templates mean the published attribute")
  func encapsulationTemplates() {
    #expect(AttributeType(rawValue: 0x4000_062a).published == .encapsulateTemplate)
    #expect(AttributeType(rawValue: 0x4000_062b).published == .decapsulateTemplate)
    #expect(AttributeType.encapsulateTemplate.published == .encapsulateTemplate)
    #expect(AttributeType.wrapTemplate.published == .wrapTemplate)
    #expect(AttributeType(rawValue: 0x211).published == AttributeType(rawValue: 0x211))
    #expect(AttributeType.encapsulateTemplate.isArray)
    #expect(AttributeType.wrapTemplate.isArray)
    #expect(!AttributeType.value.isArray)
  }

  @Test("a return value is an error that keeps its number")
  func errors() {
    func refuse() throws(ReturnValue) { throw ReturnValue(rawValue: 0x8000_0001_0000_0002) }
    #expect(throws: ReturnValue(rawValue: 0x8000_0001_0000_0002)) { try refuse() }
    #expect(ReturnValue(rawValue: 0x8000_0001_0000_0002) != .hostMemory)
  }
}
