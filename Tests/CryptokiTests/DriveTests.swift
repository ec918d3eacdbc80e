import Foundation
import Testing

@Suite("conformance/c/drive_p11kit.c")
struct DriveTests {
  private func program() throws -> CProgram {
    let log = FileManager.default.temporaryDirectory.appendingPathComponent("pkg-config-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: log) }
    let p11kit = try CProgram.run(["pkg-config", "--cflags", "p11-kit-1"], log: log)
    try #require(p11kit.status == 0, "\(p11kit.output)")
    let flags = p11kit.output.split(whereSeparator: \.isWhitespace).map(String.init)
    return try CProgram(["conformance/c/drive_p11kit.c"], as: .c11, flags: flags + ["-ldl"])
  }

  @Test("compiles over p11-kit's header and refuses what is no module")
  func refusesWhatIsNoModule() throws {
    let program = try program()
    let missing = try program.run(["/nonexistent/module.so"])
    #expect(missing.status == 1)
    #expect(missing.output.hasPrefix("dlopen: "))
    let other = try program.run(["libm.so.6"])
    #expect(other.status == 1)
    #expect(other.output == "libm.so.6: does not export C_GetFunctionList\n")
  }
}
