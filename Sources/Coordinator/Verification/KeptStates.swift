import Foundation

/// States of a render to go back to, within a memory limit: older ones are moved to files beside the saved job, or
/// dropped if it has no folder.
package struct KeptStates: Sendable {
    /// Maximum bytes of states in memory, apart from the first and the two newest, which are always kept there.
    package static let maxBytes = 512 << 20
    /// Maximum bytes of states on disk.
    package static let maxFileBytes = 8 << 30
    /// Maximum number of states, however small.
    private static let maxCount = 64

    private enum Kept: Sendable {
        case memory(Checkpoint?)
        case file(StateFile)
    }

    private var snapshots: Snapshots<Kept>
    private let folder: String?
    private let maxBytes: Int

    /// - Parameters:
    ///   - first: the state that the render begins with; nil for a new render
    ///   - latentBytes: size of the largest latent
    ///   - folder: folder for files, which may be created later; nil for none
    ///   - maxBytes: maximum bytes of states in memory
    package init(
        first: Checkpoint?,
        latentBytes: Int,
        folder: String?,
        maxBytes: Int = maxBytes
    ) {
        // A state has the latent, the sampler's history and what the phase started from.
        let each = max(1, 4 * latentBytes)
        let room = maxBytes + (folder == nil ? 0 : Self.maxFileBytes)
        snapshots = Snapshots(
            first: .memory(first),
            capacity: min(Self.maxCount, max(4, room / each))
        )
        (self.folder, self.maxBytes) = (folder, maxBytes)
        if let folder { StateFile.removeAll(in: folder) }
    }

    /// Adds the state before a step. `needed` is the earliest step that may have to be repeated.
    package mutating func add(_ checkpoint: Checkpoint, before step: Int, needed: Int?) {
        snapshots.add(.memory(checkpoint), before: step, needed: needed)
        makeRoom()
    }

    /// The newest state that is kept at or before a step; nil if it is in a file, or is the start of a new render.
    package func newest(atOrBefore step: Int) -> Checkpoint? {
        guard case .memory(let checkpoint) = snapshots.newest(atOrBefore: step).state else {
            return nil
        }
        return checkpoint
    }

    /// Goes back: later states are dropped. If a file can no longer be read, an older state is used.
    ///
    /// - Parameters:
    ///   - step: the step to be repeated
    ///   - read: reads a file
    /// - Returns: the state, nil to start over, and the step that follows it
    package mutating func goBack(
        to step: Int,
        reading read: (String) throws -> Checkpoint
    ) -> (step: Int, state: Checkpoint?) {
        var target = step
        while true {
            let (found, kept) = snapshots.goBack(to: target)
            switch kept {
            case .memory(let checkpoint): return (found, checkpoint)
            case .file(let file):
                if let checkpoint = try? read(file.path) { return (found, checkpoint) }
                target = found - 1
            }
        }
    }

    /// Bytes that a state takes in memory; 0 if it is in a file.
    private func bytes(_ kept: Kept) -> Int {
        guard case .memory(let checkpoint?) = kept else { return 0 }
        return checkpoint.bytes
    }

    /// Writes the oldest states in memory to files, or drops them if that is impossible.
    private mutating func makeRoom() {
        var sum = snapshots.entries.dropFirst().reduce(0) { $0 + bytes($1.state) }
        var index = 1
        while sum > maxBytes, index < snapshots.entries.count - 2 {
            let state = snapshots.entries[index].state
            guard case .memory(let checkpoint?) = state else {
                index += 1
                continue
            }
            sum -= bytes(state)
            if let file = folder.flatMap({ StateFile(checkpoint, in: $0) }) {
                snapshots.replace(index, by: .file(file))
                index += 1
            } else {
                snapshots.remove(index)
            }
        }
    }

    /// Number of states in memory and in files.
    package var counts: (memory: Int, files: Int) {
        let files = snapshots.entries.count {
            if case .file = $0.state { true } else { false }
        }
        return (snapshots.entries.count - files, files)
    }
}

/// A state in a file, which is removed together with this object.
private final class StateFile: Sendable {
    let path: String

    /// - Returns: nil if it cannot be written, because the disk is full or the folder does not exist yet
    init?(_ checkpoint: Checkpoint, in folder: String) {
        path = "\(folder)/\(JobFolder.keptPrefix)\(UUID().uuidString).safetensors"
        do {
            try checkpoint.write(to: path, job: Checkpoint.keptJob)
        } catch {
            unlink(path)
            return nil
        }
    }

    deinit { unlink(path) }

    /// Removes files that a killed process left behind.
    static func removeAll(in folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix(JobFolder.keptPrefix) { unlink("\(folder)/\(name)") }
    }
}
