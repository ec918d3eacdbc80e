/// What a restricted buffer is for. The numbers are those of OP-TEE's protected memory and of Linux's DMA-BUF heaps
/// (`protected,secure-video`, `protected,trusted-ui`, `protected,secure-video-record`); 4 is this project's own.
public enum UseCase: UInt32, Sendable, CaseIterable {
  case secureVideoPlayback = 1
  case trustedUI = 2
  case secureVideoRecording = 3
  case keyMaterial = 4
}

/// Why restricted memory was not given or not reached.
public enum RestrictedMemoryError: Error, Equatable, Sendable {
  /// There is no pool for this use-case.
  case noPool(UseCase)
  /// Zero bytes, or more than any pool could hold.
  case size
  /// The pool has not that much left. Other pools are unaffected.
  case exhausted
  /// The range begins past the end of the buffer.
  case offsetPastEnd
  /// The range begins inside of the buffer and ends outside.
  case tooSmall
  /// The access matrix does not admit this.
  case denied(Agent, Access, UseCase)
  /// The descriptor is not a restricted buffer of this secure world.
  case foreignDescriptor
  /// The descriptor was one, and a holder shut it down.
  case revoked
  /// As many descriptors are out as may be.
  case tooManyDescriptors
  /// The system has no memory or no descriptors left; the errno.
  case system(Int32)
}
