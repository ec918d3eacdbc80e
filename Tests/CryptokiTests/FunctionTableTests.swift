import Foundation
import Testing

@Suite("The function lists")
struct FunctionTableTests {
  /// Checks every C file of the tables, in one program, against the entries of `lines`.
  private func program(checking lines: [String]) throws -> CProgram {
    let folder = "Sources/CFunctionTable"
    let tables = try FileManager.default.contentsOfDirectory(atPath: Facts.package.appendingPathComponent(folder).path)
      .filter { $0.hasSuffix(".c") }.map { "\(folder)/\($0)" }
    // The functions of the vendor table are no part of this program; its addresses may stay open.
    return try CProgram(
      ["conformance/c/function_table.c"] + tables, as: .c11, facts: lines,
      flags: [
        "-Wno-unused-parameter", "-fPIE", "-pie", "-Wl,-z,relro,-z,now",
        "-Wl,--unresolved-symbols=ignore-in-object-files",
      ])
  }

  @Test("lead each entry to the function of its name, from memory that cannot be written to")
  func entriesAndMemory() throws {
    let outcome = try program(checking: FactsInclude().lines).run()
    #expect(outcome.output.hasSuffix(" checks, 0 failed\n"), "\(outcome.output)")
    #expect(outcome.status == 0)
  }

  @Test("a list in another order is noticed")
  func orderMatters() throws {
    let facts = try FactsInclude().lines.map {
      $0 == "ENTRY(CK_FUNCTION_LIST, C_Sign, 352)" ? "ENTRY(CK_FUNCTION_LIST, C_Sign, 360)" : $0
    }
    let outcome = try program(checking: facts).run()
    #expect(outcome.status == 1)
    #expect(outcome.output.contains("failed: CK_FUNCTION_LIST leads to C_Sign\n"))
  }
}
