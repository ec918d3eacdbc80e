import CCryptoki
import Cryptoki

/// Runs the body of an entry point and folds what it throws into the CK_RV.
@inline(__always)
func returning(_ body: () throws(ReturnValue) -> Void) -> CK_RV {
  do throws(ReturnValue) {
    try body()
    return ReturnValue.ok.rawValue
  } catch {
    return error.rawValue
  }
}

/// The body of an entry point that needs C_Initialize.
@inline(__always)
func inLibrary(_ body: (Library) throws(ReturnValue) -> Void) -> CK_RV {
  returning { () throws(ReturnValue) in
    try Library.withCurrent { (library) throws(ReturnValue) in
      guard library.isInitialized else { throw .cryptokiNotInitialized }
      try body(library)
    }
  }
}

/// The body of an entry point that works in a session, alone in it: two calls in one session come one after the other.
@inline(__always)
func inSession(
  _ handle: CK_SESSION_HANDLE, _ body: (Session, inout SessionOperations) throws(ReturnValue) -> Void
) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    try library.sessions.enter(handle) { (session) throws(ReturnValue) in
      guard !session.slot.connection.isDead else { throw .deviceRemoved }
      try body(session, &session.operations)
    }
  }
}

/// The answer of the functions that the token does not have, after the checks that every function makes.
func notSupported(_ handle: CK_SESSION_HANDLE) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    _ = try library.slot(ofSession: handle)
    throw .functionNotSupported
  }
}
