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

    /// Builds it with GPUs, which are the processor.
    ///
    /// - Parameters:
    ///   - folder: as of `build`
    ///   - count: of the GPUs
    ///   - real: folder of the libraries of the PyTorch that computes
    /// - Returns: variables for the processes that use it
    /// - Throws: as `build`, and where the second library cannot be written
    package static func buildGPUs(
        in folder: String,
        count: Int,
        real: String
    ) throws -> [String: String] {
        try build(in: folder)
        try FileManager.default.copyItem(
            atPath: "\(folder)/libtorch_cpu.so",
            toPath: "\(folder)/libtorch_cuda.so"
        )
        return ["TESSERA_FAKE_TORCH_GPUS": "\(count)", "TESSERA_FAKE_TORCH_REAL": real]
    }

    /// Runs `body` while the library fails as `wish` says, see its source.
    package static func failing<T>(_ wish: String, _ body: () throws -> T) rethrows -> T {
        setenv("TESSERA_FAKE_TORCH", wish, 1)
        defer { unsetenv("TESSERA_FAKE_TORCH") }
        return try body()
    }
}
