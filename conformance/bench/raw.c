#include "raw.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Raw {
  EVP_CIPHER_CTX *cipher;
  EVP_MAC_CTX *mac;
  EVP_MD *sha256;
  EVP_MD_CTX *digest;
  EVP_PKEY *key;
  EVP_PKEY_CTX *operation;
  EVP_MD_CTX *signer;
  bool aead;
};

static bool refuse(Worker *worker, const char *what) {
  snprintf(worker->error, sizeof worker->error, "libcrypto: %s", what);
  return false;
}

#define RUN(call, what) \
  if ((call) != 1) return refuse(worker, what)
#define RUN_TIMED(call, what)         \
  if ((call) != 1) {                  \
    refuse(worker, what);             \
    return FAILED;                    \
  }

bool raw_open(Worker *worker) {
  worker->raw = calloc(1, sizeof(struct Raw));
  return worker->raw != NULL;
}

static const unsigned char key_bytes[32] = "the key of the raw measurements";

bool raw_cipher_prepare(Worker *worker, const Row *row) {
  static const struct {
    const char *prefix, *algorithm;
  } algorithms[] = {
      {"aes256-gcm", "AES-256-GCM"}, {"aes256-ctr", "AES-256-CTR"}, {"aes128-cbc", "AES-128-CBC"},
      {"restricted", "AES-256-CTR"}, {"cenc", "AES-128-CTR"},
  };
  struct Raw *raw = worker->raw;
  for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
    if (strncmp(row->name, algorithms[i].prefix, strlen(algorithms[i].prefix)) != 0) continue;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, algorithms[i].algorithm, NULL);
    EVP_CIPHER_CTX_free(raw->cipher);
    raw->cipher = EVP_CIPHER_CTX_new();
    raw->aead = strstr(algorithms[i].algorithm, "GCM") != NULL;
    RUN(EVP_EncryptInit_ex2(raw->cipher, cipher, key_bytes, worker->iv, NULL), "EVP_EncryptInit_ex2");
    EVP_CIPHER_CTX_set_padding(raw->cipher, 0);
    EVP_CIPHER_free(cipher);
    return true;
  }
  return refuse(worker, "no such cipher");
}

uint64_t raw_cipher_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  int length, rest;
  worker->iv[0]++;
  uint64_t start = ticks();
  RUN_TIMED(EVP_EncryptInit_ex2(raw->cipher, NULL, NULL, worker->iv, NULL), "EVP_EncryptInit_ex2");
  RUN_TIMED(EVP_EncryptUpdate(raw->cipher, worker->output, &length, worker->input, (int)row->bytes), "EVP_EncryptUpdate");
  RUN_TIMED(EVP_EncryptFinal_ex(raw->cipher, worker->output + length, &rest), "EVP_EncryptFinal_ex");
  if (raw->aead)
    RUN_TIMED(EVP_CIPHER_CTX_ctrl(raw->cipher, EVP_CTRL_AEAD_GET_TAG, 16, worker->output + row->bytes), "tag");
  return ticks() - start;
}

uint64_t raw_cipher_decrypt_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  int length, rest;
  uint64_t start = ticks();
  RUN_TIMED(EVP_DecryptInit_ex2(raw->cipher, NULL, NULL, worker->iv, NULL), "EVP_DecryptInit_ex2");
  RUN_TIMED(EVP_DecryptUpdate(raw->cipher, worker->output, &length, worker->input, (int)row->bytes), "EVP_DecryptUpdate");
  RUN_TIMED(EVP_DecryptFinal_ex(raw->cipher, worker->output + length, &rest), "EVP_DecryptFinal_ex");
  return ticks() - start;
}

uint64_t raw_samples_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  int length;
  uint64_t start = ticks();
  for (int sample = 0; sample < 60; sample++) {
    worker->iv[0] = (unsigned char)sample;
    RUN_TIMED(EVP_DecryptInit_ex2(raw->cipher, NULL, NULL, worker->iv, NULL), "EVP_DecryptInit_ex2");
    RUN_TIMED(EVP_DecryptUpdate(raw->cipher, worker->output, &length, worker->input, (int)(row->bytes / 60)),
              "EVP_DecryptUpdate");
  }
  return ticks() - start;
}

bool raw_mac_prepare(Worker *worker, const Row *row) {
  (void)row;
  struct Raw *raw = worker->raw;
  if (raw->mac) return true;
  EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  raw->mac = EVP_MAC_CTX_new(hmac);
  EVP_MAC_free(hmac);
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0), OSSL_PARAM_construct_end()};
  RUN(EVP_MAC_init(raw->mac, key_bytes, 32, parameters), "EVP_MAC_init");
  return true;
}

