import Peripherals
import Wire

/// Reads a field of a request: what does not read as one makes the request malformed.
func field<Value>(_ read: () throws(WireError) -> Value) throws(PeripheralStatus) -> Value {
  do { return try read() } catch { throw .malformed }
}

func endOfRequest(_ request: WireReader) throws(PeripheralStatus) {
  if request.remaining != 0 { throw .malformed }
}
