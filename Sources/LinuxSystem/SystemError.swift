import CLinux
import Glibc

/// A system call that failed: its name and the errno it left.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The name of the call, as in section 2 or 3 of the manual.
  public let function: String
  /// The errno.
  public let code: Int32

  public init(_ function: String, _ code: Int32) {
    self.function = function
    self.code = code
  }

  public var description: String {
    var text = [CChar](repeating: 0, count: 128)
    // Glibc's strerror_r may answer a text of its own instead of filling the buffer; the XSI form does not exist in
    // Swift's import, and strerror is safe in glibc: its texts are per thread.
    let message = strerror(code)
    if let message { strncpy(&text, message, text.count - 1) }
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return "\(function): \(String(decoding: bytes, as: UTF8.self))"
  }
}

/// Runs `call` until it is not interrupted by a signal, and throws what else it reports by a negative answer.
@inline(__always)
@discardableResult
func checked<Answer: SignedInteger>(
  _ function: StaticString, _ call: () -> Answer
) throws(SystemError) -> Answer {
  while true {
    let answer = call()
    if answer >= 0 { return answer }
    let code = errno
    if code != EINTR { throw SystemError("\(function)", code) }
  }
}
