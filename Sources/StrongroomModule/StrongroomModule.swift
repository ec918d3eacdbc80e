// The leaf of the dynamic library: all of the module is in CryptokiModule. The linker's flags have a target of their
// own, because what tests link must not be linked with them; exports.map lets nothing out but the C_ functions.
import CryptokiModule
