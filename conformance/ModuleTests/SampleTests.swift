import CCryptoki
import Glibc
import MediaContainer
import Testing

extension ModuleSuite {
  /// Common Encryption by DecryptSamples.
  @Suite struct Samples {
    let module = InitializedModule()

    static let videoFiles = ["v_cenc.mp4", "v_cens.mp4", "v_cbc1.mp4", "v_cbcs.mp4", "ff_cenc.mp4"]
    static let audioFiles = ["a_cenc.mp4", "a_cens.mp4", "a_cbc1.mp4", "a_cbcs.mp4"]

    /// The parameters of the first packet that is protected.
    private func protection(_ packets: [MediaPacket]) -> Protection {
      let first = packets.lazy.compactMap(\.protection).first
      return Protection(
        scheme: UInt(first?.scheme ?? 0), crypt: UInt(first?.cryptBlockCount ?? 0),
        skip: UInt(first?.skipBlockCount ?? 0))
    }

    /// Decrypts a whole track with one call, and asks whether the buffer holds what the clear file has.
    private func decryptsToClear(_ file: String, _ kind: MediaTrack.Kind, _ keyValue: [UInt8]) throws -> Bool {
      let session = module.openAsUser()
      let key = restrictedKey(session, keyValue)
      let packets = try TestMedia.packets(file, kind).packets
      let clear = try TestMedia.packets("clear.mp4", kind).packets
      #expect(packets.count == clear.count && packets.contains { $0.protection != nil })
      let expected = clear.flatMap(\.data)
      let probe = ContentProbe(session, capacity: expected.count)
      return probe.holds(expected) { buffer, offset in
        var place = offset
        var samples: [Sample] = []
        for packet in packets {
          samples.append(Sample(packet, into: buffer, at: place))
          place += UInt(packet.data.count)
        }
        return decryptSamples(session, key, protection(packets), samples) == CKR_OK
      }
    }

    @Test("every byte of every published video sample is that of the clear file", arguments: videoFiles)
    func videoBytes(_ file: String) throws {
      #expect(try decryptsToClear(file, .video, TestMedia.videoKey))
    }

    @Test("every byte of every published audio sample is that of the clear file", arguments: audioFiles)
    func audioBytes(_ file: String) throws {
      #expect(try decryptsToClear(file, .audio, TestMedia.audioKey))
    }

    @Test("with another key the bytes are others")
    func wrongKey() throws {
      #expect(try !decryptsToClear("v_cenc.mp4", .video, TestMedia.audioKey))
    }

    @Test("every published video becomes the published pictures on the display", arguments: videoFiles)
    func pictures(_ file: String) throws {
      let session = module.openAsUser()
      let key = restrictedKey(session, TestMedia.videoKey)
      let (track, packets) = try TestMedia.packets(file, .video)
      let digests = try TestMedia.frameDigests()
      var configuration = track.configuration
      var stream: CK_OBJECT_HANDLE = 0
      #expect(
        vendor.OpenDecoder!(session, CKC_STRONGROOM_H264, &configuration, UInt(configuration.count), &stream) == CKR_OK)
      let buffer = makeBuffer(session, 1 << 16)
      let countBefore = displayStatus(session)?.frameCount ?? 0
      var shown: [[UInt8]] = []
      var timestamps: [Int] = []
      func show(_ frames: [CK_STRONGROOM_FRAME]) {
        for frame in frames {
          #expect(vendor.Present!(session, frame.hBuffer, nil) == CKR_OK)
          shown.append(displayStatus(session)?.lastMD5 ?? [])
          timestamps.append(frame.timestamp)
          #expect(p11.C_DestroyObject!(session, frame.hBuffer) == CKR_OK)
        }
      }
      for packet in packets {
        let sample = Sample(packet, into: buffer, at: 7)
        #expect(decryptSamples(session, key, protection(packets), [sample]) == CKR_OK)
        let (result, frames) = decode(
          session, stream, buffer, 7, UInt(packet.data.count), timestamp: Int(packet.pts))
        #expect(result == CKR_OK)
        show(frames)
      }
      while true {
        let (result, frames) = decode(session, stream, 0, 0, 0)
        #expect(result == CKR_OK)
        if frames.isEmpty { break }
        show(frames)
      }
      #expect(shown == digests)
      #expect(timestamps == packets.map { Int($0.pts) }.sorted())
      #expect(displayStatus(session)?.frameCount == countBefore + 25)
      #expect(p11.C_DestroyObject!(session, stream) == CKR_OK)
    }

