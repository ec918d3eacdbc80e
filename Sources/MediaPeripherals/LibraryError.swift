import CMedia
import Peripherals

/// Owners of libav's objects answer with a peripheral's status: what the libraries say in detail is of no use to
/// the secure world, and a hostile bitstream must not choose what it logs.
func check(_ result: Int32, or status: PeripheralStatus) throws(PeripheralStatus) {
  if result < 0 { throw result == strongroom_av_no_memory() ? .resources : status }
}
