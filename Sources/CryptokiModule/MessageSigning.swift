public import CCryptoki
import Cryptoki

// PKCS#11 3.2, 5.14 and 5.16: message-based functions for signing and verifying. The token does not have them.

@c @implementation
public func C_MessageSignInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_SignMessage(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_SignMessageBegin(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_SignMessageNext(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_MessageSignFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_MessageVerifyInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_VerifyMessage(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_VerifyMessageBegin(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_VerifyMessageNext(
  _ session: CK_SESSION_HANDLE, _ parameter: CK_VOID_PTR?, _ parameterCount: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ dataCount: CK_ULONG, _ signature: CK_BYTE_PTR?, _ signatureCount: CK_ULONG
) -> CK_RV {
  notSupported(session)
}

@c @implementation
public func C_MessageVerifyFinal(_ session: CK_SESSION_HANDLE) -> CK_RV {
  notSupported(session)
}
