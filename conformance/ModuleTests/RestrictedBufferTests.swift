import CCryptoki
import Glibc
import Testing

private let invalidUseCase = CKR_STRONGROOM_USE_CASE_INVALID

extension ModuleSuite {
  @Suite struct RestrictedBuffers {
    let module = InitializedModule()

    @Test(
      "buffers come from the pool of each use-case",
      arguments: [
        CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK, CKU_STRONGROOM_TRUSTED_UI, CKU_STRONGROOM_SECURE_VIDEO_RECORDING,
        CKU_STRONGROOM_KEY_MATERIAL,
      ])
    func allocation(_ useCase: UInt) {
      let session = module.open()
      let (result, buffer) = allocate(session, 1000, useCase)
      #expect(result == CKR_OK && buffer != 0)
      #expect(p11.C_DestroyObject!(session, buffer) == CKR_OK)
    }

    @Test("a use-case that there is not, a size that cannot be and flags are refused, and nothing is answered")
    func allocationRefused() {
      let session = module.open()
      for useCase: UInt in [0, 5, 1 << 32 | 1, .max] {
        #expect(allocate(session, 16, useCase) == (invalidUseCase, 0), "\(useCase)")
      }
      #expect(allocate(session, 0) == (CKR_ARGUMENTS_BAD, 0))
      #expect(allocate(session, 1 << 63) == (CKR_ARGUMENTS_BAD, 0))
      #expect(allocate(session, .max) == (CKR_ARGUMENTS_BAD, 0))
      #expect(allocate(session, 1 << 62) == (CKR_DEVICE_MEMORY, 0))
      #expect(allocate(session, 16, flags: 1) == (CKR_ARGUMENTS_BAD, 0))
      #expect(vendor.AllocateBuffer!(session, CKU_STRONGROOM_TRUSTED_UI, 16, 0, nil) == CKR_ARGUMENTS_BAD)
      #expect(allocate(session &+ 1000, 16) == (CKR_SESSION_HANDLE_INVALID, 0))
    }

