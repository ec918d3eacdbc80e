import ArgumentParser
import CCryptoki
import Configuration
import Cryptoki
import Foundation

struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Show the library, its slots and tokens, and the secure world they live in.")

  @OptionGroup var options: ModuleOptions

  func run() throws {
    let module = try Module(path: options.module)
    var info = CK_INFO()
    try module.call("C_GetInfo", module.functions.C_GetInfo(&info))
    show("module", module.path)
    show("library", "\(text(info.libraryDescription)) \(version(info.libraryVersion)), \(text(info.manufacturerID))")
    show("PKCS#11", version(info.cryptokiVersion))
    let vendor = try? module.strongroom()
    show("interface", vendor == nil ? "no vendor interface" : "\(CK_STRONGROOM_INTERFACE_NAME) 1.0")
    if let vendor {
      try ConfigCommand.showSummary()
      var world = CK_STRONGROOM_SECURE_WORLD_INFO()
      try module.call("GetSecureWorldInfo", vendor.GetSecureWorldInfo(&world))
      show("cryptography", "\(text(world.libcrypto)), in the secure world")
    }
    for slot in try module.slots(withToken: false) { try showSlot(module, slot) }
  }

  private func showSlot(_ module: Module, _ slot: CK_SLOT_ID) throws {
    var info = CK_SLOT_INFO()
    try module.call("C_GetSlotInfo", module.functions.C_GetSlotInfo(slot, &info))
    print("\nslot \(slot): \(text(info.slotDescription))")
    let slotFlags = SlotFlags(rawValue: info.flags)
    guard slotFlags.contains(.tokenPresent) else {
      show("token", "none")
      return
    }
    let token = try module.tokenInfo(slot)
    let flags = TokenFlags(rawValue: token.flags)
    show("token", flags.contains(.tokenInitialized) ? text(token.label) : "not initialised")
    show("model", "\(text(token.model)), \(text(token.manufacturerID))")
    show("serial number", text(token.serialNumber))
    show("hardware", version(token.hardwareVersion) + ", firmware " + version(token.firmwareVersion))
    show("PIN", "\(token.ulMinPinLen) to \(token.ulMaxPinLen) bytes")
    show("sessions", "\(count(token.ulSessionCount)), read and write \(count(token.ulRwSessionCount))")
    show("state", words(flags).joined(separator: "; "))
  }

  private func show(_ name: String, _ value: String) {
    print("  " + name.padding(toLength: 16, withPad: " ", startingAt: 0) + value)
  }

  private func version(_ version: CK_VERSION) -> String { "\(version.major).\(version.minor)" }

  private func count(_ value: CK_ULONG) -> String { value == CK_ULONG.max ? "unknown" : "\(value)" }

  /// The flags of a token in words.
  private func words(_ flags: TokenFlags) -> [String] {
    let table: [(TokenFlags, String)] = [
      (.writeProtected, "write protected"),
      (.loginRequired, "login is required for private objects"),
      (.userPINCountLow, "a wrong user PIN was tried"),
      (.userPINFinalTry, "one try is left for the user PIN"),
      (.userPINLocked, "the user PIN is locked"),
      (.userPINToBeChanged, "the user PIN must be changed"),
      (.soPINCountLow, "a wrong security officer's PIN was tried"),
      (.soPINFinalTry, "one try is left for the security officer's PIN"),
      (.soPINLocked, "the security officer's PIN is locked"),
      (.soPINToBeChanged, "the security officer's PIN must be changed"),
      (.errorState, "the token failed its self-test"),
      (.rng, "has a random number generator"),
      (.clockOnToken, "has a clock"),
      (.protectedAuthenticationPath, "asks for PINs by itself"),
      (.asyncSessionSupported, "offers asynchronous sessions"),
    ]
    guard flags.contains(.tokenInitialized) else { return ["to be initialised: `strongroom init --label NAME`"] }
    let state = flags.contains(.userPINInitialized) ? "ready, the user PIN is set" : "no user PIN yet"
    return [state] + table.filter { flags.contains($0.0) }.map(\.1)
  }
}

struct MechanismsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mechanisms", abstract: "List what the token can do, with key sizes.",
    discussion: "The list comes from the token: what is not there is not offered.")

  @OptionGroup var options: TokenOptions

  func run() throws {
    let module = try options.load()
    // Mechanisms are those of a slot: a token that is not initialised has them as well.
    let slot: CK_SLOT_ID
    if options.token == nil && options.slot == nil, let first = try module.slots(withToken: true).first {
      slot = first
    } else {
      slot = try options.slot(in: module)
    }
    var count: CK_ULONG = 0
    try module.call("C_GetMechanismList", module.functions.C_GetMechanismList(slot, nil, &count))
    var list = [CK_MECHANISM_TYPE](repeating: 0, count: Int(count))
    try module.call("C_GetMechanismList", module.functions.C_GetMechanismList(slot, &list, &count))
    for type in list.prefix(Int(count)) {
      var info = CK_MECHANISM_INFO()
      try module.call("C_GetMechanismInfo", module.functions.C_GetMechanismInfo(slot, type, &info))
      let name = UInt32(exactly: type).map { MechanismType(rawValue: $0).name } ?? "0x" + String(type, radix: 16)
      let sizes = info.ulMaxKeySize == 0 ? "" : "\(info.ulMinKeySize)-\(info.ulMaxKeySize)"
      let flags = MechanismFlags(rawValue: info.flags).name.replacingOccurrences(of: "CKF_", with: "")
        .replacingOccurrences(of: " | ", with: " ").lowercased()
      print(
        name.padding(toLength: max(name.count, 34), withPad: " ", startingAt: 0),
        sizes.padding(toLength: max(sizes.count, 12), withPad: " ", startingAt: 0), flags)
    }
  }
}
