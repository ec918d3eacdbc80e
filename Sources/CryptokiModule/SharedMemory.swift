public import CCryptoki
import Cryptoki

// The vendor interface: memory that both worlds map (include/strongroom.h).

@c @implementation
public func strongroom_AllocateSharedMemory(
  _ size: CK_ULONG, _ flags: CK_FLAGS, _ memory: UnsafeMutablePointer<CK_BYTE_PTR?>?
) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let memory = try place(memory)
    guard flags == 0, size > 0 else { throw .argumentsBad }
    guard let byteCount = Int(exactly: size) else { throw .deviceMemory }
    memory.pointee = try library.shareMemory(byteCount: byteCount).bytes.assumingMemoryBound(to: UInt8.self).baseAddress
  }
}

@c @implementation
public func strongroom_FreeSharedMemory(_ memory: CK_BYTE_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in try library.endSharing(memory) }
}
