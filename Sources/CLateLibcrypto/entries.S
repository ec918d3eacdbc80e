// An entry of each function's name jumps to wherever its slot points: to `first_use` until libcrypto.so.3 has been
// loaded, to libcrypto's own function from then on.

// A page of its own, which becomes read-only when it has been filled.
    .section .data.libcrypto, "aw", %progbits
    .balign 4096
    .hidden strongroom_libcrypto_slots
    .globl strongroom_libcrypto_slots
strongroom_libcrypto_slots:
#define SYMBOL(name) slot_##name: .quad first_##name;
#include "symbols.h"
#undef SYMBOL
    .balign 4096

    .text
#if defined(__x86_64__)
#define SYMBOL(name)             \
    .balign 16;                  \
    .hidden name;                \
    .globl name;                 \
    .type name, @function;       \
name:                            \
    jmp *slot_##name(%rip);      \
    .size name, . - name;        \
first_##name:                    \
    lea slot_##name(%rip), %r11; \
    jmp first_use;
#include "symbols.h"
#undef SYMBOL

// Arguments are kept over the binding; none of these functions has vector arguments.
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
#elif defined(__aarch64__)
#define SYMBOL(name)             \
    .balign 16;                  \
    .hidden name;                \
    .globl name;                 \
    .type name, %function;       \
name:                            \
    adrp x16, slot_##name;       \
    ldr x16, [x16, :lo12:slot_##name]; \
    br x16;                      \
    .size name, . - name;        \
first_##name:                    \
    adrp x17, slot_##name;       \
    add x17, x17, :lo12:slot_##name; \
    b first_use;
#include "symbols.h"
#undef SYMBOL

first_use:
    stp x29, x30, [sp, #-96]!
    mov x29, sp
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    stp x8, x17, [sp, #80]
    bl strongroom_libcrypto_bind
    ldp x8, x17, [sp, #80]
    ldp x6, x7, [sp, #64]
    ldp x4, x5, [sp, #48]
    ldp x2, x3, [sp, #32]
    ldp x0, x1, [sp, #16]
    ldp x29, x30, [sp], #96
    ldr x16, [x17]
    br x16
#else
#error "entries for this processor are missing"
#endif

// What stands in for each function where there is no libcrypto.so.3: 0 and NULL are its words for failure.
    .hidden strongroom_libcrypto_missing
    .globl strongroom_libcrypto_missing
#if defined(__x86_64__)
    .type strongroom_libcrypto_missing, @function
strongroom_libcrypto_missing:
    xor %eax, %eax
#else
    .type strongroom_libcrypto_missing, %function
strongroom_libcrypto_missing:
    mov x0, xzr
#endif
    ret
    .size strongroom_libcrypto_missing, . - strongroom_libcrypto_missing

    .section .note.GNU-stack, "", %progbits
