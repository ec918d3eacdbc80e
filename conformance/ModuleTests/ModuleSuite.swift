import Testing

/// All tests of the module in this process: it has one state, so they come one after the other.
@Suite(.serialized)
struct ModuleSuite {}
