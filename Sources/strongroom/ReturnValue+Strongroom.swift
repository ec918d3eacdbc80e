import CCryptoki
import Cryptoki

extension ReturnValue {
  /// The specification's name, or that of the vendor interface.
  var strongroomName: String { Self.vendorNames[rawValue] ?? name }

  /// What a person can do about it, for the answers that a person meets.
  var advice: String? { Self.advices[self] }

  private static let vendorNames: [UInt: String] = [
    CKR_STRONGROOM_BUFFER_REVOKED: "CKR_STRONGROOM_BUFFER_REVOKED",
    CKR_STRONGROOM_OFFSET_RANGE: "CKR_STRONGROOM_OFFSET_RANGE",
    CKR_STRONGROOM_USE_CASE_INVALID: "CKR_STRONGROOM_USE_CASE_INVALID",
    CKR_STRONGROOM_DESCRIPTOR_INVALID: "CKR_STRONGROOM_DESCRIPTOR_INVALID",
    CKR_STRONGROOM_ACCESS_DENIED: "CKR_STRONGROOM_ACCESS_DENIED",
    CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE: "CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE",
    CKR_STRONGROOM_BITSTREAM_INVALID: "CKR_STRONGROOM_BITSTREAM_INVALID",
    CKR_STRONGROOM_SAMPLE_INVALID: "CKR_STRONGROOM_SAMPLE_INVALID",
  ]

  private static let advices: [ReturnValue: String] = [
    .pinIncorrect: "the PIN is wrong; each wrong try counts",
    .pinLocked: "too many wrong tries; `strongroom pin unlock` lifts it with the security officer's PIN",
    .pinLenRange: "the PIN is too short or too long; `strongroom info` shows the limits",
    .pinInvalid: "the PIN holds characters that the token does not take",
    .userPINNotInitialized: "no user PIN yet; `strongroom init` or `strongroom pin unlock` sets one",
    .userNotLoggedIn: "give the PIN: --pin, --pin-file, STRONGROOM_PIN or pin-value in the URI",
    .sessionExists: "another session of a program is open on this token; close it first",
    .deviceRemoved: "the secure world has ended; try again",
    .deviceMemory:
      "no room: the pool of buffers, what one client may have (`memory-limit`), or the disk of the store is full",
    .deviceError: "the secure world could not be reached or could not open its store; see `strongroom config`",
    .tokenNotRecognized: "the token is not initialised; `strongroom init --label NAME` does it",
    .keyFunctionNotPermitted: "the key may not be used for this; `strongroom objects show` says what it is for",
    .keyTypeInconsistent: "the key is of another kind than the mechanism takes",
    .attributeValueInvalid:
      "the token takes no such value; if it is a key's size, `strongroom mechanisms` shows which there are",
    .actionProhibited: "the token does not allow this with the object",
    .keySizeRange: "the mechanism takes no key of this size; `strongroom mechanisms` shows the sizes",
    .templateInconsistent: "what is asked for the key contradicts itself, or what the unwrapping key allows",
    .encryptedDataInvalid: "the data was changed, or encrypted with another key, IV or mechanism",
    .encryptedDataLenRange: "no output of this key and mechanism is as long as the data",
    .dataLenRange: "the key and mechanism do not take data of this length",
    .aeadDecryptFailed: "the data was changed, or encrypted with another key, IV or mechanism",
    .attributeSensitive: "the attribute never leaves the token",
    .mechanismInvalid: "the token has no such mechanism; `strongroom mechanisms` lists them",
    .functionNotSupported: "the module does not offer this function",
    ReturnValue(rawValue: CKR_STRONGROOM_USE_CASE_INVALID): "the key may not write to buffers of this use-case",
    ReturnValue(rawValue: CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE):
      "the decoder or the display did not start; `strongroom config` explains `display-directory` and `peripheral`",
    ReturnValue(rawValue: CKR_STRONGROOM_BITSTREAM_INVALID):
      "the decoder cannot make a picture of it: a wrong key, or a damaged file",
    ReturnValue(rawValue: CKR_STRONGROOM_SAMPLE_INVALID): "the file's protection data does not fit its samples",
  ]
}
