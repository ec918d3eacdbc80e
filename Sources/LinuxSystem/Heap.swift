import CLinux

/// The heaps that malloc takes memory from.
public enum Heap {
  /// Has threads share as many heaps as there are processors. Glibc makes up to eight times as many, one after the other as threads
  /// come and go, and each keeps what its busiest moment took. To be called before there is a second thread.
  public static func limitToProcessors() {
    clinux_limit_heaps(Int32(clamping: max(Processor.count, 1)))
  }
}
