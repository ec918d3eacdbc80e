// swift-tools-version: 6.2
import PackageDescription

// The rooms of Strongroom, lowest first. Arrows point down only: a target lists every room it imports,
// and `make lint` fails on an import that is not listed here. docs/rooms.md says what each room is for.

let media = ["libavformat", "libavcodec", "libavutil", "libswscale"]

let package = Package(
  name: "Strongroom",
  products: [
    .library(name: "strongroom-pkcs11", type: .dynamic, targets: ["StrongroomModule"]),
    .executable(name: "strongroom-tee", targets: ["strongroom-tee"]),
    .executable(name: "strongroom-peripheral", targets: ["strongroom-peripheral"]),
    .executable(name: "strongroom", targets: ["strongroom"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")
  ],
  targets: [
    // C: headers, module maps, `static inline` shims and const tables.
    .systemLibrary(name: "CCryptoki", path: "include"),
    // Without pkg-config, whose -lcrypto would come before what StrongroomModule says of it.
    .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .systemLibrary(name: "CMedia", providers: [.apt(["libavformat-dev", "libavcodec-dev", "libswscale-dev"])]),
    .systemLibrary(name: "CP11Kit", pkgConfig: "p11-kit-1", providers: [.apt(["libp11-kit-dev"])]),
    .target(name: "CLinux"),
    .target(name: "CFunctionTable", dependencies: ["CCryptoki"]),
    .target(name: "CLateLibcrypto"),

    // Vocabulary and bytes.
    .target(name: "Cryptoki"),
    .target(name: "Wire"),
    .target(name: "LinuxSystem", dependencies: ["CLinux"]),
    .target(name: "Configuration", dependencies: ["LinuxSystem"]),
    .target(name: "CryptoCore", dependencies: ["COpenSSL", "LinuxSystem"]),

    // The boundary.
    .target(name: "ObjectInvoke", dependencies: ["CLinux", "LinuxSystem", "Wire"]),
    .target(name: "Mechanisms", dependencies: ["CryptoCore", "Cryptoki", "Wire"]),
    .target(name: "TokenProtocol", dependencies: ["Cryptoki", "Mechanisms", "Wire"]),

    // The secure world.
    .target(name: "Sandbox", dependencies: ["CSeccomp", "CLinux", "LinuxSystem"]),
    .target(name: "SecureStorage", dependencies: ["CSQLite", "CryptoCore", "LinuxSystem", "Wire"]),
    .target(name: "RestrictedMemory", dependencies: ["CLinux", "LinuxSystem"]),
    .target(name: "Peripherals", dependencies: ["CLinux", "LinuxSystem", "RestrictedMemory", "Wire"]),
    .target(
      name: "TokenService",
      dependencies: ["Cryptoki", "Wire", "Mechanisms", "TokenProtocol", "CryptoCore", "SecureStorage"]),
    .target(
      name: "SecureWorld",
      dependencies: [
        "Configuration", "Cryptoki", "CryptoCore", "LinuxSystem", "Mechanisms", "ObjectInvoke", "Peripherals",
        "RestrictedMemory", "Sandbox", "SecureStorage", "TokenProtocol", "TokenService", "Wire",
      ]),
    .target(
      name: "MediaPeripherals", dependencies: ["CMedia", "LinuxSystem", "Peripherals", "Sandbox", "Wire"],
      linkerSettings: media.map { .linkedLibrary(String($0.dropFirst(3))) }),
    .target(
      name: "MediaContainer", dependencies: ["CMedia"],
      linkerSettings: media.map { .linkedLibrary(String($0.dropFirst(3))) }),
    .executableTarget(
      name: "strongroom-tee", dependencies: ["SecureWorld", "Configuration"],
      // A libcrypto of its own, newer than the system's, where there is one: docs/libcrypto.md.
      linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/lib"])]),
    .executableTarget(name: "strongroom-peripheral", dependencies: ["MediaPeripherals"]),

    // The normal world.
    .target(
      name: "CryptokiModule",
      dependencies: [
        "CCryptoki", "CFunctionTable", "Configuration", "Cryptoki", "CryptoCore", "LinuxSystem", "Mechanisms",
        "ObjectInvoke", "TokenProtocol", "Wire",
      ]),
    .target(
      name: "StrongroomModule", dependencies: ["CLateLibcrypto", "CryptokiModule"], exclude: ["exports.map", "link"],
      linkerSettings: [
        .unsafeFlags([
          "-L\(Context.packageDirectory)/Sources/StrongroomModule/link",
          "-static-stdlib", "-use-ld=lld", "-Xlinker", "-soname=libstrongroom-pkcs11.so",
          "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/StrongroomModule/exports.map",
          "-Xlinker", "-z", "-Xlinker", "nodelete", "-Xlinker", "-z", "-Xlinker", "now",
          "-Xlinker", "--as-needed", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs",
        ])
      ]),
    .executableTarget(
      name: "strongroom",
      dependencies: [
        "CCryptoki", "CLinux", "CP11Kit", "Configuration", "Cryptoki", "MediaContainer",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      linkerSettings: media.map { .linkedLibrary(String($0.dropFirst(3))) }),

    // Tests: a room each, then the module as its clients see it.
    .testTarget(name: "CryptokiTests", dependencies: ["CCryptoki", "Cryptoki"]),
    .testTarget(name: "WireTests", dependencies: ["Wire"]),
    .testTarget(name: "LinuxSystemTests", dependencies: ["LinuxSystem"]),
    .testTarget(name: "SandboxTests", dependencies: ["CLinux", "LinuxSystem", "Sandbox"]),
    .testTarget(name: "ConfigurationTests", dependencies: ["Configuration"]),
    .testTarget(name: "CryptoCoreTests", dependencies: ["COpenSSL", "CryptoCore"]),
    .testTarget(name: "ObjectInvokeTests", dependencies: ["ObjectInvoke", "LinuxSystem", "Wire"]),
    .testTarget(
      name: "MechanismsTests", dependencies: ["Cryptoki", "CryptoCore", "Mechanisms", "Wire"]),
    .testTarget(name: "TokenProtocolTests", dependencies: ["Cryptoki", "Mechanisms", "TokenProtocol", "Wire"]),
    .testTarget(name: "SecureStorageTests", dependencies: ["CryptoCore", "SecureStorage"]),
    .testTarget(name: "RestrictedMemoryTests", dependencies: ["RestrictedMemory", "LinuxSystem"]),
    .testTarget(
      name: "PeripheralsTests",
      dependencies: [
        "CMedia", "LinuxSystem", "MediaContainer", "MediaPeripherals", "Peripherals", "RestrictedMemory",
        "Sandbox", "Wire", "strongroom-peripheral",
      ]),
    .testTarget(
      name: "TokenServiceTests",
      dependencies: [
        "Cryptoki", "CryptoCore", "Mechanisms", "SecureStorage", "TokenProtocol", "TokenService", "Wire",
      ]),
    .testTarget(
      name: "WorldTests",
      dependencies: ["Cryptoki", "CLinux", "LinuxSystem", "Mechanisms", "ObjectInvoke", "TokenProtocol", "Wire"],
      path: "conformance/WorldTests"),
    .testTarget(
      name: "ModuleTests",
      dependencies: ["CCryptoki", "CLinux", "CMedia", "CSQLite", "LinuxSystem", "MediaContainer"],
      path: "conformance/ModuleTests"),
  ],
  swiftLanguageModes: [.v6]
)
