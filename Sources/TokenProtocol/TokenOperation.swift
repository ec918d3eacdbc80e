/// The operations of a token object, as the 32-bit operation numbers of object invoke.
///
/// A request message begins with the fields of the request struct of the same name; bulk data (what is signed, encrypted,
/// wrapped) is the invocation's bulk input, and what comes out is its bulk output. The result word is a `CKR_` value.
/// An operation whose output does not fit the caller's buffer answers CKR_BUFFER_TOO_SMALL, with the count of bytes that are needed
/// as the only field (UInt64) of its reply, and stays where it was.
public enum TokenOperation: UInt32, Sendable, CaseIterable {
  case tokenInformation = 1
  case initializeToken = 2
  case initializePIN = 3
  case setPIN = 4
  case login = 5
  case logout = 6
  case closeSessions = 7
  case createObject = 10
  case copyObject = 11
  case destroyObject = 12
  case objectSize = 13
  case getAttributes = 14
  case setAttributes = 15
  case findObjects = 16
  case describeKey = 17
  case generateKey = 20
  case generateKeyPair = 21
  /// Output: the wrapped key.
  case wrapKey = 22
  /// Input: the wrapped key.
  case unwrapKey = 23
  case deriveKey = 24
  /// A whole operation in one crossing. Input: the data; for a verification the data and then the signature. Output: the result.
  case perform = 30
  /// Starts a multi-part operation and feeds it the first part. Input and output: as `update`.
  case begin = 31
  /// Input: the next part. Output: what it yields (encryption and decryption only).
  case update = 32
  /// Input: the signature, of a verification; else nothing. Output: the last bytes, or the signature.
  case finish = 33
  /// Gives up the named multi-part operations of a session.
  case cancel = 34
  /// One message of a message-based operation, whole: `MessageOperation`.
  case encryptMessage = 35
  case decryptMessage = 36
  /// Output: as many random bytes as the output has room for.
  case random = 40
  /// Input: bytes that are mixed into the generator.
  case seedRandom = 41
  /// Decrypts the input into a restricted buffer: `DecryptInto`.
  case decryptInto = 50
  /// The same in parts: `DecryptInto`, then `ContinueInto`.
  case beginInto = 51
  case updateInto = 52
  case finishInto = 53
  /// Decrypts a batch of Common Encryption samples into restricted buffers. `DecryptSamples`.
  case decryptSamples = 54
}

/// The operations of a client's root object and of the services that it opens.
public enum RootOperation: UInt32, Sendable {
  /// Request: the service's number (`ServiceNumber`) and an argument (UInt32; the slot of a token). Reply: the object's id (UInt64).
  case open = 0
  /// Reply: the number of slots (UInt32).
  case slotCount = 1
  /// Reply: the libcrypto that serves the secure world, in its own words (bytes of UTF-8).
  case libcryptoVersion = 2
}

/// The services of the secure world.
public enum ServiceNumber: UInt32, Sendable {
  /// A token; the argument is its slot.
  case token = 1
  /// Restricted memory: pools and buffers.
  case restrictedMemory = 2
  /// Peripherals: decoder and display.
  case peripherals = 3
}
