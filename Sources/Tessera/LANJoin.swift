import Coordinator
import Engine
import Fleet
import Foundation
import Protocol
import Worker

/// Finds a coordinator on this network segment. Announcements only supply addresses: the coordinator proves with its
/// key that it is the one that issued the invitation, and any other is skipped.
struct LANJoin {
    let cancellation: Cancellation
    /// Seconds between two searches.
    private static let pause = 3.0

    /// Joins with an invitation; searches until its coordinator is found.
    ///
    /// - Parameters:
    ///   - code: the invitation
    ///   - key: this machine's own key
    ///   - name: the name that this machine asks for
    /// - Returns: the coordinator's address and the name assigned to this machine; nil if interrupted
    /// - Throws: `InputError` if the coordinator refuses the invitation, `ClusterUnavailable` without avahi
    func join(
        _ code: InvitationCode,
        key: PublicKey,
        name: String
    ) throws -> (endpoint: String, name: String)? {
        var told: Set<String> = []
        func tell(_ line: String) { if told.insert(line).inserted { StandardError.write(line) } }
        while !cancellation.isCancelled {
            for address in try addresses(of: code.coordinator, tell) where !cancellation.isCancelled
            {
                let endpoint = try Endpoint(address, reach: .network)
                let registration = Registration(code, at: endpoint, key: key, name: name)
                switch try registration.attempt(cancellation) {
                case .joined(let name): return (address, name)
                case .refused(let reason): throw registration.refusal(reason)
                case .notAllowed, .failed, .withoutKeys:
                    tell(
                        "\(address): it does not have the key of this invitation, or no longer knows the invitation"
                    )
                case .nothing: tell("\(address): it is announced, but does not answer")
                }
            }
            pause()
        }
        return nil
    }

    /// Finds the coordinator of a cluster that this machine has already joined.
    ///
    /// - Returns: its current address; nil if it is not found
    func find(_ membership: Membership) throws -> String? {
        let security = Security.worker(
            try KeyFile.pair(membership.keys.secret),
            coordinator: membership.coordinator
        )
        for address in try addresses(of: membership.coordinator, { _ in })
        where !cancellation.isCancelled {
            let endpoint = try Endpoint(address, reach: .network)
            if try CoordinatorProbe.answers(endpoint, security, cancellation) { return address }
        }
        return nil
    }

    /// Endpoints announced with the fingerprint of this key.
    private func addresses(
        of coordinator: PublicKey,
        _ tell: (String) -> Void
    ) throws -> [String] {
        let found = try LANBrowser.search()
        let own = found.filter { $0.key == coordinator.fingerprint }
        if own.isEmpty {
            tell(
                "no coordinator with the key \(coordinator.fingerprint) announces itself on this network segment "
                    + "(others: \(found.count)): looking until it does"
            )
        }
        return own.flatMap(\.endpoints)
    }

    private func pause() {
        let end = Date(timeIntervalSinceNow: Self.pause)
        while Date() < end, !cancellation.isCancelled { Thread.sleep(forTimeInterval: 0.1) }
    }
}
