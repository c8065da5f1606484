import Engine
import Foundation
import Protocol

/// Invitations to the cluster of a file, and the machines that joined it.
package struct ClusterMembers {
    private let file: ClusterFile
    private let path: String
    private let folder: ClusterFolder
    private let joined: JoinFolder

    /// - Parameters:
    ///   - file: the cluster file
    ///   - path: where it is
    /// - Throws: `InputError` for a user without a home
    package init(_ file: ClusterFile, path: String) throws(InputError) {
        (self.file, self.path) = (file, path)
        folder = try ClusterFolder(for: path)
        joined = folder.joined
    }

    /// Most uses of one invitation.
    package static let maxUses = 1000

    /// Makes an invitation.
    ///
    /// - Parameters:
    ///   - uses: how many machines may join with it
    ///   - seconds: how long it is valid
    ///   - address: HOST or HOST:PORT that machines connect to; nil: the file's
    ///   - now: seconds since 1970
    /// - Returns: the code to pass on
    /// - Throws: `InputError` when the file's coordinator cannot be reached by other machines, or has no keys
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

    /// Makes the keys with which machines that join connect, where the file names none and has an endpoint that they could
    /// reach: a coordinator that runs for long must have them before anybody is invited.
    ///
    /// - Throws: `InputError` when they cannot be written
    package func prepare() throws {
        let coordinator = file.coordinator
        guard !coordinator.insecure, coordinator.keys == nil,
            coordinator.endpoint?.hasPrefix("tcp://") == true
        else { return }
        _ = try ClusterKeys.make(in: folder.path)
    }

    /// Whether a coordinator that runs now was started with the keys of invitations.
    package var hasKeys: Bool {
        file.coordinator.keys != nil || ClusterKeys(madeIn: folder.path) != nil
    }

    /// Whether `cluster up` has started workers that still run, as far as is recorded.
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

    /// Whether workers are started by the file; a relay's lists none, and a coordinator's need not.
    package var hasHosts: Bool { !file.hosts.isEmpty }

    /// Whether a process of this host listens at the coordinator's endpoint now.
    package var isListening: Bool {
        guard let text = file.coordinator.endpoint,
            let endpoint = try? Endpoint(text, reach: .network)
        else { return false }
        return EndpointUser.find(endpoint) != nil
    }

    /// The list of machines and invitations.
    ///
    /// - Throws: `InputError` when the list is damaged
    package func list() throws(InputError) -> MemberList {
        MemberList(try joined.book(), seen: folder.seen)
    }

    /// Takes a machine off the list. A running coordinator ends its connection within half a second.
    ///
    /// - Returns: what was done, in lines
    /// - Throws: `InputError` if none has this name
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

/// Where machines that are invited find the coordinator.
enum InvitationAddress {
    /// - Parameters:
    ///   - coordinator: of the cluster file
    ///   - path: the file's
    ///   - address: HOST or HOST:PORT to use in its place
    /// - Returns: host and port
    /// - Throws: `InputError` when there is no TCP endpoint, or no address for it
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
