/// Who reaches for the content of a restricted buffer.
public enum Agent: UInt32, Sendable, CaseIterable {
  /// The program that holds the buffer, in the normal world: it can have clear bytes copied in, and never reads.
  case client = 0
  case decoder = 1
  case display = 2
  case cryptoEngine = 3
  case camera = 4
  /// The user's keys and touches.
  case input = 5
}

public enum Access: UInt32, Sendable {
  case read = 1
  case write = 2
}

/// Which agent may read or write the content of which use-case's buffers: what a memory firewall enforces on
/// hardware. What is not admitted is denied.
public struct AccessMatrix: Sendable {
  private var admitted: Set<UInt32> = []

  /// A matrix that admits nothing.
  public init() {}

  public func admits(_ agent: Agent, _ access: Access, _ useCase: UseCase) -> Bool {
    admitted.contains(Self.cell(agent, access, useCase))
  }

  public mutating func admit(_ agent: Agent, _ accesses: Access..., to useCase: UseCase) {
    for access in accesses { admitted.insert(Self.cell(agent, access, useCase)) }
  }

  private static func cell(_ agent: Agent, _ access: Access, _ useCase: UseCase) -> UInt32 {
    agent.rawValue << 16 | access.rawValue << 8 | useCase.rawValue
  }

  /// The secure world's matrix.
  ///
  /// | use-case | client | crypto engine | decoder | display | camera | input |
  /// | --- | --- | --- | --- | --- | --- | --- |
  /// | secure video playback | write | write | read, write | read | - | - |
  /// | trusted UI | write | write | - | read | - | write |
  /// | secure video recording | - | read | - | - | write | - |
  /// | key material | - | read, write | - | - | - | - |
  ///
  /// Decryption into playback memory is one-way: the crypto engine cannot read it back. A recording comes from the
  /// camera alone and leaves through the crypto engine alone.
  public static let standard: AccessMatrix = {
    var matrix = AccessMatrix()
    matrix.admit(.client, .write, to: .secureVideoPlayback)
    matrix.admit(.cryptoEngine, .write, to: .secureVideoPlayback)
    matrix.admit(.decoder, .read, .write, to: .secureVideoPlayback)
    matrix.admit(.display, .read, to: .secureVideoPlayback)
    matrix.admit(.client, .write, to: .trustedUI)
    matrix.admit(.cryptoEngine, .write, to: .trustedUI)
    matrix.admit(.display, .read, to: .trustedUI)
    matrix.admit(.input, .write, to: .trustedUI)
    matrix.admit(.cryptoEngine, .read, to: .secureVideoRecording)
    matrix.admit(.camera, .write, to: .secureVideoRecording)
    matrix.admit(.cryptoEngine, .read, .write, to: .keyMaterial)
    return matrix
  }()
}
