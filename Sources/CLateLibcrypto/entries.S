// An entry of each function's name jumps to wherever its slot points: to `first_use` until libcrypto.so.3 has been
// loaded, to libcrypto's own function from then on. System V ABI for x86-64.

// A page of its own, which becomes read-only when it has been filled.
    .section .data.libcrypto, "aw", @progbits
    .balign 4096
    .hidden strongroom_libcrypto_slots
    .globl strongroom_libcrypto_slots
strongroom_libcrypto_slots:
#define SYMBOL(name) slot_##name: .quad first_##name;
#include "symbols.h"
#undef SYMBOL
    .balign 4096

    .text
#define SYMBOL(name)           \
    .balign 16;                \
    .hidden name;              \
    .globl name;               \
    .type name, @function;     \
name:                          \
    jmp *slot_##name(%rip);    \
    .size name, . - name;      \
first_##name:                  \
    lea slot_##name(%rip), %r11; \
    jmp first_use;
#include "symbols.h"
#undef SYMBOL

// Arguments are kept over the binding; %rax has the count of vector arguments, of which these functions have none.
first_use:
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %r8
    push %r9
    push %r11
    call strongroom_libcrypto_bind
    pop %r11
    pop %r9
    pop %r8
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    jmp *(%r11)

// What stands in for each function where there is no libcrypto.so.3: 0 and NULL are its words for failure.
    .hidden strongroom_libcrypto_missing
    .globl strongroom_libcrypto_missing
    .type strongroom_libcrypto_missing, @function
strongroom_libcrypto_missing:
    xor %eax, %eax
    ret
    .size strongroom_libcrypto_missing, . - strongroom_libcrypto_missing

    .section .note.GNU-stack, "", @progbits
