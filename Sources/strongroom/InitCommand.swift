import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

struct InitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Initialise a token and set its user PIN.",
    discussion: """
      Takes the first slot whose token is not initialised, or the one given with --slot. An initialised token is only \
      initialised again with --erase, which destroys every object on it.
      """)

  @OptionGroup var options: TokenOptions
  @Option(help: "The token's label, at most 32 bytes.") var label: String
  @Option(help: "The security officer's PIN; else STRONGROOM_SO_PIN, or asked for.") var soPin: String?
  @Flag(help: "Initialise again a token that is in use: all its objects are lost.") var erase = false

  func run() throws {
    guard !label.isEmpty, label.utf8.count <= 32 else {
      throw Failure.usage("--label has \(label.utf8.count) bytes; a token's label has 1 to 32")
    }
    let module = try options.load()
    let slot = try freeSlot(module)
    let isInUse = TokenFlags(rawValue: try module.tokenInfo(slot).flags).contains(.tokenInitialized)
    if isInUse && !erase {
      throw Failure(
        "slot \(slot) holds the token \"\(text(try module.tokenInfo(slot).label))\"; --erase destroys it and its objects"
      )
    }
    let soPIN = try SOPIN.given(soPin) ?? PINEntry.askNew("security officer's PIN for \"\(label)\"", .officer)
    let pin = try options.givenPIN() ?? PINEntry.askNew("user PIN for \"\(label)\"", .user)
    // Before anything is changed: a token without a user PIN is of no use.
    let info = try module.tokenInfo(slot)
    try info.check(soPIN, "security officer's PIN")
    try info.check(pin, "user PIN")
    var soBytes = Array(soPIN.utf8)
    var bytes = Array(pin.utf8)
    var padded = Array(label.utf8) + [UInt8](repeating: 0x20, count: 32 - label.utf8.count)
    try during("initialising slot \(slot)") {
      try module.call(
        "C_InitToken", module.functions.C_InitToken(slot, &soBytes, CK_ULONG(soBytes.count), &padded))
    }
    // Some tokens move to another slot when they are initialised.
    var named = options
    named.token = label
    named.slot = nil
    let session = try Session(module, (try? named.slot(in: module)) ?? slot)
    try session.login(CKU_SO, soPIN)
    try during("setting the user PIN") {
      try session.call("C_InitPIN", session.functions.C_InitPIN(session.handle, &bytes, CK_ULONG(bytes.count)))
    }
    try session.call("C_Logout", session.functions.C_Logout(session.handle))
    print("token \"\(label)\" in slot \(session.slot) is ready: pkcs11:token=\(ObjectURI.encoded(label))")
  }

  private func freeSlot(_ module: Module) throws -> CK_SLOT_ID {
    if options.slot != nil || options.token != nil { return try options.slot(in: module) }
    let slots = try module.slots(withToken: true)
    let free = try slots.first {
      !TokenFlags(rawValue: try module.tokenInfo($0).flags).contains(.tokenInitialized)
    }
    if let free { return free }
    guard let only = slots.first else { throw Failure("the module has no slot with a token") }
    guard slots.count == 1 else { throw Failure("every token is initialised; name the one to erase with --slot") }
    return only
  }
}

/// The security officer's PIN.
enum SOPIN {
  static func given(_ option: String?) -> String? {
    option ?? ProcessInfo.processInfo.environment["STRONGROOM_SO_PIN"]
  }
}

struct PINCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin", abstract: "Change or unlock PINs.", subcommands: [Change.self, Unlock.self])

  struct Change: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change the user's PIN, or with --so the security officer's.")

    @OptionGroup var options: TokenOptions
    @Flag(help: "Change the security officer's PIN.") var so = false
    @Option(help: "The security officer's present PIN; else STRONGROOM_SO_PIN, or asked for.") var soPin: String?
    @Option(help: "The new PIN; else STRONGROOM_NEW_PIN, or asked for.") var newPin: String?

    func run() throws {
      let module = try options.load()
      let session = try Session(module, try options.slot(in: module))
      let who = so ? "security officer's PIN" : "user PIN"
      let old =
        try (so ? SOPIN.given(soPin) : options.givenPIN())
        ?? PINEntry.ask("present \(who) of \"\(session.tokenLabel)\"", so ? .officer : .user)
      let new = try NewPIN.given(newPin) ?? PINEntry.askNew("new \(who)", .new)
      try session.tokenInfo.check(new, "new PIN")
      if so { try session.login(CKU_SO, old) }
      var oldBytes = Array(old.utf8)
      var newBytes = Array(new.utf8)
      try during("the token \"\(session.tokenLabel)\"") {
        try session.call(
          "C_SetPIN",
          session.functions.C_SetPIN(
            session.handle, &oldBytes, CK_ULONG(oldBytes.count), &newBytes, CK_ULONG(newBytes.count)))
      }
      print("the \(who) of \"\(session.tokenLabel)\" is changed")
    }
  }

  struct Unlock: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Set a new user PIN with the security officer's PIN; lifts a lockout.")

    @OptionGroup var options: TokenOptions
    @Option(help: "The security officer's PIN; else STRONGROOM_SO_PIN, or asked for.") var soPin: String?
    @Option(help: "The new user PIN; else STRONGROOM_NEW_PIN, or asked for.") var newPin: String?

    func run() throws {
      let module = try options.load()
      let session = try Session(module, try options.slot(in: module))
      let soPIN =
        try SOPIN.given(soPin) ?? PINEntry.ask("security officer's PIN of \"\(session.tokenLabel)\"", .officer)
      try session.login(CKU_SO, soPIN)
      let new = try NewPIN.given(newPin) ?? PINEntry.askNew("new user PIN", .new)
      try session.tokenInfo.check(new, "new PIN")
      var bytes = Array(new.utf8)
      try during("the token \"\(session.tokenLabel)\"") {
        try session.call("C_InitPIN", session.functions.C_InitPIN(session.handle, &bytes, CK_ULONG(bytes.count)))
      }
      print("the user PIN of \"\(session.tokenLabel)\" is set")
    }
  }

  private enum NewPIN {
    static func given(_ option: String?) -> String? {
      option ?? ProcessInfo.processInfo.environment["STRONGROOM_NEW_PIN"]
    }
  }
}
