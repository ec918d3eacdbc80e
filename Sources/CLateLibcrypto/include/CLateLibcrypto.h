#pragma once
// This room defines symbols for the linker and nothing for Swift to call.
