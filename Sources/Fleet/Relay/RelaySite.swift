import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// How a relay listens: the `coordinator:` section of its own cluster file.
package struct RelaySite: Sendable {
    package let endpoint: Endpoint
    package let security: Security
    private let plan: LaunchPlan

    /// Generates keys if the file needs them and names none.
    ///
    /// - Parameter path: path of the cluster file
    /// - Throws: `InputError` if the file is invalid, or keys cannot be read or written
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

    /// Records when machines were last heard from, for `tessera cluster members`.
    ///
    /// - Parameter ages: how many seconds ago each key was heard
    package func note(_ ages: [PublicKey: Double]) {
        let now = Date().timeIntervalSince1970
        // The file is only informative: a full disk must not end the relay.
        try? ClusterFolder(for: plan.path).note(heard: ages.mapValues { now - $0 })
    }

    /// Records which machines are connected, for `tessera cluster status`.
    func note(present: Set<PublicKey>) {
        try? ClusterFolder(for: plan.path).note(present: present)
    }

    /// Announces the relay on the network segment, if the file requests that.
    func announce(_ endpoint: Endpoint, _ logger: Logger) -> LANAnnouncement? {
        plan.publish(endpoint, security, logger)
    }
}
