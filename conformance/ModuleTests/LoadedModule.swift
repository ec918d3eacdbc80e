import CCryptoki
import Foundation
import Glibc

/// The built module, loaded as a client loads it.
struct LoadedModule: @unchecked Sendable {  // the function lists are read-only memory
  static let shared = LoadedModule()

  let path: String
  let handle: UnsafeMutableRawPointer
  /// The functions of version 3.2.
  let functions: UnsafePointer<CK_FUNCTION_LIST_3_2>

  private init() {
    path = ProcessInfo.processInfo.environment["STRONGROOM_MODULE"] ?? Self.besideThisProgram()
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      fatalError("cannot load \(path): \(String(cString: dlerror()))")
    }
    self.handle = handle
    guard let symbol = dlsym(handle, "C_GetInterface") else { fatalError("no C_GetInterface in \(path)") }
    typealias GetInterface =
      @convention(c) (
        UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<CK_VERSION>?,
        UnsafeMutablePointer<UnsafeMutablePointer<CK_INTERFACE>?>?, UInt
      ) -> UInt
    var version = CK_VERSION(major: 3, minor: 2)
    var interface: UnsafeMutablePointer<CK_INTERFACE>?
    var name = Array("PKCS 11\0".utf8)
    let result = unsafeBitCast(symbol, to: GetInterface.self)(&name, &version, &interface, 0)
    guard result == CKR_OK, let list = interface?.pointee.pFunctionList else { fatalError("no 3.2 interface") }
    functions = UnsafePointer(list.assumingMemoryBound(to: CK_FUNCTION_LIST_3_2.self))
  }

  /// The test program lies in the build folder, and so does the module.
  private static func besideThisProgram() -> String {
    let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (program as NSString).deletingLastPathComponent + "/libstrongroom-pkcs11.so"
  }
}

/// The module's functions.
var p11: CK_FUNCTION_LIST_3_2 { LoadedModule.shared.functions.pointee }

/// Every function's name, its position in the list and its parameters' types, from the facts of the standard.
struct FunctionFact {
  let name: String
  let position: Int
  let parameterTypes: [String]

  static let all: [FunctionFact] = {
    let folder = (#filePath as NSString).deletingLastPathComponent
    let path = folder + "/../facts/functions.csv"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { fatalError("no \(path)") }
    var facts: [Int: (String, [String])] = [:]
    for line in text.split(separator: "\n").dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard fields.count >= 6, let order = Int(fields[0]) else { continue }
      facts[order, default: (fields[2], [])].1.append(fields[4])
    }
    return facts.sorted { $0.key < $1.key }.map {
      FunctionFact(name: $0.value.0, position: $0.key - 1, parameterTypes: $0.value.1)
    }
  }()

  /// Calls the function with these words as its arguments. On the platforms of the project, pointers, numbers and bytes
  /// all travel as words, and words beyond the function's own are not looked at.
  func call(_ words: [UInt]) -> UInt {
    typealias Function =
      @convention(c) (
        UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt
      ) -> UInt
    let first = UnsafeRawPointer(LoadedModule.shared.functions) + MemoryLayout<UInt>.stride
    let function = first.load(fromByteOffset: position * MemoryLayout<UInt>.stride, as: Function.self)
    let w = words + [UInt](repeating: 0, count: 12 - words.count)
    return function(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11])
  }
}

/// Ends this process with a message when a condition does not hold: for bodies that run in a process of their own. A
/// `FaultStore` keeps the message for the test that started the process.
func require(_ condition: Bool, _ message: @autoclosure () -> String, line: Int = #line) {
  if !condition {
    let text = "line \(line): \(message())\n"
    FileHandle.standardError.write(Data(text.utf8))
    if let path = ProcessInfo.processInfo.environment["STRONGROOM_TEST_REPORT"] {
      try? text.write(toFile: path, atomically: false, encoding: .utf8)
    }
    _exit(1)
  }
}
