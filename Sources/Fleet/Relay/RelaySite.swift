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

    /// Tells other users of this host who listens here, and announces the relay on the network segment if the file says so.
    ///
    /// - Parameters:
    ///   - endpoint: where it listens
    ///   - coordinator: HOST:PORT of the one that it relays for
    ///   - logger: logs what keeps it from being announced
    /// - Returns: to be stopped when it ends
    package func publish(
        _ endpoint: Endpoint,
        for coordinator: String,
        _ logger: Logger
    ) -> Publication {
        EndpointNote.sweep()
        let note = ProcessIdentity(of: getpid()).map {
            EndpointNote(process: $0, work: "tessera relay for \(coordinator)", isRelay: true)
        }
        note?.write(at: endpoint)
        return Publication(
            endpoint: endpoint,
            note: note,
            announcement: plan.publish(endpoint, security, logger)
        )
    }

    /// What others are told of a relay until it ends.
    package struct Publication {
        fileprivate let endpoint: Endpoint
        fileprivate let note: EndpointNote?
        fileprivate let announcement: LANAnnouncement?

        /// Others are told nothing more.
        package func stop() {
            note?.remove(at: endpoint)
            announcement?.stop()
        }
    }
}
