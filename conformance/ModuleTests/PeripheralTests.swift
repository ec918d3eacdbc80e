import CCryptoki
import Foundation
import Glibc
import Testing

/// What poll says of a descriptor.
private func events(_ descriptor: Int32, milliseconds: Int32 = 0) -> Int16 {
  var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&entry, 1, milliseconds) >= 0 ? entry.revents : -1
}

/// Samples of a picture of so many rows of macroblocks, none of them zero.
private func samples(_ seed: Int, rows: Int = 1) -> [UInt8] {
  (0..<(rows * 8 * 384)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ seed &* 77) | 1 }
}

extension ModuleSuite {
  @Suite struct Peripherals {
    let module = InitializedModule()

    /// A buffer that holds the access unit of these samples.
    private func accessUnit(_ session: CK_SESSION_HANDLE, _ samples: [UInt8]) -> (CK_OBJECT_HANDLE, UInt) {
      let unit = ContentProbe.accessUnit(samples: samples)
      let buffer = makeBuffer(session, UInt(unit.count))
      require(write(session, buffer, 0, unit) == CKR_OK, "WriteBuffer")
      return (buffer, UInt(unit.count))
    }

    /// A decoded picture of these samples.
    private func picture(_ session: CK_SESSION_HANDLE, _ probe: ContentProbe, _ samples: [UInt8]) -> CK_OBJECT_HANDLE {
      let (buffer, count) = accessUnit(session, samples)
      defer { _ = p11.C_DestroyObject!(session, buffer) }
      guard let frame = probe.decode(buffer, offset: 0, count: count) else {
        require(false, "no picture")
        return 0
      }
      return frame
    }

