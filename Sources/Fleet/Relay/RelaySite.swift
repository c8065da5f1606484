import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// How a relay listens: what a cluster file of its own says below `coordinator:`.
package struct RelaySite: Sendable {
    package let endpoint: Endpoint
    package let security: Security
    private let plan: LaunchPlan

    /// Makes keys where the file needs some and names none.
    ///
    /// - Parameter path: the cluster file's
    /// - Throws: `InputError` when it is invalid, or keys cannot be read or written
    package init(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else {
            throw InputError(
                path,
                "the file does not exist, and it says where the relay listens",
                fix:
                    "Write one such as coordinator: {endpoint: \"tcp://ADDRESS:7552\"}, and name it with --cluster"
            )
        }
        let common = LaunchPlan.Common(version: RenderSession.version, model: "")
        let file = try ClusterFile(file: path, needsHosts: false)
        plan = LaunchPlan(file, path: path, common)
        try ClusterMembers(file, path: path).prepare()
        let configuration = try plan.configuration(.none, fallback: nil)
        (endpoint, security) = (configuration.endpoint, configuration.security)
    }

    /// Remembers for `tessera cluster members` when machines were heard.
    ///
    /// - Parameter ages: how many seconds ago, by their keys
    package func note(_ ages: [PublicKey: Double]) {
        let now = Date().timeIntervalSince1970
        // Only informative: a full disk does not end the relay.
        try? ClusterFolder(for: plan.path).note(heard: ages.mapValues { now - $0 })
    }

    /// Remembers for `tessera cluster status` which machines are connected.
    func note(present: Set<PublicKey>) {
        try? ClusterFolder(for: plan.path).note(present: present)
    }

    /// Announces the relay on the network segment, if the file says so.
    func announce(_ endpoint: Endpoint, _ logger: Logger) -> LANAnnouncement? {
        plan.publish(endpoint, security, logger)
    }
}
