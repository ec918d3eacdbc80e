#include "raw.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <sqlite3.h>
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
  sqlite3 *database;
  sqlite3_stmt *insertion;
};

static bool refuse(Worker *worker, const char *what) {
  snprintf(worker->error, sizeof worker->error, "%s failed", what);
  return false;
}

#define RUN(call, what) \
  if ((call) != 1) return refuse(worker, what)
#define RUN_TIMED(call, what) \
  if ((call) != 1) {          \
    refuse(worker, what);     \
    return FAILED;            \
  }

bool raw_open(Worker *worker) {
  worker->raw = calloc(1, sizeof(struct Raw));
  return worker->raw != NULL;
}

void raw_close(Worker *worker) {
  struct Raw *raw = worker->raw;
  if (!raw) return;
  EVP_CIPHER_CTX_free(raw->cipher);
  EVP_MAC_CTX_free(raw->mac);
  EVP_MD_free(raw->sha256);
  EVP_MD_CTX_free(raw->digest);
  EVP_PKEY_free(raw->key);
  EVP_PKEY_CTX_free(raw->operation);
  EVP_MD_CTX_free(raw->signer);
  sqlite3_finalize(raw->insertion);
  sqlite3_close(raw->database);
  free(raw);
  worker->raw = NULL;
}

static const unsigned char key_bytes[32] = "the key of the raw measurements";

static bool cipher_prepare(Worker *worker, const Row *row, bool encrypts) {
  struct Raw *raw = worker->raw;
  raw->aead = row->mechanism == CKM_AES_GCM;
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL,
                                        raw->aead                         ? "AES-256-GCM"
                                        : row->mechanism == CKM_AES_CBC ? "AES-128-CBC"
                                        : row->key == KEY_AES128        ? "AES-128-CTR"
                                                                        : "AES-256-CTR",
                                        NULL);
  EVP_CIPHER_CTX_free(raw->cipher);
  raw->cipher = EVP_CIPHER_CTX_new();
  RUN(EVP_CipherInit_ex2(raw->cipher, cipher, key_bytes, worker->iv, encrypts, NULL), "EVP_CipherInit_ex2");
  EVP_CIPHER_CTX_set_padding(raw->cipher, 0);
  EVP_CIPHER_free(cipher);
  return true;
}

bool raw_cipher_prepare(Worker *worker, const Row *row) { return cipher_prepare(worker, row, true); }

uint64_t raw_encrypt_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  int length, rest;
  worker->iv[0]++;
  uint64_t start = ticks();
  RUN_TIMED(EVP_EncryptInit_ex2(raw->cipher, NULL, NULL, worker->iv, NULL), "EVP_EncryptInit_ex2");
  RUN_TIMED(EVP_EncryptUpdate(raw->cipher, worker->output, &length, worker->input, (int)row->bytes), "EVP_EncryptUpdate");
  RUN_TIMED(EVP_EncryptFinal_ex(raw->cipher, worker->output + length, &rest), "EVP_EncryptFinal_ex");
  if (raw->aead)
    RUN_TIMED(EVP_CIPHER_CTX_ctrl(raw->cipher, EVP_CTRL_AEAD_GET_TAG, 16, worker->tag), "EVP_CTRL_AEAD_GET_TAG");
  return ticks() - start;
}

// What is decrypted is what was encrypted: an AEAD's tag has to fit.
bool raw_decrypt_prepare(Worker *worker, const Row *row) {
  if (!cipher_prepare(worker, row, true)) return false;
  if (raw_encrypt_once(worker, row) == FAILED) return false;
  memcpy(worker->input, worker->output, row->bytes);
  return cipher_prepare(worker, row, false);
}

uint64_t raw_decrypt_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  int length, rest;
  uint64_t start = ticks();
  RUN_TIMED(EVP_DecryptInit_ex2(raw->cipher, NULL, NULL, worker->iv, NULL), "EVP_DecryptInit_ex2");
  RUN_TIMED(EVP_DecryptUpdate(raw->cipher, worker->output, &length, worker->input, (int)row->bytes), "EVP_DecryptUpdate");
  if (raw->aead)
    RUN_TIMED(EVP_CIPHER_CTX_ctrl(raw->cipher, EVP_CTRL_AEAD_SET_TAG, 16, worker->tag), "EVP_CTRL_AEAD_SET_TAG");
  RUN_TIMED(EVP_DecryptFinal_ex(raw->cipher, worker->output + length, &rest), "EVP_DecryptFinal_ex");
  return ticks() - start;
}

