// libcrypto with every key and algorithm fetched once and every context reused: what a module can hope to come near to.
#pragma once

#include "bench.h"

bool raw_cipher_prepare(Worker *, const Row *); // the algorithm is taken from the row's name
uint64_t raw_cipher_once(Worker *, const Row *);
uint64_t raw_cipher_decrypt_once(Worker *, const Row *);
uint64_t raw_samples_once(Worker *, const Row *);
bool raw_mac_prepare(Worker *, const Row *);
uint64_t raw_mac_once(Worker *, const Row *);
bool raw_digest_prepare(Worker *, const Row *);
uint64_t raw_digest_once(Worker *, const Row *);
bool raw_sign_prepare(Worker *, const Row *);
uint64_t raw_sign_once(Worker *, const Row *);
bool raw_derive_prepare(Worker *, const Row *);
uint64_t raw_derive_once(Worker *, const Row *);
bool raw_random_prepare(Worker *, const Row *);
uint64_t raw_random_once(Worker *, const Row *);
