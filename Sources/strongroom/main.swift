import ArgumentParser
import Foundation

// Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration.

signal(SIGPIPE, SIG_IGN)
do {
  var command = try Strongroom.parseAsRoot()
  try command.run()
  // What could not be written was not done.
  if fflush(nil) != 0 { throw Failure.system("standard output") }
} catch let failure as Failure {
  complain(failure.description)
  exit(failure.kind.exitCode)
} catch let error as ModuleError {
  complain(error.description)
  exit(Failure.Kind.refused.exitCode)
} catch {
  let code = Strongroom.exitCode(for: error)
  if code == .success || error is ExitCode { Strongroom.exit(withError: error) }
  try? write(Array((Strongroom.fullMessage(for: error) + "\n").utf8), to: STDERR_FILENO, named: "standard error")
  exit(code == .validationFailure ? Failure.Kind.usage.exitCode : Failure.Kind.refused.exitCode)
}
