import CLinux
import Glibc

/// A thread that somebody will wait for.
public struct Thread: ~Copyable, Sendable {
  private let handle: pthread_t

  fileprivate init(handle: pthread_t) {
    self.handle = handle
  }

  deinit {
    pthread_detach(handle)
  }

  /// Waits until the thread has ended.
  public consuming func join() {
    pthread_join(handle, nil)
    discard self
  }
}

private final class ThreadStart {
  let name: String
  let body: @Sendable () -> Void
  init(name: String, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.body = body
  }
}

/// Asks the scheduler for short time slices for the calling thread and every thread it starts from now on: as much of a
/// processor as others get, in smaller pieces and therefore sooner. A thread that wakes up then comes before one that
/// computes (EEVDF, Linux 6.12). Older kernels decide by themselves, and what refuses it does no harm.
///
/// - Parameter nanoseconds: 100 000 is the least.
public func requestTimeSlice(_ nanoseconds: UInt64) {
  _ = clinux_request_slice(nanoseconds)
}

/// Starts a thread with every signal blocked, so that signals reach the thread that wants them.
///
/// Whoever drops the answer lets the thread run on by itself.
/// - Parameters:
///   - name: shown by ps and gdb; the first 15 bytes count.
///   - stackSize: bytes of address space; pages are used as they are touched.
/// - Throws: EAGAIN when there is no room for another thread.
@discardableResult
public func startThread(
  name: String, stackSize: Int = 512 << 10, body: @escaping @Sendable () -> Void
) throws(SystemError) -> Thread {
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  let status = pthread_attr_setstacksize(&attributes, max(stackSize, 128 << 10))
  if status != 0 { throw SystemError("pthread_attr_setstacksize", status) }

  var all = sigset_t()
  var before = sigset_t()
  sigfillset(&all)
  pthread_sigmask(SIG_SETMASK, &all, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }

  let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
  var handle = pthread_t()
  let code = pthread_create(
    &handle, &attributes,
    { context in
      let start = Unmanaged<ThreadStart>.fromOpaque(context!).takeRetainedValue()
      clinux_set_thread_name(start.name)
      start.body()
      return nil
    }, start.toOpaque())
  if code != 0 {
    start.release()
    throw SystemError("pthread_create", code)
  }
  return Thread(handle: handle)
}
