import Engine
import Foundation
import Protocol

/// Keys of a cluster whose file names none: made by `tessera cluster invite`, kept in the cluster's folder.
package struct ClusterKeys: Equatable, Sendable {
    /// The coordinator's secret key.
    package let coordinator: String
    /// The coordinator's public key.
    package var coordinatorPublic: String { coordinator + ".pub" }
    /// The secret key of this machine's own workers.
    package let worker: String

    private init(folder: String) {
        (coordinator, worker) = ("\(folder)/coordinator", "\(folder)/worker")
    }

    /// Nil unless they were made.
    ///
    /// - Parameter folder: the cluster's
    package init?(madeIn folder: String) {
        self.init(folder: folder)
        let files = [coordinator, coordinatorPublic, worker]
        guard files.allSatisfy(FileManager.default.fileExists) else { return nil }
    }

    /// Makes those that do not exist.
    ///
    /// - Throws: `InputError` when they cannot be written
    package static func make(in folder: String) throws -> ClusterKeys {
        try PrivateFolder.make(folder)
        let keys = ClusterKeys(folder: folder)
        for path in [keys.coordinator, keys.worker] {
            // Interrupted between the two halves, it is completed.
            try KeyFile.savePublic(try KeyFile.pairOrNew(path).publicKey, to: path + ".pub")
        }
        return keys
    }
}
