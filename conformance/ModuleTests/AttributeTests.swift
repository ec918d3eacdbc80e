import CCryptoki
import Testing

extension ModuleSuite {
  @Suite struct Attributes {
    let module = InitializedModule()

    @Test("every attribute of a template is answered, whatever becomes of the others")
    func severalErrorsAtOnce() {
      let session = module.openAsUser()
      let key = aesKey(session, label: "secret")
      var type = CK_ULONG(0)
      var value = [UInt8](repeating: 0xa5, count: 64)
      var short = [UInt8](repeating: 0xa5, count: 2)
      let result = withUnsafeMutableBytes(of: &type) { type in
        value.withUnsafeMutableBytes { value in
          short.withUnsafeMutableBytes { short in
            var template = [
              CK_ATTRIBUTE(type: CKA_KEY_TYPE, pValue: type.baseAddress, ulValueLen: 8),
              CK_ATTRIBUTE(type: CKA_VALUE, pValue: value.baseAddress, ulValueLen: 64),
              CK_ATTRIBUTE(type: 0xcf53_4301, pValue: nil, ulValueLen: 0),
              CK_ATTRIBUTE(type: 0xffff_ffff_0000_0003, pValue: nil, ulValueLen: 0),
              CK_ATTRIBUTE(type: CKA_LABEL, pValue: short.baseAddress, ulValueLen: 2),
              CK_ATTRIBUTE(type: CKA_LABEL, pValue: nil, ulValueLen: 0),
            ]
            let result = p11.C_GetAttributeValue!(session, key, &template, 6)
            #expect(template[0].ulValueLen == 8)
            #expect(template[1].ulValueLen == .max)
            #expect(template[2].ulValueLen == .max)
            #expect(template[3].ulValueLen == .max)
            #expect(template[4].ulValueLen == .max)
            #expect(template[5].ulValueLen == 6)
            return result
          }
        }
      }
      #expect([CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL].contains(result))
      #expect(type == CKK_AES)
      #expect(value.allSatisfy { $0 == 0xa5 })
      #expect(short.allSatisfy { $0 == 0xa5 })
    }

    @Test("a nested template comes back in the caller's inner buffers")
    func nestedTemplate() {
      let session = module.openAsUser()
      let inner: Template = [(CKA_LABEL, .text("wrapped")), (CKA_EXTRACTABLE, .bool(true))]
      let (result, key) = withTemplate(inner) { pointer, count in
        let bytes = UnsafeRawBufferPointer(start: pointer, count: Int(count) * MemoryLayout<CK_ATTRIBUTE>.stride)
        return generateKey(
          session, CKM_AES_KEY_GEN,
          [(CKA_VALUE_LEN, .number(16)), (CKA_WRAP, .bool(true)), (CKA_WRAP_TEMPLATE, .bytes([UInt8](bytes)))])
      }
      #expect(result == CKR_OK)
      var outer = CK_ATTRIBUTE(type: CKA_WRAP_TEMPLATE, pValue: nil, ulValueLen: 0)
      #expect(p11.C_GetAttributeValue!(session, key, &outer, 1) == CKR_OK)
      #expect(outer.ulValueLen == 48)
      var elements = [CK_ATTRIBUTE](repeating: CK_ATTRIBUTE(), count: 2)
      elements.withUnsafeMutableBytes { outer.pValue = $0.baseAddress }
      #expect(p11.C_GetAttributeValue!(session, key, &outer, 1) == CKR_OK)
      #expect(Set(elements.map(\.type)) == [CKA_LABEL, CKA_EXTRACTABLE])
      var memory = [UInt8](repeating: 0, count: 16)
      let label = elements.firstIndex { $0.type == CKA_LABEL } ?? 0
      #expect(elements[label].ulValueLen == 7)
      memory.withUnsafeMutableBytes { memory in
        elements[label].pValue = memory.baseAddress
        elements[1 - label].pValue = memory.baseAddress.map { $0 + 8 }
        #expect(p11.C_GetAttributeValue!(session, key, &outer, 1) == CKR_OK)
        elements[label].ulValueLen = 3
        #expect(p11.C_GetAttributeValue!(session, key, &outer, 1) == CKR_BUFFER_TOO_SMALL)
        #expect(elements[label].ulValueLen == .max)
      }
      #expect(Array(memory[..<7]) == Array("wrapped".utf8))
      #expect(memory[8] == 1)
    }

    @Test("templates that lie are refused")
    func lies() {
      let session = module.openAsUser()
      func create(_ attribute: CK_ATTRIBUTE, count: UInt = 1) -> CK_RV {
        var attribute = attribute
        var object: CK_OBJECT_HANDLE = 0
        return p11.C_CreateObject!(session, &attribute, count, &object)
      }
      var byte: UInt8 = 0
      withUnsafeMutablePointer(to: &byte) { byte in
        for count: UInt in [1, 1 << 32, 1 << 62, .max - 1, .max] {
          #expect(
            create(CK_ATTRIBUTE(type: CKA_LABEL, pValue: nil, ulValueLen: count)) == CKR_ATTRIBUTE_VALUE_INVALID)
        }
        for count: UInt in [1 << 32, 1 << 62, .max - 1, .max] {
          #expect(
            create(CK_ATTRIBUTE(type: CKA_LABEL, pValue: byte, ulValueLen: count)) == CKR_ATTRIBUTE_VALUE_INVALID)
          #expect(
            create(CK_ATTRIBUTE(type: CKA_LABEL, pValue: byte, ulValueLen: 1), count: count) == CKR_ARGUMENTS_BAD)
        }
        #expect(
          create(CK_ATTRIBUTE(type: CKA_WRAP_TEMPLATE, pValue: byte, ulValueLen: 1)) == CKR_ATTRIBUTE_VALUE_INVALID)
        #expect(
          create(CK_ATTRIBUTE(type: 1 << 40, pValue: byte, ulValueLen: 1)) == CKR_ATTRIBUTE_TYPE_INVALID)
      }
      var object: CK_OBJECT_HANDLE = 0
      #expect(p11.C_CreateObject!(session, nil, 1, &object) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_CreateObject!(session, nil, 0, nil) == CKR_ARGUMENTS_BAD)
    }

    @Test("an object is copied, changed and destroyed")
    func objects() {
      let session = module.openAsUser()
      let (created, object) = createObject(
        session,
        [(CKA_CLASS, .number(CKO_DATA)), (CKA_LABEL, .text("a")), (CKA_VALUE, .bytes([1, 2, 3]))])
      #expect(created == CKR_OK)
      var copy: CK_OBJECT_HANDLE = 0
      let copied = withTemplate([(CKA_LABEL, .text("b"))]) { p11.C_CopyObject!(session, object, $0, $1, &copy) }
      #expect(copied == CKR_OK)
      #expect(find(session, [(CKA_CLASS, .number(CKO_DATA)), (CKA_VALUE, .bytes([1, 2, 3]))])?.count == 2)
      let changed = withTemplate([(CKA_LABEL, .text("c"))]) { p11.C_SetAttributeValue!(session, copy, $0, $1) }
      #expect(changed == CKR_OK)
      #expect(find(session, [(CKA_LABEL, .text("c"))]) == [copy])
      var size: CK_ULONG = 0
      #expect(p11.C_GetObjectSize!(session, copy, &size) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, copy) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, copy) == CKR_OBJECT_HANDLE_INVALID)
      #expect(find(session, [(CKA_LABEL, .text("c"))]) == [])
    }
  }
}
