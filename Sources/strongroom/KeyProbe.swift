import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

extension KeyCommand {
  struct Probe: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Try every way to get a secret key's value, and print each answer.",
      discussion: """
        The same attempts are made first on a key whose value may be had, and must succeed there. Exit code 0: the \
        token refused every attempt on the key itself.
        """)

    @OptionGroup var options: TokenOptions
    @Argument(help: "An AES key, a pkcs11: URI.") var uri: String

    func run() throws {
      let uri = try URI(uri)
      let session = try options.session(uri)
      let key = try session.findOne(uri, classes: [.secretKey])
      guard session.number(key, .keyType) == KeyType.aes.rawValue else {
        throw Failure.usage("\(uri.description): the probe is for AES keys")
      }
      try KeyProbe(session).run(on: key, uri.description)
    }
  }
}

/// Every way in which PKCS#11 could give a key's value away.
struct KeyProbe {
  let session: Session
  private let wrappingKey: CK_OBJECT_HANDLE

  init(_ session: Session) throws {
    self.session = session
    wrappingKey = try session.generateKey(
      .aesKeyGen,
      Template().adding(.token, false).adding(.valueLen, 32).adding(.wrap, true).adding(.unwrap, true)
        .adding(.encrypt, true).adding(.decrypt, true))
  }

  private struct Attempt {
    let name: String
    let answers: Set<ReturnValue>
    /// Whether a key that is neither sensitive nor restricted gives its value this way.
    let succeedsOnPlainKey: Bool
    let body: (CK_OBJECT_HANDLE) throws -> CK_RV
  }

  func run(on key: CK_OBJECT_HANDLE, _ name: String) throws {
    let plain = try session.generateKey(
      .aesKeyGen,
      Template().adding(.token, false).adding(.valueLen, 16).adding(.sensitive, false).adding(.extractable, true)
        .adding(.encrypt, true).adding(.decrypt, true).adding(.sign, true))
    var proof = Proof()
    for attempt in attempts {
      if attempt.succeedsOnPlainKey {
        let result = try attempt.body(plain)
        guard result == CKR_OK else {
          throw Failure(
            "the probe itself is broken: \(attempt.name) on a key that allows it answered "
              + ReturnValue(rawValue: result).strongroomName)
        }
      }
      let answer = ReturnValue(rawValue: try attempt.body(key))
      proof.report(attempt.name, answer.strongroomName, holds: attempt.answers.contains(answer))
    }
    try proof.conclude("the value of \(name) cannot be had")
  }

  private var attempts: [Attempt] {
    let session = session
    let copy: (Template) -> (CK_OBJECT_HANDLE) -> CK_RV = { template in
      { key in
        var copied: CK_OBJECT_HANDLE = 0
        return template.withAttributes { session.functions.C_CopyObject(session.handle, key, $0, $1, &copied) }
      }
    }
    let change: (Template) -> (CK_OBJECT_HANDLE) -> CK_RV = { template in
      { key in template.withAttributes { session.functions.C_SetAttributeValue(session.handle, key, $0, $1) } }
    }
    let policy: Set<ReturnValue> = [
      .attributeReadOnly, .templateInconsistent, .attributeValueInvalid, .actionProhibited,
    ]
    let noExport: Set<ReturnValue> = [.keyUnextractable, .keyNotWrappable, .keyFunctionNotPermitted]
    return [
      Attempt(
        name: "C_GetAttributeValue(CKA_VALUE)", answers: [.attributeSensitive], succeedsOnPlainKey: true,
        body: { key in
          switch session.attribute(key, .value) {
          case .success: CKR_OK
          case .failure(let answer): answer.rawValue
          }
        }),
      Attempt(name: "C_WrapKey under another key", answers: noExport, succeedsOnPlainKey: true, body: wrap),
      Attempt(
        name: "C_CopyObject with CKA_EXTRACTABLE true", answers: policy, succeedsOnPlainKey: true,
        body: copy(Template().adding(.extractable, true))),
      Attempt(
        name: "C_CopyObject with CKA_SENSITIVE false", answers: policy, succeedsOnPlainKey: true,
        body: copy(Template().adding(.sensitive, false))),
      Attempt(
        name: "C_CopyObject with restricted output false", answers: policy, succeedsOnPlainKey: true,
        body: copy(Template().adding(.restrictedOutput, false))),
      Attempt(
        name: "C_SetAttributeValue(CKA_EXTRACTABLE true)", answers: policy, succeedsOnPlainKey: true,
        body: change(Template().adding(.extractable, true))),
      Attempt(
        name: "C_SetAttributeValue(CKA_SENSITIVE false)", answers: policy, succeedsOnPlainKey: true,
        body: change(Template().adding(.sensitive, false))),
      Attempt(
        name: "C_SetAttributeValue(restricted output false)", answers: policy, succeedsOnPlainKey: true,
        body: change(Template().adding(.restrictedOutput, false))),
      Attempt(
        name: "C_DecryptInit, C_Decrypt", answers: [.keyFunctionNotPermitted], succeedsOnPlainKey: true, body: decrypt),
      Attempt(
        name: "C_EncryptInit, C_Encrypt (a key stream)", answers: [.keyFunctionNotPermitted], succeedsOnPlainKey: true,
        body: encrypt),
      Attempt(
        name: "C_SignInit, C_Sign (AES-CMAC)", answers: [.keyFunctionNotPermitted], succeedsOnPlainKey: true,
        body: sign),
      Attempt(
        name: "C_UnwrapKey with it, to a key one may read", answers: [.keyFunctionNotPermitted],
        succeedsOnPlainKey: false,
        body: unwrapWith),
      Attempt(
        name: "C_WrapKey with it", answers: [.keyFunctionNotPermitted], succeedsOnPlainKey: false, body: wrapWith),
    ]
  }

