import Glibc
import MediaPeripherals

exit(PeripheralProgram.run(CommandLine.arguments))
