import Glibc
import SecureWorld

exit(SecureWorldProgram.run(CommandLine.arguments))
