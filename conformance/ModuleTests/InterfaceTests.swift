import CCryptoki
import Glibc
import Testing

extension ModuleSuite {
  @Suite struct Interfaces {
    private func interface(_ name: String?, _ version: CK_VERSION?, _ flags: UInt) -> (CK_RV, CK_VERSION?) {
      var found: UnsafeMutablePointer<CK_INTERFACE>?
      var text: [UInt8] = name.map { Array($0.utf8) + [0] } ?? [0]
      var wanted = version ?? CK_VERSION()
      let result = withUnsafeMutablePointer(to: &wanted) { pointer in
        text.withUnsafeMutableBufferPointer { bytes in
          p11.C_GetInterface!(name == nil ? nil : bytes.baseAddress, version == nil ? nil : pointer, &found, flags)
        }
      }
      return (result, found.map { $0.pointee.pFunctionList.load(as: CK_VERSION.self) })
    }

    @Test("the default interface is PKCS 11, version 3.2")
    func defaultInterface() {
      let (result, version) = interface(nil, nil, 0)
      #expect(result == CKR_OK)
      #expect(version?.major == 3 && version?.minor == 2)
    }

    @Test("a version that is asked for is the version that is given", arguments: [(2, 40), (3, 0), (3, 2)])
    func versions(_ major: UInt8, _ minor: UInt8) {
      let (result, version) = interface("PKCS 11", CK_VERSION(major: major, minor: minor), 0)
      #expect(result == CKR_OK)
      #expect(version?.major == major && version?.minor == minor)
    }

    @Test("a name, a version or a flag that no interface has is refused")
    func refusals() {
      #expect(interface("PKCS 12", nil, 0).0 == CKR_FUNCTION_FAILED)
      #expect(interface("PKCS 11", CK_VERSION(major: 4, minor: 0), 0).0 == CKR_FUNCTION_FAILED)
      #expect(interface("PKCS 11", nil, CKF_INTERFACE_FORK_SAFE).0 == CKR_FUNCTION_FAILED)
      #expect(p11.C_GetInterface!(nil, nil, nil, 0) == CKR_ARGUMENTS_BAD)
    }

    @Test("the interface list tells its length, refuses a short buffer and fills a long one")
    func list() {
      var count: CK_ULONG = 0
      #expect(p11.C_GetInterfaceList!(nil, nil) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_GetInterfaceList!(nil, &count) == CKR_OK)
      #expect(count >= 3)
      let full = count
      var interfaces = [CK_INTERFACE](repeating: CK_INTERFACE(), count: Int(full))
      count = full - 1
      #expect(p11.C_GetInterfaceList!(&interfaces, &count) == CKR_BUFFER_TOO_SMALL)
      #expect(count == full)
      #expect(interfaces[0].pFunctionList == nil)
      #expect(p11.C_GetInterfaceList!(&interfaces, &count) == CKR_OK)
      #expect(interfaces.allSatisfy { $0.pFunctionList != nil && $0.pInterfaceName != nil })
    }

    @Test("C_GetFunctionList gives version 2.40")
    func functionList() {
      var list: UnsafeMutablePointer<CK_FUNCTION_LIST>?
      #expect(p11.C_GetFunctionList!(&list) == CKR_OK)
      #expect(list?.pointee.version.major == 2 && list?.pointee.version.minor == 40)
      #expect(p11.C_GetFunctionList!(nil) == CKR_ARGUMENTS_BAD)
    }

    @Test("no entry of the 3.2 list is empty, and each is the exported function of its name")
    func entries() {
      #expect(FunctionFact.all.count == 104)
      let first = UnsafeRawPointer(LoadedModule.shared.functions) + 8
      for fact in FunctionFact.all {
        let entry = first.load(fromByteOffset: fact.position * 8, as: UnsafeRawPointer?.self)
        #expect(entry != nil)
        #expect(entry == UnsafeRawPointer(dlsym(LoadedModule.shared.handle, fact.name)), "\(fact.name)")
      }
    }
  }
}
