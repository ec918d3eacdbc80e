import Testing

/// All tests of the secure world: each starts a process or more and counts what that has, so they come one after the other.
@Suite(.serialized)
struct WorldSuite {}