uint64_t raw_mac_once(Worker *worker, const Row *row) {
  size_t length;
  uint64_t start = ticks();
  RUN_TIMED(EVP_MAC_init(worker->raw->mac, NULL, 0, NULL), "EVP_MAC_init");
  RUN_TIMED(EVP_MAC_update(worker->raw->mac, worker->input, row->bytes), "EVP_MAC_update");
  RUN_TIMED(EVP_MAC_final(worker->raw->mac, worker->output, &length, 32), "EVP_MAC_final");
  return ticks() - start;
}

bool raw_digest_prepare(Worker *worker, const Row *row) {
  (void)row;
  if (!worker->raw->sha256) {
    worker->raw->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    worker->raw->digest = EVP_MD_CTX_new();
  }
  return worker->raw->sha256 && worker->raw->digest;
}

uint64_t raw_digest_once(Worker *worker, const Row *row) {
  unsigned length;
  uint64_t start = ticks();
  RUN_TIMED(EVP_DigestInit_ex2(worker->raw->digest, worker->raw->sha256, NULL), "EVP_DigestInit_ex2");
  RUN_TIMED(EVP_DigestUpdate(worker->raw->digest, worker->input, row->bytes), "EVP_DigestUpdate");
  RUN_TIMED(EVP_DigestFinal_ex(worker->raw->digest, worker->output, &length), "EVP_DigestFinal_ex");
  return ticks() - start;
}

bool raw_sign_prepare(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  EVP_PKEY_free(raw->key);
  EVP_PKEY_CTX_free(raw->operation);
  EVP_MD_CTX_free(raw->signer);
  raw->operation = NULL;
  raw->signer = NULL;
  if (strncmp(row->name, "ed25519", 7) == 0) {
    raw->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    raw->signer = EVP_MD_CTX_new();
    RUN(EVP_DigestSignInit_ex(raw->signer, NULL, NULL, NULL, NULL, raw->key, NULL), "EVP_DigestSignInit_ex");
    return true;
  }
  bool rsa = strncmp(row->name, "rsa2048", 7) == 0;
  raw->key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  raw->operation = EVP_PKEY_CTX_new(raw->key, NULL);
  RUN(EVP_PKEY_sign_init(raw->operation), "EVP_PKEY_sign_init");
  RUN(EVP_PKEY_CTX_set_signature_md(raw->operation, EVP_sha256()), "EVP_PKEY_CTX_set_signature_md");
  if (rsa) RUN(EVP_PKEY_CTX_set_rsa_padding(raw->operation, RSA_PKCS1_PADDING), "EVP_PKEY_CTX_set_rsa_padding");
  return true;
}

uint64_t raw_sign_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  size_t length = 512;
  uint64_t start = ticks();
  if (raw->signer) {
    RUN_TIMED(EVP_DigestSign(raw->signer, worker->output, &length, worker->input, row->bytes), "EVP_DigestSign");
  } else {
    RUN_TIMED(EVP_PKEY_sign(raw->operation, worker->output, &length, worker->input, 32), "EVP_PKEY_sign");
  }
  return ticks() - start;
}

bool raw_derive_prepare(Worker *worker, const Row *row) {
  (void)row;
  struct Raw *raw = worker->raw;
  EVP_PKEY_free(raw->key);
  EVP_PKEY_CTX_free(raw->operation);
  raw->key = EVP_EC_gen("P-256");
  raw->operation = EVP_PKEY_CTX_new(raw->key, NULL);
  RUN(EVP_PKEY_derive_init(raw->operation), "EVP_PKEY_derive_init");
  EVP_PKEY *peer = EVP_EC_gen("P-256");
  size_t length;
  RUN(EVP_PKEY_get_octet_string_param(peer, "pub", worker->input, 65, &length), "the peer's point");
  EVP_PKEY_free(peer);
  return true;
}

// The peer's point is parsed and validated each time, as a token must do it.
uint64_t raw_derive_once(Worker *worker, const Row *row) {
  (void)row;
  size_t length = 32;
  uint64_t start = ticks();
  EVP_PKEY *peer = EVP_PKEY_new();
  RUN_TIMED(EVP_PKEY_copy_parameters(peer, worker->raw->key), "EVP_PKEY_copy_parameters");
  RUN_TIMED(EVP_PKEY_set1_encoded_public_key(peer, worker->input, 65), "EVP_PKEY_set1_encoded_public_key");
  RUN_TIMED(EVP_PKEY_derive_set_peer(worker->raw->operation, peer), "EVP_PKEY_derive_set_peer");
  RUN_TIMED(EVP_PKEY_derive(worker->raw->operation, worker->output, &length), "EVP_PKEY_derive");
  EVP_PKEY_free(peer);
  return ticks() - start;
}

bool raw_random_prepare(Worker *worker, const Row *row) {
  (void)worker, (void)row;
  return true;
}

uint64_t raw_random_once(Worker *worker, const Row *row) {
  uint64_t start = ticks();
  RUN_TIMED(RAND_bytes(worker->output, (int)row->bytes), "RAND_bytes");
  return ticks() - start;
}
