import Testing

@Suite("include/pkcs11.h")
struct HeaderTests {
  @Test("has every constant, type, structure and function of the standard", arguments: CProgram.Language.allCases)
  func agreesWithTheFacts(language: CProgram.Language) throws {
    let facts = try FactsInclude()
    let outcome = try CProgram(["conformance/c/abi.c"], as: language, facts: facts.lines).run()
    // abi.c adds seven checks of its own.
    #expect(outcome.output == "\(facts.checks + 7) checks, 0 failed\n")
    #expect(outcome.status == 0)
  }

  @Test(
    "is told apart from a fact that differs",
    arguments: [
      "CONSTANT(CKM_AES_GCM, 0x1088UL)", "STRUCTURE(CK_MECHANISM, 20, 4)", "FIELD(CK_INFO, flags, CK_ULONG, , 33, 8)",
      "FIELD(CK_ATTRIBUTE, pValue, CK_ULONG, , 8, 8)", "ENTRY(CK_FUNCTION_LIST_3_0, C_Sign, 360)",
      "FUNCTION(C_Sign, (CK_SESSION_HANDLE hSession))", "TYPE(CK_LONG, unsigned long int)",
    ])
  func noticesADifference(fact: String) throws {
    let outcome = try CProgram(["conformance/c/abi.c"], as: .c11, facts: [fact]).run()
    #expect(outcome.status == 1)
    #expect(outcome.output.contains("failed: "))
  }

  @Test("the facts are complete")
  func factsAreComplete() throws {
    let functions = try Facts.functions()
    #expect(functions.filter { $0.introducedIn == "2.40" }.count == 68)
    #expect(functions.filter { $0.introducedIn == "3.0" }.count == 24)
    #expect(functions.filter { $0.introducedIn == "3.2" }.count == 12)
    #expect(try Facts.constants().count == 1050)
    #expect(try Facts.structures().count == 97)
  }
}