    @Test("samples that are all clear need no key; one protected byte does")
    func clearLeadIn() {
      let session = module.open()
      let plain = (0..<900).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }
      let probe = ContentProbe(session)
      let holds = probe.holds(plain) { buffer, offset in
        let samples = [
          Sample(Array(plain[..<400]), [], [(100, 0), (300, 0)], into: buffer, at: offset),
          Sample(Array(plain[400...]), [], [(500, 0)], into: buffer, at: offset + 400),
        ]
        return decryptSamples(session, 0, .cenc, samples) == CKR_OK
      }
      #expect(holds)
      let unchanged = probe.holds(plain) { buffer, offset in
        guard write(session, buffer, offset, plain) == CKR_OK else { return false }
        let other = [UInt8](repeating: 3, count: 400)
        let samples = [
          Sample(other, [], [(400, 0)], into: buffer, at: offset),
          Sample(other, [], [(399, 1)], into: buffer, at: offset + 400),
        ]
        return decryptSamples(session, 0, .cenc, samples) == CKR_KEY_HANDLE_INVALID
          && decryptSamples(session, 0, .cenc, [Sample(other, [], into: buffer, at: offset)]) == CKR_KEY_HANDLE_INVALID
      }
      #expect(unchanged)
    }

    @Test("a batch of sixty samples is one crossing")
    func oneCrossing() {
      let session = module.openAsUser()
      let key = restrictedKey(session, TestMedia.videoKey)
      let buffer = makeBuffer(session, 60 * 1000)
      let samples = (0..<60).map { index in
        Sample(
          [UInt8](repeating: UInt8(index), count: 1000), [UInt8](repeating: UInt8(index), count: 16),
          [(40, 160), (100, 700)], into: buffer, at: UInt(index) * 1000)
      }
      let count = crossings { #expect(decryptSamples(session, key, .cenc, samples) == CKR_OK) }
      #expect(count == 1)
    }

    @Test("wrong sums, patterns, schemes and places are refused before the first byte of the batch is written")
    func refusals() {
      let session = module.openAsUser()
      let key = restrictedKey(session, TestMedia.videoKey)
      let old = (0..<900).map { UInt8(truncatingIfNeeded: $0 * 5 + 1) }
      let probe = ContentProbe(session)
      let gone = makeBuffer(session, 4096)
      #expect(p11.C_DestroyObject!(session, gone) == CKR_OK)
      let recording = makeBuffer(session, 4096, CKU_STRONGROOM_SECURE_VIDEO_RECORDING)
      let data = [UInt8](repeating: 9, count: 200)
      let iv = [UInt8](repeating: 1, count: 16)
      let invalid = CKR_STRONGROOM_SAMPLE_INVALID
      let unchanged = probe.holds(old) { buffer, offset in
        guard write(session, buffer, offset, old) == CKR_OK else { return false }
        let good = Sample(data, iv, [(100, 100)], into: buffer, at: offset)
        func sample(
          _ subsamples: [(clear: UInt, protected: UInt)], into other: CK_OBJECT_HANDLE? = nil, at place: UInt? = nil
        ) -> Sample { Sample(data, iv, subsamples, into: other ?? buffer, at: place ?? offset + 300) }
        let end = probe.bufferByteCount
        let cases: [(Protection, Sample, CK_RV)] = [
          // Sums.
          (.cenc, sample([(100, 99)]), invalid), (.cenc, sample([(100, 101)]), invalid),
          (.cenc, sample([(0, 0)]), invalid), (.cenc, sample([(.max, 201)]), invalid),
          (.cenc, sample([(200, 1 << 32)]), invalid), (.cenc, sample([(0xffff_ffff, 0xffff_ffff)]), invalid),
          (.cenc, sample([(UInt.max - 99, 300)]), invalid),
          // cbc1 protects whole blocks only.
          (.cbc1, sample([(100, 100)]), invalid),
          // Patterns and schemes.
          (Protection(scheme: CKS_STRONGROOM_CENC, crypt: 1, skip: 9), sample([(100, 100)]), invalid),
          (Protection(scheme: CKS_STRONGROOM_CBC1, crypt: 1, skip: 9), sample([(104, 96)]), invalid),
          (Protection(scheme: CKS_STRONGROOM_CBCS, crypt: 0, skip: 1), sample([(100, 100)]), invalid),
          (Protection(scheme: CKS_STRONGROOM_CBCS, crypt: 16, skip: 1), sample([(100, 100)]), invalid),
          (Protection(scheme: CKS_STRONGROOM_CENS, crypt: 1, skip: 16), sample([(100, 100)]), invalid),
          (Protection(scheme: CKS_STRONGROOM_CENS, crypt: 256 + 1, skip: 9), sample([(100, 100)]), invalid),
          (Protection(scheme: CKS_STRONGROOM_CENS, crypt: .max, skip: .max), sample([(100, 100)]), invalid),
          (Protection(scheme: 0), sample([(100, 100)]), invalid),
          (Protection(scheme: 1 << 32 | CKS_STRONGROOM_CENC), sample([(100, 100)]), invalid),
          // Places.
          (.cenc, sample([], at: end - 199), CKR_BUFFER_TOO_SMALL),
          (.cenc, sample([], at: end), CKR_STRONGROOM_OFFSET_RANGE),
          (.cenc, sample([], at: .max), CKR_STRONGROOM_OFFSET_RANGE),
          (.cenc, sample([], at: .max - 199), CKR_STRONGROOM_OFFSET_RANGE),
          (.cenc, sample([], into: gone), CKR_OBJECT_HANDLE_INVALID),
          (.cenc, sample([], into: recording, at: 0), CKR_STRONGROOM_ACCESS_DENIED),
        ]
        for (index, (protection, bad, expected)) in cases.enumerated() {
          let result = decryptSamples(session, key, protection, [good, bad])
          #expect(result == expected, "case \(index): \(name(result))")
        }
        return true
      }
      #expect(unchanged)
    }

    @Test("the key is one of AES-128 that may decrypt")
    func keys() {
      let session = module.openAsUser()
      let buffer = makeBuffer(session, 64)
      let sample = Sample([UInt8](repeating: 1, count: 64), [UInt8](repeating: 1, count: 16), into: buffer, at: 0)
      let (made, silent) = generateKey(
        session, CKM_AES_KEY_GEN,
        [(CKA_VALUE_LEN, .number(16)), (CKA_ENCRYPT, .bool(true)), (CKA_DECRYPT, .bool(false))])
      #expect(made == CKR_OK)
      #expect(decryptSamples(session, silent, .cenc, [sample]) == CKR_KEY_FUNCTION_NOT_PERMITTED)
      #expect(decryptSamples(session, contentKey(session, byteCount: 32), .cenc, [sample]) == CKR_KEY_SIZE_RANGE)
      #expect(decryptSamples(session, genericKey(session), .cenc, [sample]) == CKR_KEY_TYPE_INCONSISTENT)
      #expect(decryptSamples(session, buffer, .cenc, [sample]) == CKR_KEY_HANDLE_INVALID)
      #expect(decryptSamples(session, contentKey(session), .cenc, []) == CKR_OK)
      #expect(decryptSamples(session, contentKey(session), .cbcs, [sample]) == CKR_OK)
    }

    @Test("the counter's low 64 bits wrap without a carry into the upper half")
    func counterWraps() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let iv = [UInt8](repeating: 0x11, count: 8) + [UInt8](repeating: 0xff, count: 8)
      let data = (0..<48).map { UInt8($0 + 1) }
      // The key stream, block by block.
      let blocks = [iv, Array(iv[..<8]) + [UInt8](repeating: 0, count: 8), Array(iv[..<8]) + [0, 0, 0, 0, 0, 0, 0, 1]]
      let stream = TestMechanism.aesECB.encrypt(session, key, blocks.flatMap { $0 })
      let expected = zip(data, stream).map { $0 ^ $1 }
      let holds = ContentProbe(session).holds(expected) { buffer, offset in
        decryptSamples(session, key, .cenc, [Sample(data, iv, into: buffer, at: offset)]) == CKR_OK
      }
      #expect(holds)
    }
  }
}