uint64_t raw_samples_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  size_t size = row->bytes / SAMPLES;
  int length;
  uint64_t start = ticks();
  for (size_t sample = 0; sample < SAMPLES; sample++) {
    worker->iv[0] = (unsigned char)sample;
    RUN_TIMED(EVP_DecryptInit_ex2(raw->cipher, NULL, NULL, worker->iv, NULL), "EVP_DecryptInit_ex2");
    RUN_TIMED(EVP_DecryptUpdate(raw->cipher, worker->output + sample * size, &length, worker->input + sample * size,
                                (int)size),
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

static bool make_key(Worker *worker, KeyKind kind) {
  struct Raw *raw = worker->raw;
  EVP_PKEY_free(raw->key);
  EVP_PKEY_CTX_free(raw->operation);
  EVP_MD_CTX_free(raw->signer);
  raw->operation = NULL;
  raw->signer = NULL;
  raw->key = kind == KEY_ED25519   ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
             : kind == KEY_RSA2048 ? EVP_RSA_gen(2048)
             : kind == KEY_RSA3072 ? EVP_RSA_gen(3072)
             : kind == KEY_P384    ? EVP_EC_gen("P-384")
                                   : EVP_EC_gen("P-256");
  if (!raw->key) return refuse(worker, "key generation");
  if (kind == KEY_ED25519)
    raw->signer = EVP_MD_CTX_new();
  else
    raw->operation = EVP_PKEY_CTX_new(raw->key, NULL);
  return true;
}

bool raw_sign_prepare(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  bool rsa = row->key == KEY_RSA2048 || row->key == KEY_RSA3072;
  if (!make_key(worker, row->key)) return false;
  if (raw->signer) {
    RUN(EVP_DigestSignInit_ex(raw->signer, NULL, NULL, NULL, NULL, raw->key, NULL), "EVP_DigestSignInit_ex");
    return true;
  }
  RUN(EVP_PKEY_sign_init(raw->operation), "EVP_PKEY_sign_init");
  RUN(EVP_PKEY_CTX_set_signature_md(raw->operation, EVP_sha256()), "EVP_PKEY_CTX_set_signature_md");
  if (rsa) RUN(EVP_PKEY_CTX_set_rsa_padding(raw->operation, RSA_PKCS1_PADDING), "EVP_PKEY_CTX_set_rsa_padding");
  return true;
}

uint64_t raw_sign_once(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  size_t length = sizeof worker->signature;
  uint64_t start = ticks();
  if (raw->signer) {
    // With the key that it has: in newer releases a context signs once.
    RUN_TIMED(EVP_DigestSignInit_ex(raw->signer, NULL, NULL, NULL, NULL, NULL, NULL), "EVP_DigestSignInit_ex");
    RUN_TIMED(EVP_DigestSign(raw->signer, worker->signature, &length, worker->input, row->bytes), "EVP_DigestSign");
  } else {
    RUN_TIMED(EVP_PKEY_sign(raw->operation, worker->signature, &length, worker->input, 32), "EVP_PKEY_sign");
  }
  uint64_t elapsed = ticks() - start;
  worker->signature_length = length;
  return elapsed;
}

bool raw_verify_prepare(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  bool rsa = row->key == KEY_RSA2048 || row->key == KEY_RSA3072;
  if (!raw_sign_prepare(worker, row) || raw_sign_once(worker, row) == FAILED) return false;
  RUN(EVP_PKEY_verify_init(raw->operation), "EVP_PKEY_verify_init");
  RUN(EVP_PKEY_CTX_set_signature_md(raw->operation, EVP_sha256()), "EVP_PKEY_CTX_set_signature_md");
  if (rsa) RUN(EVP_PKEY_CTX_set_rsa_padding(raw->operation, RSA_PKCS1_PADDING), "EVP_PKEY_CTX_set_rsa_padding");
  return true;
}

uint64_t raw_verify_once(Worker *worker, const Row *row) {
  (void)row;
  uint64_t start = ticks();
  RUN_TIMED(EVP_PKEY_verify(worker->raw->operation, worker->signature, worker->signature_length, worker->input, 32),
            "EVP_PKEY_verify");
  return ticks() - start;
}

bool raw_encipher_prepare(Worker *worker, const Row *row) {
  struct Raw *raw = worker->raw;
  if (!make_key(worker, row->key)) return false;
  RUN(EVP_PKEY_encrypt_init(raw->operation), "EVP_PKEY_encrypt_init");
  RUN(EVP_PKEY_CTX_set_rsa_padding(raw->operation, RSA_PKCS1_PADDING), "EVP_PKEY_CTX_set_rsa_padding");
  return true;
}

uint64_t raw_encipher_once(Worker *worker, const Row *row) {
  size_t length = 512;
  uint64_t start = ticks();
  RUN_TIMED(EVP_PKEY_encrypt(worker->raw->operation, worker->output, &length, worker->input, row->bytes),
            "EVP_PKEY_encrypt");
  return ticks() - start;
}

bool raw_points(Worker *worker) {
  for (size_t i = 0; i < POINTS; i++) {
    size_t length;
    EVP_PKEY *peer = EVP_EC_gen("P-256");
    RUN(EVP_PKEY_get_octet_string_param(peer, "pub", worker->points[i], POINT_BYTES, &length), "the peer's point");
    EVP_PKEY_free(peer);
  }
  return true;
}

bool raw_derive_prepare(Worker *worker, const Row *row) {
  if (!make_key(worker, row->key) || !raw_points(worker)) return false;
  RUN(EVP_PKEY_derive_init(worker->raw->operation), "EVP_PKEY_derive_init");
  return true;
}

// The peer's point is another one each time, parsed and validated, as a token must do it.
uint64_t raw_derive_once(Worker *worker, const Row *row) {
  (void)row;
  const unsigned char *point = worker->points[worker->turn++ % POINTS];
  size_t length = 32;
  uint64_t start = ticks();
  EVP_PKEY *peer = EVP_PKEY_new();
  RUN_TIMED(EVP_PKEY_copy_parameters(peer, worker->raw->key), "EVP_PKEY_copy_parameters");
  RUN_TIMED(EVP_PKEY_set1_encoded_public_key(peer, point, POINT_BYTES), "EVP_PKEY_set1_encoded_public_key");
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

// What a token's durable change cannot be cheaper than while SQLite keeps it: one row of an object's size, inserted and synced, by
// the only user of the database. Its log has its full length already and is written again from its begin: a file that grows
// takes twice as long to sync.
bool raw_commit_prepare(Worker *worker, const Row *row) {
  (void)row;
  struct Raw *raw = worker->raw;
  char path[4200];
  if (raw->database) return true;
  snprintf(path, sizeof path, "%s/raw.sqlite", stores_folder());
  if (sqlite3_open(path, &raw->database) != SQLITE_OK ||
      sqlite3_exec(raw->database,
                   "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                   "CREATE TABLE object (id INTEGER PRIMARY KEY, sealed BLOB);"
                   "INSERT INTO object (sealed) VALUES (zeroblob(5000000)); DELETE FROM object; PRAGMA wal_checkpoint(RESTART)",
                   NULL, NULL, NULL) != SQLITE_OK ||
      sqlite3_prepare_v2(raw->database, "INSERT INTO object (sealed) VALUES (?)", -1, &raw->insertion, NULL) != SQLITE_OK)
    return refuse(worker, "SQLite");
  return true;
}

uint64_t raw_commit_once(Worker *worker, const Row *row) {
  (void)row;
  sqlite3_stmt *insertion = worker->raw->insertion;
  uint64_t start = ticks();
  sqlite3_bind_blob(insertion, 1, worker->input, 400, SQLITE_STATIC);
  bool good = sqlite3_step(insertion) == SQLITE_DONE;
  sqlite3_reset(insertion);
  uint64_t elapsed = ticks() - start;
  if (!good) refuse(worker, "SQLite's commit");
  return good ? elapsed : FAILED;
}