    @Test("an exhausted part of a pool is CKR_DEVICE_MEMORY for that pool alone; a destroyed buffer gives it back")
    func exhaustion() {
      let session = module.open()
      let whole = makeBuffer(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
      #expect(allocate(session, 1, CKU_STRONGROOM_TRUSTED_UI).0 == CKR_DEVICE_MEMORY)
      for useCase in [
        CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK, CKU_STRONGROOM_SECURE_VIDEO_RECORDING, CKU_STRONGROOM_KEY_MATERIAL,
      ] {
        let (result, buffer) = allocate(session, 4096, useCase)
        #expect(result == CKR_OK)
        #expect(p11.C_DestroyObject!(session, buffer) == CKR_OK)
      }
      #expect(p11.C_DestroyObject!(session, whole) == CKR_OK)
      let again = makeBuffer(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
      #expect(p11.C_DestroyObject!(session, again) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, again) == CKR_OBJECT_HANDLE_INVALID)
    }

    /// Whether this process's half of the trusted UI pool can be had whole again, soon.
    private func poolComesBack(_ session: CK_SESSION_HANDLE) -> Bool {
      becomesTrue {
        let (result, buffer) = allocate(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
        if result == CKR_OK { _ = p11.C_DestroyObject!(session, buffer) }
        return result == CKR_OK
      }
    }

    @Test("closing the session ends its buffers, and no others")
    func sessionClosed() {
      let keeper = module.open()
      let session = module.open()
      let kept = makeBuffer(keeper, 16)
      let buffer = makeBuffer(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
      // Session objects are seen by every session of the application.
      #expect(write(keeper, buffer, 0, [1]) == CKR_OK)
      #expect(p11.C_CloseSession!(session) == CKR_OK)
      #expect(write(keeper, buffer, 0, [1]) == CKR_OBJECT_HANDLE_INVALID)
      #expect(write(keeper, kept, 0, [1]) == CKR_OK)
      let again = makeBuffer(keeper, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
      #expect(p11.C_DestroyObject!(keeper, again) == CKR_OK)
    }

    @Test("an open descriptor keeps the buffer when its session is closed; the last close gives the memory back")
    func lastDescriptorClosed() {
      let keeper = module.open()
      let session = module.open()
      let buffer = makeBuffer(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
      let descriptor = export(session, buffer)
      #expect(p11.C_CloseSession!(session) == CKR_OK)
      #expect(allocate(keeper, 1, CKU_STRONGROOM_TRUSTED_UI).0 == CKR_DEVICE_MEMORY)
      let (result, imported) = importBuffer(keeper, descriptor)
      #expect(result == CKR_OK)
      #expect(write(keeper, imported, (1 << 20) - 1, [1]) == CKR_OK)
      let duplicate = dup(descriptor)
      close(descriptor)
      #expect(p11.C_DestroyObject!(keeper, imported) == CKR_OK)
      usleep(20_000)
      #expect(allocate(keeper, 1, CKU_STRONGROOM_TRUSTED_UI).0 == CKR_DEVICE_MEMORY)
      close(duplicate)
      #expect(poolComesBack(keeper))
    }

    @Test("the death of the holder gives the memory back")
    func holderKilled() async {
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.open()
        // Half of the pool each.
        let children = (0..<2).map { _ in
          let child = forkProcess()
          if child == 0 {
            require(p11.C_Initialize!(nil) == CKR_OK, "C_Initialize in the child")
            let own = module.open()
            _ = export(own, makeBuffer(own, 1 << 20, CKU_STRONGROOM_TRUSTED_UI))
            while true { sleep(1) }
          }
          return child
        }
        require(
          becomesTrue {
            let (result, buffer) = allocate(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI)
            if result == CKR_OK { _ = p11.C_DestroyObject!(session, buffer) }
            return result == CKR_DEVICE_MEMORY
          }, "the children took nothing")
        require(allocate(session, 1, CKU_STRONGROOM_KEY_MATERIAL).0 == CKR_OK, "another pool suffers")
        kill(children[0], SIGKILL)
        require(status(of: children[0]) == nil, "the child was not killed")
        require(
          becomesTrue { allocate(session, 1 << 20, CKU_STRONGROOM_TRUSTED_UI).0 == CKR_OK },
          "the pool did not come back")
        kill(children[1], SIGKILL)
      }
    }

    @Test("a buffer has its class, use-case and size as attributes, and no value")
    func attributes() {
      let session = module.open()
      let buffer = makeBuffer(session, 12_345, CKU_STRONGROOM_TRUSTED_UI)
      func number(_ type: UInt) -> (CK_RV, UInt) {
        var value: UInt = 0
        let result = withUnsafeMutableBytes(of: &value) { bytes in
          var attribute = CK_ATTRIBUTE(type: type, pValue: bytes.baseAddress, ulValueLen: 8)
          return p11.C_GetAttributeValue!(session, buffer, &attribute, 1)
        }
        return (result, value)
      }
      #expect(number(CKA_CLASS) == (CKR_OK, CKO_STRONGROOM_BUFFER))
      #expect(number(CKA_STRONGROOM_USE_CASE) == (CKR_OK, CKU_STRONGROOM_TRUSTED_UI))
      #expect(number(CKA_VALUE_LEN) == (CKR_OK, 12_345))
      #expect(number(CKA_VALUE).0 == CKR_ATTRIBUTE_TYPE_INVALID)
      var token = CK_ATTRIBUTE(type: CKA_TOKEN, pValue: nil, ulValueLen: 0)
      #expect(p11.C_GetAttributeValue!(session, buffer, &token, 1) == CKR_OK && token.ulValueLen == 1)
    }

    @Test("C_FindObjects finds buffers by class and by use-case, and not those that are destroyed")
    func search() {
      let session = module.open()
      let video = makeBuffer(session, 100)
      let screen = makeBuffer(session, 200, CKU_STRONGROOM_TRUSTED_UI)
      let buffers: Template = [(CKA_CLASS, .number(CKO_STRONGROOM_BUFFER))]
      #expect(find(session, buffers) == [video, screen])
      #expect(
        find(session, buffers + [(CKA_STRONGROOM_USE_CASE, .number(CKU_STRONGROOM_TRUSTED_UI))]) == [screen])
      #expect(find(session, [(CKA_CLASS, .number(CKO_SECRET_KEY)), (CKA_VALUE_LEN, .number(100))]) == [])
      #expect(p11.C_DestroyObject!(session, video) == CKR_OK)
      #expect(find(session, buffers) == [screen])
    }

    @Test("a buffer is neither changed nor copied, and one that is gone is no object")
    func changesRefused() {
      let session = module.open()
      let buffer = makeBuffer(session, 16)
      let change: Template = [(CKA_VALUE_LEN, .number(1 << 20))]
      func set() -> CK_RV { withTemplate(change) { p11.C_SetAttributeValue!(session, buffer, $0, $1) } }
      var copy: CK_OBJECT_HANDLE = 77
      func copyIt() -> CK_RV { withTemplate([]) { p11.C_CopyObject!(session, buffer, $0, $1, &copy) } }
      #expect(set() == CKR_ACTION_PROHIBITED)
      #expect(copyIt() == CKR_ACTION_PROHIBITED)
      #expect(copy == 77)
      #expect(p11.C_DestroyObject!(session, buffer) == CKR_OK)
      #expect(set() == CKR_OBJECT_HANDLE_INVALID)
      #expect(copyIt() == CKR_OBJECT_HANDLE_INVALID)
      #expect(createObject(session, [(CKA_CLASS, .number(CKO_STRONGROOM_BUFFER))]).0 != CKR_OK)
    }

    @Test("clear bytes go to any place inside of the buffer, and to none outside")
    func clearBytes() {
      let session = module.open()
      let buffer = makeBuffer(session, 100)
      #expect(write(session, buffer, 0, [UInt8](repeating: 1, count: 100)) == CKR_OK)
      #expect(write(session, buffer, 99, [1]) == CKR_OK)
      #expect(write(session, buffer, 100, []) == CKR_OK)
      #expect(write(session, buffer, 99, [1, 2]) == CKR_BUFFER_TOO_SMALL)
      #expect(write(session, buffer, 99, [UInt8](repeating: 1, count: 5000)) == CKR_BUFFER_TOO_SMALL)
      #expect(write(session, buffer, 100, [1]) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(write(session, buffer, 100, [UInt8](repeating: 1, count: 4096)) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(write(session, buffer, 101, []) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(write(session, buffer, .max, [1, 2]) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(write(session, 0, 0, [1]) == CKR_OBJECT_HANDLE_INVALID)
      #expect(write(session, buffer &+ 1000, 0, [1]) == CKR_OBJECT_HANDLE_INVALID)
      #expect(vendor.WriteBuffer!(session, buffer, 0, nil, 1) == CKR_ARGUMENTS_BAD)
      for useCase in [CKU_STRONGROOM_SECURE_VIDEO_RECORDING, CKU_STRONGROOM_KEY_MATERIAL] {
        #expect(write(session, makeBuffer(session, 16, useCase), 0, [1]) == CKR_STRONGROOM_ACCESS_DENIED)
      }
    }

    @Test("an argument that is NULL where a pointer is due is CKR_ARGUMENTS_BAD in every function")
    func nullPointers() {
      let session = module.openAsUser()
      let buffer = makeBuffer(session, 64)
      let key = contentKey(session)
      #expect(vendor.ExportBuffer!(session, buffer, nil) == CKR_ARGUMENTS_BAD)
      let descriptor = export(session, buffer)
      #expect(vendor.ImportBuffer!(session, descriptor, nil) == CKR_ARGUMENTS_BAD)
      close(descriptor)
      var byte: UInt8 = 0
      #expect(TestMechanism.aesECB.begin(session, key) == CKR_OK)
      #expect(vendor.DecryptInto!(session, nil, 16, buffer, 0, nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.DecryptIntoUpdate!(session, &byte, 1, buffer, 0, nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.DecryptIntoFinal!(session, buffer, 0, nil) == CKR_ARGUMENTS_BAD)
      var parameters = CK_STRONGROOM_SAMPLE_PARAMS(scheme: CKS_STRONGROOM_CENC, ulCryptByteBlock: 0, ulSkipByteBlock: 0)
      var sample = CK_STRONGROOM_SAMPLE()
      sample.hBuffer = buffer
      sample.ulDataLen = 16
      #expect(vendor.DecryptSamples!(session, key, nil, &sample, 1) == CKR_ARGUMENTS_BAD)
      #expect(vendor.DecryptSamples!(session, key, &parameters, nil, 1) == CKR_ARGUMENTS_BAD)
      #expect(vendor.DecryptSamples!(session, key, &parameters, nil, .max) == CKR_ARGUMENTS_BAD)
      #expect(vendor.DecryptSamples!(session, key, &parameters, &sample, 1) == CKR_ARGUMENTS_BAD)
      var stream: CK_OBJECT_HANDLE = 0
      #expect(vendor.OpenDecoder!(session, CKC_STRONGROOM_H264, nil, 5, &stream) == CKR_ARGUMENTS_BAD)
      #expect(vendor.OpenDecoder!(session, CKC_STRONGROOM_H264, &byte, .max, &stream) == CKR_ARGUMENTS_BAD)
      #expect(vendor.OpenDecoder!(session, CKC_STRONGROOM_H264, nil, 0, nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.Decode!(session, 1, buffer, 0, 1, 0, nil, nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.GetDisplayStatus!(session, nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.GetStatistics!(nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.GetSecureWorldInfo!(nil) == CKR_ARGUMENTS_BAD)
    }

    @Test("before C_Initialize every function is CKR_CRYPTOKI_NOT_INITIALIZED")
    func notInitialized() async {
      await #expect(processExitsWith: .success) {
        var statistics = CK_STRONGROOM_STATISTICS()
        var status = CK_STRONGROOM_DISPLAY_STATUS()
        var world = CK_STRONGROOM_SECURE_WORLD_INFO()
        let wanted = CKR_CRYPTOKI_NOT_INITIALIZED
        require(allocate(1, 16).0 == wanted, "AllocateBuffer")
        require(importBuffer(1, 0).0 == wanted, "ImportBuffer")
        require(write(1, 1, 0, [1]) == wanted, "WriteBuffer")
        require(decryptInto(1, [1], 1, 0) == (wanted, 77), "DecryptInto")
        require(vendor.DecryptSamples!(1, 0, nil, nil, 0) == wanted, "DecryptSamples")
        require(vendor.GetDisplayStatus!(1, &status) == wanted, "GetDisplayStatus")
        require(vendor.WriteContactSheet!(1) == wanted, "WriteContactSheet")
        require(vendor.GetStatistics!(&statistics) == wanted, "GetStatistics")
        require(vendor.GetSecureWorldInfo!(&world) == wanted, "GetSecureWorldInfo")
        var memory: UnsafeMutablePointer<UInt8>?
        require(vendor.AllocateSharedMemory!(1, 0, &memory) == wanted, "AllocateSharedMemory")
        require(vendor.FreeSharedMemory!(memory) == wanted, "FreeSharedMemory")
      }
    }
  }
}
