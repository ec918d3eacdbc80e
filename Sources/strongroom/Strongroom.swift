import ArgumentParser

/// The command-line tool. It reaches the token as every application does: through the module's C ABI.
struct Strongroom: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "strongroom",
    abstract: "Keys that nobody can take, and decryption into memory that nobody can read.",
    discussion: """
      Objects and tokens are named by pkcs11: URIs (RFC 7512). A PIN comes from --pin, --pin-file, the URI \
      (pin-value, pin-source), the variable STRONGROOM_PIN, or the terminal, in this order.

      Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration.
      """,
    version: "strongroom 0.1.0",
    subcommands: [
      InfoCommand.self, MechanismsCommand.self, InitCommand.self, PINCommand.self, KeyCommand.self,
      ObjectsCommand.self, BufferCommand.self, PlayCommand.self, AuditCommand.self, ConfigCommand.self,
      StoreCommand.self, DigestCommand.self, RandomCommand.self, SignCommand.self, VerifyCommand.self,
      EncryptCommand.self, DecryptCommand.self,
    ])
}