    private var frameFiles: [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: TestStore.shared.folder + "/frames")) ?? [])
        .filter { $0.hasPrefix("frame-") }
    }

    @Test("a frame's buffer has the size of its picture, and the display counts and digests what it shows")
    func displayed() {
      let session = module.open()
      let probe = ContentProbe(session, capacity: 2500)
      let before = displayStatus(session)
      let files = frameFiles.count
      for seed in 1...3 {
        let frame = picture(session, probe, samples(seed))
        #expect(vendor.Present!(session, frame, nil) == CKR_OK)
        let status = displayStatus(session)
        #expect(status?.lastMD5 == ContentProbe.md5(ContentProbe.planes(samples: samples(seed))))
        #expect(status?.frameCount == (before?.frameCount ?? 0) + UInt(seed))
      }
      #expect(frameFiles.count == files + 3)
    }

    @Test("the display's SHA-256 is that of all its frames in order; a display that was killed begins anew")
    func digestOfAll() throws {
      let session = module.open()
      let probe = ContentProbe(session, capacity: 2500)
      _ = displayStatus(session)
      let display = try #require(TestStore.shared.peripherals("display").first)
      kill(display, SIGKILL)
      #expect(becomesTrue { TestStore.shared.peripherals("display").isEmpty })
      // Whoever speaks to it first may be told that it has ended; then there is a new one.
      #expect(becomesTrue { displayStatus(session) != nil })
      #expect(displayStatus(session)?.frameCount == 0)
      #expect(vendor.WriteContactSheet!(session) == CKR_STRONGROOM_BITSTREAM_INVALID)
      var planes: [UInt8] = []
      for seed in 4...6 {
        #expect(vendor.Present!(session, picture(session, probe, samples(seed)), nil) == CKR_OK)
        planes += ContentProbe.planes(samples: samples(seed))
      }
      withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
      let (result, digest) = output { p11.C_Digest!(session, &planes, UInt(planes.count), $0, $1) }
      #expect(result == CKR_OK)
      #expect(displayStatus(session)?.sha256 == digest)
      let sheet = TestStore.shared.folder + "/frames/contact-sheet.png"
      try? FileManager.default.removeItem(atPath: sheet)
      #expect(vendor.WriteContactSheet!(session) == CKR_OK)
      let png = try #require(FileManager.default.contents(atPath: sheet))
      #expect(png.starts(with: [0x89, 0x50, 0x4e, 0x47]) && png.count > 100)
    }

    @Test("only a decoded picture is shown, by whomever it is written over; a refused write leaves it")
    func noPicture() {
      let session = module.openAsUser()
      let probe = ContentProbe(session, capacity: 2500)
      #expect(vendor.Present!(session, makeBuffer(session, 4096), nil) == CKR_STRONGROOM_BITSTREAM_INVALID)
      #expect(
        vendor.Present!(session, makeBuffer(session, 64, CKU_STRONGROOM_TRUSTED_UI), nil)
          == CKR_STRONGROOM_BITSTREAM_INVALID)
      for useCase in [CKU_STRONGROOM_KEY_MATERIAL, CKU_STRONGROOM_SECURE_VIDEO_RECORDING] {
        #expect(vendor.Present!(session, makeBuffer(session, 64, useCase), nil) == CKR_STRONGROOM_ACCESS_DENIED)
      }
      let frame = picture(session, probe, samples(7))
      // Nothing of these writes anything.
      #expect(write(session, frame, 1 << 20, [1]) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(write(session, frame, 0, []) == CKR_OK)
      let key = contentKey(session)
      let mechanism = TestMechanism.aesGCM([UInt8](repeating: 1, count: 12))
      var sealed = mechanism.encrypt(session, key, [1, 2, 3])
      sealed[0] ^= 1
      #expect(mechanism.begin(session, key) == CKR_OK)
      #expect(decryptInto(session, sealed, frame, 0) == (CKR_ENCRYPTED_DATA_INVALID, 77))
      let clear = Sample([1, 2, 3], [], [(3, 0)], into: frame, at: 0)
      let wrong = Sample([1, 2, 3], [], [(4, 0)], into: frame, at: 0)
      #expect(decryptSamples(session, 0, .cenc, [clear, wrong]) == CKR_STRONGROOM_SAMPLE_INVALID)
      #expect(vendor.Present!(session, frame, nil) == CKR_OK)
      #expect(displayStatus(session)?.lastMD5 == ContentProbe.md5(ContentProbe.planes(samples: samples(7))))
      // This does.
      #expect(write(session, frame, 0, [1]) == CKR_OK)
      #expect(vendor.Present!(session, frame, nil) == CKR_STRONGROOM_BITSTREAM_INVALID)
      #expect(p11.C_DestroyObject!(session, frame) == CKR_OK)
      #expect(vendor.Present!(session, frame, nil) == CKR_OBJECT_HANDLE_INVALID)
    }

    @Test("a completion descriptor shows nothing before the frame was shown, and then POLLIN without POLLERR")
    func completion() throws {
      let session = module.open()
      let probe = ContentProbe(session, capacity: 2500)
      let frame = picture(session, probe, samples(8))
      let count = try #require(displayStatus(session)).frameCount
      let display = try #require(TestStore.shared.peripherals("display").first)
      kill(display, SIGSTOP)
      var descriptor: Int32 = -1
      #expect(vendor.Present!(session, frame, &descriptor) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, frame) == CKR_OK)
      #expect(descriptor >= 0 && fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
      #expect(events(descriptor, milliseconds: 50) == 0)
      let resumer = Thread {
        usleep(100_000)
        kill(display, SIGCONT)
      }
      let begin = Date()
      resumer.start()
      // Whoever polls is woken.
      #expect(events(descriptor, milliseconds: 10_000) & Int16(POLLIN | POLLERR | POLLNVAL) == Int16(POLLIN))
      #expect(Date().timeIntervalSince(begin) >= 0.1)
      #expect(displayStatus(session)?.frameCount == count + 1)
      close(descriptor)
    }

    @Test("a completion descriptor shows POLLIN with POLLERR when the frame cannot be shown")
    func completionFails() throws {
      let session = module.open()
      let probe = ContentProbe(session, capacity: 2500)
      let failure = Int16(POLLIN | POLLERR)
      var descriptor: Int32 = -1
      // No picture.
      #expect(vendor.Present!(session, makeBuffer(session, 64), &descriptor) == CKR_OK)
      let shown = events(descriptor, milliseconds: 5000)
      #expect(shown & failure == failure)
      close(descriptor)
      // A display that dies meanwhile.
      let frame = picture(session, probe, samples(9))
      _ = displayStatus(session)
      let display = try #require(TestStore.shared.peripherals("display").first)
      kill(display, SIGSTOP)
      #expect(vendor.Present!(session, frame, &descriptor) == CKR_OK)
      #expect(events(descriptor, milliseconds: 50) == 0)
      kill(display, SIGKILL)
      let died = events(descriptor, milliseconds: 5000)
      #expect(died & failure == failure)
      close(descriptor)
      // What is not admitted is refused at once, without a descriptor.
      descriptor = -1
      #expect(
        vendor.Present!(session, makeBuffer(session, 64, CKU_STRONGROOM_KEY_MATERIAL), &descriptor)
          == CKR_STRONGROOM_ACCESS_DENIED)
      #expect(descriptor == -1)
      #expect(vendor.Present!(session, frame, nil) == CKR_OK)
    }

    @Test("frames with completion descriptors are shown in the order they came in, and before later ones")
    func order() throws {
      let session = module.open()
      let probe = ContentProbe(session, capacity: 2500)
      let frames = (0..<13).map { picture(session, probe, samples(20 + $0)) }
      _ = displayStatus(session)
      kill(try #require(TestStore.shared.peripherals("display").first), SIGKILL)
      #expect(becomesTrue { displayStatus(session)?.frameCount == 0 })
      let display = try #require(TestStore.shared.peripherals("display").first)
      kill(display, SIGSTOP)
      let descriptors = frames.prefix(12).map { frame in
        var descriptor: Int32 = -1
        #expect(vendor.Present!(session, frame, &descriptor) == CKR_OK)
        return descriptor
      }
      let resumer = Thread {
        usleep(50_000)
        kill(display, SIGCONT)
      }
      resumer.start()
      #expect(vendor.Present!(session, frames[12], nil) == CKR_OK)
      for descriptor in descriptors {
        #expect(events(descriptor, milliseconds: 5000) & Int16(POLLIN | POLLERR) == Int16(POLLIN))
        close(descriptor)
      }
      var planes = (0..<13).flatMap { ContentProbe.planes(samples: samples(20 + $0)) }
      withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
      let (result, digest) = output { p11.C_Digest!(session, &planes, UInt(planes.count), $0, $1) }
      #expect(result == CKR_OK)
      let status = displayStatus(session)
      #expect(status?.frameCount == 13 && status?.sha256 == digest)
    }

    @Test("a decoder that is killed costs its stream and no other, and a new stream works")
    func decoderKilled() throws {
      let session = module.open()
      let before = TestStore.shared.peripherals("decoder")
      let (first, doomed) = ContentProbe.openStream(session, rows: 1)
      #expect(first == CKR_OK)
      let victim = try #require(TestStore.shared.peripherals("decoder").subtracting(before).first)
      let probe = ContentProbe(session, capacity: 2500)
      let (buffer, count) = accessUnit(session, samples(10))
      #expect(decode(session, doomed, buffer, 0, count).0 == CKR_OK)
      kill(victim, SIGKILL)
      #expect(decode(session, doomed, buffer, 0, count).0 == CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE)
      #expect(decode(session, doomed, 0, 0, 0).0 == CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE)
      let digest = ContentProbe.md5(ContentProbe.planes(samples: samples(10)))
      #expect(probe.show(buffer, offset: 0, count: count) == digest)
      #expect(ContentProbe(session, capacity: 2500).show(buffer, offset: 0, count: count) == digest)
      #expect(p11.C_DestroyObject!(session, doomed) == CKR_OK)
      #expect(decode(session, doomed, buffer, 0, count).0 == CKR_OBJECT_HANDLE_INVALID)
    }

    @Test("a stream's process ends with the stream, and a session's streams with the session")
    func streamsEnd() {
      let keeper = module.open()
      let session = module.open()
      let before = TestStore.shared.peripherals("decoder")
      let (_, stream) = ContentProbe.openStream(session, rows: 1)
      let (result, _) = ContentProbe.openStream(session, rows: 1)
      #expect(result == CKR_OK)
      #expect(TestStore.shared.peripherals("decoder").subtracting(before).count == 2)
      #expect(p11.C_DestroyObject!(session, stream) == CKR_OK)
      #expect(becomesTrue { TestStore.shared.peripherals("decoder").subtracting(before).count == 1 })
      #expect(p11.C_CloseSession!(session) == CKR_OK)
      #expect(becomesTrue { TestStore.shared.peripherals("decoder").subtracting(before).isEmpty })
      #expect(module.state(keeper) != nil)
    }

    @Test("hostile bitstreams give no picture, and the stream goes on with the next access unit that is one")
    func hostileBitstreams() {
      let session = module.open()
      let good = ContentProbe.accessUnit(samples: samples(11))
      let digest = ContentProbe.md5(ContentProbe.planes(samples: samples(11)))
      let probe = ContentProbe(session, capacity: 2500)
      let buffer = makeBuffer(session, 8192)
      var generator = SystemRandomNumberGenerator()
      var units: [[UInt8]] = [
        [0], [0, 0, 0, 1], [0xff, 0xff, 0xff, 0xff, 0x65], [UInt8](repeating: 0, count: 5000),
        [UInt8](repeating: 0xff, count: 5000), Array(good.prefix(20)), [0, 0, 0, 5] + Array(good.dropFirst(4)),
        // A parameter set with a picture of 2^16 by 2^16 macroblocks, and one of reserved type.
        [0, 0, 0, 12, 0x67, 66, 0xc0, 40, 0xe4, 0x00, 0x01, 0x00, 0x00, 0x40, 0x00, 0x40],
        [0, 0, 0, 2, 0x1f, 0xff],
      ]
      for _ in 0..<20 { units.append((0..<500).map { _ in UInt8.random(in: 0...255, using: &generator) }) }
      for unit in units {
        #expect(write(session, buffer, 0, unit) == CKR_OK)
        let frame = probe.decode(buffer, offset: 0, count: UInt(unit.count))
        if let frame { _ = p11.C_DestroyObject!(session, frame) }
      }
      #expect(write(session, buffer, 0, good) == CKR_OK)
      // A parameter set of theirs may have taken the place of ours: a stream that goes on, or else a new one.
      let shown = probe.show(buffer, offset: 0, count: UInt(good.count))
      if shown != digest {
        let another = ContentProbe(session, capacity: 2500).show(buffer, offset: 0, count: UInt(good.count))
        #expect(another == digest)
      }
    }

    @Test("codecs and configurations that there are not are refused; so is what is no access unit in a buffer")
    func refusals() {
      let session = module.open()
      func open(_ codec: UInt, _ configuration: [UInt8]) -> CK_RV {
        var configuration = configuration
        var stream: CK_OBJECT_HANDLE = 77
        let result = vendor.OpenDecoder!(session, codec, &configuration, UInt(configuration.count), &stream)
        if result != CKR_OK { #expect(stream == 77) }
        return result
      }
      let good = ContentProbe.configuration(rows: 1)
      for codec: UInt in [0, 99, 0xffff_ffff] { #expect(open(codec, good) == CKR_STRONGROOM_BITSTREAM_INVALID) }
      #expect(open(1 << 32 | 1, good) == CKR_ARGUMENTS_BAD)
      #expect(open(CKC_STRONGROOM_H264, Array(good.prefix(9))) == CKR_STRONGROOM_BITSTREAM_INVALID)
      #expect(open(CKC_STRONGROOM_H264, [UInt8](repeating: 1, count: 70_000)) == CKR_ARGUMENTS_BAD)
      let (result, stream) = ContentProbe.openStream(session, rows: 1)
      #expect(result == CKR_OK)
      let (buffer, count) = accessUnit(session, samples(12))
      #expect(decode(session, stream, buffer, 0, count, room: 0).0 == CKR_ARGUMENTS_BAD)
      #expect(decode(session, stream, buffer, 1, count).0 == CKR_BUFFER_TOO_SMALL)
      #expect(decode(session, stream, buffer, count, 1).0 == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(decode(session, stream, buffer, 2, .max).0 == CKR_BUFFER_TOO_SMALL)
      #expect(decode(session, stream, buffer, .max, 2).0 == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(decode(session, buffer, buffer, 0, count).0 == CKR_OBJECT_HANDLE_INVALID)
      #expect(decode(session, stream, stream, 0, count).0 == CKR_OBJECT_HANDLE_INVALID)
      #expect(write(session, stream, 0, [1]) == CKR_OBJECT_HANDLE_INVALID)
      for useCase in [
        CKU_STRONGROOM_TRUSTED_UI, CKU_STRONGROOM_SECURE_VIDEO_RECORDING, CKU_STRONGROOM_KEY_MATERIAL,
      ] {
        let other = makeBuffer(session, 64, useCase)
        #expect(decode(session, stream, other, 0, 64).0 == CKR_STRONGROOM_ACCESS_DENIED)
      }
    }

    @Test("without a display or a peripheral program the answer is CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE")
    func unavailable() async {
      await #expect(processExitsWith: .success) {
        let unavailable = CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE
        let folder = TestStore.shared.folder
        func begin(_ name: String, _ more: String) -> CK_SESSION_HANDLE {
          let path = folder + "/\(name).conf"
          try? "store = \(folder)/\(name)\nidle-seconds = 0\n\(more)"
            .write(toFile: path, atomically: true, encoding: .utf8)
          setenv("STRONGROOM_CONF", path, 1)
          let started = p11.C_Initialize!(nil)
          require(started == CKR_OK, "C_Initialize: \(ModuleTests.name(started))")
          var session: CK_SESSION_HANDLE = 0
          let opened = p11.C_OpenSession!(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, nil, nil, &session)
          require(opened == CKR_OK, "C_OpenSession: \(ModuleTests.name(opened))")
          return session
        }
        let dark = begin("dark", "")
        let probe = ContentProbe(dark, capacity: 2500)
        let unit = ContentProbe.accessUnit(samples: samples(13))
        let buffer = makeBuffer(dark, UInt(unit.count))
        require(write(dark, buffer, 0, unit) == CKR_OK, "WriteBuffer")
        guard let frame = probe.decode(buffer, offset: 0, count: UInt(unit.count)) else {
          return require(false, "the decoder needs no display")
        }
        require(vendor.Present!(dark, frame, nil) == unavailable, "Present")
        require(displayStatus(dark) == nil, "GetDisplayStatus")
        var status = CK_STRONGROOM_DISPLAY_STATUS()
        require(vendor.GetDisplayStatus!(dark, &status) == unavailable, "GetDisplayStatus")
        require(vendor.WriteContactSheet!(dark) == unavailable, "WriteContactSheet")
        var descriptor: Int32 = -1
        let presented = vendor.Present!(dark, frame, &descriptor)
        require(presented == CKR_OK || presented == unavailable, "Present")
        if presented == CKR_OK {
          let shown = events(descriptor, milliseconds: 5000)
          require(shown & Int16(POLLIN | POLLERR) == Int16(POLLIN | POLLERR), "completion")
        }
        require(p11.C_Finalize!(nil) == CKR_OK, "C_Finalize")

        let deaf = begin("deaf", "peripheral = \(folder)/nothing\n")
        require(ContentProbe.openStream(deaf, rows: 1).0 == unavailable, "OpenDecoder")
        require(vendor.GetDisplayStatus!(deaf, &status) == unavailable, "GetDisplayStatus")
        require(allocate(deaf, 16).0 == CKR_OK, "AllocateBuffer")
        require(p11.C_Finalize!(nil) == CKR_OK, "C_Finalize")
      }
    }

    @Test("where frames go was decided when the secure world was started, not by a client")
    func folderIsTheOperators() async {
      let session = module.open()
      let files = frameFiles.count
      await #expect(processExitsWith: .success) {
        let folder = TestStore.shared.folder
        let other = folder + "/elsewhere"
        try? FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
        try? "store = \(folder)/store\nidle-seconds = 1\ndisplay-directory = \(other)\n"
          .write(toFile: folder + "/elsewhere.conf", atomically: true, encoding: .utf8)
        setenv("STRONGROOM_CONF", folder + "/elsewhere.conf", 1)
        let module = InitializedModule()
        let session = module.open()
        let unit = ContentProbe.accessUnit(samples: samples(14))
        let buffer = makeBuffer(session, UInt(unit.count))
        require(write(session, buffer, 0, unit) == CKR_OK, "WriteBuffer")
        require(ContentProbe(session).show(buffer, offset: 0, count: UInt(unit.count)) != nil, "not shown")
        require((try? FileManager.default.contentsOfDirectory(atPath: other)) == [], "the client's folder was taken")
      }
      #expect(frameFiles.count == files + 1)
      #expect(module.state(session) != nil)
    }
  }
}
