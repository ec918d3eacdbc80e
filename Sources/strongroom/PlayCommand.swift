import ArgumentParser
import CCryptoki
import CLinux
import Configuration
import Cryptoki
import Foundation
import MediaContainer

struct PlayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "play", abstract: "Play a protected MP4 file on the secure world's display.",
    discussion: """
      The file is taken apart here; samples are decrypted into restricted buffers and go from there to the decoder and \
      the display. This program sees neither the key nor a clear byte of what is protected. The key is one of the \
      token, or comes wrapped: it is then unwrapped for this session only, with restricted output.
      """)

  @OptionGroup var options: TokenOptions
  @Argument(help: "The MP4 file, with a track of H.264 or HEVC video.") var file: String
  @Option(help: "The content key, a pkcs11: URI.") var key: String?
  @Option(help: "The content key as the content server sent it, wrapped.") var wrappedKey: String?
  @Option(help: "The key that unwraps it, a pkcs11: URI.") var unwrappingKey: String?
  @Option(help: "How it is wrapped: \(ParameterizedMechanism.unwrapping.keys.sorted().joined(separator: ", ")).")
  var mechanism = "rsa-oaep-sha256"
  @Option(help: "Compare each frame's MD5 with the lines of this file.") var expectMd5: String?
  @Flag(
    help:
      "Stop before the key is unwrapped, at the tenth frame and at the end: print a line and wait for one on standard input."
  )
  var inspect = false
  @Option(help: "Hold what this file says, in hexadecimal, in memory: a control for a search of this program's memory.")
  var control: String?

  func validate() throws {
    if key != nil && wrappedKey != nil { throw ValidationError("give --key or --wrapped-key, not both") }
    if (wrappedKey == nil) != (unwrappingKey == nil) {
      throw ValidationError("--wrapped-key and --unwrapping-key go together")
    }
  }

  func run() throws {
    let mechanism = try ParameterizedMechanism.unwrapping.named(mechanism)
    let expected = try expectMd5.map { try Self.digests(of: $0) }
    let demuxer: Demuxer
    let track: MediaTrack
    do {
      demuxer = try Demuxer(path: file)
      track = try demuxer.videoTrack()
    } catch { throw Failure("\(error)") }
    // Read before the marker exists, so that nothing but this array holds it.
    let marker = try control.map { try Self.marker(of: $0) } ?? []
    // A process of the same user may read this one's memory: the search has to be able to.
    if inspect { _ = clinux_prctl(0x5961_6d61 /* PR_SET_PTRACER */, UInt.max, 0, 0, 0) }

    let uri = try (key ?? unwrappingKey).map { try URI($0) }
    let session = try options.session(uri, login: uri == nil ? .ifPINIsGiven : .required)
    if inspect { Self.wait(at: "the start, before the key is unwrapped") }
    var contentKey = CK_OBJECT_HANDLE(CK_INVALID_HANDLE)
    if let uri, let wrappedKey {
      contentKey = try WrappedKey.unwrap(
        try contents(of: wrappedKey, limit: 1 << 20), wrappedKey, with: uri, mechanism, in: session, usage: [.decrypt],
        restrictedOutput: true, Template().adding(.token, false))
    } else if let uri {
      contentKey = try session.findOne(uri, classes: [.secretKey])
    }

    let player = try Player(session, track, key: contentKey, file: file, expected: expected)
    player.progress = ProgressLine(total: expected?.count)
    if inspect { player.atFrame = { if $0 == 10 { Self.wait(at: "frame 10") } } }
    try player.play(demuxer)
    if inspect { Self.wait(at: "the end, frame \(player.frameCount)") }
    withExtendedLifetime(marker) {}
    try summarise(player, expected)
  }

  private func summarise(_ player: Player, _ expected: [String]?) throws {
    let status = try player.status()
    let before = player.framesShownBefore
    let shown = status.ulFrameCount - min(before, status.ulFrameCount)
    print("\(file): \(shown) frames shown, \(player.protectedSampleCount) of \(player.sampleCount) samples protected")
    let digest = withUnsafeBytes(of: status.sha256) { hexadecimal($0) }
    print("SHA-256 of all frames: \(digest)\(before == 0 ? "" : " (with the \(before) that were shown before)")")
    if let expected {
      guard player.mismatches.isEmpty, shown == CK_ULONG(expected.count) else {
        let first = player.mismatches.first.map { "; the first that differs is frame \($0)" } ?? ""
        throw Failure(
          "\(player.mismatches.count) of \(shown) frames differ from the \(expected.count) of \(expectMd5 ?? "")\(first)"
        )
      }
      print("all \(shown) frames match \(expectMd5 ?? "")")
    }
    try player.writeContactSheet()
    if let directory = try? Configuration.load().displayDirectory {
      print("contact sheet: \(directory)/contact-sheet.png")
    }
  }

  /// The MD5 at the beginning of each line.
  private static func digests(of path: String) throws -> [String] {
    let text = String(decoding: try contents(of: path), as: UTF8.self)
    return try text.split(separator: "\n").enumerated().map { index, line in
      guard let word = line.split(separator: " ").first, let digest = bytes(hexadecimal: word), digest.count == 16
      else {
        throw Failure.usage("\(path):\(index + 1): not an MD5 in hexadecimal")
      }
      return hexadecimal(digest)
    }
  }

  private static func marker(of path: String) throws -> [UInt8] {
    let text = String(decoding: try contents(of: path, limit: 65_536), as: UTF8.self)
    guard let marker = bytes(hexadecimal: text.filter { !$0.isWhitespace }), marker.count >= 8 else {
      throw Failure.usage("\(path): not hexadecimal, or less than 8 bytes")
    }
    return marker
  }

  private static func wait(at place: String) {
    print("inspect: process \(getpid()) waits at \(place)")
    fflush(nil)
    _ = readLine()
  }
}

/// A line that is written over, on a terminal only.
final class ProgressLine {
  private let total: Int?
  private let isTerminal = isatty(STDERR_FILENO) == 1

  init(total: Int?) { self.total = total }

  func show(_ frame: UInt) {
    guard isTerminal else { return }
    let of = total.map { " of \($0)" } ?? ""
    show("\rframe \(frame)\(of)")
  }

  func finish() {
    if isTerminal { show("\r\u{1b}[K") }
  }

  private func show(_ text: String) { try? write(Array(text.utf8), to: STDERR_FILENO, named: "standard error") }
}
