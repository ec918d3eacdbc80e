#pragma once
#include <sqlite3.h>

// What Swift cannot spell: the destructor constant and the variadic calls.

/// Binds a copy of `byteCount` bytes; a null `bytes` binds NULL.
static inline int csqlite_bind_copied_blob(
    sqlite3_stmt *statement, int index, const void *bytes, sqlite3_uint64 byteCount) {
  return sqlite3_bind_blob64(statement, index, bytes, byteCount, SQLITE_TRANSIENT);
}

/// Sets one of the SQLITE_DBCONFIG options that take an on/off value.
static inline int csqlite_configure(sqlite3 *database, int option, int on) {
  return sqlite3_db_config(database, option, on, (int *)0);
}
