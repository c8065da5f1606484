import Foundation

/// A folder of prepared weights: one file per network and kind of processor, built by the first process
/// that needs it and mapped by all.
///
/// A process that finds no file builds it under a lock, so that others wait for it instead of building their own. A
/// file that is damaged or has another format is rebuilt. If the folder is not writable, or the disk is full, a process
/// keeps its weights in its own memory.
package struct WeightCache: Sendable {
    /// Where a network's weights came from.
    package enum Origin: Equatable, Sendable {
        /// Prepared for this process alone; with the reason, unless this was expected.
        case own(String?)
        /// Prepared now, and stored for the next start.
        case built
        /// Mapped from a file that an earlier process wrote.
        case mapped
    }

    /// Default of `smallest`, in bytes: smaller networks are prepared faster than a file is opened.
    package static let smallestDefault = 64 << 20
    /// Files that were not used for this many days are removed when a new one is written.
    private static let daysKept = 30.0

    /// `$XDG_CACHE_HOME/tessera/weights`, by default below `~/.cache`; nil for a user without a home folder.
    package static let standard: WeightCache? = UserFolder.cache.named("weights").map {
        WeightCache(folder: $0, smallest: smallestDefault)
    }

    private let folder: String
    let smallest: Int

    package init(folder: String, smallest: Int) {
        self.folder = folder
        self.smallest = smallest
    }

    /// Builds a network whose weights are stored under a name.
    ///
    /// - Parameters:
    ///   - name: identifies the weights and how they were prepared; used as a file name
    ///   - make: builds the network in the given memory; called again with other memory if that fails
    /// - Returns: the network, and where its weights came from
    /// - Throws: whatever `make` throws itself
    func load<Network>(
        _ name: String,
        make: (any WeightMemory) throws -> Network
    ) throws -> (network: Network, origin: Origin) {
        let path = "\(folder)/\(name)"
        if let network = try mapped(path, make) { return (network, .mapped) }
        do {
            try? FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            let lock = try FileLock(waitingFor: "\(path).lock")
            defer { withExtendedLifetime(lock) {} }
            // Another process may have built it while we were waiting.
            if let network = try mapped(path, make) { return (network, .mapped) }
            tidy(besides: name)
            let written = WrittenWeights(try TemporaryFile(for: path))
            let network = try make(written)
            try written.finish()
            return (network, .built)
        } catch let error as OutputError {
            return (try make(OwnWeights()), .own(error.description))
        }
    }

    private func mapped<Network>(
        _ path: String,
        _ make: (any WeightMemory) throws -> Network
    ) throws -> Network? {
        guard let weights = MappedWeights(file: path) else { return nil }
        do {
            return try make(weights)
        } catch is StaleWeights {
            return nil
        }
    }

    /// Removes files that have not been used for a long time, and leftovers of a process that died while building
    /// this file (we hold its lock).
    private func tidy(besides name: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let old = Date().addingTimeInterval(-Self.daysKept * 86_400)
        for other in names where other != name && other != "\(name).lock" {
            let path = "\(folder)/\(other)"
            let used =
                (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate]
                as? Date
            if other.hasPrefix("\(name).") || used.map({ $0 < old }) == true { unlink(path) }
        }
    }
}
