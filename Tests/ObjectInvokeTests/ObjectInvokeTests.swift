import Testing

/// One after the other: some of them fork, and count threads and descriptors.
@Suite("Object invoke", .serialized)
struct ObjectInvokeTests {}
