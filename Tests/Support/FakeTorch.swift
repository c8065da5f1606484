import Foundation

/// The library of `Tests/FakeTorch`, which fails on request.
package enum FakeTorch {
    package struct NotBuilt: Error {}

    /// Builds it.
    ///
    /// - Parameters:
    ///   - folder: where its libtorch_cpu.so goes; each folder's is a library of its own
    ///   - defines: macros, such as `WITHOUT_DISPATCHER`
    /// - Throws: `NotBuilt` without a C compiler
    package static func build(in folder: String, defines: [String] = []) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let compiler =
            FileManager.default.isExecutableFile(atPath: "/usr/bin/cc") ? "cc" : "clang"
        process.arguments =
            [compiler, "-shared", "-fPIC", "-O1"] + defines.map { "-D\($0)" }
            + [
                "\(Fixtures.packageRoot)/Tests/FakeTorch/fake_torch.c", "-o",
                "\(folder)/libtorch_cpu.so", "-ldl",
            ]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw NotBuilt() }
    }

    /// Runs `body` while the library fails as `wish` says, see its source.
    package static func failing<T>(_ wish: String, _ body: () throws -> T) rethrows -> T {
        setenv("TESSERA_FAKE_TORCH", wish, 1)
        defer { unsetenv("TESSERA_FAKE_TORCH") }
        return try body()
    }
}
