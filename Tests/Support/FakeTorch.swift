import Foundation

/// The fake PyTorch library of `Tests/FakeTorch`, which fails on request.
package enum FakeTorch {
    package struct NotBuilt: Error {}

    /// Builds the library.
    ///
    /// - Parameters:
    ///   - folder: folder for libtorch_cpu.so; each folder gets a library of its own
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

    /// Builds the library with simulated GPUs that compute on the processor.
    ///
    /// - Parameters:
    ///   - folder: as for `build`
    ///   - count: number of GPUs
    ///   - real: library folder of the PyTorch that computes; nil if none does
    ///   - defines: as for `build`
    /// - Returns: environment variables for the processes that use it
    /// - Throws: as `build`, or if the second library cannot be written
    package static func buildGPUs(
        in folder: String,
        count: Int,
        real: String?,
        defines: [String] = []
    ) throws -> [String: String] {
        try build(in: folder, defines: defines)
        try FileManager.default.copyItem(
            atPath: "\(folder)/libtorch_cpu.so",
            toPath: "\(folder)/libtorch_cuda.so"
        )
        var variables = ["TESSERA_FAKE_TORCH_GPUS": "\(count)"]
        variables["TESSERA_FAKE_TORCH_REAL"] = real
        return variables
    }

    /// Runs `body` while the library fails as `wish` says; see the library's source.
    package static func failing<T>(_ wish: String, _ body: () throws -> T) rethrows -> T {
        try with(["TESSERA_FAKE_TORCH": wish], body)
    }

    /// Environment variables belong to the whole process, and suites run in parallel.
    private static let turn = NSRecursiveLock()

    /// Runs `body` with an empty folder, while no other test sets variables that the library reads: a library that is
    /// told to use the real PyTorch in the middle of a test would pass it fake tensors.
    package static func inTurn<T>(_ body: (String) throws -> T) throws -> T {
        try with([:]) { try inTemporaryFolder(body) }
    }

    /// Runs `body` with variables that the library reads, while no other test sets any.
    package static func with<T>(
        _ variables: [String: String],
        _ body: () throws -> T
    ) rethrows -> T {
        turn.lock()
        for (name, value) in variables { setenv(name, value, 1) }
        defer {
            for name in variables.keys { unsetenv(name) }
            turn.unlock()
        }
        return try body()
    }
}
