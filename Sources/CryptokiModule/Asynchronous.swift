public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.20 and 5.22: parallel and asynchronous function management.

@c @implementation
public func C_GetFunctionStatus(_ session: CK_SESSION_HANDLE) -> CK_RV {
  // A function of older versions: no function runs in parallel with the application (5.20).
  inLibrary { (library) throws(ReturnValue) in
    _ = try library.slot(ofSession: session)
    throw .functionNotParallel
  }
}

@c @implementation
public func C_CancelFunction(_ session: CK_SESSION_HANDLE) -> CK_RV {
  // A function of older versions: no function runs in parallel with the application (5.20).
  inLibrary { (library) throws(ReturnValue) in
    _ = try library.slot(ofSession: session)
    throw .functionNotParallel
  }
}

@c @implementation
public func C_AsyncComplete(
  _ session: CK_SESSION_HANDLE, _ name: CK_UTF8CHAR_PTR?, _ result: CK_ASYNC_DATA_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_AsyncGetID(_ session: CK_SESSION_HANDLE, _ name: CK_UTF8CHAR_PTR?, _ id: CK_ULONG_PTR?) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_AsyncJoin(
  _ session: CK_SESSION_HANDLE, _ name: CK_UTF8CHAR_PTR?, _ id: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}
