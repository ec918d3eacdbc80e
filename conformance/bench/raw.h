// libcrypto with every key and algorithm fetched once and every context reused: what a module can hope to come near to. And a
// commit of SQLite, for what is to be durable.
#pragma once

#include "bench.h"

bool raw_cipher_prepare(Worker *, const Row *);
uint64_t raw_encrypt_once(Worker *, const Row *);
bool raw_decrypt_prepare(Worker *, const Row *);
uint64_t raw_decrypt_once(Worker *, const Row *);
uint64_t raw_samples_once(Worker *, const Row *);
bool raw_mac_prepare(Worker *, const Row *);
uint64_t raw_mac_once(Worker *, const Row *);
bool raw_digest_prepare(Worker *, const Row *);
uint64_t raw_digest_once(Worker *, const Row *);
bool raw_sign_prepare(Worker *, const Row *);
uint64_t raw_sign_once(Worker *, const Row *);
bool raw_verify_prepare(Worker *, const Row *);
uint64_t raw_verify_once(Worker *, const Row *);
bool raw_encipher_prepare(Worker *, const Row *);
uint64_t raw_encipher_once(Worker *, const Row *);
// Points of peers into worker->points, for modules as well.
bool raw_points(Worker *);
bool raw_derive_prepare(Worker *, const Row *);
uint64_t raw_derive_once(Worker *, const Row *);
bool raw_random_prepare(Worker *, const Row *);
uint64_t raw_random_once(Worker *, const Row *);
bool raw_commit_prepare(Worker *, const Row *);
uint64_t raw_commit_once(Worker *, const Row *);
