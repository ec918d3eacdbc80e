import CCryptoki
import CSQLite
import Foundation
import Glibc
import Testing

extension ModuleSuite {
  @Suite("Faults") struct Faults {
    private static let pinLow = CKF_USER_PIN_COUNT_LOW
    private static let pinFinal = CKF_USER_PIN_FINAL_TRY
    private static let pinLocked = CKF_USER_PIN_LOCKED

    @Test("the secure world is killed forty times at work: what was acknowledged is there, and nothing is half there")
    func killedAtWork() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        let world = FaultStore.World.enter(folder)
        world.initializeToken()
        var acknowledged: Set<String> = []
        var attempted: Set<String> = []
        var deaths = 0
        for round in 0..<40 {
          if round % 2 == 1 {
            // Every other time the module starts anew; else its next session finds the next secure world.
            world.expect(p11.C_Finalize!(nil), "C_Finalize")
            world.expect(p11.C_Initialize!(nil), "C_Initialize")
          }
          let session = world.open()
          guard let process = world.process else { return require(false, "no secure world") }
          // Every fourth time it dies while the PIN is looked at, which costs a try and no more.
          let killer = Thread {
            usleep(.random(in: 0..<40_000))
            kill(process, SIGKILL)
          }
          if round % 4 == 3 { killer.start() }
          var result = world.login(session)
          if round % 4 != 3 { killer.start() }
          var number = 0
          while result == CKR_OK {
            let isPair = number % 3 == 2
            let label = "\(isPair ? "pair" : "key") \(round) \(number)"
            attempted.insert(label)
            result =
              isPair
              ? tokenPair(session, label)
              : generateKey(
                session, CKM_AES_KEY_GEN,
                [(CKA_VALUE_LEN, .number(32)), (CKA_TOKEN, .bool(true)), (CKA_LABEL, .text(label))]
              ).0
            if result == CKR_OK { acknowledged.insert(label) }
            number += 1
          }
          require(result == CKR_DEVICE_REMOVED, "round \(round): \(name(result))")
          require(p11.C_CloseSession!(session) == CKR_OK, "C_CloseSession")
          deaths += 1
        }
        require(deaths == 40 && acknowledged.count > 20, "\(acknowledged.count) keys")

