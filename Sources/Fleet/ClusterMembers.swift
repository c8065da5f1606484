import Engine
import Foundation
import Protocol

/// Invitations to a file's cluster, and the machines that have joined it.
package struct ClusterMembers {
    private let file: ClusterFile
    private let path: String
    private let folder: ClusterFolder
    private let joined: JoinFolder

    /// - Parameters:
    ///   - file: the cluster file
    ///   - path: path of the cluster file
    /// - Throws: `InputError` if the user has no home folder
    package init(_ file: ClusterFile, path: String) throws(InputError) {
        (self.file, self.path) = (file, path)
        folder = try ClusterFolder(for: path)
        joined = folder.joined
    }

    /// Maximum number of uses of one invitation.
    package static let maxUses = 1000

    /// Creates an invitation.
    ///
    /// - Parameters:
    ///   - uses: maximum number of machines that may join with the invitation
    ///   - seconds: how long the invitation is valid
    ///   - address: HOST or HOST:PORT that machines connect to; nil for the address in the file
    ///   - now: current time in seconds since 1970
    /// - Returns: the invitation code to pass on
    /// - Throws: `InputError` if other machines cannot reach the file's coordinator, or it has no keys
    package func invite(
        uses: Int,
        seconds: Double,
        address: String?,
        now: Double = Date().timeIntervalSince1970
    ) throws -> InvitationCode {
        let (host, port) = try InvitationAddress.choose(file.coordinator, path, address)
        let coordinator = try coordinatorKey()
        let pair = try KeyPair.new()
        try joined.change { book in
            try book.add(
                Invitation(key: pair.publicKey, made: now, ends: now + seconds, uses: uses),
                at: now
            )
        }
        return InvitationCode(host: host, port: port, coordinator: coordinator, pair: pair)
    }

    /// Generates the keys for machines that join, if the file names none and has an endpoint that they could reach: a
    /// long-running coordinator must have the keys before anybody is invited.
    ///
    /// - Throws: `InputError` if they cannot be written
    package func prepare() throws {
        let coordinator = file.coordinator
        guard !coordinator.insecure, coordinator.keys == nil,
            coordinator.endpoint?.hasPrefix("tcp://") == true
        else { return }
        _ = try ClusterKeys.make(in: folder.path)
    }

    /// Whether a coordinator that is running was started with the keys that invitations use.
    package var hasKeys: Bool {
        file.coordinator.keys != nil || ClusterKeys(madeIn: folder.path) != nil
    }

    /// Whether workers started by `cluster up` are recorded as running.
    package var hasStartedWorkers: Bool { (try? folder.record()) != nil }

    private func coordinatorKey() throws -> PublicKey {
        guard !file.coordinator.insecure else {
            throw InputError(
                "\(path): coordinator: insecure",
                "without keys anybody may join, and an invitation would promise more",
                fix: "Remove insecure: true"
            )
        }
        let secret =
            try file.coordinator.keys.map { ClusterFile.resolve($0, in: path) }
            ?? ClusterKeys.make(in: folder.path).coordinator
        return try KeyFile.pair(secret).publicKey
    }

    /// Whether the coordinator announces itself on the network segment.
    package var isAnnounced: Bool { file.coordinator.announce }

    /// Whether the file lists hosts; a relay's lists none, and a coordinator's need not.
    package var hasHosts: Bool { !file.hosts.isEmpty }

    /// Whether a process of this host is listening on the coordinator's endpoint.
    package var isListening: Bool {
        guard let text = file.coordinator.endpoint,
            let endpoint = try? Endpoint(text, reach: .network)
        else { return false }
        return EndpointUser.find(endpoint) != nil
    }

    /// The machines and invitations.
    ///
    /// - Throws: `InputError` if the list is damaged
    package func list() throws(InputError) -> MemberList {
        MemberList(try joined.book(), seen: folder.seen)
    }

    /// Removes a machine from the list. A running coordinator closes its connection within half a second.
    ///
    /// - Returns: human-readable lines that say what was done
    /// - Throws: `InputError` if no machine has this name
    package func remove(_ name: String) throws -> [String] {
        let now = Date().timeIntervalSince1970
        return try joined.change { book in
            let open = book.invitations.filter { $0.isOpen(at: now) }.map(\.id)
            guard let member = book.remove(name) else {
                let names = book.members.map(\.name).sorted().joined(separator: ", ")
                throw InputError(
                    name,
                    "no machine of this name has joined",
                    fix: names.isEmpty ? "No machine has joined" : "Choose one of \(names)"
                )
            }
            let withdrawn = book.invitations.filter { $0.isWithdrawn && open.contains($0.id) }
            return ["\(member.name) (\(member.key.fingerprint)) is removed"]
                + withdrawn.map { "invitation \($0.id), by which it joined, is withdrawn" }
        }
    }
}

/// The address at which invited machines find the coordinator.
enum InvitationAddress {
    /// - Parameters:
    ///   - coordinator: the coordinator section of the cluster file
    ///   - path: path of the cluster file
    ///   - address: HOST or HOST:PORT to use instead
    /// - Returns: host and port
    /// - Throws: `InputError` if there is no TCP endpoint or no address for it
    static func choose(
        _ coordinator: ClusterFile.Coordinator,
        _ path: String,
        _ address: String?
    ) throws(InputError) -> (String, UInt16) {
        let field = "\(path): coordinator: endpoint"
        guard let text = coordinator.endpoint, text.hasPrefix("tcp://"),
            let listening = HostPort(text.dropFirst("tcp://".count))?.port, listening > 0
        else {
            throw InputError(
                field,
                "machines can only join a coordinator with a fixed TCP port",
                fix:
                    "Write endpoint: tcp://ADDRESS:7551 with this machine's address below coordinator:"
            )
        }
        let own = coordinator.connect ?? text
        let wanted = address ?? String(own.dropFirst("tcp://".count))
        guard let place = HostPort(wanted), place.port != 0, address == nil || place.host != "*"
        else {
            throw InputError(
                address == nil ? field : "--address \(wanted)",
                "it is not a valid address",
                fix: "Write HOST or HOST:PORT, and [ADDRESS]:PORT for IPv6"
            )
        }
        let port = place.port ?? listening
        guard ["*", "0.0.0.0", "::"].contains(place.host) else { return (place.written, port) }
        guard let found = HostAddresses.first() else {
            throw InputError(
                field,
                "this machine has no network address",
                fix: "Give the address that other machines reach with --address"
            )
        }
        return (found, port)
    }
}
