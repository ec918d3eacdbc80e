import Glibc
import LinuxSystem
import Sandbox

/// Gives up what a peripheral does not need, for good: files but `folder`, sockets, programs, executable memory.
///
/// To be called when the libraries are loaded and what the peripheral keeps open is open. From then on a bitstream that
/// takes the process over has the memory it was lent and the one connection.
func confine(writingBeneath folder: String? = nil) throws(SystemError) {
  try harden()
  try limitAddressSpace()
  var files = Landlock()
  if let folder { files.allow(folder, .readWrite) }
  try files.apply()
  try SystemCallFilter(.peripheral).apply()
}

/// A bitstream can ask for many large pictures: they end at 4 GiB of address space, long before the machine's memory.
private func limitAddressSpace() throws(SystemError) {
  var limit = rlimit(rlim_cur: 4 << 30, rlim_max: 4 << 30)
  guard setrlimit(__rlimit_resource_t(UInt32(RLIMIT_AS.rawValue)), &limit) == 0 else {
    throw SystemError("setrlimit", errno)
  }
}