  private func wrap(_ key: CK_OBJECT_HANDLE) -> CK_RV {
    var output = [UInt8](repeating: 0, count: 256)
    var count = CK_ULONG(output.count)
    return ParameterizedMechanism.plain(.aesKeyWrap).withMechanism {
      session.functions.C_WrapKey(session.handle, $0, wrappingKey, key, &output, &count)
    }
  }

  private func wrapWith(_ key: CK_OBJECT_HANDLE) -> CK_RV {
    var output = [UInt8](repeating: 0, count: 256)
    var count = CK_ULONG(output.count)
    return ParameterizedMechanism.plain(.aesKeyWrap).withMechanism {
      session.functions.C_WrapKey(session.handle, $0, key, wrappingKey, &output, &count)
    }
  }

  private func unwrapWith(_ key: CK_OBJECT_HANDLE) -> CK_RV {
    var wrapped = [UInt8](repeating: 0x5a, count: 24)
    var unwrapped: CK_OBJECT_HANDLE = 0
    let template = Template().adding(.class, ObjectClass.secretKey.rawValue).adding(
      .keyType, KeyType.genericSecret.rawValue
    )
    .adding(.token, false).adding(.sensitive, false).adding(.extractable, true)
    return ParameterizedMechanism.plain(.aesKeyWrap).withMechanism { mechanism in
      template.withAttributes {
        session.functions.C_UnwrapKey(
          session.handle, mechanism, key, &wrapped, CK_ULONG(wrapped.count), $0, $1, &unwrapped)
      }
    }
  }

  private func decrypt(_ key: CK_OBJECT_HANDLE) -> CK_RV {
    let mechanism = ParameterizedMechanism.ctr([UInt8](repeating: 0, count: 16))
    let started = mechanism.withMechanism { session.functions.C_DecryptInit(session.handle, $0, key) }
    guard started == CKR_OK else { return started }
    var data = [UInt8](repeating: 0, count: 64)
    var output = [UInt8](repeating: 0, count: 64)
    var count = CK_ULONG(output.count)
    return session.functions.C_Decrypt(session.handle, &data, CK_ULONG(data.count), &output, &count)
  }

  private func sign(_ key: CK_OBJECT_HANDLE) -> CK_RV {
    let started = ParameterizedMechanism.plain(.aesCMAC).withMechanism {
      session.functions.C_SignInit(session.handle, $0, key)
    }
    guard started == CKR_OK else { return started }
    var data = [UInt8](repeating: 0, count: 64)
    var output = [UInt8](repeating: 0, count: 64)
    var count = CK_ULONG(output.count)
    return session.functions.C_Sign(session.handle, &data, CK_ULONG(data.count), &output, &count)
  }

  private func encrypt(_ key: CK_OBJECT_HANDLE) -> CK_RV {
    let mechanism = ParameterizedMechanism.ctr([UInt8](repeating: 0, count: 16))
    let started = mechanism.withMechanism { session.functions.C_EncryptInit(session.handle, $0, key) }
    guard started == CKR_OK else { return started }
    var data = [UInt8](repeating: 0, count: 64)
    var output = [UInt8](repeating: 0, count: 64)
    var count = CK_ULONG(output.count)
    return session.functions.C_Encrypt(session.handle, &data, CK_ULONG(data.count), &output, &count)
  }
}
