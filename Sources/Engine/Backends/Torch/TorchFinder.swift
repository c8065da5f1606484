import Foundation

/// Finds an installed PyTorch, without importing it.
package struct TorchFinder: Sendable {
    /// An installed PyTorch.
    package struct Installation: Equatable, Sendable {
        /// The folder that contains libtorch_cpu.so.
        package let folder: String
        /// For example "2.15.0+cu132"; nil if the installation does not state it.
        package let version: String?
        /// Whether it was built for NVIDIA or AMD GPUs.
        package var hasCUDA: Bool { FileKind("\(folder)/libtorch_cuda.so") == .regular }
    }

    /// The oldest version that has all functions Tessera calls.
    package static let oldest = (major: 2, minor: 10)
    /// Environment variable that names PyTorch's folder.
    package static let variable = "TESSERA_TORCH"

    private let environment: [String: String]
    private let python: @Sendable () -> String?

    /// - Parameters:
    ///   - environment: environment variables of this process
    ///   - python: folder of the `torch` package of the `python3` on the path, if it has one
    package init(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        python: @escaping @Sendable () -> String? = { TorchFinder.pythonsOwn }
    ) {
        (self.environment, self.python) = (environment, python)
    }

    /// Looks only in the given folder, else only in `$TESSERA_TORCH`, else where Python has it, else in common places.
    ///
    /// - Parameter given: the value of `--torch`: the folder of the libraries, of the
    ///   package, or of a Python environment
    /// - Returns: an installation that is new enough, going by its stated version
    /// - Throws: `InputError` if there is none
    package func find(_ given: String?) throws(InputError) -> Installation {
        let named = environment[Self.variable].flatMap { $0.isEmpty ? nil : $0 }
        for (path, name) in [(given, "--torch"), (named, Self.variable)] {
            guard let path else { continue }
            guard let found = installation(in: path) else {
                throw InputError(
                    "\(name) \(path)",
                    "there is no libtorch_cpu.so in it",
                    fix: "Name the folder that python3 -m pip show torch prints as Location"
                )
            }
            return try checked(found, "\(name) \(path)")
        }
        if let path = python(), let found = installation(in: path) {
            return try checked(found, path)
        }
        for path in commonPlaces {
            if let found = installation(in: path) { return try checked(found, path) }
        }
        throw InputError(
            "PyTorch",
            "it was not found: neither python3 nor the common places have it, and GPUs, f16 and --backend torch need it",
            fix: "Install it (python3 -m pip install torch), or give its folder with --torch"
        )
    }

    private func checked(
        _ found: Installation,
        _ place: String
    ) throws(InputError) -> Installation {
        guard let version = found.version else { return found }
        let numbers = version.split(whereSeparator: { !$0.isNumber }).prefix(2)
            .compactMap { Int($0) }
        guard numbers.count == 2,
            (numbers[0], numbers[1]) < (Self.oldest.major, Self.oldest.minor)
        else { return found }
        throw InputError(
            place,
            "it is PyTorch \(version); \(Self.oldest.major).\(Self.oldest.minor) or newer is needed",
            fix:
                "Update it (python3 -m pip install --upgrade torch), or name another one with --torch"
        )
    }

    /// Finds the installation in a library folder, a package folder or a Python environment.
    private func installation(in path: String) -> Installation? {
        let path = (path as NSString).expandingTildeInPath
        let below = ["", "lib", "torch/lib"] + Self.pythons(in: "\(path)/lib").map { "lib/\($0)" }
        for part in below {
            let folder = part.isEmpty ? path : "\(path)/\(part)"
            guard FileKind("\(folder)/libtorch_cpu.so") == .regular else { continue }
            return Installation(
                folder: URL(fileURLWithPath: folder).standardizedFileURL.path,
                version: Self.version(of: folder)
            )
        }
        return nil
    }

    /// Relative paths of PyTorch's library folders in the site-packages of each Python below `lib`.
    private static func pythons(in lib: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: lib)) ?? []
        return names.filter { $0.hasPrefix("python3") }.sorted().reversed().flatMap { python in
            ["site-packages", "dist-packages"].map { "\(python)/\($0)/torch/lib" }
        }
    }

    /// Maximum size of a version file, in bytes.
    private static let longestVersion = 1 << 16

    /// The version from `version.py` of the package, or from `build-version` of a plain libtorch.
    private static func version(of folder: String) -> String? {
        if let text = try? InputFile.text("\(folder)/../version.py", limit: longestVersion),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("__version__") })
        {
            let quoted = line.split(whereSeparator: { $0 == "'" || $0 == "\"" })
            return quoted.count > 1 ? String(quoted[1].prefix(40)) : nil
        }
        return (try? InputFile.text("\(folder)/../build-version", limit: longestVersion))
            .map { String($0.trimmingCharacters(in: .whitespacesAndNewlines).prefix(40)) }
    }

    private var commonPlaces: [String] {
        ["VIRTUAL_ENV", "CONDA_PREFIX"].compactMap { environment[$0] }
            + (environment["HOME"].map { ["\($0)/.local"] } ?? [])
            + ["/usr/local", "/usr", "/usr/lib/python3/dist-packages", "/opt/libtorch"]
            + ["/usr/local/libtorch"]
    }

    /// Folder of Python's own PyTorch; looked up once per process.
    package static let pythonsOwn: String? = askPython()

    /// Timeout for python3, in seconds.
    private static let patience = 10
    /// Maximum length of a path, in bytes.
    private static let longestPath = 4096

    private static func askPython() -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        // `timeout` puts everything that python3 starts in its own process group. Finding a package does not run it.
        process.arguments = [
            "timeout", "--kill-after=1", "\(patience)", "python3", "-c",
            "import importlib.util as u; s = u.find_spec('torch'); "
                + "print(s.submodule_search_locations[0] if s else '')",
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        // Otherwise the parent's write end would keep the pipe open.
        try? output.fileHandleForWriting.close()
        let line = firstLine(of: output.fileHandleForReading.fileDescriptor)
        try? output.fileHandleForReading.close()
        kill(-process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        return line.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The first line that can be read from a descriptor in time; nil if there is none, or
    /// if it is too long for a path.
    private static func firstLine(of descriptor: Int32) -> String? {
        let end = ContinuousClock.now + .seconds(patience + 2)
        var bytes: [UInt8] = []
        while bytes.count < longestPath, !bytes.contains(UInt8(ascii: "\n")) {
            let left = ContinuousClock.now.duration(to: end) / .milliseconds(1)
            guard left > 0 else { return nil }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&entry, 1, Int32(left))
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return nil }
            var chunk = [UInt8](repeating: 0, count: longestPath)
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        guard bytes.count < longestPath else { return nil }
        return bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).first
            .map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespaces) }
    }
}
