import CCryptoki
import Cryptoki
import Glibc
import LinuxSystem
import Mechanisms
import ObjectInvoke
import Synchronization

/// The state of the module in this process, from its first call to the end of the process.
///
/// A child process begins with a new one: its parent's is left behind untouched, locks, sessions and channel alike.
final class Library: Sendable {
  // MARK: The one of this process

  /// The bits of an unmanaged reference, 0 before the first call and again in a child: they lie in a page that the kernel
  /// wipes, because there are children for which fork's handlers do not run. Where the kernel cannot, the handler does.
  private static let reference: SharedCounter = {
    let memory = page?.address ?? .allocate(byteCount: 8, alignment: 8)
    memory.storeBytes(of: 0, as: UInt64.self)
    referenceAddress.store(UInt(bitPattern: memory), ordering: .releasing)
    return SharedCounter(memory)
  }()
  private static let page = ForkWipedPage()
  /// Where `reference` lies, once it does: each call looks there, and nothing has to be asked first.
  private static let referenceAddress = Atomic<UInt>(0)

  /// This process's library.
  static var current: Library { unmanaged.takeUnretainedValue() }

  /// Lends this process's library. It is never given up, so that no reference to it need be counted.
  @inline(__always)
  static func withCurrent<R>(_ body: (Library) throws(ReturnValue) -> R) throws(ReturnValue) -> R {
    let result: Result<R, ReturnValue> = unmanaged._withUnsafeGuaranteedRef { library in
      do throws(ReturnValue) { return .success(try body(library)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private static var unmanaged: Unmanaged<Library> {
    @inline(__always) get {
      if let place = UnsafeMutableRawPointer(bitPattern: referenceAddress.load(ordering: .acquiring)),
        let pointer = UnsafeRawPointer(bitPattern: UInt(SharedCounter(place).load()))
      {
        return Unmanaged<Library>.fromOpaque(pointer)
      }
      return makeCurrent()
    }
  }

  @inline(never)
  private static func makeCurrent() -> Unmanaged<Library> {
    _ = forkHandler
    let made = Unmanaged.passRetained(Library())
    let winner = reference.compareExchange(expected: 0, desired: UInt64(UInt(bitPattern: made.toOpaque())))
    guard let pointer = UnsafeRawPointer(bitPattern: UInt(winner)) else { return made }
    made.release()  // another thread was first
    return Unmanaged<Library>.fromOpaque(pointer)
  }

  /// Registered once. In the child, nothing of the parent's may be used, not even to be freed; its copy of the
  /// connection's descriptor is closed, so that the parent's end is seen when the parent ends.
  private static let forkHandler: Int32 = pthread_atfork(nil, nil) {
    Library.reference.store(0)
    if let pointer = UnsafeRawPointer(bitPattern: Library.openClient.exchange(0, ordering: .acquiringAndReleasing)) {
      Unmanaged<InvokeClient>.fromOpaque(pointer).takeUnretainedValue().abandonAfterFork()
    }
  }

  /// The bits of a retained reference to the connection in use, for the fork handler, which can take no lock.
  private static let openClient = Atomic<UInt>(0)

  private static func setOpenClient(_ client: InvokeClient?) {
    let new = client.map { UInt(bitPattern: Unmanaged.passRetained($0).toOpaque()) } ?? 0
    let old = openClient.exchange(new, ordering: .acquiringAndReleasing)
    if let pointer = UnsafeRawPointer(bitPattern: old) { Unmanaged<InvokeClient>.fromOpaque(pointer).release() }
  }

  // MARK: Between C_Initialize and C_Finalize

  private struct State {
    var world: SecureWorld?
    /// The memory that the application has from AllocateSharedMemory, by address. It outlives the secure world it is
    /// shared with.
    var sharedMemories: [UInt: SharedMemory] = [:]
  }

  private let initialized = Atomic<Bool>(false)
  /// Held while the secure world is being connected: the second of two first calls waits for the first.
  private let state = Mutex(State())
  let sessions = SessionTable()
  let messageCounters = MessageCounters()
  /// Counts the calls of C_Finalize; C_WaitForSlotEvent sleeps on it.
  private let finalizations = SleepingPlace()

  var isInitialized: Bool {
    @inline(__always) get { initialized.load(ordering: .acquiring) }
  }

  /// C_Initialize. Throws CKR_CRYPTOKI_ALREADY_INITIALIZED, or CKR_GENERAL_ERROR when the secure world is not reached.
  func initialize() throws(ReturnValue) {
    try state.withLock { (state) throws(ReturnValue) in
      guard !initialized.load(ordering: .acquiring) else { throw .cryptokiAlreadyInitialized }
      // Made before there are sessions: a child that is forked while another thread makes it would wait for that thread for ever.
      _ = MechanismTable.facts(.aesGCM)
      do throws(ReturnValue) {
        try connect(&state)
      } catch {
        // There is no device yet that could be removed.
        throw error == .deviceRemoved ? .generalError : error
      }
      initialized.store(true, ordering: .releasing)
    }
  }

  /// How long C_Finalize waits for calls that are running in sessions, all together, nanoseconds. Without its connection a call ends
  /// within a slice of its waiting; what goes on for longer keeps its session.
  private static let longestCall: UInt64 = 1_000_000_000

  /// C_Finalize. The sessions end with the connection: the secure world drops what belonged to it.
  func finalize() throws(ReturnValue) {
    let ended = try state.withLock { (state) throws(ReturnValue) in
      guard initialized.exchange(false, ordering: .acquiringAndReleasing) else { throw .cryptokiNotInitialized }
      let ended = sessions.endAll { _ in true }
      Self.setOpenClient(nil)
      state.world?.connection.client.close()
      state.world = nil
      state.sharedMemories = [:]
      return ended
    }
    finalizations.wakeAll()
    // Not with `state` held, which such a call may want.
    let end = MonotonicClock.now() &+ Self.longestCall
    sessions.release(
      ended.filter {
        let now = MonotonicClock.now()
        return sessions.waitForCall(in: $0, timeout: now < end ? end - now : 0)
      })
  }

  private func connect(_ state: inout State) throws(ReturnValue) {
    Self.setOpenClient(nil)
    state.world = nil
    let world = try SecureWorld.reach()
    Self.setOpenClient(world.connection.client)
    state.world = world
  }

  /// The secure world; one that has died is replaced by a new one.
  func world() throws(ReturnValue) -> SecureWorld {
    try withWorld { world in copy world }
  }

  @inline(__always)
  private func withWorld<R>(_ body: (borrowing SecureWorld) throws(ReturnValue) -> R) throws(ReturnValue) -> R {
    try state.withLock { (state) throws(ReturnValue) in
      guard initialized.load(ordering: .acquiring) else { throw .cryptokiNotInitialized }
      if state.world?.connection.findsDead() != false { try connect(&state) }
      guard state.world != nil else { throw .deviceRemoved }
      return try body(state.world!)
    }
  }

  /// The slot with this number. Throws CKR_SLOT_ID_INVALID.
  func slot(_ id: CK_SLOT_ID) throws(ReturnValue) -> Slot {
    try withWorld { (world) throws(ReturnValue) in
      guard let index = Int(exactly: id), world.slots.indices.contains(index) else { throw .slotIDInvalid }
      return world.slots[index]
    }
  }

  /// The slot of the open session with this handle.
  ///
  /// Throws CKR_SESSION_HANDLE_INVALID, and CKR_DEVICE_REMOVED for a session whose secure world has died.
  func slot(ofSession handle: CK_SESSION_HANDLE) throws(ReturnValue) -> Slot {
    let slot = try sessions.look(handle) { $0.slot }
    guard !slot.connection.isDead else { throw .deviceRemoved }
    return slot
  }

  /// How many invocations have crossed to the secure world on the present connection.
  func crossingCount() throws(ReturnValue) -> UInt64 {
    try world().connection.client.invocationCount
  }

  /// Memory of `byteCount` bytes that the secure world has mapped as well.
  func shareMemory(byteCount: Int) throws(ReturnValue) -> SharedMemory {
    let connection = try world().connection
    let memory: SharedMemory
    do throws(InvokeError) {
      memory = try connection.client.shareMemory(byteCount: byteCount)
    } catch {
      throw connection.returnValue(of: error)
    }
    try state.withLock { (state) throws(ReturnValue) in
      guard initialized.load(ordering: .acquiring) else { throw .cryptokiNotInitialized }
      state.sharedMemories[UInt(bitPattern: memory.bytes.baseAddress)] = memory
    }
    return memory
  }

  /// Gives back what `shareMemory` gave. Throws CKR_ARGUMENTS_BAD for anything else.
  func endSharing(_ pointer: UnsafeMutableRawPointer?) throws(ReturnValue) {
    let (memory, world) = state.withLock { state in
      (state.sharedMemories.removeValue(forKey: UInt(bitPattern: pointer)), state.world)
    }
    guard let memory else { throw .argumentsBad }
    world?.connection.client.endSharing(memory)
  }

  /// Sleeps until C_Finalize.
  func waitForFinalization() throws(ReturnValue) -> Never {
    finalizations.sleep { self.isInitialized }
    throw .cryptokiNotInitialized
  }
}
