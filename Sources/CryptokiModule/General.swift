public import CCryptoki
import CFunctionTable
import Cryptoki
import Glibc

// PKCS#11 3.2, 5.4: general-purpose functions.

@c @implementation
public func C_Initialize(_ arguments: CK_VOID_PTR?) -> CK_RV {
  returning { () throws(ReturnValue) in
    if let arguments {
      try check(arguments.loadUnaligned(as: CK_C_INITIALIZE_ARGS.self))
    }
    HostCryptography.prepareIfLoaded()
    try Library.current.initialize()
  }
}

/// Which of the four ways of locking is asked for does not matter: ours are the system's locks, which work in all of
/// them but the one where only the application's functions may be used.
private func check(_ arguments: CK_C_INITIALIZE_ARGS) throws(ReturnValue) {
  guard arguments.pReserved == nil else { throw .argumentsBad }
  let given = [
    arguments.CreateMutex != nil, arguments.DestroyMutex != nil, arguments.LockMutex != nil,
    arguments.UnlockMutex != nil,
  ]
  guard given.allSatisfy({ $0 == given[0] }) else { throw .argumentsBad }
  let flags = InitializeFlags(rawValue: arguments.flags)
  if given[0], !flags.contains(.osLockingOK) { throw .cantLock }
}

@c @implementation
public func C_Finalize(_ reserved: CK_VOID_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    guard reserved == nil else { throw .argumentsBad }
    try library.finalize()
  }
}

@c @implementation
public func C_GetInfo(_ info: CK_INFO_PTR?) -> CK_RV {
  inLibrary { (_) throws(ReturnValue) in
    var answer = CK_INFO()
    answer.cryptokiVersion = CK_VERSION(major: 3, minor: 2)
    setPadded(&answer.manufacturerID, Product.manufacturer)
    setPadded(&answer.libraryDescription, Product.library)
    answer.libraryVersion = Product.version
    try place(info).pointee = answer
  }
}

@c @implementation
public func C_GetFunctionList(_ list: CK_FUNCTION_LIST_PTR_PTR?) -> CK_RV {
  returning { () throws(ReturnValue) in
    try place(list).pointee = UnsafeMutablePointer(mutating: strongroom_functions_2_40())
  }
}

@c @implementation
public func C_GetInterfaceList(_ list: CK_INTERFACE_PTR?, _ count: CK_ULONG_PTR?) -> CK_RV {
  returning { () throws(ReturnValue) in
    let count = try place(count)
    let interfaces = allInterfaces()
    defer { count.pointee = UInt(interfaces.count) }
    guard let list else { return }
    guard count.pointee >= UInt(interfaces.count) else { throw .bufferTooSmall }
    for index in interfaces.indices { list[index] = interfaces[index] }
  }
}

@c @implementation
public func C_GetInterface(
  _ name: CK_UTF8CHAR_PTR?, _ version: CK_VERSION_PTR?, _ interface: CK_INTERFACE_PTR_PTR?, _ flags: CK_FLAGS
) -> CK_RV {
  returning { () throws(ReturnValue) in
    let interface = try place(interface)
    let found = allInterfaces().indices.first { index in
      matches(allInterfaces()[index], name, version?.pointee, flags)
    }
    // The specification lists no better code for an interface that is not there.
    guard let found, let start = allInterfaces().baseAddress else { throw .functionFailed }
    interface.pointee = UnsafeMutablePointer(mutating: start + found)
  }
}

private func matches(
  _ interface: CK_INTERFACE, _ name: CK_UTF8CHAR_PTR?, _ version: CK_VERSION?, _ flags: CK_FLAGS
) -> Bool {
  guard let ownName = interface.pInterfaceName, let functions = interface.pFunctionList else { return false }
  if let name, strcmp(UnsafeRawPointer(name), UnsafeRawPointer(ownName)) != 0 { return false }
  if let version {
    // Every function list begins with its version.
    let own = functions.load(as: CK_VERSION.self)
    guard own.major == version.major, own.minor == version.minor else { return false }
  }
  return interface.flags & flags == flags
}

private func strcmp(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer) -> Int32 {
  Glibc.strcmp(left.assumingMemoryBound(to: CChar.self), right.assumingMemoryBound(to: CChar.self))
}

/// The interfaces, the default one first; read-only memory.
private func allInterfaces() -> UnsafeBufferPointer<CK_INTERFACE> {
  var count = 0
  let start = strongroom_interfaces(&count)
  return UnsafeBufferPointer(start: start, count: count)
}
