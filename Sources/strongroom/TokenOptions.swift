import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

/// Which module to load.
struct ModuleOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("The PKCS#11 module; default: the one beside or installed with this program.", valueName: "path")
  )
  var module: String?
}

/// Which token to use, and with which PIN.
struct TokenOptions: ParsableArguments {
  @OptionGroup var module: ModuleOptions

  @Option(
    help: ArgumentHelp("The token, by its label or a pkcs11: URI; default: the only one there is.", valueName: "label"))
  var token: String?

  @Option(help: ArgumentHelp("The token, by its slot.", valueName: "number"))
  var slot: UInt?

  @Option(
    help:
      "The user's PIN. Other users of this machine can see it in the process list; the variable STRONGROOM_PIN is hidden from them."
  )
  var pin: String?

  @Option(help: ArgumentHelp("A file whose first line is the user's PIN.", valueName: "path"))
  var pinFile: String?

  func validate() throws {
    if token != nil && slot != nil { throw ValidationError("give --token or --slot, not both") }
    if pin != nil && pinFile != nil { throw ValidationError("give --pin or --pin-file, not both") }
  }

  /// Loads the module that the options, or else the URI, name.
  func load(_ uri: URI? = nil) throws -> Module { try Module(path: module.module ?? uri?.modulePath) }

  /// The URI given as --token.
  private func tokenURI() throws -> URI? {
    guard let token, URI.isURI(token) else { return nil }
    return try URI(token)
  }

  /// The slot of the one token that --slot, --token and `uri` leave.
  func slot(in module: Module, _ uri: URI? = nil) throws -> CK_SLOT_ID {
    let named = try [uri, tokenURI()].compactMap { $0 }
    var candidates: [(slot: CK_SLOT_ID, info: CK_TOKEN_INFO)] = []
    var seen: [String] = []
    for id in try module.slots(withToken: true) {
      if let slot, slot != id { continue }
      var slotInfo = CK_SLOT_INFO()
      try module.call("C_GetSlotInfo", module.functions.C_GetSlotInfo(id, &slotInfo))
      var info = try module.tokenInfo(id)
      // A token is sought by its name: only --slot can mean one that has none yet.
      guard slot != nil || TokenFlags(rawValue: info.flags).contains(.tokenInitialized) else { continue }
      seen.append("\"\(text(info.label))\" (slot \(id))")
      if let token, !URI.isURI(token), text(info.label) != token { continue }
      guard named.allSatisfy({ $0.matches(slot: id, slotInfo: &slotInfo, tokenInfo: &info) }) else { continue }
      candidates.append((id, info))
    }
    let wanted = token ?? uri?.description ?? slot.map { "slot \($0)" }
    switch candidates.count {
    case 1: return candidates[0].slot
    case 0 where seen.isEmpty && slot != nil: throw Failure("there is no token in slot \(slot ?? 0)")
    case 0 where seen.isEmpty:
      throw Failure("no token is initialised yet; `strongroom init --label NAME` makes one")
    case 0: throw Failure("no token matches \(wanted ?? ""); there is \(seen.joined(separator: ", "))")
    default:
      throw Failure.usage(
        "\(wanted.map { "\($0) matches" } ?? "there are") several tokens: \(seen.joined(separator: ", ")); "
          + "say which with --token or --slot")
    }
  }

  /// The user's PIN, where one was given without asking anybody.
  func givenPIN(_ uri: URI? = nil) throws -> String? {
    if let pin { return pin }
    if let pinFile { return try PINEntry.firstLine(of: pinFile) }
    for uri in try [uri, tokenURI()].compactMap({ $0 }) {
      if let pin = uri.pin { return pin }
      if let file = uri.pinFile { return try PINEntry.firstLine(of: file) }
    }
    return ProcessInfo.processInfo.environment["STRONGROOM_PIN"]
  }

  /// How a session begins with respect to the user.
  enum Login {
    /// The PIN is asked for when it was not given.
    case required
    /// Public objects alone when no PIN was given.
    case ifPINIsGiven
  }

  /// A session, read and write, on the token that the options and `uri` name.
  func session(_ uri: URI? = nil, login: Login = .required) throws -> Session {
    let module = try load(uri)
    let slot = try slot(in: module, uri)
    let session = try Session(module, slot)
    let pin: String?
    switch login {
    case .required: pin = try givenPIN(uri) ?? PINEntry.ask("PIN of \"\(session.tokenLabel)\"", .user)
    case .ifPINIsGiven: pin = try givenPIN(uri)
    }
    if let pin { try session.login(CKU_USER, pin) }
    return session
  }
}
