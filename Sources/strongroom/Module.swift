import ArgumentParser
import CCryptoki
import Configuration
import Cryptoki
import Foundation

/// The PKCS#11 module, loaded as any application loads it: the tool has no other way to the token.
final class Module {
  let functions: CK_FUNCTION_LIST_3_2
  let path: String
  private let getInterface: GetInterface

  typealias GetInterface =
    @convention(c) (
      UnsafeMutablePointer<CK_UTF8CHAR>?, UnsafeMutablePointer<CK_VERSION>?,
      UnsafeMutablePointer<UnsafeMutablePointer<CK_INTERFACE>?>?, CK_FLAGS
    ) -> CK_RV
  typealias GetFunctionList = @convention(c) (UnsafeMutablePointer<UnsafeMutablePointer<CK_FUNCTION_LIST>?>?) -> CK_RV

  /// Loads and initialises the module at `given`, or the one beside or installed with this program.
  init(path given: String?) throws {
    path = try given ?? Self.find()
    guard let library = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw Failure.usage("cannot load the module: \(String(cString: dlerror()))")
    }
    if let symbol = dlsym(library, "C_GetInterface") {
      getInterface = unsafeBitCast(symbol, to: GetInterface.self)
    } else {
      getInterface = { _, _, _, _ in CKR_FUNCTION_NOT_SUPPORTED }
    }
    if let list: CK_FUNCTION_LIST_3_2 = Self.list(getInterface, "PKCS 11", CK_VERSION(major: 3, minor: 2)) {
      functions = list
    } else if let symbol = dlsym(library, "C_GetFunctionList") {
      functions = try Self.olderList(unsafeBitCast(symbol, to: GetFunctionList.self), path)
    } else {
      throw Failure.usage("\(path) is no PKCS#11 module: it has no C_GetFunctionList")
    }
    // Our module, a guest elsewhere, says here why it cannot reach the secure world, and what to do about it.
    setenv("STRONGROOM_DEBUG", "1", 0)
    do {
      try during("starting \(path)") { try call("C_Initialize", functions.C_Initialize(nil)) }
    } catch let error as ModuleError where error.value == .generalError && (try? strongroom()) != nil {
      // It has said so; the exit code says whose it is to mend.
      let kind: Failure.Kind = (try? Configuration.load()) == nil ? .usage : .refused
      throw ExitCode(kind.exitCode)
    }
  }

  deinit { _ = functions.C_Finalize(nil) }

  /// The vendor interface; throws where the module is another token's.
  func strongroom() throws -> CK_STRONGROOM_FUNCTION_LIST {
    let version = CK_VERSION(major: 1, minor: 0)
    guard let list: CK_STRONGROOM_FUNCTION_LIST = Self.list(getInterface, CK_STRONGROOM_INTERFACE_NAME, version) else {
      throw Failure("\(path) has no interface \"\(CK_STRONGROOM_INTERFACE_NAME)\" 1.0, which this command needs")
    }
    return list
  }

  private static func list<List>(_ getInterface: GetInterface, _ name: String, _ version: CK_VERSION) -> List? {
    var version = version
    var interface: UnsafeMutablePointer<CK_INTERFACE>?
    var characters = Array(name.utf8) + [0]
    guard getInterface(&characters, &version, &interface, 0) == CKR_OK else { return nil }
    return interface?.pointee.pFunctionList?.assumingMemoryBound(to: List.self).pointee
  }

  /// The functions of a module before 3.0. The 2.40 list is a prefix of the 3.2 list; the tool calls nothing after it
  /// but through the vendor interface, which such a module lacks.
  private static func olderList(_ getFunctionList: GetFunctionList, _ path: String) throws -> CK_FUNCTION_LIST_3_2 {
    var list: UnsafeMutablePointer<CK_FUNCTION_LIST>?
    guard getFunctionList(&list) == CKR_OK, let list else {
      throw Failure.usage("\(path) gives no function list")
    }
    var functions = CK_FUNCTION_LIST_3_2()
    withUnsafeMutableBytes(of: &functions) { bytes in
      bytes.copyMemory(from: UnsafeRawBufferPointer(start: list, count: MemoryLayout<CK_FUNCTION_LIST>.size))
    }
    return functions
  }

  /// The module beside this program (a build folder), or in the library folder of its prefix.
  private static func find() throws -> String {
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let candidates = [
      program.appendingPathComponent("libstrongroom-pkcs11.so").path,
      program.deletingLastPathComponent().appendingPathComponent("lib/libstrongroom-pkcs11.so").path,
    ]
    guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw Failure.usage(
        "the module is neither of \(candidates.joined(separator: ", ")); name it with --module")
    }
    return found
  }

  /// Throws unless `result` is CKR_OK.
  func call(_ function: String, _ result: CK_RV) throws {
    if result != CKR_OK { throw ModuleError(function: function, value: ReturnValue(rawValue: result)) }
  }

  /// The slots that hold a token, or all of them.
  func slots(withToken: Bool) throws -> [CK_SLOT_ID] {
    var count: CK_ULONG = 0
    try call("C_GetSlotList", functions.C_GetSlotList(withToken ? 1 : 0, nil, &count))
    var slots = [CK_SLOT_ID](repeating: 0, count: Int(count))
    try call("C_GetSlotList", functions.C_GetSlotList(withToken ? 1 : 0, &slots, &count))
    return Array(slots.prefix(Int(count)))
  }

  func tokenInfo(_ slot: CK_SLOT_ID) throws -> CK_TOKEN_INFO {
    var info = CK_TOKEN_INFO()
    try call("C_GetTokenInfo", functions.C_GetTokenInfo(slot, &info))
    return info
  }
}

/// A field of a PKCS#11 structure that is text padded with blanks.
func text<Field>(_ field: Field) -> String {
  withUnsafeBytes(of: field) { bytes in
    var bytes = bytes[...]
    while bytes.last == 0x20 || bytes.last == 0 { bytes = bytes.dropLast() }
    return String(decoding: bytes, as: UTF8.self)
  }
}