        let session = world.openAsUser()
        for label in attempted {
          guard let found = find(session, [(CKA_LABEL, .text(label))]) else { return require(false, "C_FindObjects") }
          let whole = label.hasPrefix("pair") ? 2 : 1
          require(found.count == whole || (found.isEmpty && !acknowledged.contains(label)), "\(label): \(found.count)")
          if found.isEmpty { continue }
          if whole == 1 {
            withMechanism(CKM_AES_ECB) {
              let encrypted = encrypt(session, $0, found[0], [UInt8](repeating: 1, count: 16))
              require(encrypted.0 == CKR_OK, "\(label): \(name(encrypted.0))")
            }
          } else {
            let secret = find(session, [(CKA_LABEL, .text(label)), (CKA_CLASS, .number(CKO_PRIVATE_KEY))])?.first ?? 0
            let open = find(session, [(CKA_LABEL, .text(label)), (CKA_CLASS, .number(CKO_PUBLIC_KEY))])?.first ?? 0
            withMechanism(CKM_ECDSA) {
              let digest = [UInt8](repeating: 7, count: 32)
              let signature = sign(session, $0, secret, digest)
              require(signature.0 == CKR_OK, "\(label): \(name(signature.0))")
              let verified = verify(session, $0, open, digest, signature.1)
              require(verified == CKR_OK, "\(label): the halves do not belong together")
            }
          }
        }
        let all = find(session, [(CKA_TOKEN, .bool(true))])?.count ?? 0
        let profiles = find(session, [(CKA_CLASS, .number(CKO_PROFILE))])?.count ?? 0
        let labelled = attempted.reduce(0) { $0 + (find(session, [(CKA_LABEL, .text($1))])?.count ?? 0) }
        require(all == labelled + profiles, "\(all) objects, of which \(labelled) were asked for")
      }
      #expect(store.failure == nil)
    }

    @Test("wrong PINs count across the secure world's deaths, lock at the limit, and the officer unlocks")
    func wrongPINs() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        let world = FaultStore.World.enter(folder)
        world.initializeToken()
        require(world.pinFlags == 0, "flags at the start")
        func wrongTry(_ number: Int) -> CK_RV {
          let session = world.open()
          defer { _ = p11.C_CloseSession!(session) }
          return world.login(session, "wrong-\(number)")
        }
        for number in 1...9 {
          require(wrongTry(number) == CKR_PIN_INCORRECT, "try \(number)")
          let expected = number == 9 ? Faults.pinLow | Faults.pinFinal : Faults.pinLow
          require(world.pinFlags == expected, "flags after try \(number): \(name(world.pinFlags))")
          if number % 3 == 0 {
            world.kill()
            require(world.pinFlags == expected, "flags after a restart: \(name(world.pinFlags))")
          }
        }
        require(wrongTry(10) == CKR_PIN_LOCKED, "the tenth try")
        require(world.pinFlags == Faults.pinLocked, "flags when locked: \(name(world.pinFlags))")
        world.kill()
        require(world.pinFlags == Faults.pinLocked, "flags when locked, after a restart")
        var session = world.open()
        require(world.login(session) == CKR_PIN_LOCKED, "the right PIN on a locked token")
        var (old, new) = (Array(TestStore.userPIN.utf8), Array("new-user-pin".utf8))
        let changed = p11.C_SetPIN!(session, &old, UInt(old.count), &new, UInt(new.count))
        require(changed == CKR_PIN_LOCKED, "C_SetPIN: \(name(changed))")

        require(world.login(session, "wrong", as: CKU_SO) == CKR_PIN_INCORRECT, "the officer's wrong PIN")
        require(world.pinFlags == Faults.pinLocked | CKF_SO_PIN_COUNT_LOW, "flags: \(name(world.pinFlags))")
        world.expect(world.login(session, TestStore.officerPIN, as: CKU_SO), "C_Login")
        world.expect(p11.C_InitPIN!(session, &new, UInt(new.count)), "C_InitPIN")
        require(world.pinFlags == 0, "flags when unlocked: \(name(world.pinFlags))")
        _ = p11.C_CloseSession!(session)
        world.kill()
        session = world.open()
        require(world.login(session) == CKR_PIN_INCORRECT, "the old PIN")
        require(world.pinFlags == Faults.pinLow, "flags: \(name(world.pinFlags))")
        world.expect(world.login(session, "new-user-pin"), "C_Login")
        require(world.pinFlags == 0, "flags after the right PIN: \(name(world.pinFlags))")
      }
      #expect(store.failure == nil)
    }

    @Test("without room C_CreateObject is CKR_DEVICE_MEMORY, keys go on working, and nothing is lost when room returns")
    func noRoom() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        // The secure world inherits the limit on the size of files, which is lifted from outside later.
        signal(SIGXFSZ, SIG_IGN)
        let resource = Int32(RLIMIT_FSIZE.rawValue)
        var limit = rlimit(rlim_cur: 6 << 20, rlim_max: .max)
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_FSIZE.rawValue)), &limit)
        let world = FaultStore.World.enter(folder)
        world.initializeToken()
        var session = world.openAsUser()
        let key = aesKey(session, token: true, label: "signs")
        func mac() -> [UInt8] { withMechanism(CKM_AES_CMAC) { sign(session, $0, key, [1, 2, 3]).1 } }
        let expected = mac()
        require(expected.count == 16, "C_Sign")
        var objects = 0
        func create() -> CK_RV {
          createObject(
            session,
            [
              (CKA_CLASS, .number(CKO_DATA)), (CKA_TOKEN, .bool(true)), (CKA_LABEL, .text("filler")),
              (CKA_VALUE, .bytes([UInt8](repeating: 7, count: 200_000))),
            ]
          ).0
        }
        var result = create()
        while result == CKR_OK, objects < 1000 {
          objects += 1
          result = create()
        }
        require(result == CKR_DEVICE_MEMORY, "C_CreateObject: \(name(result))")
        require(objects > 5, "\(objects) objects")
        require(mac() == expected, "C_Sign without room")
        require(find(session, [(CKA_LABEL, .text("filler"))])?.count == objects, "objects without room")
        // Somebody who comes now can log in and use the key as well.
        require(p11.C_Logout!(session) == CKR_OK, "C_Logout")
        world.expect(world.login(session), "C_Login without room")
        require(mac() == expected, "C_Sign after C_Login without room")

        typealias Limit = @convention(c) (pid_t, Int32, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Int32
        let prlimit = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "prlimit"), to: Limit.self)
        limit = rlimit(rlim_cur: .max, rlim_max: .max)
        guard let process = world.process else { return require(false, "no secure world") }
        require(prlimit(process, resource, &limit, nil) == 0, "prlimit: \(errno)")
        world.expect(create(), "C_CreateObject with room")
        require(mac() == expected, "C_Sign with room")
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_FSIZE.rawValue)), &limit)
        world.kill()
        session = world.openAsUser()
        require(find(session, [(CKA_LABEL, .text("filler"))])?.count == objects + 1, "objects after a restart")
        guard let key = find(session, [(CKA_LABEL, .text("signs"))])?.first else { return require(false, "the key") }
        let signed = withMechanism(CKM_AES_CMAC) { sign(session, $0, key, [1, 2, 3]).1 }
        require(signed == expected, "C_Sign after a restart")
      }
      #expect(store.failure == nil)
    }

    @Test("a store that was put back is refused with the reason, by module and tool, until the operator accepts it")
    func rolledBack() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        let world = FaultStore.World.enter(folder)
        world.initializeToken()
        var session = world.openAsUser()
        _ = aesKey(session, token: true, label: "old")
        world.kill()
        var older = world.content
        session = world.openAsUser()
        _ = aesKey(session, token: true, label: "new")
        world.expect(p11.C_Finalize!(nil), "C_Finalize")
        world.kill()
        older["anchor"] = nil
        world.write(older)
        let before = world.content
        let reason = world.refusal()
        require(reason.contains("put back to an older state"), reason)
        require(reason.contains("Restore the newest copy"), reason)
        require(reason.contains("strongroom store accept-rollback"), reason)
        require(world.content == before, "the refusal changed the store")
        unsetenv("STRONGROOM_DEBUG")
        let info = world.run("strongroom", "objects")
        require(info.status != 0 && info.text.contains("put back to an older state"), "\(info)")
        require(world.run("strongroom", "store", "accept-rollback").status != 0, "accepted without --yes")
        require(world.content == before, "the tool changed the store")
        let accepted = world.run("strongroom-tee", "--store", world.store, "--accept-rollback")
        require(accepted.status == 0 && accepted.text.contains("is taken as it is"), "\(accepted)")
        world.expect(p11.C_Initialize!(nil), "C_Initialize")
        session = world.openAsUser()
        require(find(session, [(CKA_LABEL, .text("old"))])?.count == 1, "the older key")
        require(find(session, [(CKA_LABEL, .text("new"))])?.count == 0, "the newer key")
        let again = world.run("strongroom-tee", "--store", world.store, "--accept-rollback")
        require(again.status == 1 && again.text.contains("in use"), "\(again)")
      }
      #expect(store.failure == nil)
    }

    @Test(
      "a newer schema, a bad device key and a bad configuration are refused with the reason, and nothing is touched")
    func unusableStores() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        let world = FaultStore.World.enter(folder)
        world.initializeToken()
        world.expect(p11.C_Finalize!(nil), "C_Finalize")
        world.kill()
        let good = world.content
        func refused(_ phrases: String...) {
          let before = world.content
          let reason = world.refusal()
          for phrase in phrases { require(reason.contains(phrase), "'\(phrase)' is not in: \(reason)") }
          require(world.content == before, "the refusal changed the store: \(reason)")
          let tool = world.run("strongroom", "info")
          for phrase in phrases { require(tool.text.contains(phrase), "'\(phrase)' is not in: \(tool.text)") }
          require(tool.status != 0, "the tool's status")
        }

        var database: OpaquePointer?
        require(sqlite3_open(world.store + "/strongroom.db", &database) == SQLITE_OK, "sqlite3_open")
        require(
          sqlite3_exec(database, "PRAGMA user_version = 99", nil, nil, nil) == SQLITE_OK,
          String(cString: sqlite3_errmsg(database)))
        require(sqlite3_close(database) == SQLITE_OK, "sqlite3_close")
        refused("schema version 99", "use the newer program")
        world.write(good)
        try? FileManager.default.removeItem(atPath: world.store + "/strongroom.db-shm")

        world.write(["device.key": Data([UInt8](repeating: 7, count: 31))])
        refused("device.key has 31 bytes instead of 32", "Restore it from a copy")
        world.write(["device.key": Data([UInt8](repeating: 7, count: 32))])
        refused("device key")
        world.write(good)
        chmod(world.store + "/device.key", 0o644)
        refused("device.key")
        chmod(world.store + "/device.key", 0o600)
        unlink(world.store + "/device.key")
        refused("device.key")
        world.write(good)

        try? FaultStore.configure(folder, "# a comment\nno-such-key = 1\n")
        refused("\(folder)/strongroom.conf", "3", "no-such-key")
        try? FaultStore.configure(folder, "idle-seconds = 1\n")
        world.expect(p11.C_Initialize!(nil), "C_Initialize of the good store")
        _ = aesKey(world.openAsUser(), token: true)
      }
      #expect(store.failure == nil)
    }

    @Test("a secure world that is killed at its start is started again, but not for ever, nor when it says why")
    func endsAtItsStart() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        let world = FaultStore.World.enter(folder)
        let real = (LoadedModule.shared.path as NSString).deletingLastPathComponent + "/strongroom-tee"
        /// The program that counts its starts, and does `what` with the number in `n`.
        func program(_ what: String) {
          let script = """
            #!/bin/sh
            echo x >> \(folder)/starts
            n=0
            while read line; do n=$((n+1)); done < \(folder)/starts
            \(what)
            exec \(real) "$@"

            """
          try? FileManager.default.removeItem(atPath: folder + "/starts")
          try? script.write(toFile: folder + "/program", atomically: true, encoding: .utf8)
          chmod(folder + "/program", 0o700)
        }
        var starts: Int { FileManager.default.contents(atPath: folder + "/starts")?.split(separator: 0x0a).count ?? 0 }
        try? FaultStore.configure(folder, "idle-seconds = 20\nsecure-world = \(folder)/program\n")

        program("if [ $n -le 6 ]; then kill -9 $$; fi")
        world.expect(p11.C_Initialize!(nil), "C_Initialize with six deaths")
        require(starts == 7, "\(starts) starts")
        let session = world.open()

        // While the application is at work it is told what may pass; it is not there for what lasts.
        program("kill -9 $$")
        world.kill()
        var other: CK_SESSION_HANDLE = 0
        let refused = p11.C_OpenSession!(0, CKF_SERIAL_SESSION, nil, nil, &other)
        require(refused == CKR_DEVICE_REMOVED, "C_OpenSession: \(name(refused))")
        require((7...12).contains(starts), "\(starts) starts")
        program("")
        world.expect(p11.C_CloseSession!(session), "C_CloseSession")
        _ = world.open()

        world.kill()
        world.expect(p11.C_Finalize!(nil), "C_Finalize")
        program("kill -9 $$")
        require(world.refusal().contains("again and again"), "the reason")
        program("echo it has a reason >&3; exit 1")
        require(world.refusal().contains("it has a reason"), "the reason")
        require(starts == 1, "\(starts) starts")
      }
      #expect(store.failure == nil)
    }

    @Test("what another process changes of a token object and of the PIN holds here at once")
    func changesElsewhere() async throws {
      let store = try FaultStore()
      await #expect(processExitsWith: .success) { [folder = store.folder as String] in
        let world = FaultStore.World.enter(folder)
        world.initializeToken()
        var session = world.openAsUser()
        let key = aesKey(session, token: true, label: "before")
        withMechanism(CKM_AES_ECB) {
          require(encrypt(session, $0, key, [UInt8](repeating: 0, count: 16)).0 == CKR_OK, "C_Encrypt")
        }
        // The other process: the same program with the same library, told what to do by files.
        let other = forkProcess()
        if other == 0 {
          world.expect(p11.C_Initialize!(nil), "C_Initialize")
          let own = world.openAsUser()
          guard let same = find(own, [(CKA_LABEL, .text("before"))])?.first else { return require(false, "the key") }
          withTemplate([(CKA_LABEL, .text("after")), (CKA_ENCRYPT, .bool(false))]) {
            world.expect(p11.C_SetAttributeValue!(own, same, $0, $1), "C_SetAttributeValue")
          }
          var (old, new) = (Array(TestStore.userPIN.utf8), Array("changed-pin".utf8))
          world.expect(p11.C_SetPIN!(own, &old, UInt(old.count), &new, UInt(new.count)), "C_SetPIN")
          _ = p11.C_Finalize!(nil)
          _exit(0)
        }
        require(status(of: other) == 0, "the other process failed")
        require(find(session, [(CKA_LABEL, .text("before"))]) == [], "the old label is still found")
        require(find(session, [(CKA_LABEL, .text("after"))]) == [key], "the new label is not found")
        withMechanism(CKM_AES_ECB) {
          let refused = p11.C_EncryptInit!(session, $0, key)
          require(refused == CKR_KEY_FUNCTION_NOT_PERMITTED, "C_EncryptInit: \(name(refused))")
        }
        // Who is logged in stays so; who comes again needs the new PIN.
        require(p11.C_Logout!(session) == CKR_OK, "C_Logout")
        require(world.login(session) == CKR_PIN_INCORRECT, "the old PIN")
        world.expect(world.login(session, "changed-pin"), "C_Login")
        _ = p11.C_CloseSession!(session)
        session = world.open()
        require(world.login(session, "changed-pin") == CKR_OK, "the new PIN")
      }
      #expect(store.failure == nil)
    }
  }
}
